"""Weights on disk: shards of .npz beside a manifest that names each with its sha256.

`python3 -m fullbore_runtime.weights make DIRECTORY --seed N` makes them; the same seed gives the same weights, and with
the same numpy the same bytes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullbore_runtime.errors import WeightsError
from fullbore_runtime.manifest import MANIFEST, VERSION, Manifest, Shape, file_sha256, read_manifest

LAYERS_PER_SHARD = 2
Tensor = NDArray[np.floating[Any]]
"""32-bit floats everywhere but in sampling."""


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor by name; matrices are (in, out)."""
    kv = shape.kv_heads * shape.head_width
    shapes: dict[str, tuple[int, ...]] = {"embedding": (shape.vocabulary, shape.width)}
    for layer in range(shape.layers):
        shapes |= {
            f"layers.{layer}.attention_norm": (shape.width,),
            f"layers.{layer}.qkv": (shape.width, shape.width + 2 * kv),
            f"layers.{layer}.attention_out": (shape.width, shape.width),
            f"layers.{layer}.mlp_norm": (shape.width,),
            f"layers.{layer}.gate_up": (shape.width, 2 * shape.hidden),
            f"layers.{layer}.down": (shape.hidden, shape.width),
        }
    return shapes | {"norm": (shape.width,), "head": (shape.width, shape.vocabulary)}


def random_tensors(shape: Shape, seed: int) -> dict[str, Tensor]:
    """Every tensor from one seed: norms are ones, matrices normal with variance 1 / inputs.

    RandomState, not Generator: its streams are frozen for good, so a seed gives the same weights under any numpy.
    """
    source = np.random.RandomState(seed)
    return {name: random_tensor(source, name, size) for name, size in tensor_shapes(shape).items()}


def random_tensor(source: np.random.RandomState, name: str, size: tuple[int, ...]) -> Tensor:
    if len(size) == 1:
        return np.ones(size, np.float32)
    scale = 1.0 if name == "embedding" else size[0] ** -0.5
    return (source.standard_normal(size) * scale).astype(np.float32)


def shard_of(name: str, layers: int) -> int:
    """The shard, counted from 0, that holds a tensor: pairs of layers, the ends with the first and the last."""
    last = (layers - 1) // LAYERS_PER_SHARD
    if not name.startswith("layers."):
        return 0 if name == "embedding" else last
    return int(name.split(".")[1]) // LAYERS_PER_SHARD


def make(directory: Path, seed: int, shape: Shape | None = None) -> Manifest:
    """Write shards and manifest from a seed."""
    shape = shape or Shape()
    tensors = random_tensors(shape, seed)
    directory.mkdir(parents=True, exist_ok=True)
    count = (shape.layers - 1) // LAYERS_PER_SHARD + 1
    shards: dict[str, str] = {}
    for number in range(count):
        name = f"weights-{number + 1:05}-of-{count:05}.npz"
        part = {key: value for key, value in tensors.items() if shard_of(key, shape.layers) == number}
        np.savez(str(directory / name), **part)  # pyright: ignore[reportArgumentType]
        shards[name] = file_sha256(directory / name)
    millions = sum(tensor.size for tensor in tensors.values()) / 1e6
    value = {
        "version": VERSION,
        "name": f"fullbore-bytes-{millions:.1f}m-seed{seed}",
        "shape": asdict(shape),
        "shards": shards,
    }
    (directory / MANIFEST).write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return read_manifest(directory)


def load(directory: Path, manifest: Manifest) -> dict[str, Tensor]:
    """Every tensor, after each shard was checked. Raises WeightsError naming the shard or tensor."""
    tensors: dict[str, Tensor] = {}
    for name, want in manifest.shards.items():
        check_shard(directory / name, want)
        with np.load(directory / name, allow_pickle=False) as shard:
            tensors |= {key: np.ascontiguousarray(shard[key], np.float32) for key in shard.files}
    for name, size in tensor_shapes(manifest.shape).items():
        if name not in tensors:
            raise WeightsError(f"{directory}: tensor {name} is in no shard; build the image again")
        if tensors[name].shape != size:
            raise WeightsError(f"{directory}: tensor {name}: shape is {tensors[name].shape}, must be {size}")
    return tensors


def check_shard(path: Path, want: str) -> None:
    try:
        got = file_sha256(path)
    except OSError as error:
        raise WeightsError(f"shard {path.name}: cannot be read ({error.strerror}); build the image again") from error
    if got != want:
        raise WeightsError(
            f"shard {path.name}: sha256 is {got}, but the manifest says {want}; "
            "the file is damaged, build the image again"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="fullbore_runtime.weights", description="make the weights of the CPU profile")
    parser.add_argument("command", choices=["make"])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    manifest = make(args.directory, args.seed)
    print(f"{manifest.name}: {len(manifest.shards)} shards in {args.directory}, manifest sha256 {manifest.sha256}")


if __name__ == "__main__":
    main()

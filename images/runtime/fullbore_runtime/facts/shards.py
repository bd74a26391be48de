"""Shards of weights against their manifest, which names each with its sha256."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fullbore_runtime.errors import WeightsError
from fullbore_runtime.facts.model import Shard, Weights
from fullbore_runtime.manifest import MANIFEST, file_sha256, read_manifest

SUFFIX = ".safetensors"
"""Files that vLLM and SGLang load from a folder, whether or not a manifest names them."""


def weights(directory: Path, *, check: bool, threads: int = 1) -> Weights:
    """The weights of a folder; `check` reads every shard, several at a time: hashing lets other threads run.

    A folder without a manifest has only the files that it holds. Raises WeightsError where the manifest is none.
    """
    manifest = read_manifest(directory) if (directory / MANIFEST).exists() else None
    given = config(directory)
    said = given.get("quantization_config") or {}
    named = dict(manifest.shards) if manifest else {}
    found = {path.name for path in directory.glob(f"*{SUFFIX}")}
    names = sorted(named.keys() | found)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        shards = pool.map(lambda name: _shard(directory / name, named.get(name), check), names)
    return Weights(
        directory=directory,
        name=manifest.name if manifest else None,
        manifest_sha256=manifest.sha256 if manifest else None,
        positions=manifest.sizes.positions if manifest and manifest.sizes else None,
        kv_bytes_per_token=manifest.sizes.kv_bytes_per_token if manifest and manifest.sizes else None,
        hidden=given["hidden_size"] if isinstance(given.get("hidden_size"), int) else None,
        quantization=quantization(directory, given),
        bits=said["bits"] if isinstance(said, dict) and isinstance(said.get("bits"), int) else None,
        shards=tuple(shards),
        checked=check,
    )


def config(directory: Path) -> Mapping[str, Any]:
    """A Hugging Face checkpoint's config.json; empty where there is none. Raises WeightsError where it is none."""
    path = directory / "config.json"
    try:
        given = json.loads(path.read_bytes()) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({error!r}); copy it again") from error
    if not isinstance(given, dict):
        raise WeightsError(f"{path}: cannot be read (one JSON object, got {type(given).__name__}); copy it again")
    return given


def quantization(directory: Path, given: Mapping[str, Any]) -> str | None:
    """How a checkpoint says that it is quantised. Raises WeightsError where it says so and not how."""
    said = given.get("quantization_config")
    try:
        return str(said["quant_method"]) if said else None
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{directory / 'config.json'}: cannot be read ({error!r}); copy it again") from error


def _shard(path: Path, want: str | None, check: bool) -> Shard:
    try:
        size = path.stat().st_size
        got = file_sha256(path) if check and want else None
    except OSError:
        return Shard(name=path.name, want=want)
    return Shard(name=path.name, want=want, got=got, bytes=size)

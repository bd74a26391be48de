"""The manifest of the weights: what they are, their sizes, and the digest of each shard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fullbore_runtime.errors import WeightsError
from fullbore_runtime.tokenizer import VOCABULARY

VERSION = 1
MANIFEST = "manifest.json"
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Shape:
    """Sizes of the transformer: RMSNorm, rotary positions, grouped-query attention, SwiGLU."""

    vocabulary: int = VOCABULARY
    width: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    hidden: int = 512
    positions: int = 2048
    rope_base: float = 10_000.0

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values that one token adds, in 32-bit floats."""
        return 2 * self.layers * self.kv_heads * self.head_width * 4


@dataclass(frozen=True)
class Manifest:
    """What the weights are: a name, the digest of each shard, and the sizes where they are this runtime's own model."""

    name: str
    sizes: Shape | None
    shards: Mapping[str, str]
    sha256: str
    """Digest of the manifest's own text: stands for the whole set."""

    @property
    def shape(self) -> Shape:
        """The sizes. Raises WeightsError for weights of another engine, whose sizes are in their config.json."""
        if self.sizes is None:
            raise WeightsError(f"{self.name}: its manifest has no sizes for the CPU profile; deploy the cuda image")
        return self.sizes


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a folder of weights. Raises WeightsError."""
    path = directory / MANIFEST
    try:
        data = path.read_bytes()
        value = json.loads(data)
        if value["version"] != VERSION:
            raise WeightsError(f"{path}: version: got {value['version']!r}, but this image reads {VERSION}")
        sizes = Shape(**value["shape"]) if "shape" in value else None
        return Manifest(str(value["name"]), sizes, dict(value["shards"]), hashlib.sha256(data).hexdigest())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: is no manifest of weights ({error!r}); build the image again") from error


def file_sha256(path: Path) -> str:
    """The digest that a manifest holds of a shard."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()

"""Tables of this image's own kernels: which there are, and what each lets them replace. Needs neither GPU nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fullbore_runtime.facts.model import Kernels
from fullbore_runtime.kernels.table import ENVIRONMENT, PLAIN, load

DIRECTORY = Path("opt/fullbore/kernels")


def kernels(root: Path, environment: Mapping[str, str]) -> tuple[Kernels, ...]:
    """The tables baked into the image; only the one that FULLBORE_KERNELS names where it is set, none where it is
    empty. Raises TableError."""
    named = environment.get(ENVIRONMENT)
    paths = sorted((root / DIRECTORY).glob("*.json")) if named is None else [Path(named)] if named else []
    return tuple(read(path) for path in paths)


def read(path: Path) -> Kernels:
    """What the table at `path` says. Raises TableError."""
    table = load(path)
    return Kernels(
        table=path,
        accelerator=table.accelerator,
        digest=table.digest,
        versions=table.versions,
        norms=table.norms(),
        linear_tokens=table.linear_tokens,
        sequences=table.sequences,
        quantised={name: reach for name, reach in sorted(table.reach.items()) if name != PLAIN},
    )

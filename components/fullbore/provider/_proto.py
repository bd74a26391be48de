"""The generated protocol classes that the provider base uses, without the SDK around them.

`import pulumi.runtime.proto` runs the package `pulumi` first, which takes 0.3 s of CPU time: more than all the rest of
a plugin's start. Where nothing has imported `pulumi` yet, its two outer packages are stood in for while the generated
modules are imported, and taken away again, so that a later `import pulumi` is a real one.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import (
        engine_pb2,
        engine_pb2_grpc,
        plugin_pb2,
        provider_pb2,
        provider_pb2_grpc,
        status_pb2,
    )

__all__ = ["engine_pb2", "engine_pb2_grpc", "plugin_pb2", "provider_pb2", "provider_pb2_grpc", "status_pb2"]

_OUTER = ("pulumi", "pulumi.runtime")


def _load() -> None:
    spec = importlib.util.find_spec("pulumi")  # finds it without running it
    if spec is None or spec.origin is None:
        raise ImportError("pulumi is not installed; run scripts/setup")
    before = set(sys.modules)
    for name in _OUTER:
        sys.modules.setdefault(name, _bare(name, Path(spec.origin).parent))
    try:
        for name in __all__:
            globals()[name] = importlib.import_module(f"pulumi.runtime.proto.{name}")
    finally:
        if "pulumi" not in before:
            for name in [name for name in sys.modules if name.split(".")[0] == "pulumi"]:
                del sys.modules[name]


def _bare(name: str, folder: Path) -> ModuleType:
    """A package that has a path and no content."""
    module = ModuleType(name)
    module.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
    return module


_load()

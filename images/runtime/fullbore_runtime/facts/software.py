"""What is installed in the image. Nothing is imported for it: torch alone takes seconds."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from fullbore_runtime.facts.limits import read_text
from fullbore_runtime.facts.model import Software

PACKAGES = ("vllm", "sglang", "torch", "grpcio", "protobuf")


GROUP = "vllm.general_plugins"


def software(environment: Mapping[str, str]) -> Software:
    return Software(
        packages=packages(),
        cuda=torch_cuda(),
        numactl=shutil.which("numactl") is not None,
        plugin=plugin(environment),
    )


def plugin(environment: Mapping[str, str]) -> bool:
    """Whether vLLM would load this package's plugin: it is installed, and VLLM_PLUGINS does not leave it out."""
    there = any(found.name == "fullbore" for found in importlib.metadata.entry_points(group=GROUP))
    allowed = environment.get("VLLM_PLUGINS")
    return there and (allowed is None or "fullbore" in allowed.split(","))


def packages() -> dict[str, str]:
    """{name: version} of those that are there."""
    found = {name: next(iter(importlib.metadata.distributions(name=name)), None) for name in PACKAGES}
    return {name: distribution.version for name, distribution in found.items() if distribution}


def torch_cuda() -> tuple[int, int] | None:
    """CUDA that torch was built for, as its version.py says; None without torch or for a build without CUDA."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    return parse_torch_cuda(read_text(Path(spec.origin).parent / "version.py"))


def parse_torch_cuda(text: str) -> tuple[int, int] | None:
    """The line is `cuda: Optional[str] = '13.0'`."""
    found = re.search(r"^cuda\b.*=\s*'(\d+)\.(\d+)'", text, re.MULTILINE)
    return (int(found.group(1)), int(found.group(2))) if found else None

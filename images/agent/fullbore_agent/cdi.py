"""The CDI specification of a host's GPUs, which container runtimes take devices from."""

from __future__ import annotations

import re

from .system import System

CDI_FILE = "/var/run/cdi/nvidia.yaml"
"""Cleared at boot, as the devices are that it names (NVIDIA Container Toolkit, Support for CDI)."""
_DEVICE = re.compile(r"^(\S+)=\d+(?::\d+)?$", re.MULTILINE)


def parse_devices(text: str, kind: str) -> int:
    """How many devices of a kind `nvidia-ctk cdi list` names by index: GPUs as `KIND=0`, MIG instances as `KIND=0:1`.

    The names `all` and UUIDs stand for the same devices once more.
    """
    return sum(found == kind for found in _DEVICE.findall(text))


def read_cdi(system: System, key: str, want: str) -> str:
    """Devices of the kind that containers can ask for."""
    del want
    return str(parse_devices(system.run("nvidia-ctk", "cdi", "list"), key))


def write_cdi(system: System, key: str, want: str) -> None:
    """Write the specification anew from what the driver shows now."""
    del key, want
    system.change("nvidia-ctk", "cdi", "generate", f"--output={CDI_FILE}")

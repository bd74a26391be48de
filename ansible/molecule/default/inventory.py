#!/usr/bin/env python3
"""The scenario's inventory: its plan once the host is up, nothing before."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

PYTHON = Path(__file__).resolve().parents[3] / ".venv" / "bin" / "python"
if Path(sys.prefix) != PYTHON.parents[1] and PYTHON.exists():
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

import host  # noqa: E402


def inventory() -> dict[str, Any]:
    from fullbore.config import load_endpoints
    from fullbore.inventory import render
    from fullbore.plan import make_plan

    found = load_endpoints(host.endpoints())
    site = make_plan(host.environment(), found).site if found else None
    made: dict[str, Any] = {**render(site)} if site else {"_meta": {"hostvars": {}}}
    for variables in made["_meta"]["hostvars"].values():
        variables["fullbore_join"]["file"] = str(host.join_file())
    return made


if __name__ == "__main__":
    print(json.dumps(inventory()))

#!/usr/bin/env python3
"""Ansible's inventory of an environment: of FULLBORE_ENV (a name or a file), else of `local`.

FULLBORE_ENV=prod ansible-playbook -i ansible/inventory.py ansible/site.yml --limit gpu
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv" / "bin" / "python"


def main() -> None:
    # Ansible may have been started with another Python, which may lack the project's packages.
    if Path(sys.prefix) != PYTHON.parents[1] and PYTHON.exists():
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    sys.path.insert(0, str(ROOT / "components"))
    from fullbore.cli import main as fullbore

    if "--host" in sys.argv:
        # `_meta` of --list holds every host's variables.
        print("{}")
        return
    fullbore(["inventory", os.environ.get("FULLBORE_ENV", "local")])


if __name__ == "__main__":
    main()

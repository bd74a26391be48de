"""The scenario's host, a container of the sandbox: `python host.py up|down`. Its state is Molecule's own folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "components"))

from fullbore.config import Environment, load_file  # noqa: E402
from fullbore_sandbox import hosts, rootfs  # noqa: E402
from fullbore_sandbox.podman import ensure_network, label, podman, remove_all  # noqa: E402
from fullbore_sandbox.state import State, write_atomically  # noqa: E402

JOIN = "apiVersion: v1\nkind: Config\nusers:\n- name: join\n  user:\n    token: abcdef.1234567890abcdef\n"


def folder() -> Path:
    """Where the scenario keeps what it made; Molecule names it and removes it at the end."""
    return Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


def environment() -> Environment:
    """Of the scenario that runs: others share this file."""
    return load_file(Path(os.environ.get("MOLECULE_SCENARIO_DIRECTORY", HERE)) / "environment.yaml")


def join_file() -> Path:
    """A discovery file as kubeadm takes it, with the token of its documentation."""
    return folder() / "join.conf"


def endpoints() -> Path:
    return folder() / "endpoints.json"


def up() -> None:
    state = State.load_or_create(folder())
    write_atomically(join_file(), JOIN)
    ensure_network(state)
    image = f"localhost/{state.network}-host:1"
    podman(state, "import", "--change", f"LABEL {label(state)}", rootfs.ensure(rootfs.HOST), image)
    found = hosts.start(state, environment(), image, print)
    ssh = {"user": "root", "private_key_file": str(hosts.user_key(state))}
    write_atomically(endpoints(), json.dumps({"version": 1, "id": state.id, "ssh": ssh, "hosts": found}))


def down() -> None:
    if (folder() / ".fullbore").exists():
        remove_all(State.load_or_create(folder()))
        shutil.rmtree(folder() / ".fullbore")
        endpoints().unlink(missing_ok=True)


if __name__ == "__main__":
    {"up": up, "down": down}[sys.argv[1]]()

"""The child that runs Ansible: `python -m fullbore.provider.converge FOLDER`, a job on stdin, events on stdout.

FOLDER is private to this run and removed at its end. The inventory is never a file: Ansible's inventory script reads
it from a pipe. When stdin ends, the run is cancelled: whoever wanted it is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, TextIO

from fullbore.provider.events import slim

PR_SET_CHILD_SUBREAPER: Final = 36
"""linux/prctl.h"""
CONNECT_S: Final = 10
"""Seconds until a host that does not answer counts as unreachable."""
MAX_SOCKET_FOLDER: Final = 75
"""Bytes: a socket's path has room for 107, and OpenSSH adds up to 30 for the name."""
MAX_FORKS: Final = 32
"""Hosts at once: a group has no more than this."""
PLAYS: Final = Path(__file__).resolve().parent / "plays"
FORCE: Final = "{{ fullbore_force_host | default(false) }}"
"""A variable of the command line beats the play's own, and this one still differs from host to host."""


def main() -> None:
    folder, root = Path(sys.argv[1]), Path(os.environ["FULLBORE_ROOT"])
    cancelled = threading.Event()
    _adopt_orphans()
    try:
        job: dict[str, Any] = json.loads(sys.stdin.readline())
        threading.Thread(target=_watch, args=(sys.stdin, cancelled), daemon=True).start()
        _run(job, folder, root, cancelled)
    finally:
        _leave_hosts(folder)
        _end_children()
        shutil.rmtree(folder, ignore_errors=True)


def _watch(stream: TextIO, cancelled: threading.Event) -> None:
    stream.read()
    cancelled.set()


def _run(job: dict[str, Any], folder: Path, root: Path, cancelled: threading.Event) -> None:
    import ansible_runner  # pyright: ignore[reportMissingTypeStubs] - slow to import, and only this child needs it

    # Whatever prints must not get between the events.
    events, sys.stdout = sys.stdout, sys.stderr

    def emit(event: dict[str, Any]) -> None:
        print(json.dumps(event), file=events, flush=True)

    def on_event(event: dict[str, Any]) -> bool:
        slimmed = slim(event)
        if slimmed is not None:
            emit(slimmed)
        return False  # do not keep it as an artifact

    result: Any = ansible_runner.run(  # pyright: ignore[reportUnknownMemberType] - it has no types
        private_data_dir=str(folder),
        project_dir=str(root / "ansible"),
        playbook=str(_playbook(job["play"], root)),
        inventory=str(_inventory(job, folder)),
        extravars={"fullbore_force": FORCE},
        envvars=_ansible_environment(folder, root, len(job["hosts"])),
        settings={"pexpect_timeout": 1, "pexpect_use_poll": True, "job_timeout": job["timeout_s"] or 0},
        suppress_env_files=True,
        quiet=True,
        event_handler=on_event,
        cancel_callback=cancelled.is_set,
    )
    emit({"event": "end", "status": result.status, "rc": result.rc})


def _playbook(play: str, root: Path) -> Path:
    ansible = root / "ansible"
    return {
        "converge": ansible / "site.yml",
        "facts": ansible / "facts.yml",
        "evidence": ansible / "evidence.yml",
        "reboot": ansible / "reboot.yml",
        "release": PLAYS / "release.yml",
    }[play]


def inventory(job: dict[str, Any]) -> dict[str, Any]:
    """Ansible's dynamic inventory JSON of a job."""
    groups = {name: {"hosts": hosts} for name, hosts in job["groups"].items()}
    return {"_meta": {"hostvars": job["hosts"]}, "all": {"hosts": sorted(job["hosts"])}, **groups}


def _inventory(job: dict[str, Any], folder: Path) -> Path:
    """The inventory script, which hands over what this process writes to a pipe."""
    pipe = _pipe(folder)
    os.mkfifo(pipe, 0o600)
    text = json.dumps(inventory(job))

    # Opening blocks until the script reads. Ansible runs it once: `_meta` saves it the rest.
    threading.Thread(target=pipe.write_text, args=(text,), daemon=True).start()
    return PLAYS / "inventory"


def _pipe(folder: Path) -> Path:
    return folder / "inventory.pipe"


def _ansible_environment(folder: Path, root: Path, hosts: int) -> dict[str, str]:
    return {
        "ANSIBLE_CONFIG": str(root / "ansible" / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        **_connections(folder / "cp"),
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_TIMEOUT": str(CONNECT_S),
        "ANSIBLE_FORKS": str(min(hosts, MAX_FORKS)),
        "ANSIBLE_INVENTORY_ENABLED": "script",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "FULLBORE_INVENTORY_PIPE": str(_pipe(folder)),
        "ANSIBLE_LOCALHOST_WARNING": "False",
    }


def _connections(folder: Path) -> dict[str, str]:
    """Where SSH keeps connections for the next task; nowhere if the folder's path is too long for a socket's name."""
    if len(os.fsencode(folder)) > MAX_SOCKET_FOLDER:
        return {"ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
    return {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder)}


def _adopt_orphans() -> None:
    """Makes this process the parent of what its children leave behind.

    Ansible's workers and SSH's shared connections put themselves into sessions of their own, so that killing Ansible's
    process group does not reach them.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl PR_SET_CHILD_SUBREAPER")


def _end_children() -> None:
    """Kills every process below this one, the orphans that it adopts meanwhile included, and waits for their end."""
    while True:
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Process ids whose parent is this process: field 4 of /proc/PID/stat."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The command in parentheses may hold blanks and parentheses itself.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(stat.parent.name))
    return found


def _leave_hosts(folder: Path) -> None:
    """Ends the SSH connections that Ansible keeps open for its next task."""
    for socket in (folder / "cp").glob("*"):
        if socket.is_socket():
            subprocess.run(
                ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "none"], capture_output=True, check=False
            )


if __name__ == "__main__":
    main()

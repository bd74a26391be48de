"""Knows on the controller what the module cannot know on the host: which run this is, and whether another one lives."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Runs the module, and once more to take over from a run of this machine whose process is gone."""

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        args = {"run": this_run(), "holder": f"{getpass.getuser()}@{socket.gethostname()}", **self._task.args}
        result = self._execute_module("fullbore_run", args, task_vars=task_vars)
        held_by = result.get("held_by")
        if held_by and is_dead(held_by["run"]):
            result = self._execute_module("fullbore_run", {**args, "dead": held_by["run"]}, task_vars=task_vars)
        return result


def this_run() -> str:
    """BOOT:NAMESPACE:PID:START of the ansible-playbook process, whose worker this is: no other ever has the same."""
    pid = os.getppid()
    return f"{boot_id()}:{pid_namespace()}:{pid}:{start_time(pid)}"


def is_dead(run: str) -> bool:
    """True where the run's process is gone from this machine and PID namespace; of others nothing is known."""
    place, _, process = run.rpartition(":")
    place, _, pid = place.rpartition(":")
    return place == f"{boot_id()}:{pid_namespace()}" and start_time(int(pid)) != process


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def pid_namespace() -> int:
    """A container counts its processes anew: the same number is another process there."""
    return Path("/proc/self/ns/pid").stat().st_ino


def start_time(pid: int) -> str:
    """Start of a process in clock ticks since boot, or "gone"; a zombie is gone too. Field 22 of /proc/PID/stat."""
    try:
        # The command in parentheses may hold blanks and parentheses itself.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    return "gone" if fields[0] == "Z" else fields[19]

"""Takes a machine out of service before its reboot: its node is cordoned, and its pods are evicted.

Eviction honours PodDisruptionBudgets. A pod that goes fails its health check at once, by which the gateway leaves it.
A label on the node says that this was done here, so that a later run puts it back, should this one be killed, and so
that a node which somebody else cordoned stays as it is.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from typing import Final, Protocol

LABEL: Final = "fullbore.io/drained"
GRACE_S: Final = 60
"""Seconds that kubectl may take beyond the limit that it was given."""


class Nodes(Protocol):
    """The cluster's nodes, by host name."""

    def drain(self, host: str, limit_s: int) -> str:
        """Take it out of service. Empty where it is, or where the host is no node; else why it is not."""
        ...

    def put_back(self, hosts: Iterable[str]) -> str:
        """Put those back that `drain` took out. Empty, or what went wrong."""
        ...

    def drained(self) -> set[str]:
        """Hosts that `drain` took out and nothing put back; none where that cannot be said."""
        ...


class NoNodes:
    """Hosts without a cluster: nothing is placed on them, and nothing has to leave."""

    def drain(self, host: str, limit_s: int) -> str:
        return ""

    def put_back(self, hosts: Iterable[str]) -> str:
        return ""

    def drained(self) -> set[str]:
        return set()


Run = Callable[[list[str], float], "subprocess.CompletedProcess[str]"]


def _run(argv: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=timeout_s, stdin=subprocess.DEVNULL
    )


class Failed(Exception):
    """A command of kubectl failed; the text is its last line."""


class Kubectl:
    """`kubectl` with one kubeconfig."""

    def __init__(self, kubeconfig: str, run: Run = _run) -> None:
        self._kubeconfig, self._run = kubeconfig, run

    def drain(self, host: str, limit_s: int) -> str:
        try:
            text = self._kubectl("get", "node", host, "--ignore-not-found", "--output=json")
            if not text.strip():
                return ""
            node = json.loads(text)
            if not node["spec"].get("unschedulable"):
                self._kubectl("label", "node", host, f"{LABEL}=reboot", "--overwrite")
            self._kubectl(
                *("drain", host, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={limit_s}s"),
                limit_s=limit_s,
            )
        except Failed as error:
            back = self.put_back([host])
            return f"its pods did not leave: {error}" + (f"; {back}" if back else "")
        return ""

    def put_back(self, hosts: Iterable[str]) -> str:
        try:
            for host in sorted(self._labelled() & set(hosts)):
                self._kubectl("uncordon", host)
                self._kubectl("label", "node", host, f"{LABEL}-")
        except Failed as error:
            return f"not put back into service: {error}"
        return ""

    def drained(self) -> set[str]:
        try:
            return self._labelled()
        except Failed:
            return set()

    def _labelled(self) -> set[str]:
        listed = self._kubectl("get", "nodes", f"--selector={LABEL}", "--output=name").split()
        return {name.removeprefix("node/") for name in listed}

    def _kubectl(self, *argv: str, limit_s: float = 0) -> str:
        try:
            done = self._run(["kubectl", f"--kubeconfig={self._kubeconfig}", *argv], limit_s + GRACE_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"kubectl {argv[0]}: {error}") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise Failed(lines[-1] if lines else f"kubectl {argv[0]}: exit {done.returncode}")
        return done.stdout


def nodes_of(kubeconfig: str) -> Nodes:
    """Of a cluster; none where the kubeconfig is empty."""
    return Kubectl(kubeconfig) if kubeconfig else NoNodes()

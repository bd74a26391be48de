"""Takes a machine out of service before its reboot: its node is cordoned, and its pods are evicted.

Eviction honours PodDisruptionBudgets. A pod that goes fails its health check at once, by which the gateway leaves it.
A label on the node says that this was done here, so that a later run puts it back, should this one be killed, and so
that a node which somebody else cordoned stays as it is.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

LABEL: Final = "fullbore.io/drained"
GRACE_S: Final = 60
"""Seconds that kubectl may take beyond the limit that it was given."""


class Failed(Exception):
    """A command of kubectl failed; the text is its last line."""


class NotBack(Exception):
    """A host was taken out of service, was to serve again, and does not."""


class Nodes(Protocol):
    """The cluster's nodes, by host name."""

    def drain(self, host: str, limit_s: int) -> str:
        """Take it out of service. Empty where it is, or where the host is no node; else why it is not.

        Raises NotBack.
        """
        ...

    def put_back(self, hosts: Iterable[str]) -> dict[str, str]:
        """Put those back that `drain` took out: {host: what went wrong}. Raises Failed where they are not known."""
        ...

    def drained(self) -> set[str]:
        """Hosts that `drain` took out and nothing put back. Raises Failed where that cannot be said."""
        ...

    def stop(self) -> None:
        """End the drain that goes on, and begin no other."""
        ...


class NoNodes:
    """Hosts without a cluster: nothing is placed on them, and nothing has to leave."""

    def drain(self, host: str, limit_s: int) -> str:
        return ""

    def put_back(self, hosts: Iterable[str]) -> dict[str, str]:
        return {}

    def drained(self) -> set[str]:
        return set()

    def stop(self) -> None:
        """Nothing goes on."""


Run = Callable[[list[str], float], "subprocess.CompletedProcess[str]"]


class Commands:
    """Runs commands until they are ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = set[str]()
        self._running: dict[subprocess.Popen[str], list[str]] = {}

    def run(self, argv: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        with self._lock:
            if self._ended & set(argv):
                raise Failed("the update was cancelled")
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # an interrupt of the engine's group must not end what puts a node back
            )
            self._running[child] = argv
        try:
            out, err = child.communicate(timeout=timeout_s)
        finally:
            child.kill()
            child.wait()
            with self._lock:
                del self._running[child]
        return subprocess.CompletedProcess(argv, child.returncode, out, err)

    def end(self, word: str) -> None:
        """End the commands that have this word, and refuse new ones."""
        with self._lock:
            self._ended.add(word)
            for child, argv in self._running.items():
                if word in argv:
                    child.kill()


class Kubectl:
    """`kubectl` with one kubeconfig."""

    def __init__(self, kubeconfig: str, run: Run | None = None) -> None:
        self._commands = Commands()
        self._kubeconfig, self._run = kubeconfig, run or self._commands.run

    def stop(self) -> None:
        self._commands.end("drain")

    def drain(self, host: str, limit_s: int) -> str:
        marked = False
        try:
            text = self._kubectl("get", "node", host, "--ignore-not-found", "--output=json")
            if not text.strip():
                return ""
            node = json.loads(text)
            marked = LABEL in node.get("metadata", {}).get("labels", {})
            if not node["spec"].get("unschedulable"):
                self._kubectl("label", "node", host, f"{LABEL}=reboot", "--overwrite")
                marked = True
            self._kubectl(
                *("drain", host, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={limit_s}s"),
                limit_s=limit_s,
            )
        except Failed as error:
            why = f"its pods did not leave: {error}"
            back = self._uncordon(host) if marked else ""
            if back:
                raise NotBack(f"{why}; not put back into service: {back}") from None
            return why
        return ""

    def put_back(self, hosts: Iterable[str]) -> dict[str, str]:
        ours = sorted(set(hosts) & {str(node["metadata"]["name"]) for node in self._labelled()})
        return {host: why for host in ours if (why := self._uncordon(host))}

    def drained(self) -> set[str]:
        return {str(node["metadata"]["name"]) for node in self._labelled() if node["spec"].get("unschedulable")}

    def pods(self, host: str) -> list[str]:
        """Pods that a drain would evict, as NAMESPACE/NAME; none where the host is no node. Raises Failed."""
        running = f"--field-selector=spec.nodeName={host},status.phase!=Succeeded,status.phase!=Failed"
        given = json.loads(self._kubectl("get", "pods", "--all-namespaces", running, "--output=json"))["items"]
        return [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in given if _leaves(pod)]

    def _uncordon(self, host: str) -> str:
        """Empty, or what went wrong."""
        try:
            self._kubectl("uncordon", host)
            self._kubectl("label", "node", host, f"{LABEL}-")
        except Failed as error:
            return str(error)
        return ""

    def _labelled(self) -> list[Any]:
        """Nodes that `drain` marked; a run that was killed may have left one that is not cordoned yet, or no longer."""
        return json.loads(self._kubectl("get", "nodes", f"--selector={LABEL}", "--output=json"))["items"]

    def _kubectl(self, *argv: str, limit_s: float = 0) -> str:
        try:
            done = self._run(["kubectl", f"--kubeconfig={self._kubeconfig}", *argv], limit_s + GRACE_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"kubectl {argv[0]}: {error}") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise Failed(lines[-1] if lines else f"kubectl {argv[0]}: exit {done.returncode}")
        return done.stdout


def _leaves(pod: Any) -> bool:
    """Pods of a DaemonSet stay, and so do those that the kubelet runs by itself, which its node owns."""
    owners = pod["metadata"].get("ownerReferences", [])
    return not any(owner["kind"] in ("DaemonSet", "Node") for owner in owners)


def nodes_of(kubeconfig: str) -> Nodes:
    """Of a cluster; none where the kubeconfig is empty."""
    return Kubectl(kubeconfig) if kubeconfig else NoNodes()

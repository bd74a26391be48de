"""The one seam between this package and the machine: files and tools."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TOOL_TIMEOUT_S = 30


class ToolError(Exception):
    """A tool is missing, failed or did not end; the text is one line. `output` is all that it said of an error."""

    def __init__(self, text: str, output: str = "") -> None:
        super().__init__(text)
        self.output = output


class System:
    """Files and tools of one machine.

    `sysroot` stands in front of hardware paths (/sys, /proc): empty on a server, a described double's root where
    FULLBORE_SYSROOT names one. `root` stands in front of every other path; tests set it.
    """

    def __init__(self, sysroot: str | None = None, root: str = "") -> None:
        self.sysroot = os.environ.get("FULLBORE_SYSROOT", "") if sysroot is None else sysroot
        self.root = root
        self._outputs: dict[tuple[str, ...], str] = {}

    @property
    def simulated(self) -> bool:
        return bool(self.sysroot)

    def file(self, path: str) -> Path:
        """A file of the operating system, e.g. /etc/nccl.conf."""
        return Path(self.root + path)

    def hardware(self, path: str) -> Path:
        """A path that describes hardware, e.g. /sys/class/net."""
        return Path(self.sysroot + path)

    def described(self, path: str) -> Path:
        """The double's path where the double describes it, else the real one: a container has some of /proc/sys."""
        double = self.hardware(path)
        return double if double.exists() else self.file(path)

    def run(self, *argv: str) -> str:
        """What a tool prints. The same question is asked once; `forget` forgets the answers."""
        if argv not in self._outputs:
            self._outputs[argv] = self._call(argv)
        return self._outputs[argv]

    def change(self, *argv: str, timeout_s: float = TOOL_TIMEOUT_S) -> None:
        """Run a tool that changes something."""
        self.forget()
        self._call(argv, timeout_s)

    def capture(self, *argv: str, timeout_s: float) -> str:
        """What a tool that measures prints, errors and all, whatever its exit status; asked anew each time."""
        try:
            done = self._execute(argv, timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"{argv[0]}: no answer in {timeout_s:g} s") from error
        return done.stdout if done.stdout.strip() else done.stderr

    def forget(self) -> None:
        self._outputs.clear()

    def _call(self, argv: tuple[str, ...], timeout_s: float = TOOL_TIMEOUT_S) -> str:
        try:
            done = self._execute(argv, timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"{argv[0]}: no answer in {timeout_s:g} s") from error
        if done.returncode:
            lines = (done.stderr or done.stdout or "").strip().splitlines() or [f"exit status {done.returncode}"]
            raise ToolError(f"{argv[0]}: {lines[-1][:200]}", done.stderr)
        return done.stdout

    def _execute(self, argv: tuple[str, ...], timeout_s: float) -> subprocess.CompletedProcess[str]:
        # The double's tools answer in place of the real ones.
        standard = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        path = f"{self.sysroot}/usr/bin:{standard}" if self.sysroot else standard
        env = {**os.environ, "PATH": path, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run(
            _found(argv, path),
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )


def _found(argv: tuple[str, ...], path: str) -> list[str]:
    """The command with the tool's full path: the PATH of a child is not searched for the child itself."""
    for folder in path.split(":"):
        tool = Path(folder, argv[0])
        if os.access(tool, os.X_OK):
            return [str(tool), *argv[1:]]
    raise ToolError(f"{argv[0]}: not installed")

"""The emulated AWS of a sandbox: one server process on loopback.

It keeps everything in memory. After its process was lost, the next `start` gives an empty account: an update with
`--refresh` finds every cloud resource gone and makes it again; one without would try to change what no longer exists.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fullbore_sandbox.probe import http_status
from fullbore_sandbox.process import Daemon
from fullbore_sandbox.state import State

NAME = "aws"
SHARES = "FULLBORE_SHARES"
"""Names the folder to the emulator (`fullbore_sandbox.emulator.executions`), which this process does not load."""
SHARES_FOLDER = "shares"
"""Below the emulator's own: HOST/FOLDER is the share of a DataSync location."""
HEALTH = "/moto-api/"
"""A page of the emulator that needs no service of it."""


def start(state: State) -> str:
    """The URL of the running emulator, started where it does not run."""
    url = f"http://127.0.0.1:{state.port(NAME)}"
    _daemon(state).start()
    return url


def stop(state: State) -> None:
    """Stop it; what it held is gone."""
    _daemon(state).stop()


def _daemon(state: State) -> Daemon:
    port = state.port(NAME)
    return Daemon(
        state,
        NAME,
        [sys.executable, "-m", "fullbore_sandbox.emulator", str(port)],
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[1]), SHARES: str(state.data(NAME) / SHARES_FOLDER)},
        ready=lambda: http_status(f"http://127.0.0.1:{port}{HEALTH}") == 200,
    )

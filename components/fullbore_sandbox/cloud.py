"""The emulated AWS of a sandbox: one server process on loopback.

It keeps everything in memory. After its process was lost, the next `start` gives an empty account: an update with
`--refresh` finds every cloud resource gone and makes it again; one without would try to change what no longer exists.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

from fullbore_sandbox.process import Daemon
from fullbore_sandbox.state import State

NAME = "aws"


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
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        ready=lambda: _answers(f"http://127.0.0.1:{port}/moto-api/"),
    )


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False

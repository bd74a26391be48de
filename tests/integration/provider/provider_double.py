"""The plugin `fullbore` with recorded runs in place of Ansible: `python provider_double.py QUEUE ENGINE_ADDRESS`.

Each run takes the first word of the file QUEUE: the name of a recording or, for an acceptance, of a file that each
host's chronyc prints. Everything else is the real plugin.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fullbore.evidence.judge import CLOCK
from fullbore.provider.base import serve
from fullbore.provider.events import slim
from fullbore.provider.plugin import Fullbore
from fullbore.provider.runner import Job
from fullbore.provider.values import Map

RECORDED = Path(__file__).parents[2] / "unit" / "provider" / "recorded"
PRINTED = Path(__file__).parents[2] / "fixtures" / "evidence"


def recorded(name: str) -> Iterator[Map]:
    for line in (RECORDED / f"{name}.jsonl").read_text().splitlines():
        event = slim(json.loads(line))
        if event is not None:
            yield event


def measured(job: Job, name: str) -> Iterator[Map]:
    outputs = {CLOCK: (PRINTED / name).read_text()}
    for host in job.hosts:
        checks = {"outputs": outputs, "missing": {}}
        yield {"event": "ok", "host": host, "role": "", "task": "Run the checks", "changed": False, "checks": checks}
    yield {"event": "stats", "failed": [], "unreachable": [], "changed": []}


class Queue:
    """A runner that plays the recordings of a file, one a run, and takes them off it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def run(self, job: Job, on_event: Callable[[Map], None]) -> None:
        first, *rest = self._file.read_text().split()
        self._file.write_text(" ".join(rest))
        for event in measured(job, first) if job.play == "evidence" else recorded(first):
            on_event(event)
        on_event({"event": "end", "status": "successful", "rc": 0})

    def stop(self) -> None:
        """Nothing runs for long."""


if __name__ == "__main__":
    serve(Fullbore(runner=Queue(Path(sys.argv[1]))), sys.argv[2:])

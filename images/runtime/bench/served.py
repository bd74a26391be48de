"""One engine as a child process: how the launcher would start it, when it answers, and what its log says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fullbore_runtime import document
from fullbore_runtime.facts import gather
from fullbore_runtime.launch import command, environment
from fullbore_runtime.tune import Launch, tune

GIB = r"([\d.]+) GiB"
LINES = {
    "weights_gib": rf"Model loading took {GIB}",
    "kv_gib": rf"Available KV cache memory: {GIB}",
    "kv_tokens": r"GPU KV cache size: ([\d,]+) tokens",
    "load_s": r"Loading weights took ([\d.]+) seconds",
    "model_s": r"Model loading took [\d.]+ GiB memory and ([\d.]+) seconds",
    "compile_s": r"torch\.compile (?:took|and initial profiling/warmup run took) ([\d.]+) s",
    "graphs_s": r"Graph capturing finished in (\d+) sec",
    "graphs_gib": rf"Graph capturing finished in \d+ secs, took {GIB}",
    "engine_s": r"init engine \(profile, create kv cache, warmup model\) took ([\d.]+) s",
}
"""What vLLM 0.24 logs of a start, first match of each."""


def launched(plan: Mapping[str, Any], model: Path, table: Path | None, given: Mapping[str, str]) -> Launch:
    """What the launcher decides here for this plan. `given` is the environment that it finds."""
    described = {"FULLBORE_PROFILE": "cuda", "FULLBORE_MODEL_DIRECTORY": str(model)}
    kernels = {"FULLBORE_KERNELS": str(table)} if table else {}
    facts = gather(environment={**given, **described, **kernels}, check=False)
    return tune(facts, document.parse({"version": 1, "kind": "serving", **plan}))


def argv_and_environment(tuned: Launch, *more: str) -> tuple[list[str], dict[str, str]]:
    tuned.check()
    return [*command(tuned), *more], environment(tuned, os.environ)


class Served:
    """A process group that ends with `stop`; its log is at `log`."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path, port: int) -> None:
        self.log, self.port, self.begun = log, port, time.perf_counter()
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                argv, env=dict(env), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def seconds(self) -> float:
        """Since the process was started."""
        return time.perf_counter() - self.begun

    def ready(self, within_s: float) -> float | None:
        """Seconds until /health answers 200; None where the process ended or the time is over."""
        while self.seconds < within_s and self.process.poll() is None:
            if self._answers():
                return self.seconds
            time.sleep(0.05)
        return None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def first_token(self, model: str, tokens: int = 16) -> float:
        """Seconds since the start until the first token of a prompt arrives."""
        body = {"model": model, "prompt": [list(range(1000, 1000 + tokens))], "max_tokens": 4, "temperature": 0,
                "stream": True, "ignore_eos": True}  # fmt: skip
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            for line in answer:
                if line.startswith(b"data: {"):
                    return self.seconds
        raise RuntimeError(f"no token came; see {self.log}")

    def told(self) -> dict[str, float]:
        """What the log says, by name."""
        text = self.log.read_text(errors="replace")
        found = {name: re.search(pattern, text) for name, pattern in LINES.items()}
        return {name: float(match.group(1).replace(",", "")) for name, match in found.items() if match}

    def stop(self) -> None:
        """Ends the process group and waits until the GPU's memory is free again."""
        for number, wait_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 20.0)):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            deadline = time.perf_counter() + wait_s
            while time.perf_counter() < deadline and self._alive():
                self.process.poll()
                time.sleep(0.1)

    def _alive(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

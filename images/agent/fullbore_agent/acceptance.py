"""Runs the checks of an acceptance on a host that holds no workload, and hands over what the tools print.

Nothing is judged here: what a check is made of and what its output must show is decided where the plan is.
"""

from __future__ import annotations

from typing import Any

from .system import System, ToolError

GPU_PROCESSES = ("nvidia-smi", "--query-compute-apps=pid,process_name", "--format=csv,noheader")
MAX_CHARACTERS = 1_000_000
"""Of one check's output; what is longer is no output of these tools."""


class Busy(Exception):
    """Something runs on the host's GPUs; the text names it."""


def run_checks(system: System, checks: list[dict[str, Any]], gpus: bool) -> tuple[dict[str, str], dict[str, str]]:
    """({name: what the tool printed}, {name: why it did not run}). A check is {name, argv, timeout_s}.

    A tool that ends with an error printed something too, and that is judged like the rest. Raises Busy where `gpus`
    says that the host has GPUs and something runs on them.
    """
    if gpus:
        _refuse_busy(system)
    outputs: dict[str, str] = {}
    missing: dict[str, str] = {}
    for check in checks:
        try:
            text = system.capture(*check["argv"], timeout_s=check["timeout_s"])
        except ToolError as error:
            missing[check["name"]] = str(error)
            continue
        outputs[check["name"]] = text[:MAX_CHARACTERS]
    return outputs, missing


def _refuse_busy(system: System) -> None:
    try:
        lines = system.capture(*GPU_PROCESSES, timeout_s=60).split("\n")
    except ToolError:
        return  # without the driver nothing can run on a GPU; the checks say what is missing
    # A driver that cannot answer prints a sentence: only lines that begin with a process id count.
    running = [line.strip() for line in lines if line.split(",")[0].strip().isdigit()]
    if running:
        raise Busy(f"{len(running)} processes run on the GPUs: {'; '.join(running)[:200]}")

"""How long `fullbore check` takes on environments of many hosts, what memory it needs, and how soon `--help` answers.

Every host has 8 GPUs, an address, a serial number and a host key of its own: the largest environment has 10,000 hosts
and 80,000 GPUs. `--plot FILE` draws the times as SVG.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from time import perf_counter

from fullbore_sandbox.bench.result import Result, machine, show
from fullbore_sandbox.state import SandboxError

SIZES = (2_500, 5_000, 10_000)
HOSTS_A_GROUP = 32
RUNS = 3
HELP_RUNS = 7
GOAL_S = 2.0
FIRST_ADDRESS = int(IPv4Address("10.0.0.1"))


@dataclass(frozen=True)
class Run:
    """One run of the command, as the kernel counted it. On a machine that is shared, what the CPU took says more than
    what the clock took."""

    seconds: float
    cpu_s: float
    memory_mib: float


def environment(hosts: int) -> Iterator[str]:
    """The lines of a stack file with so many hosts in racks of 32."""
    yield "config:\n  fullbore:env:\n    name: scale\n    site:\n      name: hall\n      cidr: 10.0.0.0/12\n"
    yield "      fabric: infiniband\n      ssh: { private_key_file: /etc/fullbore/key }\n      groups:\n"
    for first in range(0, hosts, HOSTS_A_GROUP):
        yield f"        gpu-{first:05}:\n          kind: gpu\n          rack: r{first:05}\n"
        yield "          accelerator: h200\n          gpus_per_host: 8\n"
        yield "          hcas: [mlx5_0, mlx5_1, mlx5_2, mlx5_3]\n          hosts:\n"
        for number in range(first, min(first + HOSTS_A_GROUP, hosts)):
            yield f"            gpu-{number:05}:\n              serial: EX-{number:05}\n"
            yield f"              address: {IPv4Address(FIRST_ADDRESS + number)}\n"
            yield f"              host_key: {_host_key(number)}\n"


def _host_key(number: int) -> str:
    """A public key in the form of OpenSSH: two texts, each after its length in four bytes."""
    kind = b"ssh-ed25519"
    blob = len(kind).to_bytes(4, "big") + kind + (32).to_bytes(4, "big") + number.to_bytes(32, "big")
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def run(*arguments: str) -> Run:
    """Run `fullbore` once in a process of its own. Raises SandboxError where it does not end well."""
    began = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fullbore", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = perf_counter() - began
    if process.returncode:
        said = process.stderr.read().decode() if process.stderr else ""
        raise SandboxError(f"fullbore {arguments[0]} ended with {process.returncode}: {said.strip()[-300:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure(folder: Path) -> Result:
    """Medians of runs taken in turn, so that a machine that slows down slows all of them."""
    at_start = machine()
    files = {hosts: folder / f"{hosts}.yaml" for hosts in SIZES}
    for hosts, file in files.items():
        file.write_text("".join(environment(hosts)), encoding="utf-8")
    helped = sorted((run("--help") for _ in range(HELP_RUNS)), key=lambda item: item.seconds)[HELP_RUNS // 2]
    runs: dict[int, list[Run]] = {hosts: [] for hosts in SIZES}
    for _ in range(RUNS):
        for hosts, file in files.items():
            runs[hosts].append(run("check", str(file)))
    seconds = {hosts: statistics.median(item.seconds for item in runs[hosts]) for hosts in SIZES}
    cpu = {hosts: statistics.median(item.cpu_s for item in runs[hosts]) for hosts in SIZES}
    memory = {hosts: max(item.memory_mib for item in runs[hosts]) for hosts in SIZES}
    small, large = SIZES[0], SIZES[-1]
    return Result(
        name="check",
        machine=at_start,
        ratios={f"per_host_{large}_to_{small}": (cpu[large] / large) / (cpu[small] / small)},
        figures={
            "help_s": helped.seconds,
            "help_cpu_s": helped.cpu_s,
            **{f"hosts_{hosts}_s": value for hosts, value in seconds.items()},
            **{f"hosts_{hosts}_cpu_s": value for hosts, value in cpu.items()},
            **{f"hosts_{hosts}_mib": value for hosts, value in memory.items()},
        },
    )


def plot(points: Sequence[tuple[int, float]], goal: float) -> str:
    """Seconds over hosts as SVG, with the goal as a line: 640 x 360, axes from zero."""
    width, height, left, bottom = 640, 360, 60, 40
    across, up = max(hosts for hosts, _ in points) * 1.05, max(goal, *(value for _, value in points)) * 1.15

    def at(hosts: float, value: float) -> tuple[float, float]:
        x = left + (width - left - 20) * hosts / across
        return round(x, 1), round(height - bottom - (height - bottom - 20) * value / up, 1)

    line = " ".join(f"{x},{y}" for x, y in (at(hosts, value) for hosts, value in points))
    (x0, y0), (x1, _), (_, y1), (_, yg) = at(0, 0), at(across, 0), at(0, up), at(0, goal)
    marks = "".join(
        f'<circle cx="{x}" cy="{y}" r="4" fill="#1f5fbf"/>'
        f'<text x="{x}" y="{y - 10}" text-anchor="end">{value:.2f} s</text>'
        f'<text x="{x}" y="{y0 + 18}" text-anchor="middle">{hosts:,}</text>'
        for hosts, value in points
        for x, y in [at(hosts, value)]
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
        f'<path d="M{x0},{y1} V{y0} H{x1}" fill="none" stroke="#333333"/>'
        f'<path d="M{x0},{yg} H{x1}" stroke="#bf3f1f" stroke-dasharray="6 4"/>'
        f'<text x="{x0 + 6}" y="{yg - 6}" fill="#bf3f1f">goal for 10,000 hosts: {goal:g} s</text>'
        f'<polyline points="{line}" fill="none" stroke="#1f5fbf" stroke-width="2"/>{marks}'
        f'<text x="{(x0 + x1) / 2}" y="{height - 4}" text-anchor="middle">hosts of one environment, 8 GPUs each</text>'
        f'<text x="14" y="{(y0 + y1) / 2}" text-anchor="middle" transform="rotate(-90 14 {(y0 + y1) / 2})">'
        "CPU seconds of fullbore check</text></svg>\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench/check", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--plot", type=Path, help="draw the times into this SVG file")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fullbore-bench-") as folder:
        try:
            result = measure(Path(folder))
        except SandboxError as error:
            print(f"check: {error}", file=sys.stderr)
            return 1
    if chosen.plot:
        points = [(hosts, result.figures[f"hosts_{hosts}_cpu_s"]) for hosts in SIZES]
        chosen.plot.write_text(plot(points, GOAL_S), encoding="utf-8")
    show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the program of an environment of many node groups takes: its plan, and the registration of every resource.

It runs without an engine, each resource answered by its own inputs: what is measured grows with the environment, and
what the engine adds to each resource does not. CPU time, in one process, sizes taken in turn.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from time import process_time
from typing import Any

import pulumi
from pulumi.runtime import mocks

from fullbore.config import parse
from fullbore.plan import make_plan
from fullbore.stack import HybridStack
from fullbore_sandbox.bench.result import Result, machine, show

SIZES = (10, 50, 100)
RUNS = 3


class Echo(mocks.Mocks):
    """Outputs are inputs, and what the components read besides."""

    def __init__(self) -> None:
        self.resources = 0

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources += 1
        extra: dict[str, Any] = {"arn": f"arn:aws:mock:::{args.name}"}
        if args.typ == "aws:ec2/launchTemplate:LaunchTemplate":
            extra["latestVersion"] = 1
        if args.typ == "aws:eks/cluster:Cluster":
            extra["vpcConfig"] = {**args.inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"}
        return f"{args.name}-id", {**args.inputs, **extra}

    def call(self, args: mocks.MockCallArgs) -> Any:
        return {"accountId": "123456789012", "arn": "arn:aws:iam::123456789012:root", "userId": "AIDA"}


def environment(groups: int) -> dict[str, Any]:
    each = {"instance_type": "g6e.12xlarge", "max_nodes": 1, "efa_interfaces": 0, "capacity": "spot"}
    cloud = {"region": "eu-central-1", "cidr": "10.64.0.0/16", "zones": ["a", "b"]}
    named = {f"group-{number:03}": each for number in range(groups)}
    return {"name": "scale", "cloud": {**cloud, "node_groups": named}}


def run(groups: int) -> tuple[float, int]:
    """CPU seconds from the environment to the last registration, and how many there were."""
    echo, given = Echo(), environment(groups)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mocks.set_mocks(echo, stack="scale")
    began = process_time()
    try:
        plan = make_plan(parse(given))
        pulumi.runtime.test(lambda: HybridStack(plan.environment, plan).outputs)()
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    return process_time() - began, echo.resources


def measure() -> Result:
    at_start = machine()
    run(1)  # imports
    taken: dict[int, list[float]] = {groups: [] for groups in SIZES}
    resources = dict.fromkeys(SIZES, 0)
    for _ in range(RUNS):
        for groups in SIZES:
            seconds, resources[groups] = run(groups)
            taken[groups].append(seconds)
    cpu = {groups: statistics.median(values) for groups, values in taken.items()}
    small, middle, large = SIZES
    first, last = (cpu[middle] - cpu[small]) / (middle - small), (cpu[large] - cpu[middle]) / (large - middle)
    return Result(
        name="scale",
        machine=at_start,
        # What one more group costs: the same, however many there are, where the time is in proportion.
        ratios={f"per_group_beyond_{middle}_to_beyond_{small}": last / first},
        figures={
            **{f"groups_{groups}_cpu_s": value for groups, value in cpu.items()},
            **{f"groups_{groups}_resources": float(value) for groups, value in resources.items()},
        },
    )


if __name__ == "__main__":
    show(measure())
    sys.exit(0)

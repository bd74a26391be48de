"""What the AWS components of an environment register, with mocks in place of the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from mocked_engine import run_mocked
from pulumi.runtime import mocks

from fullbore.config import parse
from fullbore.plan import make_plan
from fullbore.stack import HybridStack

Map = dict[str, Any]
ACCOUNT = "123456789012"


class Recorder(mocks.Mocks):
    """Outputs are inputs, with an ARN and what the components read besides."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, str], Map] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, Map]:
        self.made[args.typ, args.name] = args.inputs
        extra: Map = {}
        if args.typ == "aws:ec2/launchTemplate:LaunchTemplate":
            extra = {"latestVersion": 1}
        if args.typ == "aws:fsx/lustreFileSystem:LustreFileSystem":
            extra = {"dnsName": f"{args.name}.fsx", "mountName": f"{args.name}-mount"}
        if args.typ == "aws:eks/cluster:Cluster":
            extra = {"vpcConfig": {**args.inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"}}
        return f"{args.name}-id", {"arn": f"arn:aws:mock:::{args.name}", **args.inputs, **extra}

    def call(self, args: mocks.MockCallArgs) -> Any:
        assert args.token == "aws:index/getCallerIdentity:getCallerIdentity", args.token
        return {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "userId": "AIDA"}


class Made:
    """The registrations of one program."""

    def __init__(self, resources: Mapping[tuple[str, str], Map]) -> None:
        self.resources = resources

    def of(self, kind: str) -> dict[str, Map]:
        """{name: inputs} of a type, by the class's name."""
        return {name: inputs for (token, name), inputs in self.resources.items() if token.endswith(f":{kind}")}

    def one(self, kind: str, name: str | None = None) -> Map:
        found = self.of(kind)
        return found[name] if name else next(iter(found.values()))


def program(env: Mapping[str, Any]) -> dict[tuple[str, str], Map]:
    """Run the program of an environment that has AWS parts only: {(type, name): inputs} of what it registered."""
    recorder = Recorder()
    plan = make_plan(parse(dict(env)))
    assert [p for p in plan.problems if p.severity == "error"] == []
    run_mocked(recorder, lambda: HybridStack(plan.environment, plan).outputs, stack="example")
    return recorder.made


def made(env: Mapping[str, Any]) -> Made:
    """What the program of an environment registers; it runs once for all tests that ask for the same."""
    return _made(json.dumps(env, sort_keys=True))


@cache
def _made(env: str) -> Made:
    return Made(program(json.loads(env)))


def environment(cloud: Mapping[str, Any] | None = None, **parts: Any) -> Map:
    """An environment with a VPC over two zones."""
    network = {"region": "eu-central-1", "cidr": "10.64.0.0/16", "zones": ["a", "b"]}
    return {"name": "example", "tags": {"team": "a"}, "cloud": {**network, **(cloud or {})}, **parts}

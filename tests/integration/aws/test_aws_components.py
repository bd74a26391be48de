"""The components' own program against the emulator: every resource goes through the plugin, as an engine sends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_engine import Engine, Object, Refused
from mocked_engine import run_mocked
from pulumi.runtime import mocks
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key

from fullbore.config import load_file, parse
from fullbore.config.models import Environment
from fullbore.plan import make_plan
from fullbore.stack import HybridStack
from fullbore_sandbox.emulator import agents

ROOT = Path(__file__).parents[3]
KEPT = ("aws:s3/bucketVersioning:BucketVersioning",)
"""What is not taken away, only suspended."""


class Driven(mocks.Mocks):
    """What the plugin answers is what the program sees; a provider of another region is another plugin."""

    def __init__(self, connect: Callable[[str], Engine]) -> None:
        self.connect = connect
        self.engines: dict[str, Engine] = {}
        self.made: list[tuple[Engine, Object]] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        ident = f"{args.name}-id"
        if args.typ == "pulumi:providers:aws":
            self.engines[ident] = self.connect(args.inputs["region"])
        if not args.typ.startswith("aws:"):
            return ident, args.inputs
        engine = self.engines[(args.provider or "").rpartition("::")[2]]
        there = (each for _, each in self.made if (each.type, each.name) == (args.typ, args.name))
        made = next(there, None)  # by an update before this one
        if made is None:
            made = engine.create(args.typ, args.name, _revealed(args.inputs))
            self.made.append((engine, made))
        return made.id, made.outputs

    def call(self, args: mocks.MockCallArgs) -> Any:
        return {"accountId": "123456789012", "arn": "arn:aws:iam::123456789012:root", "userId": "AIDA"}


def _revealed(value: Any) -> Any:
    """The values that mocks get are marked where they are secret."""
    if isinstance(value, dict):
        if value.get(_special_sig_key) == _special_secret_sig:
            return _revealed(value["value"])
        return {k: _revealed(v) for k, v in value.items()}
    return [_revealed(v) for v in value] if isinstance(value, list) else value


def local() -> Environment:
    """What the stack `local` has in AWS."""
    env = load_file(ROOT / "stacks" / "Pulumi.local.yaml")
    others = ("site", "image", "cluster", "serving", "gateway", "monitoring", "standby")
    return env.model_copy(update=dict.fromkeys(others))


def full(activation_key: str = "") -> Environment:
    """Everything that the AWS components can make."""
    reservation = {"id": "cr-0a1b2c3d4e5f60718", "nodes": 4, "zone": "b"}
    groups = {
        "burst": {"instance_type": "p4d.24xlarge", "max_nodes": 2},
        "block": {"instance_type": "p5.48xlarge", "max_nodes": 4, "capacity": "capacity-block"},
        "cheap": {"instance_type": "g6e.12xlarge", "max_nodes": 2, "capacity": "spot", "efa_interfaces": 0},
    }
    groups["block"]["reservation"] = reservation
    return parse(
        {
            "name": "full",
            "tags": {"project": "fullbore", "environment": "full"},
            "cloud": {
                "region": "eu-central-1",
                "cidr": "10.90.0.0/16",
                "zones": ["a", "b"],
                "node_groups": groups,
                "vpn": {
                    "address": "203.0.113.1",
                    "asn": 65010,
                    "direct_connect": {"connection_id": "dxcon-fg0a1b2c", "vlan": 101},
                },
                "flow_logs_days": 30,
                "datasync_endpoint": True,
                "pod_identity": True,
                "own_key": True,
            },
            "storage": {
                "bucket": "fullbore-full-weights",
                "logs_days": 30,
                "own_key": True,
                "backups": {"bucket": "fullbore-full-backups", "retain_days": 7},
                "lustre": {"size_gib": 2400, "zone": "b"},
                "shared": {"idle_days": 30},
            },
            "replication": {
                "source": "nfs",
                "server": "192.0.2.1",
                "agent_arns": ["arn:aws:datasync:eu-central-1:123456789012:agent/agent-0a1b2c3d4e5f60718"],
                "agents": {"rack-1": {"activation_key": activation_key or agents.issue()}},
                "path": "/weights",
                "limits": [{"from_hour": 8, "mib_s": 100}, {"from_hour": 20}],
                "include": ["/a*"],
                "exclude": ["*.tmp"],
                "report": True,
                "destination": "shared",
                "failback": True,
                "alarm": {"topic_arn": "arn:aws:sns:eu-central-1:123456789012:ops"},
            },
            "sovereignty": {"country": "DE", "classes": {"weights": {"regions": ["eu-central-1"]}}},
            "versions": {"eks_image": "1.33.11-20260423"},
        }
    )


def copied() -> Environment:
    """Buckets that S3 copies between by itself."""
    return load_file(ROOT / "stacks" / "Pulumi.dev.yaml")


@pytest.fixture(params=[local, full, copied], ids=["local", "full", "copied"], scope="module")
def made(
    request: pytest.FixtureRequest, make_engine: Callable[..., Engine], endpoint: str
) -> list[tuple[Engine, Object]]:
    plan = make_plan(request.param())
    assert [p for p in plan.problems if p.severity == "error"] == []
    if plan.time_control:
        name, region = plan.time_control.source_bucket, plan.time_control.source_region
        s3 = boto3.client("s3", region, endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    driven = Driven(cache(lambda region: make_engine(region=region).start()))
    run_mocked(driven, lambda: HybridStack(plan.environment, plan).outputs, stack=plan.environment)
    return driven.made


def test_what_was_made_is_there_and_needs_no_change(made: list[tuple[Engine, Object]]) -> None:
    assert len(made) > 30
    for engine, each in made:
        live = engine.read(each)
        assert live is not None, each.urn
        # A security group that others refer to, a table that a gateway adds a route to, are as they were made.
        assert live.inputs == each.inputs, each.urn
        assert engine.diff(live, each.inputs).changes == {}, each.urn


def test_all_of_it_can_be_removed_in_the_order_of_the_engine(made: list[tuple[Engine, Object]]) -> None:
    for engine, each in reversed(made):
        engine.delete(each)
    left = [each.urn for engine, each in made if each.type not in KEPT and engine.read(each) is not None]
    assert left == []


@pytest.fixture
def driven(make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch) -> Iterator[Driven]:
    found = Driven(cache(lambda region: make_engine(region=region).start()))
    yield found
    for engine, each in reversed(found.made):
        engine.delete(each)


def test_an_expired_key_is_named_and_with_a_new_one_the_next_update_completes(driven: Driven) -> None:
    def up(key: str) -> None:
        plan = make_plan(full(key))
        run_mocked(driven, lambda: HybridStack(plan.environment, plan).outputs, stack=plan.environment)

    with pytest.raises(Refused, match=r"replication-agent-rack-1: CreateAgent was refused: .*has expired"):
        up(agents.issue(at=time.time() - agents.VALID_S - 1))
    before = {each.name for _, each in driven.made}
    assert "replication-destination" in before
    assert not before & {"replication-agent-rack-1", "replication-source", "replication-task"}
    up(agents.issue())
    after = [each.name for _, each in driven.made]
    assert {"replication-agent-rack-1", "replication-source", "replication-task"} <= set(after)
    assert len(after) > len(before)

"""The stand-in as a provider: where it may point, default tags, names, secrets, previews and failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from aws_cases import CASES, World, document
from aws_engine import Engine, Object, Refused

from fullbore.provider._proto import provider_pb2
from fullbore.provider.base import ProviderError, Request
from fullbore.provider.values import UNKNOWN, Secret, decode, encode
from fullbore_sandbox.plugins.aws.provider import AwsProvider
from fullbore_sandbox.plugins.aws.schema import sdk_version

BUCKET = "aws:s3/bucket:Bucket"
SMB = "aws:datasync/locationSmb:LocationSmb"
VPC = "aws:ec2/vpc:Vpc"
Make = Callable[..., Engine]
Client = Callable[[str], Any]


@pytest.fixture(scope="module")
def world(client: Client) -> World:
    return World(client)


def smb(**more: object) -> dict[str, Any]:
    case = next(case for case in CASES if case.type == SMB)
    return {**case.inputs(None), "password": Secret("hunter2"), **more}  # pyright: ignore[reportArgumentType]


def test_the_version_is_the_sdks(engine: Engine) -> None:
    assert engine.info().version == sdk_version()


@pytest.mark.parametrize("call", ["check", "read", "delete"])
def test_a_run_is_marked_once_whatever_it_does_first(call: str) -> None:
    """`up` begins with a check, `refresh` with a read, `destroy` with a delete."""
    lines: list[str] = []
    provider = AwsProvider()

    def log(urn: str, severity: str, line: str, ephemeral: bool) -> None:
        lines.append(line)

    for _ in range(2):
        with suppress(ProviderError):  # It is not configured: what it would do is not asked here.
            getattr(provider, call)(Request(urn="u", type=VPC, name="v", id="vpc-1", write_log=log))
    assert [line.partition(":")[0] for line in lines] == ["SIMULATED"]


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:80", "https://s3.eu-central-1.amazonaws.com", "http://127.0.0.1.evil.example"]
)
def test_only_loopback_is_spoken_to(make_engine: Make, url: str) -> None:
    engine = make_engine(endpoints=[{"s3": url}])
    with pytest.raises(Refused, match=r"endpoints\.s3: got .* loopback only"):
        engine.start()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:80", "http://localhost:4566"])
def test_loopback_has_many_names(make_engine: Make, url: str) -> None:
    make_engine(endpoints=[{"s3": url}]).start()


def test_without_an_endpoint_it_does_not_start(make_engine: Make) -> None:
    with pytest.raises(Refused, match="endpoints: none"):
        make_engine(endpoints=[]).start()


def test_a_service_without_an_endpoint_is_not_called(make_engine: Make) -> None:
    engine = make_engine(endpoints=[{"s3": "http://127.0.0.1:1"}]).start()
    with pytest.raises(Refused, match="endpoints: none for ec2"):
        engine.create(VPC, "v", {"cidrBlock": "10.0.0.0/16"})


def test_a_misspelt_setting_of_the_provider_is_refused(make_engine: Make) -> None:
    with pytest.raises(Refused, match=r"skipCredentialValidation: no such property .* skipCredentialsValidation"):
        make_engine(skipCredentialValidation=True).start()


def test_a_dead_emulator_is_said_in_one_line(make_engine: Make) -> None:
    engine = make_engine(endpoints=[{"ec2": "http://127.0.0.1:9"}]).start()
    with pytest.raises(Refused, match="is the emulator running") as refused:
        engine.create(VPC, "v", {"cidrBlock": "10.0.0.0/16"})
    assert "\n" not in str(refused.value)


def test_default_tags_are_inputs_so_that_losing_one_shows_by_name(
    make_engine: Make, world: World, client: Client
) -> None:
    engine = make_engine(defaultTags={"tags": {"project": "fullbore", "team": "default"}}).start()
    made = engine.create(BUCKET, "b", {"bucket": world.name("bucket"), "tags": {"team": "own"}})
    assert made.inputs["tags"] == made.outputs["tagsAll"] == {"project": "fullbore", "team": "own"}
    client("s3").put_bucket_tagging(Bucket=made.id, Tagging={"TagSet": [{"Key": "team", "Value": "own"}]})
    live = engine.read(made)
    assert live is not None
    assert engine.diff(live, {"bucket": made.id, "tags": {"team": "own"}}).changes == {"tags.project": "add"}


def test_a_generated_name_stays(engine: Engine) -> None:
    made = engine.create(BUCKET, "Some-Bucket", {})
    assert made.id.startswith("some-bucket-")
    assert engine.check(BUCKET, "Some-Bucket", {}, made.inputs)["bucket"] == made.id
    assert engine.check(BUCKET, "Some-Bucket", {})["bucket"] != made.id


def test_a_secret_stays_secret(engine: Engine) -> None:
    made = engine.create(SMB, "smb", smb())
    assert made.outputs["password"] == Secret("hunter2")
    live = engine.read(made)
    assert live is not None
    assert live.inputs["password"] == live.outputs["password"] == Secret("hunter2")
    changed = engine.update(made, smb(password=Secret("other")))
    assert changed.outputs["password"] == Secret("other")
    assert "hunter2" not in repr(engine.diff(made, smb(password=Secret("other"))))


def test_what_a_preview_cannot_know_is_unknown(engine: Engine) -> None:
    planned = engine.create(VPC, "v", {"cidrBlock": "10.0.0.0/16", "tags": {"a": "b"}}, preview=True)
    assert planned.outputs["arn"] is UNKNOWN
    assert planned.outputs["cidrBlock"] == "10.0.0.0/16"
    assert planned.outputs["tagsAll"] == {"a": "b"}


def test_a_preview_of_a_new_template_version_does_not_say_its_number(engine: Engine, world: World) -> None:
    token = "aws:ec2/launchTemplate:LaunchTemplate"
    made = engine.create(token, "lt", {"name": world.name("lt"), "instanceType": "t3.nano"})
    planned = engine.update(made, {**made.inputs, "instanceType": "t3.micro"}, preview=True)
    assert planned.outputs["latestVersion"] is UNKNOWN
    assert planned.outputs["arn"] == made.outputs["arn"]


def test_an_input_that_is_not_known_yet_is_a_change(engine: Engine) -> None:
    made = engine.create(VPC, "v", {"cidrBlock": "10.0.0.0/16"})
    assert engine.diff(made, {"cidrBlock": UNKNOWN}).changes == {"cidrBlock": "update_replace"}


def test_the_order_of_a_set_is_no_change(engine: Engine, world: World) -> None:
    vpc = world.vpc()
    subnets = [world.subnet(vpc, 1), world.subnet(vpc, 2)]
    given = {"name": world.name("eks"), "roleArn": world.role_arn(), "vpcConfig": {"subnetIds": subnets}}
    made = engine.create("aws:eks/cluster:Cluster", "c", given)
    assert engine.diff(made, {**given, "vpcConfig": {"subnetIds": subnets[::-1]}}).changes == {}


def test_the_spelling_of_a_policy_is_no_change(engine: Engine, world: World) -> None:
    given = {"role": world.role(), "name": "p", "policy": document()}
    made = engine.create("aws:iam/rolePolicy:RolePolicy", "p", given)
    assert engine.diff(made, {**given, "policy": json.dumps(json.loads(document()), indent=2)}).changes == {}


def test_what_the_api_refuses_is_said_with_its_code(engine: Engine, world: World) -> None:
    bucket = world.bucket()
    with pytest.raises(Refused, match="b: CreateBucket was refused: BucketAlready"):
        engine.create(BUCKET, "b", {"bucket": bucket})


def test_what_was_made_but_not_finished_is_kept(engine: Engine, world: World) -> None:
    """A route to nowhere: the table exists, its second call fails, and the engine must learn the id."""
    routes = [{"cidrBlock": "0.0.0.0/0", "gatewayId": "igw-00000000"}]
    token = "aws:ec2/routeTable:RouteTable"
    inputs = engine.check(token, "rt", {"vpcId": world.vpc(), "routes": routes})
    request = provider_pb2.CreateRequest(urn="u", type=token, name="rt", properties=encode(inputs))
    failure = _partial(engine, request)
    assert failure.id.startswith("rtb-")
    assert decode(failure.inputs) == inputs
    assert any("CreateRoute was refused" in reason for reason in failure.reasons)
    tables = world.client("ec2").describe_route_tables(RouteTableIds=[failure.id])["RouteTables"]
    assert len(tables) == 1


def _partial(engine: Engine, request: Any) -> Any:
    import grpc

    from fullbore.provider._proto import status_pb2

    with pytest.raises(grpc.RpcError) as error:
        engine.stub.Create(request)
    details = dict(error.value.trailing_metadata())["grpc-status-details-bin"]  # pyright: ignore
    failure = provider_pb2.ErrorResourceInitFailed()
    assert status_pb2.Status.FromString(details).details[0].Unpack(failure)
    return failure


class TestPlanOnly:
    """FULLBORE_PLAN_ONLY=1: previews, and nothing else."""

    @pytest.fixture(autouse=True)
    def _plan_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FULLBORE_PLAN_ONLY", "1")

    @pytest.fixture
    def planner(self, make_engine: Make) -> Engine:
        return make_engine(endpoints=[]).start()

    def test_it_previews_without_an_endpoint(self, planner: Engine) -> None:
        planned = planner.create(VPC, "v", {"cidrBlock": "10.0.0.0/16"}, preview=True)
        assert planned.outputs["arn"] is UNKNOWN
        made = Object(VPC, "v", "vpc-1", {"cidrBlock": "10.0.0.0/16"}, {})
        assert planner.diff(made, {"cidrBlock": "10.1.0.0/16"}).replaces == ["cidrBlock"]
        assert planner.update(made, {"cidrBlock": "10.0.0.0/16", "tags": {"a": "b"}}, preview=True).outputs["tags"]

    def test_it_stays_strict(self, planner: Engine) -> None:
        assert planner.failures(VPC, {"cidrBlok": "x"})
        assert planner.failures(VPC, {"ipv6CidrBlock": "::/56"}) == {}

    def test_nothing_is_made_read_changed_or_removed(self, planner: Engine) -> None:
        made = Object(VPC, "v", "vpc-1", {"cidrBlock": "10.0.0.0/16"}, {})
        calls: tuple[Callable[[], object], ...] = (
            lambda: planner.create(VPC, "v", {"cidrBlock": "10.0.0.0/16"}),
            lambda: planner.read(made),
            lambda: planner.update(made, {"cidrBlock": "10.0.0.0/16", "tags": {"a": "b"}}),
            lambda: planner.delete(made),
        )
        for call in calls:
            with pytest.raises(Refused, match="FULLBORE_PLAN_ONLY=1 allows previews only"):
                call()

"""What every component of a whole environment has in common: type tokens, parents, tags, names."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import FrozenInstanceError, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mocked_engine import run_mocked
from pulumi.runtime import mocks, settings

import fullbore
from fullbore._component import MAX_NAME, Component
from fullbore.config import load_file
from fullbore.config.models import Environment
from fullbore.plan import make_plan
from fullbore.plan.model import Plan
from fullbore.stack import HybridStack

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ("local", "dev", "staging", "prod")
for _module in pkgutil.walk_packages(fullbore.__path__, "fullbore."):
    if not _module.name.endswith("__main__"):  # a component that nobody composes counts too
        importlib.import_module(_module.name)
COMPONENTS = sorted(Component.__subclasses__(), key=lambda each: each.__name__)
UNTAGGED = {
    "aws:directconnect/gatewayAssociation:GatewayAssociation",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ec2/vpnGatewayRoutePropagation:VpnGatewayRoutePropagation",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:efs/fileSystemPolicy:FileSystemPolicy",
    "aws:efs/mountTarget:MountTarget",
    "aws:kms/alias:Alias",
    "aws:scheduler/schedule:Schedule",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketNotification:BucketNotification",
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
}
"""AWS types that have no tags."""


TOKENS = {
    "fullbore:index:Cloud",
    "fullbore:index:Cluster",
    "fullbore:index:Gateway",
    "fullbore:index:HybridStack",
    "fullbore:index:Monitoring",
    "fullbore:index:Replication",
    "fullbore:index:RuntimeImage",
    "fullbore:index:Serving",
    "fullbore:index:Site",
    "fullbore:index:Standby",
    "fullbore:index:Storage",
    "fullbore:index:TimeControl",
    "fullbore:image:Image",
    "fullbore:metal:Evidence",
    "fullbore:metal:HostGroup",
}
"""Every type of this project as users have it in their state. One that is renamed replaces all that it stands for: keep
the old token in the component's `aliases`, and add the new one here."""


class Recorded(mocks.Mocks):
    """Outputs are inputs, with what the components read besides."""

    def __init__(self) -> None:
        self.made: list[mocks.MockResourceArgs] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made.append(args)
        extra: dict[str, Any] = {}
        if args.typ == "fullbore:image:Image":
            extra = {"ref": "registry.example/fullbore/runtime@sha256:" + "0" * 64}
        if args.typ == "fullbore:metal:HostGroup":
            extra = {"failed": {}, "facts": {}}
        if args.typ == "fullbore:metal:Evidence":
            extra = {"evidence": "{}", "problems": [], "accepted": True, "expires": "2026-12-22T12:00:00+00:00"}
        if args.typ == "aws:ec2/launchTemplate:LaunchTemplate":
            extra = {"latestVersion": 1}
        if args.typ == "aws:kms/key:Key":
            extra = {"keyId": f"{args.name}-id"}
        return f"{args.name}-id", {"arn": f"arn:aws:mock:::{args.name}", **args.inputs, **extra}

    def call(self, args: mocks.MockCallArgs) -> Any:
        assert args.token == "aws:index/getCallerIdentity:getCallerIdentity", f"{args.token}: not called so far"
        return {"accountId": "123456789012", "arn": "arn:aws:iam::123456789012:root", "userId": "AIDA"}


Registered = tuple[list[str], list[mocks.MockResourceArgs]]
AFTER: dict[str, dict[str, set[str]]] = {}
"""{environment: {URN: URNs that it was registered after}}, as `register` found them."""
SECRET: dict[str, set[str]] = {}
"""{URN: outputs that are secret, whatever their inputs are}, as `register` found them."""


def register(plan: Plan) -> Registered:
    """URNs, which spell out each resource's parent, and registrations of one whole environment."""
    recorded = Recorded()

    def provision() -> Any:
        watch_dependencies(AFTER.setdefault(plan.environment, {}))
        return HybridStack(plan.environment, plan).outputs

    run_mocked(recorded, provision, stack=plan.environment)
    monitor: Any = settings.get_monitor()
    return list(monitor.resources), recorded.made


def watch_dependencies(after: dict[str, set[str]]) -> None:
    """Mocks are not told of them, nor of outputs that are secret."""
    monitor: Any = settings.get_monitor()
    register = monitor.RegisterResource

    def watched(request: Any) -> Any:
        answer = register(request)
        after[answer.urn] = set(request.dependencies)
        SECRET[answer.urn] = set(request.additionalSecretOutputs)
        return answer

    monitor.RegisterResource = watched


def environment(name: str) -> Environment:
    return load_file(ROOT / "stacks" / f"Pulumi.{name}.yaml")


@cache
def of_environment(name: str) -> Registered:
    return register(make_plan(environment(name), None))


@pytest.fixture(params=ENVIRONMENTS)
def registered(request: pytest.FixtureRequest) -> Registered:
    return of_environment(request.param)


def test_every_resource_has_a_component_as_its_parent(registered: Registered) -> None:
    urns, _ = registered
    assert len(urns) > 10
    parents = {urn: urn.split("::")[2].rpartition("$")[0] for urn in urns}
    roots = [urn for urn, parent in parents.items() if not parent.startswith("fullbore:index:")]
    assert [urn.split("::")[2] for urn in roots] == ["pulumi:pulumi:Stack$fullbore:index:HybridStack"]


def test_the_type_tokens_are_those_that_users_have_in_their_state() -> None:
    found = {
        token
        for name in ENVIRONMENTS
        for urn in of_environment(name)[0]
        for token in urn.split("::")[2].split("$")
        if token.startswith("fullbore:")
    }
    assert found == TOKENS


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_replicas_of_the_site_wait_for_the_evidence_of_every_group_and_that_for_its_group(name: str) -> None:
    of_environment(name)
    after = AFTER[name]
    evidence = {urn for urn in after if "metal:Evidence::" in urn}
    groups = {urn for urn in after if "metal:HostGroup::" in urn}
    assert [len(after[urn] & groups) for urn in evidence] == [1] * len(groups)
    pools = {urn for urn in after if "Serving$kubernetes:apps/v1:Deployment::" in urn}
    of_the_site = {urn for urn in pools if "::standby-" not in urn}
    assert of_the_site
    assert {urn for urn in pools if after[urn] >= evidence} == of_the_site


def test_the_key_of_a_line_is_secret_where_aws_makes_it() -> None:
    of_environment("prod")
    lines = [urn for urn in SECRET if "PrivateVirtualInterface::" in urn]
    assert [SECRET[urn] for urn in lines] == [{"bgpAuthKey"}]


def test_the_stack_itself_makes_components_and_providers_only(registered: Registered) -> None:
    urns, _ = registered
    children = [urn.split("::")[2].partition("fullbore:index:HybridStack$")[2] for urn in urns]
    assert [each for each in children if each and not each.startswith(("fullbore:index:", "pulumi:providers:"))] == []


def test_every_cloud_resource_carries_the_tags(registered: Registered) -> None:
    _, made = registered
    tagged = [each for each in made if each.typ.startswith("aws:") and each.typ not in UNTAGGED]
    for each in tagged:
        assert {"project", "environment"} <= set(each.inputs.get("tags") or {}), f"{each.name} ({each.typ}) has no tags"


def test_names_fit_and_are_unique(registered: Registered) -> None:
    _, made = registered
    names = [(each.typ, each.name) for each in made]
    assert len(names) == len(set(names))
    assert [name for _, name in names if len(name) > MAX_NAME] == []


NAMES_IN_AN_ACCOUNT = ("name", "namePrefix", "bucket")
NAMED_BELOW_ANOTHER = ("aws:iam/rolePolicy:RolePolicy",)
"""Types whose name is unique within what they belong to; so is a node group's, which is not in `name`."""
IAM_NAME = 64
"""Characters of a role's name at most (IAM user guide, "IAM and AWS STS quotas")."""


def physical_names(made: list[mocks.MockResourceArgs]) -> set[tuple[str, str, str]]:
    """(type, property, name) of all that AWS keeps by a name of its own, and the names in tags."""
    found: set[tuple[str, str, str]] = set()
    for each in made:
        if each.typ.startswith("aws:") and each.typ not in NAMED_BELOW_ANOTHER:
            names = {key: each.inputs.get(key) for key in NAMES_IN_AN_ACCOUNT}
            names["tags.Name"] = (each.inputs.get("tags") or {}).get("Name")
            found |= {(each.typ, key, name) for key, name in names.items() if name}
    return found


def test_two_environments_of_one_account_share_no_name() -> None:
    env = environment("staging")
    assert env.storage
    other = env.model_copy(
        update={"name": "other", "storage": env.storage.model_copy(update={"bucket": "other-weights"})}
    )
    one, two = (physical_names(made) for _, made in (of_environment("staging"), register(make_plan(other, None))))
    assert len({kind for kind, _, _ in one}) > 5
    assert one & two == set()


def test_the_name_of_a_role_fits_in_the_longest_named_environment() -> None:
    _, made = register(make_plan(environment("prod").model_copy(update={"name": "e" * 40}), None))
    roles = [each.inputs["name"] for each in made if each.typ == "aws:iam/role:Role"]
    assert roles
    assert [name for name in roles if len(name) > IAM_NAME] == []


def test_every_object_in_a_cluster_has_labels(registered: Registered) -> None:
    _, made = registered
    for each in made:
        if each.typ.startswith("kubernetes:"):
            assert "app.kubernetes.io/part-of" in each.inputs["metadata"]["labels"], each.name


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda each: each.__name__)
def test_a_component_takes_a_frozen_plan_and_options(component: type[Component]) -> None:
    parameters = inspect.signature(component.__init__).parameters
    assert list(parameters)[1:3] == ["name", "plan"]
    assert parameters["opts"].default is None
    hints = inspect.get_annotations(component.__init__, eval_str=True, globals=vars(inspect.getmodule(component)))
    plan: Any = hints["plan"]
    assert is_dataclass(plan)
    instance: Any = object.__new__(hints["plan"])
    with pytest.raises(FrozenInstanceError):
        instance.anything = 1


def test_all_components_are_composed() -> None:
    source = (ROOT / "components" / "fullbore" / "stack.py").read_text(encoding="utf-8")
    assert [each.__name__ for each in COMPONENTS if f"{each.__name__}(" not in source] == []

"""Cloud capacity: what AWS recommends passes, what bug reports tell is found, and what is proposed helps."""

import gzip
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proposed_changes import assert_changes_help

from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.shapes import SHAPES
from fullbore.config import parse
from fullbore.plan import make_plan
from fullbore.plan.capacity import (
    CONTROL_PLANE_ADDRESSES,
    LEAST_ADDRESSES,
    holds,
    interface_layout,
    large_enough,
    zone_needs,
)
from fullbore.plan.model import NodeGroupPlan

FIXTURES = Path(__file__).parents[2] / "fixtures" / "plan"
BLOCK = {"id": "cr-0a1b2c3d4e5f60718", "nodes": 16, "zone": "b"}
PLACED = {**BLOCK, "placement_group": "training"}


def document(cidr: str = "10.64.0.0/16", quotas: dict[str, int] | None = None, **group: Any) -> dict[str, Any]:
    burst = {"instance_type": "p5.48xlarge", "max_nodes": 16, **group}
    cloud = {"region": "us-east-2", "cidr": cidr, "zones": ["a", "b"], "node_groups": {"burst": burst}}
    return {"name": "example", "cloud": {**cloud, "quotas": quotas or {}}}


def rules_broken(env: dict[str, Any]) -> set[str]:
    """Rules of errors and warnings but for one about what there is besides; a price is no matter of capacity."""
    found = {problem.rule for problem in make_plan(parse(env)).problems if problem.severity != "info"}
    return found - {"spot-alone"}


def planned(env: dict[str, Any]) -> NodeGroupPlan:
    cloud = make_plan(parse(env)).cloud
    assert cloud
    return cloud.node_groups[0]


@pytest.mark.parametrize(
    ("arrangement", "placement", "zones"),
    [
        ({}, "create", ("us-east-2a",)),
        ({"capacity": "spot"}, "create", ("us-east-2a",)),
        ({"capacity": "capacity-block", "reservation": BLOCK}, "none", ("us-east-2b",)),
        ({"reservation": BLOCK}, "none", ("us-east-2b",)),
        ({"reservation": {**BLOCK, "placement_group": "training"}}, "existing", ("us-east-2b",)),
        (
            {"reservation": {**BLOCK, "placement_group": "training"}, "placement": "cluster"},
            "existing",
            ("us-east-2b",),
        ),
        ({"efa_interfaces": 0}, "none", ("us-east-2a", "us-east-2b")),
        ({"zones": ["b"]}, "create", ("us-east-2b",)),
    ],
)
def test_what_aws_recommends_passes(arrangement: dict[str, Any], placement: str, zones: tuple[str, ...]) -> None:
    env = document(quotas={"p_on_demand": 3072, "p5_spot": 3072}, **arrangement)
    assert rules_broken(env) == set()
    assert (planned(env).placement, planned(env).zones) == (placement, zones)


@pytest.mark.parametrize(
    ("offered", "group", "zones"),
    [
        (["use2-az1"], {}, ("us-east-2b",)),
        (["use2-az1", "use2-az3"], {}, ("us-east-2a",)),
        (["use2-az1"], {"efa_interfaces": 0}, ("us-east-2b",)),
        (["use2-az1", "use2-az3"], {"efa_interfaces": 0}, ("us-east-2a", "us-east-2b")),
    ],
)
def test_nodes_are_placed_where_their_type_is_offered(
    offered: list[str], group: dict[str, Any], zones: tuple[str, ...]
) -> None:
    env = document(**group)
    told = {"zone_ids": {"a": "use2-az3", "b": "use2-az1"}, "offerings": {"p5.48xlarge": offered}}
    env = {**env, "cloud": {**env["cloud"], **told}}
    assert rules_broken(env) == set()
    assert planned(env).zones == zones


@pytest.mark.parametrize(
    ("report", "arrangement", "rule"),
    [
        ("eksctl-io/eksctl#7949", {"reservation": BLOCK, "placement": "cluster"}, "reservation-placed"),
        (
            "terraform-aws-modules/terraform-aws-eks#3730",
            {"capacity": "capacity-block", "reservation": BLOCK, "placement": "cluster"},
            "capacity-block-placed",
        ),
        ("pulumi/pulumi-eks#1593", {"zones": ["a", "b"]}, "zones-apart"),
        ("eksctl-io/eksctl#8320", {"capacity": "capacity-block"}, "capacity-block-unnamed"),
        (
            "aws-ia/terraform-aws-eks-blueprints, ml-capacity-block",
            {"capacity": "capacity-block", "reservation": BLOCK, "zones": ["a"]},
            "reservation-zone",
        ),
    ],
)
def test_what_was_reported_is_found(report: str, arrangement: dict[str, Any], rule: str) -> None:
    assert rule in rules_broken(document(**arrangement)), report


def test_a_group_scales_to_zero_by_default() -> None:
    assert (planned(document()).min_nodes, planned(document()).desired_nodes) == (0, 0)


@cache
def recorded() -> dict[str, Any]:
    """What EC2 says of its types, as moto keeps it; found without importing moto, which takes a second."""
    moto = find_spec("moto")
    assert moto
    assert moto.origin
    path = Path(moto.origin).parent / "ec2" / "resources" / "instance_types.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_shape_is_what_the_api_says(name: str) -> None:
    shape, api = SHAPES[name], recorded().get(name)
    if api is None:
        assert shape.source != SHAPES["p5.48xlarge"].source
        return
    cards = api["NetworkInfo"]["NetworkCards"]
    assert shape.vcpus == api["VCpuInfo"]["DefaultVCpus"]
    assert shape.memory_gib * 1024 == api["MemoryInfo"]["SizeInMiB"]
    assert shape.network_cards == len(cards)
    assert shape.efa_cards == tuple(c["NetworkCardIndex"] for c in cards if "efa-only" in c["InterfaceTypes"])
    assert shape.card_0_interfaces == cards[0]["MaximumNetworkInterfaces"]
    assert shape.addresses == api["NetworkInfo"]["Ipv4AddressesPerInterface"]
    assert shape.instance_store_gb == api["InstanceStorageInfo"]["TotalSizeInGB"]
    assert set(shape.bought) == set(api["SupportedUsageClasses"])
    assert (shape.architecture,) == tuple(api["ProcessorInfo"]["SupportedArchitectures"])
    assert INSTANCES[name].gpus == api["GpuInfo"]["Gpus"][0]["Count"]
    assert INSTANCES[name].efa_interfaces == api["NetworkInfo"].get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)


def test_every_instance_has_a_shape() -> None:
    assert set(SHAPES) == set(INSTANCES)


@pytest.mark.parametrize("more", [{}, {"datasync_endpoint": True}, {"datasync_endpoint": True, "pod_identity": True}])
def test_each_private_service_takes_an_address_in_every_subnet(more: dict[str, bool]) -> None:
    given = document(max_nodes=1, zones=["a"])
    given["cloud"] |= more
    env = parse(given)
    plan = make_plan(env).cloud
    assert env.cloud
    assert plan
    least = CONTROL_PLANE_ADDRESSES + len(plan.private_services)
    assert [need.least for need in zone_needs(env.cloud)] == [least + LEAST_ADDRESSES, least]
    assert len(plan.private_services) == 6 + len(more)


@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 40))
def test_interfaces_have_places_of_their_own(name: str, efa: int) -> None:
    shape = SHAPES[name]
    layout = interface_layout(shape, efa)
    if shape.efa_cards is None or efa > len(shape.efa_cards):
        assert layout == ()
        return
    assert (layout[0].card, layout[0].device, layout[0].kind) == (0, 0, "interface")
    assert [i.kind for i in layout[1:]] == ["efa-only"] * efa
    assert len({(i.card, i.device) for i in layout}) == 1 + efa


GROUPS = st.fixed_dictionaries(
    {
        "instance_type": st.sampled_from(sorted(SHAPES)),
        "max_nodes": st.integers(1, 40),
        "min_nodes": st.integers(0, 3),
        "capacity": st.sampled_from(["on-demand", "spot", "capacity-block"]),
        "placement": st.sampled_from(["auto", "cluster", "none"]),
        "zones": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
        "efa_interfaces": st.sampled_from([None, 0, 1]),
        "reservation": st.none()
        | st.fixed_dictionaries(
            {
                "id": st.sampled_from(["cr-0a1b2c3d4e5f60718", "cr-0b1b2c3d4e5f60718"]),
                "nodes": st.integers(1, 80),
                "zone": st.sampled_from("abc"),
                "placement_group": st.sampled_from([None, "training"]),
            }
        ),
    }
)
CLOUDS = st.fixed_dictionaries(
    {
        "region": st.just("us-east-2"),
        "cidr": st.integers(16, 26).map(lambda prefix: f"10.64.0.0/{prefix}"),
        "zones": st.sampled_from([["a"], ["a", "b"]]),
        "pod_addresses": st.sampled_from(["secondary", "prefix"]),
        "quotas": st.dictionaries(st.sampled_from(["p_on_demand", "p5_spot", "g_spot"]), st.integers(0, 4000)),
        "node_groups": st.dictionaries(st.sampled_from(["burst", "more"]), GROUPS, min_size=1),
    }
)


@given(CLOUDS)
def test_a_change_that_is_proposed_removes_its_finding(cloud: dict[str, Any]) -> None:
    assert_changes_help({"name": "example", "cloud": cloud})


@given(CLOUDS, st.booleans())
def test_the_larger_range_is_the_smallest_that_does(cloud: dict[str, Any], comfortable: bool) -> None:
    config = parse({"name": "example", "cloud": cloud}).cloud
    assert config
    found = large_enough(config, comfortable)
    every = [
        config.model_copy(update={"cidr": config.cidr.supernet(new_prefix=p)})
        for p in range(16, 27)
        if p <= config.cidr.prefixlen
    ]
    enough = [
        c.cidr
        for c in every
        if len(zone_needs(c)) == len(c.zones) and all(holds(need, comfortable) for need in zone_needs(c))
    ]
    assert found == (min(enough, key=lambda cidr: cidr.num_addresses) if enough else None)

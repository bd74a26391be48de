"""Node groups: what the plan decided is what the launch template and the node group say, and nothing else."""

from __future__ import annotations

import base64
import json
from email import message_from_string
from typing import Any

import pytest
from aws_program import Made, environment, made

from fullbore.catalog.shapes import SHAPES

RESERVATION = {"id": "cr-0a1b2c3d4e5f60718", "nodes": 4, "zone": "b"}


def group(versions: dict[str, str] | None = None, **given: Any) -> Made:
    nodes = {"instance_type": "p5.48xlarge", "max_nodes": 4, **given}
    return made(environment({"node_groups": {"gpu": nodes}}, **({"versions": versions} if versions else {})))


def template(found: Made) -> dict[str, Any]:
    return found.one("LaunchTemplate")


def node_config(found: Made) -> dict[str, Any]:
    """The NodeConfig as nodeadm finds it: decoded, and taken out of its MIME document."""
    document = message_from_string(base64.b64decode(template(found)["userData"]).decode())
    parts: list[Any] = document.get_payload()  # pyright: ignore[reportAssignmentType]
    assert [part.get_content_type() for part in parts] == ["application/node.eks.aws"]
    text = parts[0].get_payload()
    assert text.startswith("---\n")
    return json.loads(text.removeprefix("---\n"))


@pytest.mark.parametrize("name", ["g6e.12xlarge", "p4d.24xlarge", "p5.48xlarge", "p5en.48xlarge", "p6-b200.48xlarge"])
def test_every_efa_interface_of_the_type_is_on_a_card_of_its_own(name: str) -> None:
    found = template(group(instance_type=name))["networkInterfaces"]
    primary, *fabric = found
    assert (primary["networkCardIndex"], primary["deviceIndex"], primary["interfaceType"]) == (0, 0, "interface")
    assert [each["networkCardIndex"] for each in fabric] == list(SHAPES[name].efa_cards or ())
    assert {each["interfaceType"] for each in fabric} == {"efa-only"}
    places = [(each["networkCardIndex"], each["deviceIndex"]) for each in found]
    assert len(set(places)) == len(places)
    assert all(each["securityGroups"] == ["cloud-fabric-id", "sg-cluster"] for each in found)


def test_a_group_without_efa_has_one_interface_and_no_placement_group() -> None:
    found = group(efa_interfaces=0)
    assert len(template(found)["networkInterfaces"]) == 1
    assert found.of("PlacementGroup") == {}
    assert "placement" not in template(found)


@pytest.mark.parametrize(
    ("given", "placement", "zones", "target", "market"),
    [
        ({}, "example-cloud-gpu", "a", None, None),
        ({"reservation": RESERVATION}, None, "b", RESERVATION["id"], None),
        ({"reservation": {**RESERVATION, "placement_group": "near"}}, "near", "b", RESERVATION["id"], None),
        (
            {"capacity": "capacity-block", "reservation": RESERVATION},
            None,
            "b",
            RESERVATION["id"],
            {"marketType": "capacity-block"},
        ),
        ({"capacity": "spot"}, "example-cloud-gpu", "a", None, None),
        ({"efa_interfaces": 0, "capacity": "spot"}, None, "ab", None, None),
    ],
    ids=["on-demand", "reserved", "reserved-placed", "block", "spot", "spot-no-efa"],
)
def test_nodes_are_where_and_as_the_plan_says(
    given: dict[str, Any], placement: str | None, zones: str, target: str | None, market: Any
) -> None:
    found = group(**given)
    data = template(found)
    assert data.get("placement", {}).get("groupName") == placement
    assert len(found.of("PlacementGroup")) == (placement == "example-cloud-gpu")
    specification = data.get("capacityReservationSpecification", {})
    assert specification.get("capacityReservationTarget", {}).get("capacityReservationId") == target
    assert "capacityReservationPreference" not in specification
    assert data.get("instanceMarketOptions") == market
    nodes = found.one("NodeGroup")
    assert nodes["subnetIds"] == [f"cloud-private-eu-central-1{zone}-id" for zone in zones]
    kinds = {"spot": "SPOT", "capacity-block": "CAPACITY_BLOCK"}
    assert nodes["capacityType"] == kinds.get(given.get("capacity", ""), "ON_DEMAND")


def test_a_node_keeps_its_credentials_and_its_disk_to_itself() -> None:
    data = template(group())
    assert data["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    assert [each["ebs"]["encrypted"] for each in data["blockDeviceMappings"]] == ["true"]


def test_the_image_is_the_one_of_the_lock() -> None:
    assert group({"eks_image": "1.33.11-20260423"}).one("NodeGroup")["releaseVersion"] == "1.33.11-20260423"
    assert "releaseVersion" not in group().one("NodeGroup")


def test_the_kubelet_pins_by_the_strictest_policy_where_the_inside_is_known() -> None:
    config = node_config(group(instance_type="p4d.24xlarge"))["spec"]["kubelet"]["config"]
    assert config["cpuManagerPolicy"] == "static"
    assert config["cpuManagerPolicyOptions"] == {"full-pcpus-only": "true"}
    # Pods of one GPU and of all are presumed: the latter span both nodes.
    assert config["topologyManagerPolicy"] == "best-effort"
    # Two cores of each of two nodes with two threads are eight CPUs, of which nodeadm reserves one.
    assert config["systemReserved"] == {"cpu": "7"}
    assert "reservedSystemCPUs" not in config


@pytest.mark.parametrize(("name", "reserved"), [("p5.48xlarge", "3"), ("g4dn.xlarge", None)])
def test_an_unknown_inside_refuses_no_pod(name: str, reserved: str | None) -> None:
    config = node_config(group(instance_type=name))["spec"]["kubelet"]["config"]
    assert config["topologyManagerPolicy"] == "best-effort"
    assert config.get("systemReserved", {}).get("cpu") == reserved


def test_drives_of_the_instance_become_one_raid() -> None:
    assert node_config(group())["spec"]["instance"] == {"localStorage": {"strategy": "RAID0"}}


def test_each_group_has_a_template_and_nodes_of_its_own() -> None:
    groups = {name: {"instance_type": "g6e.12xlarge", "max_nodes": 2} for name in ("one", "two")}
    found = made(environment({"node_groups": groups}))
    assert len(found.of("LaunchTemplate")) == len(found.of("NodeGroup")) == len(found.of("PlacementGroup")) == 2

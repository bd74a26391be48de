"""Settings of switch ports, written out for whoever runs the network."""

from __future__ import annotations

import json
import re

import pytest

from fullbore.catalog.switches import SWITCH_SYSTEMS, SWITCHES
from fullbore.config.models import Environment
from fullbore.plan import make_plan
from fullbore.plan.model import SitePlan
from fullbore.render.switch import switch_text, system_of

CABLES = {"ens1np0": {"switch": "leaf-1", "port": "Ethernet10"}, "ens2np0": {"switch": "leaf-1", "port": "Ethernet2"}}
QOS = {"dscp": 26, "dscp_to_priority": [{"dscp": 26, "priority": 5}]}


def site(cables: dict[str, dict[str, str]] | None = None, fabric: str = "roce", **changes: object) -> SitePlan:
    group = {
        "kind": "gpu",
        "rack": "r01",
        "accelerator": "h100",
        "gpus_per_host": 8,
        "interfaces": ["ens1np0", "ens2np0"],
        "hcas": ["mlx5_0", "mlx5_1"],
        "hosts": {"gpu-01": {"serial": "SN1", "cables": cables or {}}},
    }
    described = {"name": "lab", "cidr": "10.0.0.0/8", "fabric": fabric, **changes, "groups": {"gpu": group}}
    plan = make_plan(Environment.model_validate({"name": "lab", "sandbox": {}, "site": described}))
    assert plan.site
    return plan.site


def commands(text: str) -> list[str]:
    """Lines that are no comment."""
    return [line for line in text.splitlines() if line and not re.match(r"\s*[#!]", line)]


def test_what_a_preset_does_is_left_to_the_preset() -> None:
    assert commands(switch_text(site(), "cumulus")) == ["nv set qos roce mode lossless", "nv config apply"]
    assert commands(switch_text(site(qos={"pfc": []}), "onyx")) == ["roce lossy"]


def test_another_priority_than_the_presets_is_moved_as_documented() -> None:
    assert commands(switch_text(site(CABLES, qos=QOS, mtu_bytes=4220), "cumulus")) == [
        "nv set qos roce mode lossless",
        "nv set qos pfc default-global switch-priority 5",
        "nv set qos egress-queue-mapping default-global switch-priority 5 traffic-class 3",
        "nv set qos egress-queue-mapping default-global switch-priority 3 traffic-class 0",
        "nv set qos mapping default-global trust both",
        "nv set qos mapping default-global dscp 26 switch-priority 5",
        "nv set interface Ethernet2 link mtu 4220",
        "nv set interface Ethernet10 link mtu 4220",
        "nv config apply",
    ]


@pytest.mark.parametrize(
    ("system", "qos", "said"),
    [
        ("onyx", QOS, "RoCE in priority 5"),
        ("onyx", QOS, "DSCP 26 to 5"),
        ("cumulus", {"pfc": [3, 4]}, "PFC on priorities 3, 4"),
        ("cumulus", {"ecn": [3, 4]}, "ECN on priorities 3, 4"),
        ("cumulus", {"cnp_dscp": 56, "cnp_priority": 7}, "notifications in priority 7"),
        ("sonic", {"trust": "pcp"}, "trust pcp"),
        ("eos", {"trust": "pcp"}, "trust pcp"),
    ],
)
def test_what_is_not_documented_is_said_and_not_guessed(system: str, qos: dict[str, object], said: str) -> None:
    assert [line for line in switch_text(site(qos=qos), system).splitlines() if f"not written: {said}" in line]
    assert "not written" not in switch_text(site(), system)


def test_sonic_gets_tables_of_its_database() -> None:
    text = switch_text(site(CABLES, qos=QOS), "sonic")
    tables = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert tables["DSCP_TO_TC_MAP"]["FULLBORE"]["26"] == "5"
    assert tables["DSCP_TO_TC_MAP"]["FULLBORE"]["48"] == "6"
    assert len(tables["DSCP_TO_TC_MAP"]["FULLBORE"]) == 64
    assert tables["PORT_QOS_MAP"]["Ethernet2"]["pfc_enable"] == "5"
    assert tables["TC_TO_PRIORITY_GROUP_MAP"]["FULLBORE"] == {str(n): "5" if n == 5 else "0" for n in range(8)}
    assert tables["QUEUE"]["Ethernet10|5"] == {"wred_profile": "FULLBORE"}
    assert tables["QUEUE"]["Ethernet10|6"] == {"scheduler": "FULLBORE_STRICT"}
    named = {name for table in tables.values() for name in table}
    assert {value for row in tables["QUEUE"].values() for value in row.values()} <= named
    assert "pfc_enable" not in switch_text(site(qos={"pfc": []}), "sonic")


def test_eos_gets_a_profile_and_each_port_uses_it() -> None:
    lines = commands(switch_text(site(CABLES, qos=QOS, mtu_bytes=4220), "eos"))
    assert "qos map dscp 26 to traffic-class 5" in lines
    assert "   priority-flow-control priority 5 no-drop" in lines
    assert lines[lines.index("   uc-tx-queue 5") + 1].startswith("      random-detect ecn minimum-threshold 256 kbytes")
    assert lines[-4:] == ["interface Ethernet10", "   qos trust dscp", "   service-profile FULLBORE", "   mtu 4220"]


def test_an_mtu_that_is_large_enough_is_left_alone() -> None:
    switch = {"profile": "cumulus-lossless", "mtu_bytes": 9216}
    assert "mtu 4220" not in switch_text(site(CABLES, mtu_bytes=4220, switch=switch), "cumulus")
    assert "mtu 4220" in switch_text(site(CABLES, mtu_bytes=4220, switch={**switch, "mtu_bytes": 2000}), "cumulus")


def test_thresholds_are_those_of_the_profile_that_is_written_for() -> None:
    planned = site(switch={"profile": "cumulus-lossless"})
    assert "ECN thresholds" in switch_text(planned, "cumulus")
    assert "ECN thresholds" not in switch_text(planned, "eos")


def test_every_profile_has_a_system_and_other_fabrics_have_nothing_to_write() -> None:
    assert {system_of(profile) for profile in SWITCHES} <= set(SWITCH_SYSTEMS)
    assert switch_text(site(fabric="ethernet"), "sonic") == ""

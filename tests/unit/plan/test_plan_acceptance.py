"""How machines are to be accepted, from the environments that are in this repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from fullbore.config import load_file
from fullbore.config.acceptance import Acceptance
from fullbore.plan import make_plan
from fullbore.plan.model import CablePlan, SitePlan

STACKS = Path(__file__).parents[3] / "stacks"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHjLnlF0dVBzXF1eu2SqKmeEJ9jVkUk8N2uOe4hVPM9O"


def site(name: str) -> SitePlan:
    plan = make_plan(load_file(STACKS / f"Pulumi.{name}.yaml"))
    assert plan.site
    return plan.site


def test_production_is_measured_in_full_and_signed() -> None:
    asked = site("prod").acceptance
    assert asked
    assert (asked.strict, asked.valid_days, asked.dcgm_level, asked.nvls) == (True, 30, 3, True)
    assert (asked.public_key, asked.fabric, asked.link_gbps) == (KEY, "infiniband", 400)


def test_results_carry_the_lock_of_the_whole_environment() -> None:
    plan = make_plan(load_file(STACKS / "Pulumi.prod.yaml"))
    assert plan.site
    assert plan.site.acceptance
    assert plan.site.acceptance.lock == plan.versions.lock
    assert plan.site.acceptance.lock["gpu_driver"] == "580.95.05"


def test_cables_are_those_of_each_host() -> None:
    hosts = {host.name: host.cables for group in site("staging").groups for host in group.hosts}
    assert hosts["gpu-01"] == (
        CablePlan(port="ens1np0", peer="leaf-1", peer_port="swp1"),
        CablePlan(port="ens2np0", peer="leaf-2", peer_port="swp1"),
    )
    assert hosts["gpu-02"] == ()


def test_a_group_says_what_gpus_it_has() -> None:
    groups = {group.name: (group.accelerator, group.gpus) for group in site("prod").groups}
    assert groups["gpu-r01"] == ("h200", 8)
    assert groups["storage"] == (None, 0)


def test_an_environment_without_it_is_as_it_was() -> None:
    plan = site("prod")
    assert site("local").acceptance is None
    assert replace(plan, acceptance=None).groups == plan.groups


@pytest.mark.parametrize(
    "field", [{"dcgm_level": 4}, {"valid_days": 0}, {"public_key": "ssh-rsa AAAA"}, {"strict": "no"}]
)
def test_what_no_acceptance_could_use_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Acceptance.model_validate({"signing_key_file": "/k", "public_key": KEY, **field})

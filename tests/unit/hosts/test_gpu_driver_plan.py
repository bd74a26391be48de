"""What the GPU driver's role is given: packages, options and layout, from the lock and the site."""

from __future__ import annotations

import hashlib

import pytest

from fullbore.catalog.gpu_driver import COMPUTE_SLICES, DRIVER_PACKAGES, MEMORY_SLICES, MIG_PROFILES
from fullbore.catalog.versions.releases import GOOD
from fullbore.config.models import HostGroup, Site
from fullbore.plan.gpu_driver import largest_first
from fullbore.plan.hosts import group_plans
from fullbore.plan.model import GroupPlan


def planned(driver: dict[str, object] | None = None, lock: dict[str, str] | None = None, **group: object) -> GroupPlan:
    base: dict[str, object] = {"kind": "gpu", "rack": "r01", "accelerator": "h100", "gpus_per_host": 8}
    hosts = {"hosts": {"gpu-01": {"serial": "SN1"}}}
    site = {
        "name": "lab",
        "cidr": "10.0.0.0/8",
        "fabric": "ethernet",
        "gpu_driver": driver,
        "groups": {"gpu": HostGroup.model_validate({**base, **group, **hosts})},
    }
    (plan,) = group_plans(Site.model_validate(site), lock={**GOOD, **(lock or {})})
    return plan


def wants(plan: GroupPlan) -> dict[str, str]:
    return {setting.id: setting.want for setting in plan.settings if setting.role == "gpu_driver"}


def packages(plan: GroupPlan) -> list[str]:
    return [id.removeprefix("package.") for id in wants(plan) if id.startswith("package.")]


def test_the_driver_is_left_alone_where_the_site_does_not_ask_for_it() -> None:
    plan = planned()
    assert (wants(plan), plan.files, "gpu_driver" in plan.roles) == ({}, (), False)
    assert not wants(planned({}, kind="storage", accelerator=None, gpus_per_host=0))


@pytest.mark.parametrize(
    ("lock", "expected"),
    [
        ({}, ["nvidia-headless-580-open", "nvidia-utils-580", "nvidia-fabricmanager-580"]),
        ({"gpu_driver": "595.71.05"}, ["nvidia-open", "nvidia-persistenced", "nvidia-fabricmanager"]),
        (
            {"os": "debian-12"},
            ["nvidia-driver-cuda", "nvidia-kernel-open-dkms", "nvidia-persistenced", "nvidia-fabricmanager-580"],
        ),
        (
            {"gpu_kernel_modules": "proprietary"},
            ["nvidia-headless-580", "nvidia-utils-580", "nvidia-fabricmanager-580"],
        ),
        ({"os": "rhel-9"}, []),
    ],
)
def test_packages_are_those_of_the_distribution_and_the_branch(lock: dict[str, str], expected: list[str]) -> None:
    plan = planned({}, lock)
    assert packages(plan) == expected
    version = lock.get("gpu_driver", "580.95.05")
    assert {wants(plan)[f"package.{name}"] for name in expected} <= {f"{version},hold"}


@pytest.mark.parametrize(
    ("driver", "group", "runs"),
    [
        ({}, {}, True),
        ({}, {"gpus_per_host": 4}, False),
        ({}, {"accelerator": "l40s"}, False),
        ({"fabric_manager": False}, {}, False),
        ({"fabric_manager": True}, {"gpus_per_host": 2}, True),
    ],
)
def test_fabric_manager_runs_where_an_nvswitch_joins_the_gpus(
    driver: dict[str, object], group: dict[str, object], runs: bool
) -> None:
    plan = planned(driver, None, **group)
    assert ("unit.nvidia-fabricmanager.service" in wants(plan)) == runs
    assert ("nvidia-fabricmanager-580" in packages(plan)) == runs


def test_a_board_with_a_subnet_manager_gets_it_too() -> None:
    assert wants(planned({}, accelerator="b200"))["package.nvlsm"] == "any,hold"
    assert "package.nvlsm" not in wants(planned({}, accelerator="b200", gpus_per_host=4)) | wants(planned({}))


def test_files_hold_the_pin_and_the_options_and_are_settings() -> None:
    plan = planned({"module_options": {"NVreg_EnableStreamMemOPs": "1"}})
    texts = {file.path: file.text for file in plan.files}
    assert "Pin: version 580.95.05-*\n" in texts["/etc/apt/preferences.d/90-fullbore-nvidia"]
    assert 'options nvidia NVreg_EnableStreamMemOPs="1"\n' in texts["/etc/modprobe.d/fullbore-nvidia.conf"]
    assert wants(plan)["nvreg.NVreg_EnableStreamMemOPs"] == "1"
    for path, text in texts.items():
        assert wants(plan)[f"file.{path}"] == hashlib.sha256(text.encode()).hexdigest()


def test_gpus_are_whole_unless_they_are_divided_and_old_ones_are_not_asked() -> None:
    assert wants(planned({}))["mig.7"] == "off"
    assert wants(planned({}, mig=["1g.10gb", "1g.10gb+me", "4g.40gb"]))["mig.0"] == "4g.40gb,1g.10gb,1g.10gb+me"
    assert not [id for id in wants(planned({}, accelerator="v100-32")) if id.startswith("mig.")]


def test_only_what_needs_a_loaded_driver_waits_for_a_reboot() -> None:
    later = {setting.id.partition(".")[0] for setting in planned({}).settings if setting.reboot}
    assert later == {"driver", "unit", "persistence", "mig"}


def test_the_largest_instance_comes_first() -> None:
    assert largest_first(("1g.10gb", "1g.20gb", "3g.40gb")) == ["3g.40gb", "1g.20gb", "1g.10gb"]


def test_rows_of_the_catalog_agree_with_themselves() -> None:
    for rows in MIG_PROFILES.values():
        assert all(row.most * row.compute <= COMPUTE_SLICES and row.most * row.memory <= MEMORY_SLICES for row in rows)
    keys = {(row.distribution, row.flavour, row.unversioned) for row in DRIVER_PACKAGES}
    assert len(keys) == len(DRIVER_PACKAGES) == 8

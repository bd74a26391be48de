"""Read-ahead and path policy of NVMe drives: planned, written as a udev rule, applied and read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from fullbore.config.errors import problems_of
from fullbore.config.models import Site
from fullbore.plan.hosts import group_plans
from fullbore.plan.model import GroupPlan
from fullbore_agent.apply import Change, apply
from fullbore_agent.settings import read_all
from fullbore_agent.system import System
from fullbore_sandbox import hardware

BOTH: dict[str, object] = {"read_ahead_kib": 4096, "io_policy": "round-robin"}


def site(nvme: dict[str, object] | None) -> Site:
    group = {"kind": "storage", "rack": "r01", "cpus": 4, "nvme": nvme, "hosts": {"nvme-01": {"serial": "SN1"}}}
    return Site.model_validate({"name": "lab", "cidr": "10.0.0.0/8", "fabric": "ethernet", "groups": {"disks": group}})


def plan(nvme: dict[str, object] | None) -> GroupPlan:
    (found,) = group_plans(site(nvme))
    return found


def test_drives_that_nobody_speaks_of_are_left_alone() -> None:
    for nvme in (None, {}):
        assert "storage" not in plan(nvme).roles
        assert plan(nvme).files == ()


def test_what_is_set_now_is_set_for_every_drive_that_appears() -> None:
    wants = {s.id: s.want for s in plan(BOTH).settings if s.role == "storage"}
    assert (wants["readahead.nvme"], wants["iopolicy.nvme"]) == ("4096", "round-robin")
    (rule,) = plan(BOTH).files
    assert f"file.{rule.path}" in wants
    lines = rule.text.splitlines()[1:]
    ends = [line.rpartition(", ")[2] for line in lines]
    assert ends == ['ATTR{queue/read_ahead_kb}="4096"', 'ATTR{iopolicy}="round-robin"']
    assert [line.partition(", ")[0] for line in lines] == ['ACTION=="add|change"'] * 2
    (alone,) = plan({"read_ahead_kib": 0}).files
    assert "iopolicy" not in alone.text
    assert 'read_ahead_kb}="0"' in alone.text


def test_a_read_ahead_that_no_kernel_keeps_is_refused() -> None:
    """Of 3 KiB the kernel keeps no page and reads back 0, which would differ for ever."""
    with pytest.raises(ValidationError) as refused:
        site({"read_ahead_kib": 3})
    [problem] = problems_of(Site, refused.value.errors())
    assert (problem.rule, problem.message) == ("config-range", "got 3, allowed a multiple of 4")


@pytest.fixture
def system(tmp_path: Path) -> System:
    hardware.write(tmp_path / "sysroot", site(None).groups["disks"], "nvme-01")
    return System(str(tmp_path / "sysroot"), str(tmp_path / "root"))


WANTED = [
    {"id": "readahead.nvme", "role": "storage", "want": "4096"},
    {"id": "iopolicy.nvme", "role": "storage", "want": "round-robin"},
]


def test_every_drive_is_set_and_the_second_time_none(system: System) -> None:
    first = apply(system, WANTED)
    assert first == ([Change("readahead.nvme", "128", "4096"), Change("iopolicy.nvme", "numa", "round-robin")], [])
    assert apply(system, WANTED) == ([], [])


def test_drives_that_differ_are_counted_and_paths_of_a_drive_are_none(system: System) -> None:
    system.hardware("/sys/block/nvme1n1/queue/read_ahead_kb").write_text("256\n")
    hidden = system.hardware("/sys/block/nvme0c1n1/queue")
    hidden.mkdir(parents=True)
    (hidden / "read_ahead_kb").write_text("999\n")
    assert read_all(system, {"readahead.nvme": "4096"}) == {"readahead.nvme": "mixed: 1 128, 1 256"}
    assert apply(system, WANTED[:1]).failures == []
    assert (hidden / "read_ahead_kb").read_text() == "999\n"


def test_a_machine_without_multipath_says_so(system: System) -> None:
    for file in system.hardware("/sys/class/nvme-subsystem").glob("*/iopolicy"):
        file.unlink()
    assert apply(system, WANTED[1:]).failures == ["iopolicy.nvme: is absent, want round-robin"]

"""Applying settings of the running machine, with the double's tools."""

from __future__ import annotations

import shutil

from agent_machine import put

from fullbore.provider.facts import NOT_APPLICABLE
from fullbore_agent.apply import Change, apply
from fullbore_agent.settings import SYSCTL_FILE, drifted, read_all
from fullbore_agent.system import System

WANTED = [
    {"id": "qos.ens1np0.trust", "role": "roce", "want": "dscp"},
    {"id": "qos.ens1np0.pfc", "role": "roce", "want": "0,0,0,1,0,0,0,0"},
    {"id": "tos.mlx5_0", "role": "roce", "want": "106"},
    {"id": "qos.ens1np0.dscp", "role": "roce", "want": "26:5 50:0"},
    {"id": "ecn.ens1np0.np", "role": "roce", "want": "0,0,0,1,0,0,0,0"},
    {"id": "cnp.ens1np0.dscp", "role": "roce", "want": "46"},
    {"id": "mtu.ens2np0", "role": "roce", "want": "4220"},
    {"id": "tclass.mlx5_1", "role": "roce", "want": "106"},
    {"id": "governor.all", "role": "numa", "want": "performance"},
    {"id": "irq.ens2np0", "role": "numa", "want": "local"},
    {"id": "sysctl.vm.swappiness", "role": "baseline", "want": "1"},
    {"id": "nccl.NCCL_IB_TC", "role": "rdma", "want": "106"},
]


def test_what_differs_is_set_and_the_second_time_nothing(system: System) -> None:
    put(system, SYSCTL_FILE, "vm.swappiness = 1\n")
    first = apply(system, WANTED)
    assert first.failures == []
    assert Change("qos.ens1np0.trust", "pcp", "dscp") in first.changes
    assert len(first.changes) == len(WANTED) - 1, "all but the one that lives in a file"
    assert apply(system, WANTED) == ([], [])
    assert system.hardware("/proc/sys/vm/swappiness").read_text() == "1\n"


def test_a_check_says_the_same_and_changes_nothing(system: System) -> None:
    foreseen = apply(system, WANTED, check=True)
    assert apply(system, WANTED, check=True) == foreseen
    assert apply(system, WANTED).changes == foreseen.changes


def test_interrupts_are_spread_over_the_cpus_of_the_nics_node(system: System) -> None:
    apply(system, WANTED)
    files = [system.hardware(f"/proc/irq/{n}/smp_affinity_list") for n in range(72, 80)]
    assert [file.read_text().strip() for file in files] == ["2", "3", "6", "7", "2", "3", "6", "7"]


def test_entries_of_the_dscp_map_that_nobody_planned_go_back(system: System) -> None:
    wanted = [{"id": "qos.ens1np0.dscp", "role": "roce", "want": "26:5"}]
    system.change("mlnx_qos", "-i", "ens1np0", "--trust", "dscp", "--dscp2prio", "set,40,1")
    assert apply(system, wanted) == ([Change("qos.ens1np0.dscp", "40:1", "26:5")], [])
    assert apply(system, [{**wanted[0], "want": "default"}]).failures == []


def test_what_the_driver_lacks_is_named_and_not_made_up(system: System) -> None:
    """The kernel's own driver: no switches by priority, and notifications in debugfs."""
    shutil.rmtree(system.hardware("/sys/class/net/ens1np0/ecn"))
    debug = system.hardware("/sys/kernel/debug/mlx5/0000:20:00.0/cc_params")
    debug.mkdir(parents=True)
    (debug / "np_cnp_dscp").write_text("0\n")
    ids = ("ecn.ens1np0.rp", "cnp.ens1np0.dscp", "cnp.ens1np0.prio")
    applied = apply(system, [{"id": id, "role": "roce", "want": "4"} for id in ids])
    assert (debug / "np_cnp_dscp").read_text() == "4\n"
    assert [failure.partition(":")[0] for failure in applied.failures] == [ids[0], ids[2]]
    assert not (debug / "np_cnp_prio").exists()


def test_what_cannot_be_set_is_named_and_the_rest_is_set(system: System) -> None:
    wanted = [{"id": "tos.mlx5_9", "role": "roce", "want": "106"}, *WANTED[:1]]
    applied = apply(system, wanted)
    assert len(applied.failures) == 1
    assert applied.failures[0].startswith("tos.mlx5_9: is error: cma_roce_tos: Device mlx5_9 port 1 is not there, want")
    assert system.run("mlnx_qos", "-i", "ens1np0").splitlines()[1] == "Priority trust state: dscp"


def test_a_value_that_would_be_lost_at_boot_is_a_failure(system: System) -> None:
    applied = apply(system, [setting for setting in WANTED if setting["id"] == "sysctl.vm.swappiness"])
    assert applied.failures == ["sysctl.vm.swappiness: is 1; at boot: unset, want 1"]


def test_a_machine_without_cpufreq_has_no_governor_to_set(system: System) -> None:
    for folder in system.hardware("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"):
        shutil.rmtree(folder)
    governor = [setting for setting in WANTED if setting["id"] == "governor.all"]
    values = read_all(system, {"governor.all": "performance"})
    assert values == NOT_APPLICABLE, "it is said, and the engine's provider takes it for met too"
    assert drifted(governor, values) == {}
    assert apply(system, governor) == ([], [])


def test_a_governor_that_is_only_partly_there_is_drift(system: System) -> None:
    governor = [setting for setting in WANTED if setting["id"] == "governor.all"]
    for file in system.hardware("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"):
        file.unlink()
    assert drifted(governor, read_all(system, {"governor.all": "performance"})) == {"numa": ["governor.all"]}
    shutil.rmtree(system.hardware("/sys/devices/system/cpu"))
    assert drifted(governor, read_all(system, {"governor.all": "performance"})) == {"numa": ["governor.all"]}

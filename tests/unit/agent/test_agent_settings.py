"""What a host holds, read from files and tools."""

from __future__ import annotations

import hashlib

import pytest
from agent_machine import put
from hypothesis import given
from hypothesis import strategies as st

from fullbore_agent import settings
from fullbore_agent.apply import APPLIERS
from fullbore_agent.system import System


def value(system: System, setting: str, want: str = "") -> str:
    return settings.read_all(system, {setting: want})[setting]


@pytest.mark.parametrize(
    ("running", "at_boot", "want", "shown"),
    [
        ("1", "1", "1", "1"),
        ("0", "1", "1", "0"),
        ("1", None, "1", "1; at boot: unset"),
        ("1", "0", "1", "1; at boot: 0"),
        ("0", "0", "1", "0"),
    ],
)
def test_a_kernel_setting_must_hold_now_and_at_boot(
    system: System, running: str, at_boot: str | None, want: str, shown: str
) -> None:
    put(system, "/proc/sys/net/ipv4/tcp_ecn", running + "\n")
    if at_boot is not None:
        put(system, settings.SYSCTL_FILE, f"# ours\nnet.ipv4.tcp_ecn = {at_boot}\n")
    assert value(system, "sysctl.net.ipv4.tcp_ecn", want) == shown


def test_blanks_of_a_kernel_setting_do_not_matter(system: System) -> None:
    put(system, "/proc/sys/net/ipv4/tcp_rmem", "4096\t87380\t268435456\n")
    put(system, settings.SYSCTL_FILE, "net.ipv4.tcp_rmem =  4096 87380   268435456\n")
    assert value(system, "sysctl.net.ipv4.tcp_rmem", "4096 87380 268435456") == "4096 87380 268435456"


def test_a_described_kernel_setting_hides_the_real_one(system: System) -> None:
    put(system, "/proc/sys/vm/swappiness", "77\n")
    assert value(system, "sysctl.vm.swappiness") == "60"


def test_a_slash_in_a_key_stands_for_a_dot_in_a_name() -> None:
    assert settings.sysctl_path("net.ipv4.conf.eth0/100.rp_filter") == "/proc/sys/net/ipv4/conf/eth0.100/rp_filter"


def test_limits_and_nccl_are_lines_of_their_files(system: System) -> None:
    put(system, settings.LIMITS_FILE, "# ours\n*  -  memlock unlimited  # all\nbroken line\n")
    put(system, settings.NCCL_FILE, "# ours\nNCCL_IB_HCA==mlx5_0,mlx5_1\n")
    assert value(system, "limits.*.-.memlock") == "unlimited"
    assert value(system, "limits.root.-.memlock") == "absent"
    assert value(system, "nccl.NCCL_IB_HCA") == "=mlx5_0,mlx5_1"
    assert value(system, "nccl.NCCL_IB_TC") == "absent"


def test_nic_settings_come_from_the_tools(system: System) -> None:
    system.change("mlnx_qos", "-i", "ens1np0", "--trust", "dscp", "--pfc", "0,0,0,1,0,0,0,0")
    system.change("cma_roce_tos", "-d", "mlx5_1", "-t", "106")
    wants = dict.fromkeys(["qos.ens1np0.trust", "qos.ens1np0.pfc", "qos.ens2np0.trust", "tos.mlx5_0", "tos.mlx5_1"], "")
    assert list(settings.read_all(system, wants).values()) == ["dscp", "0,0,0,1,0,0,0,0", "pcp", "0", "106"]


def test_a_dscp_map_is_read_only_where_the_dscp_is_trusted(system: System) -> None:
    assert value(system, "qos.ens1np0.dscp") == "not in use: trust is pcp"
    system.change("mlnx_qos", "-i", "ens1np0", "--trust", "dscp")
    assert value(system, "qos.ens1np0.dscp") == "default"
    system.change("mlnx_qos", "-i", "ens1np0", "--dscp2prio", "set,26,5")
    assert value(system, "qos.ens1np0.dscp") == "26:5"


def test_a_host_wide_traffic_class_is_read_as_the_kernel_shows_it(system: System) -> None:
    assert value(system, "tclass.mlx5_0") == "unset"
    system.hardware("/sys/class/infiniband/mlx5_0/tc/1/traffic_class").write_text("Global tclass=106\n")
    assert value(system, "tclass.mlx5_0") == "106"
    assert value(system, "tclass.mlx5_9") == "absent"


def test_a_tool_that_fails_or_is_missing_says_why(system: System) -> None:
    assert value(system, "qos.ens9.trust") == "error: mlnx_qos: Interface ens9 doesn't exist"
    system.hardware("/usr/bin/cma_roce_tos").unlink()
    assert value(system, "tos.mlx5_0") == "error: cma_roce_tos: not installed"


def test_governors_that_differ_are_counted(system: System) -> None:
    assert value(system, "governor.all") == "powersave"
    system.hardware("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor").write_text("performance\n")
    assert value(system, "governor.all") == "mixed: 1 performance, 7 powersave"


def test_interrupts_that_may_leave_their_numa_node_are_remote(system: System) -> None:
    assert value(system, "irq.ens2np0", "local") == "remote: 8 of 8"
    numbers, local = settings.interface_irqs(system, "ens2np0")
    for number in numbers[1:]:
        system.hardware(f"/proc/irq/{number}/smp_affinity_list").write_text(f"{min(local)}\n")
    assert value(system, "irq.ens2np0", "local") == "remote: 1 of 8"
    assert value(system, "irq.ens9", "local") == "absent"
    assert value(system, "irq.ens2np0", f"{min(local)}") == "remote: 1 of 8"
    assert value(system, "irq.ens2np0", "0-7") == "0-7"


def test_kubelet_keys_are_dotted(system: System) -> None:
    put(system, settings.KUBELET_FILE, '{"cpuManagerPolicy": "static", "cpuManagerPolicyOptions": {"a-b": "true"}}')
    assert value(system, "kubelet.cpuManagerPolicy") == "static"
    assert value(system, "kubelet.cpuManagerPolicyOptions.a-b") == "true"
    assert value(system, "kubelet.cpuManagerPolicyOptions.c") == "absent"
    put(system, settings.KUBELET_FILE, "cpuManagerPolicy: static\n")
    assert value(system, "kubelet.cpuManagerPolicy").startswith("error: ")


@pytest.mark.parametrize(
    ("kind", "file", "text", "planned"),
    [
        ("sysctl", settings.SYSCTL_FILE, "vm.swappiness = 1\nvm.overcommit_memory = 2\n", "sysctl.vm.swappiness"),
        ("limits", settings.LIMITS_FILE, "* - memlock unlimited\nroot hard nofile 9\n", "limits.*.-.memlock"),
        ("nccl", settings.NCCL_FILE, "NCCL_IB_TC=106\nNCCL_IB_DISABLE=1\n", "nccl.NCCL_IB_TC"),
        (
            "kubelet",
            settings.KUBELET_FILE,
            '{"apiVersion": "v1", "kind": "K", "a": {"b": "true"}, "failSwapOn": false}',
            "kubelet.a.b",
        ),
    ],
)
def test_a_line_that_no_setting_is_for_is_named(system: System, kind: str, file: str, text: str, planned: str) -> None:
    wants = {planned: "", f"extra.{kind}": "none"}
    assert settings.read_all(system, wants)[f"extra.{kind}"] == "none", "no file, no extra line"
    put(system, file, text)
    extra = settings.read_all(system, wants)[f"extra.{kind}"]
    assert extra in ("vm.overcommit_memory=2", "root.hard.nofile=9", "NCCL_IB_DISABLE=1", "failSwapOn=False")
    assert settings.read_all(system, {f"extra.{kind}": "none"})[f"extra.{kind}"].count("=") == 2


def test_a_line_that_says_another_value_for_the_same_key_is_named(system: System) -> None:
    put(system, settings.NCCL_FILE, "NCCL_IB_TC=0\nNCCL_IB_TC=106\nNCCL_DEBUG=WARN\n")
    wants = {"nccl.NCCL_IB_TC": "106", "nccl.NCCL_DEBUG": "WARN", "extra.nccl": "none"}
    assert settings.read_all(system, wants)["extra.nccl"] == "NCCL_IB_TC=0, NCCL_IB_TC=106"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("LoadState=loaded\nUnitFileState=enabled\nActiveState=active\n", "enabled,active"),
        ("LoadState=loaded\nUnitFileState=disabled\nActiveState=failed\n", "disabled,failed"),
        ("LoadState=masked\nUnitFileState=\nActiveState=inactive\n", "masked,inactive"),
        ("LoadState=not-found\nUnitFileState=\nActiveState=inactive\n", "absent"),
    ],
)
def test_a_unit_is_what_systemd_says(system: System, shown: str, expected: str) -> None:
    tool = system.hardware("/usr/bin/systemctl")
    tool.write_text(f"#!/bin/sh\nprintf '%s' '{shown}'\n")
    tool.chmod(0o755)
    assert value(system, "unit.x.service") == expected


@pytest.mark.parametrize(
    ("load", "file", "active", "expected"),
    [
        ("not-found", "", "inactive", "stopped"),
        ("loaded", "disabled", "inactive", "stopped"),
        ("masked", "masked", "inactive", "stopped"),
        ("loaded", "enabled", "inactive", "enabled,inactive"),
        ("loaded", "enabled-runtime", "inactive", "enabled-runtime,inactive"),
        ("loaded", "disabled", "active", "disabled,active"),
    ],
)
def test_a_unit_is_stopped_where_it_neither_runs_nor_starts_at_boot(
    system: System, load: str, file: str, active: str, expected: str
) -> None:
    tool = system.hardware("/usr/bin/systemctl")
    tool.write_text(f"#!/bin/sh\nprintf 'LoadState={load}\\nUnitFileState={file}\\nActiveState={active}\\n'\n")
    tool.chmod(0o755)
    assert value(system, "stopped.irqbalance.service", "stopped") == expected


def test_a_file_is_its_checksum(system: System) -> None:
    put(system, "/etc/a.b/c", "text")
    assert value(system, "file./etc/a.b/c") == hashlib.sha256(b"text").hexdigest()
    assert value(system, "file./etc/none") == "absent"


def test_every_unknown_id_is_named_and_nothing_is_read(system: System) -> None:
    with pytest.raises(
        settings.BadSettings, match=r"'foo\.bar', 'sysctl', 'extra\.b'.*kinds are cdi, cnp, driver, ecn, e"
    ):
        settings.read_all(system, {"foo.bar": "1", "sysctl": "1", "extra.b": "none", "governor.all": "performance"})


def test_drift_is_told_by_role() -> None:
    wanted = [
        {"id": "a", "role": "one", "want": "1"},
        {"id": "b", "role": "two", "want": "1"},
        {"id": "c", "role": "two", "want": "1"},
    ]
    assert settings.drifted(wanted, {"a": "1", "b": "2", "c": "absent"}) == {"two": ["b", "c"]}


def test_everything_that_can_be_applied_can_be_read() -> None:
    assert set(APPLIERS) <= set(settings.READERS)


@given(st.text())
def test_parsers_of_files_take_any_text(text: str) -> None:
    settings.parse_assignments(text)
    settings.parse_limits(text)
    settings.parse_properties(text)


@given(st.sets(st.integers(0, 511), min_size=1))
def test_cpu_lists_are_read_as_the_kernel_writes_them(cpus: set[int]) -> None:
    assert settings.parse_cpu_list(",".join(map(str, sorted(cpus))) + "\n") == cpus
    assert settings.parse_cpu_list(f"{min(cpus)}-{max(cpus)}") == set(range(min(cpus), max(cpus) + 1))

"""The described double of a machine's hardware."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fullbore.config.models import HostGroup
from fullbore_sandbox import hardware


def group(**changes: object) -> HostGroup:
    base: dict[str, object] = {
        "kind": "gpu",
        "rack": "r01",
        "accelerator": "h200",
        "gpus_per_host": 4,
        "numa_nodes": 2,
        "cpus": 16,
        "memory_gib": 64,
        "interfaces": ["ens1np0", "ens2np0"],
        "hcas": ["mlx5_0", "mlx5_1"],
        "hosts": {"gpu-01": {"serial": "SN1"}},
    }
    return HostGroup.model_validate({**base, **changes})


def read(root: Path, path: str) -> str:
    return (root / path).read_text().strip()


def test_devices_are_spread_over_numa_nodes_and_found_by_class(tmp_path: Path) -> None:
    hardware.write(tmp_path, group(), "gpu-01")
    assert [read(tmp_path, f"sys/class/net/ens{n}np0/device/numa_node") for n in (1, 2)] == ["0", "1"]
    assert [read(tmp_path, f"sys/class/infiniband/mlx5_{n}/device/numa_node") for n in (0, 1)] == ["0", "1"]
    buses = [read(tmp_path, f"gpu/{n}/bus_id") for n in range(4)]
    assert [read(tmp_path, f"sys/bus/pci/devices/{bus}/numa_node") for bus in buses] == ["0", "0", "1", "1"]
    assert read(tmp_path, "sys/class/net/ens2np0/device/local_cpulist") == "4-7,12-15"
    assert read(tmp_path, "sys/devices/system/node/node1/cpulist") == "4-7,12-15"
    assert read(tmp_path, "sys/class/dmi/id/product_serial") == "SN1"


def test_writing_it_again_keeps_what_tools_changed(tmp_path: Path) -> None:
    hardware.write(tmp_path, group(), "gpu-01")
    subprocess.run([tmp_path / "usr/bin/cma_roce_tos", "-d", "mlx5_0", "-t", "106"], check=True, capture_output=True)
    (tmp_path / "proc/sys/vm/swappiness").write_text("1\n")
    (tmp_path / "sys/class/infiniband/mlx5_0/ports/1/state").unlink()
    hardware.write(tmp_path, group(), "gpu-01")
    assert read(tmp_path, "proc/sys/vm/swappiness") == "1"
    assert read(tmp_path, "sys/kernel/config/rdma_cm/mlx5_0/ports/1/default_roce_tos") == "106"
    assert read(tmp_path, "sys/class/infiniband/mlx5_0/ports/1/state") == "4: ACTIVE"


@pytest.mark.parametrize(
    "changes",
    [
        {"interfaces": [], "hcas": []},
        {"interfaces": ["eth9"], "hcas": []},
        {"interfaces": [], "hcas": ["mlx5_0"]},
        {"kind": "storage", "accelerator": None, "gpus_per_host": 0},
        {"numa_nodes": 1},
    ],
)
def test_every_link_points_at_something(tmp_path: Path, changes: dict[str, object]) -> None:
    hardware.write(tmp_path, group(**changes), "gpu-01")
    dangling = [path for path in tmp_path.rglob("*") if path.is_symlink() and not path.exists()]
    assert dangling == []


def test_the_qos_tool_keeps_what_it_is_told_and_refuses_nonsense(tmp_path: Path) -> None:
    hardware.write(tmp_path, group(), "gpu-01")

    def tool(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [str(tmp_path / "usr/bin/mlnx_qos"), *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert "dscp2prio mapping:" in tool("-i", "ens1np0", "--trust", "dscp").stdout
    assert "\tenabled     0   0   0   1   0   0   0   0   \n" in tool("-i", "ens1np0", "-f", "0,0,0,1,0,0,0,0").stdout
    shown = tool("-i", "ens1np0").stdout
    assert "Priority trust state: dscp" in shown
    assert "prio:3 dscp:31,30,29,28,27,26,25,24," in shown
    assert tool("-i", "ens1np0", "-f", "1,1").returncode == 1
    assert tool("-i", "eth9").returncode == 1

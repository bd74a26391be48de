"""What is run on a host, and the names that its outputs are judged by."""

from __future__ import annotations

from evidence_cases import machine, read

from fullbore.evidence.commands import DCGM_TIMEOUT_S, host_commands, tool_versions
from fullbore.evidence.gates.gpu import DCGM_TESTS
from fullbore.evidence.judge import failures, judge_host


def test_every_check_that_a_host_is_judged_by_is_run() -> None:
    for changes in ({"gpus": 8, "drives": ("nvme0n1",)}, {"gpus": 1}, {"gpus": 0, "accelerator": None}):
        planned = machine(**changes)
        missing = {verdict.what.removeprefix("the output of ") for verdict in failures(judge_host(planned, {}))}
        assert missing == {command.name for command in host_commands(planned)}


def test_the_cabling_is_asked_where_it_is_seen() -> None:
    assert [c.name for c in host_commands(machine(gpus=0), lldp=True)] == [
        "chronyc tracking",
        "lldpcli -f json0 show neighbors",
    ]
    assert [c.name for c in host_commands(machine(gpus=0), linkinfo=True)] == ["chronyc tracking", "iblinkinfo"]


def test_drives_are_only_read() -> None:
    fio = next(c for c in host_commands(machine(drives=("nvme3n1",))) if c.argv[0] == "fio")
    assert {"--readonly", "--rw=randread", "--filename=/dev/nvme3n1"} <= set(fio.argv)


def test_collectives_run_on_all_gpus_with_the_sizes_of_the_floors() -> None:
    run = next(c for c in host_commands(machine(gpus=8)) if c.name == "all_reduce_perf")
    assert run.argv == ("all_reduce_perf", "-b", "1G", "-e", "16G", "-f", "2", "-n", "50", "-g", "8")


def test_every_level_has_its_tests_and_its_time() -> None:
    assert set(DCGM_TIMEOUT_S) == set(DCGM_TESTS)


def test_versions_of_the_tools_come_from_what_they_print() -> None:
    names = ("nvidia-smi-q.h200.txt", "dcgmi-diag-r2.gb10.json", "all_reduce.a100-2x8.txt", "fio-randread.txt")
    assert tool_versions(read(name) for name in names) == {
        "dcgm": "4.5.2",
        "fio": "3.33",
        "nccl": "2.29.3+cuda13.1",
        "nccl-tests": "2.17.9",
        "nvidia-smi": "580.159.04",
    }
    two = ["# nccl-tests version 2.17.6 a", "# nccl-tests version 2.17.9 b"]
    assert tool_versions(two) == {"nccl-tests": "2.17.6, 2.17.9"}

"""An InfiniBand fabric from its configuration to the subnet manager's files, and back from them to settings."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from fullbore.config.models import Site
from fullbore.plan.hosts import content_of, group_plans
from fullbore_agent.__main__ import main as agent
from fullbore_agent.apply import apply
from fullbore_agent.infiniband import OPENSM_FILE, PARTITIONS_FILE, parse_partitions
from fullbore_agent.settings import drifted, read_all
from fullbore_agent.system import System
from fullbore_sandbox import hardware

TEMPLATES = Path(__file__).parents[3] / "ansible/roles/infiniband/templates"
HOSTS = 40
"""Of two ports each: more than opensm takes in one line of 4,096 characters."""


def host(number: int) -> dict[str, object]:
    guids = {f"mlx5_{port}": f"0x946dae03{number:06x}{port:02x}" for port in (0, 1)}
    return {"serial": f"SN{number}", "port_guids": guids}


def group(first: int, last: int) -> dict[str, object]:
    nics = {"interfaces": ["ibs1", "ibs2"], "hcas": ["mlx5_0", "mlx5_1"]}
    described = {"kind": "storage", "rack": "r01", "cpus": 4, **nics}
    return {**described, "hosts": {f"nvme-{number:02}": host(number) for number in range(first, last)}}


@cache
def site(managed: bool = True) -> Site:
    manager: dict[str, object] = {
        "hosts": ["nvme-01", "nvme-03"],
        "routing": "ftree",
        "partitions": {
            "jobs": {"pkey": 1, "members": {"one": "full", "two": "limited", "nvme-39": "full"}, "ipoib": True},
            "backup": {"pkey": 0x7FFE, "members": {"nvme-02": "full"}},
        },
    }
    planned = {"ipoib": {"mtu_bytes": 4092}, "subnet_manager": manager if managed else None}
    groups = {"one": group(1, 20), "two": group(20, HOSTS)}
    described = {"name": "lab", "cidr": "10.0.0.0/8", "fabric": "infiniband", "infiniband": planned}
    return Site.model_validate({**described, "groups": groups})


@cache
def wants(name: str, managed: bool = True) -> dict[str, str]:
    """{id: want} of the role on one host."""
    for plan in group_plans(site(managed)):
        for each in (each for each in plan.hosts if each.name == name):
            return {s.id: s.want for s in content_of(plan, each).settings if s.role == "infiniband"}
    raise KeyError(name)


def test_each_manager_has_its_place_and_all_hosts_ip_over_infiniband() -> None:
    first, third, second = wants("nvme-01"), wants("nvme-03"), wants("nvme-02")
    assert (first["opensm.sm_priority"], third["opensm.sm_priority"]) == ("14", "13")
    assert (first["opensm.guid"], first["opensm.routing_engine"]) == ("0x946dae0300000100", "ftree")
    for settings in (first, second, third):
        assert (settings["ipoib.ibs2"], settings["mtu.ibs2"]) == ("datagram", "4092")
        assert settings["stopped.opensm.service"] == settings["stopped.opensmd.service"] == "stopped"
    assert second["stopped.fullbore-opensm.service"] == "stopped"
    assert not [id for id in second if id.startswith(("opensm.", "partition.", "unit.fullbore-opensm"))]
    assert list(first).index("ipoib.ibs2") < list(first).index("mtu.ibs1"), "a mode sets an MTU of its own"


def test_no_host_manages_a_subnet_that_somebody_else_does() -> None:
    assert wants("nvme-01", managed=False)["stopped.fullbore-opensm.service"] == "stopped"


def test_partitions_are_made_of_ports_and_a_host_wins_over_its_group() -> None:
    settings = wants("nvme-01")
    assert settings["partition.backup"] == "0x7ffe: 0x946dae0300000200=full, 0x946dae0300000201=full"
    flags, members = settings["partition.jobs"].split(": ")
    assert flags == "0x0001,ipoib,mtu=5"
    assert members.count("=full") == 2 * 20
    assert members.count("=limited") == 2 * 19
    assert "0x946dae0300002700=full" in members
    assert settings["partition.Default"] == "0x7fff,ipoib,mtu=5: ALL=full, ALL_SWITCHES=full, SELF=full"


def test_a_hosts_own_settings_are_in_its_plan_file_too() -> None:
    plan = group_plans(site())[0]
    for each, managed in ((plan.hosts[0], True), (plan.hosts[1], False)):
        listed = {s["id"] for s in json.loads(content_of(plan, each).document_text)["settings"]}
        assert ("opensm.guid" in listed) == managed
        assert "mtu.ibs1" in listed


def rendered(name: str, template: str) -> str:
    settings = [{"id": id, "role": "infiniband", "want": want} for id, want in wants(name).items()]
    templar = Templar(DataLoader(), variables={"fullbore_settings": settings})
    return str(templar.template(trust_as_template((TEMPLATES / template).read_text())))


@cache
def files(name: str) -> dict[str, str]:
    written = {OPENSM_FILE: "opensm.conf.j2", PARTITIONS_FILE: "partitions.conf.j2"}
    return {path: rendered(name, template) for path, template in written.items()}


def machine(tmp_path: Path, name: str) -> System:
    hardware.write(tmp_path / "sysroot", site().groups["one"], name)
    system = System(str(tmp_path / "sysroot"), str(tmp_path / "root"))
    for path, text in files(name).items():
        system.file(path).parent.mkdir(parents=True, exist_ok=True)
        system.file(path).write_text(text)
    return system


OF_FILES = ("opensm.", "partition.", "extra.")


def differs(system: System, name: str) -> list[str]:
    settings = [{"id": i, "role": "r", "want": w} for i, w in wants(name).items() if i.startswith(OF_FILES)]
    values = read_all(system, {setting["id"]: setting["want"] for setting in settings})
    return drifted(settings, values).get("r", [])


def test_what_the_templates_write_is_read_back_as_planned(tmp_path: Path) -> None:
    system = machine(tmp_path, "nvme-01")
    assert differs(system, "nvme-01") == []
    assert max(map(len, system.file(PARTITIONS_FILE).read_text().splitlines())) < 4096


@pytest.mark.parametrize(
    ("path", "old", "new", "shown"),
    [
        (OPENSM_FILE, "sm_priority 14", "sm_priority 0", ["opensm.sm_priority"]),
        (OPENSM_FILE, "guid ", "lmc 1\nguid ", ["extra.opensm"]),
        (PARTITIONS_FILE, "0x946dae0300000200=full", "0x946dae0300000200=limited", ["partition.backup"]),
        (PARTITIONS_FILE, "SELF=full", "SELF=full;\nold=0x0005: ALL=full", ["extra.partition"]),
    ],
)
def test_what_somebody_changed_is_drift(tmp_path: Path, path: str, old: str, new: str, shown: list[str]) -> None:
    system = machine(tmp_path, "nvme-01")
    text = system.file(path).read_text()
    assert text.count(old) == 1 or path == PARTITIONS_FILE
    system.file(path).write_text(text.replace(old, new, 1))
    assert differs(system, "nvme-01") == shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Default=0x7fff: ALL=full", "no ; ends"),
        ("Default=0x7fff ALL=full;", "cannot read"),
        ("jobs=0x0001: 0x946dae0300000100=ful;", "at '0x946dae0300000100=ful'"),
        ("jobs=0x0001: 946dae0300000100=full;", "at '946dae0300000100=full'"),
        ("jobs=0x0001,ipiob: ALL=full;", "cannot read"),
        ("jobs=0x0001: ALL=full;\ntests=0x0001: ALL=full;", "0x0001 has two names"),
        ("jobs=0x0001: ALL=full;\njobs=0x0002: ALL=full;", "jobs is 0x0001 and 0x0002"),
    ],
)
def test_a_file_that_opensm_would_misread_is_refused_before_it_replaces_another(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "partitions.conf"
    file.write_text(text)
    assert agent(["check-partitions", str(file)]) == 2
    assert said in capsys.readouterr().err
    file.write_text("# ours\nDefault=0x7fff , ipoib, mtu=5: ALL = full, # everybody\n SELF=full;\n")
    assert agent(["check-partitions", str(file)]) == 0
    assert parse_partitions(file.read_text()) == [("Default", "0x7fff,ipoib,mtu=5: ALL=full, SELF=full")]


def test_mode_and_mtu_are_applied_and_a_port_without_ipoib_is_named(tmp_path: Path) -> None:
    system = machine(tmp_path, "nvme-01")
    both = {"ipoib.ibs1": "connected", "mtu.ibs1": "65520"}
    wanted = [{"id": id, "role": "infiniband", "want": want} for id, want in both.items()]
    assert apply(system, wanted).failures == []
    assert apply(system, wanted) == ([], [])
    applied = apply(system, [{"id": "ipoib.eth9", "role": "infiniband", "want": "datagram"}])
    assert [failure.partition(":")[0] for failure in applied.failures] == ["ipoib.eth9"]

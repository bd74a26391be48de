"""What is planned of a machine beside what is in it: differences by path, tables, and rows to paste."""

from copy import deepcopy
from typing import Any

import pytest
import yaml
from redfish_double import V1, Documents, getter, gpu_host

from fullbore.bmc import Access, BmcError, Inventory, read
from fullbore.bmc.ask import access_to, addresses
from fullbore.bmc.compare import PlannedHost, differences, planned_hosts
from fullbore.config import ConfigError, Environment, parse
from fullbore.report.discover import Discovered, document, rows, section, told, unlisted

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
SLOTS = [
    {"numa_node": 0, "at": "r0", "nvme": ["nvme0n1", "nvme1n1"]},
    {"numa_node": 0, "at": "r1", "nvme": ["nvme2n1"]},
]
GROUP: dict[str, Any] = {
    "kind": "gpu",
    "rack": "r01",
    "accelerator": "a100-80",
    "gpus_per_host": 8,
    "numa_nodes": 1,
    "cpus": 256,
    "memory_gib": 2048,
    "hcas": ["mlx5_0", "mlx5_1"],
    "machine": {"sockets": 1, "cores_per_socket": 128, "numa_nodes": 1, "pcie": SLOTS},
    "hosts": {
        "gpu-02": {
            "serial": "EXA100-0002",
            "address": "192.0.2.12",
            "host_key": KEY,
            "bmc": "192.0.2.112",
            "port_guids": {"mlx5_0": "0xb8cef60300000001"},
        }
    },
}


def environment(**group: object) -> Environment:
    site = {
        "name": "hall",
        "cidr": "192.0.2.0/24",
        "fabric": "infiniband",
        "bmc": {"user": "u", "password": "[secret]"},
    }
    return parse({"name": "example", "site": {**site, "groups": {"gpu": {**deepcopy(GROUP), **group}}}})


def planned(**group: object) -> PlannedHost:
    site = environment(**group).site
    assert site
    return planned_hosts(site)[0]


def machine(documents: Documents | None = None) -> Inventory:
    documents = documents or gpu_host()
    return read("bmc-1", documents[f"{V1}/"], getter(documents))


def other_host(**host: object) -> dict[str, Any]:
    return {"hosts": {"gpu-02": {**GROUP["hosts"]["gpu-02"], **host}}}


def test_a_machine_that_is_as_planned_has_no_difference() -> None:
    assert differences(planned(), machine()) == ()


@pytest.mark.parametrize(
    ("group", "told"),
    [
        (other_host(serial="X-1"), "site.groups.gpu.hosts.gpu-02.serial: planned X-1, found EXA100-0002"),
        ({"gpus_per_host": 4}, "site.groups.gpu.gpus_per_host: planned 4, found 8"),
        ({"accelerator": "h100"}, "site.groups.gpu.accelerator: planned h100, found A100-SXM4-80GB"),
        ({"accelerator": "a100-40"}, "site.groups.gpu.accelerator: planned a100-40, found A100-SXM4-80GB with 80 GiB"),
        ({"cpus": 128}, "site.groups.gpu.cpus: planned 128, found 256"),
        ({"memory_gib": 1984}, "site.groups.gpu.memory_gib: planned 1984, found 2048"),
        ({"hcas": ["mlx5_0", "mlx5_1", "mlx5_2"]}, "site.groups.gpu.hcas: planned 3, found 2 ports"),
        (
            other_host(port_guids={"mlx5_0": "0xb8cef60300000009"}),
            "site.groups.gpu.hosts.gpu-02.port_guids.mlx5_0: planned 0xb8cef60300000009, found no adapter with it",
        ),
    ],
)
def test_a_difference_says_its_path(group: dict[str, Any], told: str) -> None:
    assert [str(each) for each in differences(planned(**group), machine())] == [told]


@pytest.mark.parametrize("group", [{"memory_gib": 2000}, {"hcas": ["mlx5_0"]}])
def test_what_may_differ(group: dict[str, Any]) -> None:
    """Memory by less than a module; adapters beside those of the fabric."""
    assert differences(planned(**group), machine()) == ()


def test_drives_that_are_missing_are_told() -> None:
    documents = gpu_host()
    documents[f"{V1}/Systems/Host/Storage/1"]["Drives"] = documents[f"{V1}/Systems/Host/Storage/1"]["Drives"][:2]
    assert [str(each) for each in differences(planned(), machine(documents))] == [
        "site.groups.gpu.machine.pcie: planned 3 NVMe drives, found 2"
    ]


def test_what_a_bmc_does_not_say_is_no_difference() -> None:
    documents = {path: {**document} for path, document in gpu_host().items()}
    host = documents[f"{V1}/Systems/Host"]
    for name in ("Processors", "MemorySummary", "Storage", "SerialNumber"):
        del host[name]
    documents[f"{V1}/Systems"]["Members"] = [{"@odata.id": f"{V1}/Systems/Host"}]
    documents[f"{V1}/Chassis"]["Members"] = []
    assert differences(planned(), machine(documents)) == ()


def test_the_table_names_what_differs_and_who_does_not_answer() -> None:
    silent = BmcError("192.0.2.112", "not reached (Connection refused); check its address")
    hosts = [
        Discovered(planned=planned(gpus_per_host=4), bmc="192.0.2.112", answer=machine()),
        Discovered(planned=planned(), bmc="192.0.2.112", answer=silent),
    ]
    table = section(hosts, ["gpu-03"])
    assert table.rows[0]["GPUs"] == "8 (planned 4)"
    assert [row["as planned"] for row in table.rows] == ["no", "no answer"]
    assert table.note.splitlines() == [
        "site.groups.gpu.gpus_per_host: planned 4, found 8 in gpu-02",
        "site.groups.gpu.hosts.gpu-02.bmc: not reached (Connection refused); check its address",
        "not asked, for the environment names no BMC of them: gpu-03",
    ]
    written = document("example", hosts[:1], [])["hosts"]
    assert isinstance(written, dict)
    assert written["gpu-02"]["differences"][0]["path"] == "site.groups.gpu.gpus_per_host"
    assert len(written["gpu-02"]["inventory"]["gpus"]) == 8


def test_parts_that_are_not_well_are_told_of_a_machine_that_is_as_planned() -> None:
    documents = gpu_host()
    documents[f"{V1}/Systems/Baseboard/Processors/GPU4"]["Status"] = {"State": "Enabled", "Health": "Warning"}
    host = Discovered(planned=planned(), bmc="192.0.2.112", answer=machine(documents))
    assert (host.as_planned, list(told(host))) == (True, ["gpu-02: GPU GPU4 is Warning"])


def test_rows_of_machines_that_nobody_listed_can_be_pasted() -> None:
    found = {"192.0.2.113": machine(gpu_host("EX/7 'b\"\n")), "192.0.2.114": machine()}
    new = unlisted(found, ["EXA100-0002"])
    assert list(new) == ["192.0.2.113"]
    text = rows(new)
    assert text.startswith("# Example EX-8A100: 8 GPUs (A100-SXM4-80GB), 2048 GiB, 4 NVMe drives, 2 HCA ports\n")
    assert yaml.safe_load(text) == {"host-ex-7-b": {"serial": "EX/7 'b\"", "bmc": "192.0.2.113"}}
    again = other_host()["hosts"] | yaml.safe_load(rows({"192.0.2.114:8443": found["192.0.2.114"]}))
    assert environment(hosts=again)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("192.0.2.1-192.0.2.3", ("192.0.2.1", "192.0.2.2", "192.0.2.3")),
        ("192.0.2.0/30, bmc-07.example:8443", ("192.0.2.1", "192.0.2.2", "bmc-07.example:8443")),
        ("192.0.2.9,192.0.2.9", ("192.0.2.9",)),
    ],
)
def test_addresses_are_written_in_several_ways(written: str, found: tuple[str, ...]) -> None:
    assert addresses(written) == found


@pytest.mark.parametrize(
    "written", ["", "192.0.2.5-192.0.2.x", "192.0.2.1/24", "10.0.0.0/8", "-v", "192.0.2.9-192.0.2.1"]
)
def test_addresses_that_are_none_are_refused(written: str) -> None:
    with pytest.raises(ConfigError, match=r"--range: got"):
        addresses(written)


def test_the_group_s_own_account_wins_and_the_variable_over_what_is_encrypted() -> None:
    site = environment(bmc={"user": "rack", "insecure": True}).site
    assert site
    asked: list[tuple[str, ...]] = []

    def secret(field: tuple[str, ...]) -> str | None:
        asked.append(field)
        return "opened" if field == ("site", "bmc", "password") else None

    assert access_to(site, "", "b", secret, {}) == Access(address="b", user="u", password="opened")
    own = access_to(site, "gpu", "b", secret, {"FULLBORE_BMC_PASSWORD": "given"})
    assert (own.user, own.password, own.insecure) == ("rack", "given", True)
    with pytest.raises(ConfigError, match=r"site\.groups\.gpu\.bmc\.password: missing; export FULLBORE_BMC_PASSWORD"):
        access_to(site, "gpu", "b", secret, {})
    with pytest.raises(ConfigError, match=r"site\.bmc\.password: no passphrase at hand opens it"):
        access_to(site, "", "b", lambda field: None, {})
    assert asked == [("site", "bmc", "password")]

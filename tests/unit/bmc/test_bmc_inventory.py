"""What is in a machine, from the Redfish resources of its BMC."""

import pytest
from redfish_double import ABSENT, V1, Documents, collection, getter, gpu_host, link

from fullbore.bmc import BmcError, Inventory, read
from fullbore.bmc.documents import Document

BOOTS = {"BootSourceOverrideTarget@Redfish.AllowableValues": ["Pxe"]}
SYSTEM, CHASSIS = f"{V1}/Systems/Host", f"{V1}/Chassis/Main"


def of(documents: Documents) -> Inventory:
    return read("bmc-1", documents[f"{V1}/"], getter(documents))


@pytest.fixture
def documents() -> Documents:
    return gpu_host()


def test_everything_that_is_plugged_in_is_read(documents: Documents) -> None:
    found = of(documents)
    assert (found.serial, found.manufacturer, found.model) == ("EXA100-0002", "Example", "EX-8A100")
    assert (found.power, found.bios, found.bmc) == ("On", "1.21", "24.01.05")
    assert (found.memory_gib, found.threads, len(found.cpus)) == (2048, 256, 2)
    assert [(gpu.name, gpu.memory_gib) for gpu in found.gpus] == [(f"GPU{n}", 80) for n in range(1, 9)]
    assert [drive.name for drive in found.nvme] == ["Nvme1", "Nvme2", "Nvme3", "Nvme4"]
    assert found.nvme[0].capacity_gb == pytest.approx(3840.756)
    assert [(psu.name, psu.capacity_watts) for psu in found.power_supplies] == [(f"PSU{n}", 3000) for n in range(1, 5)]
    assert {each.name: each.version for each in found.firmware} == {"BMC": "24.01.05", "CPLD": "0x0A"}
    assert (found.boot.target, found.boot.enabled, found.boot.mode) == ("None", "Disabled", "UEFI")


def test_an_hca_is_told_from_other_adapters(documents: Documents) -> None:
    found = of(documents)
    assert [adapter.name for adapter in found.adapters] == ["Slot1", "Slot2", "Lan"]
    assert [(hca.macs, hca.guids) for hca in found.hcas] == [
        (("b8:ce:f6:00:00:01",), ("b8cef60300000001",)),
        (("b8:ce:f6:00:00:02",), ("b8cef60300000002",)),
    ]
    assert found.hcas[0].firmware == "20.39.2048"


def test_ports_tell_addresses_where_functions_do_not(documents: Documents) -> None:
    path = f"{CHASSIS}/NetworkAdapters/Slot1"
    documents[path]["NetworkDeviceFunctions"] = link(f"{path}/gone")
    ports = {n: {"Ethernet": {"AssociatedMACAddresses": [f"b8:ce:f6:00:01:0{n}"]}} for n in "12"}
    documents[path]["Ports"] = collection(documents, f"{path}/Ports", ports)
    hca = of(documents).hcas[0]
    assert (hca.ports, hca.macs) == (2, ("b8:ce:f6:00:01:01", "b8:ce:f6:00:01:02"))


def test_gpus_are_found_among_pcie_devices_where_no_processor_is_one(documents: Documents) -> None:
    gpu = {"DeviceClass": "DisplayController", "VendorId": "0x10DE"}
    console = {"DeviceClass": "DisplayController", "VendorId": "0x1A03"}
    del documents[f"{V1}/Systems/Baseboard"]
    documents[f"{V1}/Systems"]["Members"] = [link(SYSTEM)]
    devices = {
        name: {"PCIeFunctions": collection(documents, f"{CHASSIS}/PCIeDevices/{name}/PCIeFunctions", {"0": function})}
        for name, function in {"Gpu1": gpu, "Gpu2": gpu, "Vga": console}.items()
    }
    documents[CHASSIS]["PCIeDevices"] = collection(documents, f"{CHASSIS}/PCIeDevices", devices)
    assert [each.name for each in of(documents).gpus] == ["Gpu1", "Gpu2"]


def test_the_older_power_resource_is_read_where_there_is_no_subsystem(documents: Documents) -> None:
    del documents[CHASSIS]["PowerSubsystem"]
    assert [psu.name for psu in of(documents).power_supplies] == ["0", "1"]


def test_interfaces_stand_in_for_adapters(documents: Documents) -> None:
    del documents[CHASSIS]["NetworkAdapters"]
    interfaces = {"NIC1": {"PermanentMACAddress": "3C:EC:EF:00:00:01"}}
    documents[SYSTEM]["EthernetInterfaces"] = collection(documents, f"{SYSTEM}/EthernetInterfaces", interfaces)
    found = of(documents)
    assert [adapter.macs for adapter in found.adapters] == [("3c:ec:ef:00:00:01",)]
    assert found.hcas == ()


def test_a_bmc_that_says_next_to_nothing_is_read_too() -> None:
    documents: Documents = {f"{V1}/": {"Systems": link(f"{V1}/Systems")}}
    collection(documents, f"{V1}/Systems", {"1": {"Processors": None, "MemorySummary": [], "PowerState": 3}})
    found = of(documents)
    assert (found.serial, found.power, found.memory_gib, found.threads) == ("", "", None, None)
    assert (found.gpus, found.adapters, found.drives, found.power_supplies, found.firmware) == ((), (), (), (), ())


def test_a_part_that_two_places_list_counts_once(documents: Documents) -> None:
    same = {"ProcessorType": "GPU", "SerialNumber": "GPU-1"}
    documents[f"{SYSTEM}/Processors/GPU1"] = same
    documents[f"{SYSTEM}/Processors"]["Members"].append(link(f"{SYSTEM}/Processors/GPU1"))
    assert len(of(documents).gpus) == 8


def test_parts_that_are_not_well_are_named(documents: Documents) -> None:
    documents[f"{CHASSIS}/PowerSubsystem/PowerSupplies/PSU3"]["Status"] = {"State": "Enabled", "Health": "Critical"}
    documents[f"{V1}/Systems/Baseboard/Processors/GPU4"]["Status"] = {"State": "Enabled", "Health": "Warning"}
    assert list(of(documents).unwell) == ["GPU GPU4 is Warning", "power supply PSU3 is Critical"]


def test_collections_come_page_by_page_and_expanded(documents: Documents) -> None:
    root = documents[f"{V1}/"]
    root["ProtocolFeaturesSupported"] = {"ExpandQuery": {"NoLinks": True}}
    asked: list[str] = []
    whole = f"{SYSTEM}/Processors"
    documents[whole]["Members"] = [link(f"{whole}/CPU1")]
    documents[whole]["Members@odata.nextLink"] = f"{whole}?$skip=1"
    documents[f"{whole}?$skip=1"] = {
        "Members": [documents[f"{whole}/CPU2"]],
        "Members@odata.nextLink": f"{whole}?$skip=1",  # a page that leads to itself is the last
    }
    documents[f"{V1}/Chassis?$expand=.($levels=1)"] = {"Members": [documents[CHASSIS]]}

    def get(path: str) -> dict[str, object] | None:
        asked.append(path)
        return documents.get(path)

    assert len(read("bmc-1", root, get).cpus) == 2
    assert CHASSIS not in asked


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({}, "manages no machine"),
        (
            {name: {"Boot": {"BootSourceOverrideTarget@Redfish.AllowableValues": ["Pxe"]}} for name in "ab"},
            "2 machines",
        ),
    ],
)
def test_an_enclosure_is_no_machine(members: dict[str, dict[str, object]], told: str) -> None:
    documents: Documents = {f"{V1}/": {"Systems": link(f"{V1}/Systems")}}
    collection(documents, f"{V1}/Systems", members)
    with pytest.raises(BmcError, match=told):
        of(documents)


def test_an_empty_bay_is_no_part(documents: Documents) -> None:
    documents[f"{CHASSIS}/NetworkAdapters/Slot2"]["Status"] = ABSENT
    assert [hca.name for hca in of(documents).hcas] == ["Slot1"]


def test_a_resource_that_fails_is_named_and_the_rest_is_read(documents: Documents) -> None:
    def get(path: str) -> Document | None:
        if "PowerSubsystem" in path:
            raise BmcError("bmc-1", f"{path}: got HTTP 500", partial=True)
        return documents.get(path)

    found = read("bmc-1", documents[f"{V1}/"], get)
    assert found.unread == (f"{CHASSIS}/PowerSubsystem: got HTTP 500",)
    assert (len(found.gpus), [psu.name for psu in found.power_supplies]) == (8, ["0", "1"])


def test_a_bmc_that_goes_away_is_no_inventory(documents: Documents) -> None:
    def get(path: str) -> Document | None:
        raise BmcError("bmc-1", "not reached", partial="Systems" not in path)

    with pytest.raises(BmcError, match="not reached"):
        read("bmc-1", documents[f"{V1}/"], get)


def test_makers_fill_serial_numbers_with_the_same_word(documents: Documents) -> None:
    for number in range(1, 5):
        documents[f"{SYSTEM}/Drives/Nvme{number}"]["SerialNumber"] = "To be filled"
    assert len(of(documents).nvme) == 4

"""A machine's Redfish resources, written after the DMTF's schemas, and a small HTTPS service that has them."""

from __future__ import annotations

import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bmc_certificate import certificate_for

from fullbore.bmc.documents import Document, Get

V1 = "/redfish/v1"
USER, PASSWORD = "operator", "a test's password"
OK = {"State": "Enabled", "Health": "OK"}
ABSENT = {"State": "Absent"}
Documents = dict[str, dict[str, Any]]


def link(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def collection(documents: Documents, path: str, members: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Put a collection and its members; its link."""
    for name, member in members.items():
        documents[f"{path}/{name}"] = {"@odata.id": f"{path}/{name}", "Id": name, "Name": name, **member}
    documents[path] = {"@odata.id": path, "Members": [link(f"{path}/{name}") for name in members]}
    return link(path)


def gpu_host(serial: str = "EXA100-0002", gpus: int = 8, hcas: int = 2, psus: int = 4) -> Documents:
    """A machine with a GPU baseboard that is a system of its own, and one empty bay of each kind."""
    documents: Documents = {}
    system, board, chassis = f"{V1}/Systems/Host", f"{V1}/Systems/Baseboard", f"{V1}/Chassis/Main"
    adapters = {f"Slot{n}": _adapter(documents, f"{chassis}/NetworkAdapters/Slot{n}", n) for n in range(1, hcas + 1)}
    adapters["Lan"] = {"Manufacturer": "Intel", "Model": "X710", "Status": OK, "Controllers": [{}]}
    supplies = {f"PSU{n}": _supply(n) for n in range(1, psus + 1)} | {f"PSU{psus + 1}": {"Status": ABSENT}}
    drives = {f"Nvme{n}": _drive(n) for n in range(1, 5)} | {"Nvme5": {"Status": ABSENT}}
    documents[f"{V1}/"] = {
        "@odata.id": f"{V1}/",
        "Id": "RootService",
        "Name": "Root Service",
        "RedfishVersion": "1.15.0",
        "Links": {"Sessions": link(f"{V1}/SessionService/Sessions")},
        "Systems": collection(
            documents,
            f"{V1}/Systems",
            {
                "Baseboard": {
                    "Processors": collection(
                        documents,
                        f"{board}/Processors",
                        {f"GPU{n}": _gpu(n) for n in range(1, gpus + 1)} | {"GPU99": {"Status": ABSENT}},
                    )
                },
                "Host": {
                    "Manufacturer": "Example",
                    "Model": "EX-8A100",
                    "SerialNumber": serial,
                    "PowerState": "On",
                    "BiosVersion": "1.21",
                    "Status": OK,
                    "Boot": {
                        "BootSourceOverrideTarget": "None",
                        "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd"],
                        "BootSourceOverrideEnabled": "Disabled",
                        "BootSourceOverrideMode": "UEFI",
                    },
                    "MemorySummary": {"TotalSystemMemoryGiB": 2048},
                    "Processors": collection(documents, f"{system}/Processors", {f"CPU{n}": _cpu() for n in (1, 2)}),
                    "Storage": collection(
                        documents, f"{system}/Storage", {"1": {"Drives": _links(documents, f"{system}/Drives", drives)}}
                    ),
                    "Links": {"ManagedBy": [link(f"{V1}/Managers/BMC")]},
                    "Actions": {
                        "#ComputerSystem.Reset": {
                            "target": f"{system}/Actions/ComputerSystem.Reset",
                            "ResetType@Redfish.AllowableValues": [
                                "On",
                                "ForceOff",
                                "GracefulShutdown",
                                "ForceRestart",
                                "PowerCycle",
                            ],
                        }
                    },
                },
            },
        ),
        "Chassis": collection(
            documents,
            f"{V1}/Chassis",
            {
                "Main": {
                    "SerialNumber": serial,
                    "NetworkAdapters": collection(documents, f"{chassis}/NetworkAdapters", adapters),
                    "PowerSubsystem": link(f"{chassis}/PowerSubsystem"),
                    "Power": link(f"{chassis}/Power"),
                }
            },
        ),
        "Managers": collection(documents, f"{V1}/Managers", {"BMC": {"FirmwareVersion": "24.01.05"}}),
        "UpdateService": link(f"{V1}/UpdateService"),
    }
    documents[f"{chassis}/PowerSubsystem"] = {
        "PowerSupplies": collection(documents, f"{chassis}/PowerSubsystem/PowerSupplies", supplies)
    }
    documents[f"{chassis}/Power"] = {
        "PowerSupplies": [{"MemberId": "0", **_supply(1)}, {"MemberId": "1", **_supply(2)}]
    }
    documents[f"{V1}/UpdateService"] = {
        "FirmwareInventory": collection(
            documents,
            f"{V1}/UpdateService/FirmwareInventory",
            {"BMC": {"Version": "24.01.05"}, "CPLD": {"Version": "0x0A"}, "PSU9": {"Version": None}},
        )
    }
    return documents


def _links(documents: Documents, path: str, members: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    collection(documents, path, members)
    return [link(f"{path}/{name}") for name in members]


def _cpu() -> dict[str, Any]:
    return {"ProcessorType": "CPU", "Model": "EPYC 7742", "TotalCores": 64, "TotalThreads": 128, "Status": OK}


def _gpu(number: int) -> dict[str, Any]:
    return {
        "ProcessorType": "GPU",
        "Manufacturer": "NVIDIA",
        "Model": "A100-SXM4-80GB",
        "SerialNumber": f"GPU-{number}",
        "FirmwareVersion": "92.00.45.00.03",
        "MemorySummary": {"TotalMemorySizeMiB": 81920},
        "Status": OK,
    }


def _adapter(documents: Documents, path: str, number: int) -> dict[str, Any]:
    functions = {
        "NIC.1": {
            "NetDevFuncType": "InfiniBand",
            "Ethernet": {"MACAddress": f"B8-CE-F6-00-00-0{number}"},
            "InfiniBand": {"PermanentPortGUID": f"B8:CE:F6:03:00:00:00:0{number}"},
        }
    }
    return {
        "Manufacturer": "NVIDIA",
        "Model": "ConnectX-6 HDR",
        "SerialNumber": f"MT{number:04}",
        "Controllers": [
            {"FirmwarePackageVersion": "20.39.2048", "ControllerCapabilities": {"NetworkPortCount": 1}},
        ],
        "NetworkDeviceFunctions": collection(documents, f"{path}/NetworkDeviceFunctions", functions),
        "Status": OK,
    }


def _drive(number: int) -> dict[str, Any]:
    return {
        "Protocol": "NVMe",
        "Model": "EX3840",
        "SerialNumber": f"NVME-{number}",
        "CapacityBytes": 3_840_755_982_336,
        "Revision": "GDC5",
        "Status": OK,
    }


def _supply(number: int) -> dict[str, Any]:
    return {"Model": "PS-3000", "SerialNumber": f"PSU-{number}", "PowerCapacityWatts": 3000, "Status": OK}


def few(documents: Documents) -> Documents:
    """Without what takes many requests: for tests over the network."""
    for path, names in {
        f"{V1}/Systems/Host": ("Storage", "Links"),
        f"{V1}/Chassis/Main": ("PowerSubsystem", "Power"),
        f"{V1}/": ("UpdateService",),
    }.items():
        for name in names:
            del documents[path][name]
    return documents


def getter(documents: Documents) -> Get:
    def get(path: str) -> Document | None:
        return documents.get(path)

    return get


@dataclass
class Service:
    """A running service: what it has, and what it was asked."""

    documents: Documents
    address: str = ""
    ca_file: str = ""
    asked: list[str] = field(default_factory=list[str])
    """`METHOD PATH`, in the order that they came."""
    sessions: set[str] = field(default_factory=set[str])
    failures: dict[str, int] = field(default_factory=dict[str, int])
    """{METHOD PATH: HTTP status that is answered instead}"""
    hangs: bool = False
    """Whether the machine's system ignores that it is asked to shut down."""


@contextmanager
def serving(folder: Path, documents: Documents) -> Iterator[Service]:
    """Serve the documents over TLS, on a free port of the loopback."""
    service = Service(deepcopy(documents))
    certificate, key = certificate_for(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(service))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda request, client_address: None  # a client that refuses the certificate hangs up
    service.address, service.ca_file = f"127.0.0.1:{server.server_address[1]}", str(certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    sessions = f"{V1}/SessionService/Sessions"
    basic = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer goes out whole
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is said of a request."""

        def do_GET(self) -> None:
            self._answer(lambda body: (200, service.documents[self.path], {}))

        def do_POST(self) -> None:
            self._answer(self._post)

        def do_PATCH(self) -> None:
            self._answer(self._patch)

        def do_DELETE(self) -> None:
            service.sessions.discard(self.path)
            self._answer(lambda body: (204, {}, {}))

        def _post(self, body: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
            if self.path == sessions:
                if (body["UserName"], body["Password"]) != (USER, PASSWORD):
                    return 401, {}, {}
                service.sessions.add(f"{sessions}/1")
                return 201, {}, {"X-Auth-Token": "token", "Location": f"{sessions}/1"}
            system = service.documents[self.path.partition("/Actions/")[0]]
            if not (service.hangs and body["ResetType"] == "GracefulShutdown"):
                system["PowerState"] = "Off" if body["ResetType"] in ("ForceOff", "GracefulShutdown") else "On"
            return 204, {}, {}

        def _patch(self, body: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
            service.documents[self.path]["Boot"].update(body["Boot"])
            return 204, {}, {}

        def _answer(self, act: Any) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
            asked = f"{self.command} {self.path}"
            service.asked.append(asked)
            status, document, headers = self._judged(asked) or self._acted(act, body)
            content = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content)), "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True

        def _judged(self, asked: str) -> tuple[int, dict[str, Any], dict[str, str]] | None:
            if asked in service.failures:
                return service.failures[asked], {"error": {"message": "as the test wants it"}}, {}
            free = self.path == f"{V1}/" or asked == f"POST {sessions}"
            allowed = self.headers.get("X-Auth-Token") == "token" or self.headers.get("Authorization") == basic
            return None if free or allowed else (401, {}, {})

        def _acted(self, act: Any, body: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
            try:
                return act(body)
            except KeyError:
                return 404, {}, {}

    return Handler

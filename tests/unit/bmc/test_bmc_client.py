"""A session on a BMC, against a small HTTPS service, and what is told where there is none."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from socket import socket

import pytest
from redfish_double import PASSWORD, USER, V1, Service, few, gpu_host, serving

from fullbore.bmc import Access, BmcError, connect, read


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("bmc"), few(gpu_host(gpus=1, hcas=1))) as service:
        yield service


@pytest.fixture
def service(running: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    for name in ("HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sushy.connector.time.sleep", lambda seconds: None)
    running.asked.clear()
    running.failures.clear()
    return running


@pytest.fixture
def access(service: Service) -> Access:
    return Access(address=service.address, user=USER, password=PASSWORD, ca_file=service.ca_file)


def test_a_machine_is_read_in_a_session_that_ends(service: Service, access: Access) -> None:
    with connect(access) as bmc:
        assert len(service.sessions) == 1
        found = read(bmc.address, bmc.root, bmc.get)
    assert (found.serial, len(found.gpus), len(found.hcas)) == ("EXA100-0002", 1, 1)
    assert service.sessions == set()


def test_without_sessions_the_password_goes_with_each_request(service: Service, access: Access) -> None:
    service.failures[f"POST {V1}/SessionService/Sessions"] = 503
    with connect(access) as bmc:
        assert bmc.get(f"{V1}/Systems") is not None
        assert bmc.get(f"{V1}/Nothing") is None
        asked = len(service.asked)
        assert [bmc.get(path) for path in ("https://192.0.2.1/redfish/v1/", "//192.0.2.1/", "")] == [None] * 3
        assert len(service.asked) == asked


def test_a_wrong_password_is_tried_once(service: Service, access: Access) -> None:
    with (
        pytest.raises(BmcError, match=r"password is wrong \(HTTP 401\); correct") as caught,
        connect(replace(access, password="mistyped")),
    ):
        pass
    assert "mistyped" not in str(caught.value)
    assert [asked for asked in service.asked if asked != f"GET {V1}/"] == [f"POST {V1}/SessionService/Sessions"]


def test_a_certificate_that_nobody_trusts_is_refused(access: Access) -> None:
    with (
        pytest.raises(BmcError, match="certificate is not trusted"),
        connect(replace(access, ca_file=None)),
    ):
        pass
    with connect(replace(access, ca_file=None, insecure=True)) as bmc:
        assert bmc.root["RedfishVersion"] == "1.15.0"


def test_what_is_wrong_is_told(service: Service, access: Access, tmp_path: Path) -> None:
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{unused.getsockname()[1]}"
        with (
            pytest.raises(BmcError, match=rf"BMC {closed}: not reached .*; check its address"),
            connect(replace(access, address=closed)),
        ):
            pass
    with (
        pytest.raises(BmcError, match=r"ca_file .* is no file"),
        connect(replace(access, ca_file=str(tmp_path / "gone.pem"))),
    ):
        pass
    service.failures[f"GET {V1}/Systems"] = 500
    with connect(access) as bmc, pytest.raises(BmcError, match=r"Systems: got HTTP 500 \(as the test wants it\)"):
        bmc.get(f"{V1}/Systems")
    service.failures[f"GET {V1}/Chassis"] = 403
    with connect(access) as bmc, pytest.raises(BmcError, match="may not do this"):
        bmc.get(f"{V1}/Chassis")
    service.failures[f"GET {V1}/"] = 404
    with pytest.raises(BmcError, match="got no Redfish service at /redfish/v1/"), connect(access):
        pass


def test_an_expansion_that_is_claimed_and_not_done_is_no_fault(service: Service, access: Access) -> None:
    path = f"{V1}/Chassis?$expand=.($levels=1)"
    service.failures[f"GET {path}"] = 501
    with connect(access) as bmc:
        assert bmc.get(path) is None


def test_a_password_is_not_printed(access: Access) -> None:
    assert PASSWORD not in repr(access)

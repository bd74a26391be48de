"""`fullbore discover` against a small HTTPS service."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from redfish_double import PASSWORD, USER, Service, few, gpu_host, serving
from test_bmc_compare import GROUP

from fullbore.cli import main

CLOSED = "127.0.0.1:1"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("bmc"), few(gpu_host(gpus=1, hcas=1))) as running:
        yield running


@pytest.fixture
def environment(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One host behind the service, one behind a closed port, one without a BMC."""
    for name in ("HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FULLBORE_BMC_PASSWORD", PASSWORD)
    return written(tmp_path, service, service.address)


def written(folder: Path, service: Service, address: str) -> Path:
    host = GROUP["hosts"]["gpu-02"]
    hosts: dict[str, Any] = {"gpu-01": {"serial": "EX-1", "bmc": CLOSED}, "gpu-03": {"serial": "EX-3"}}
    hosts["gpu-02"] = {"serial": host["serial"], "bmc": address}
    group = {**GROUP, "gpus_per_host": 1, "hcas": ["mlx5_0"], "hosts": hosts}
    site = {"name": "hall", "cidr": "192.0.2.0/24", "fabric": "roce", "groups": {"gpu": group}}
    site["bmc"] = {"user": USER, "ca_file": service.ca_file}
    path = folder / "example.yaml"
    path.write_text(yaml.safe_dump({"config": {"fullbore:env": {"name": "example", "sandbox": {}, "site": site}}}))
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return int(end.value.code or 0)


def test_hosts_are_read_beside_one_that_does_not_answer(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("discover", environment, "--json") == 2
    document = json.loads(capsys.readouterr().out)
    assert document["hosts"]["gpu-02"]["as_planned"] is True
    assert document["hosts"]["gpu-01"]["error"].startswith("not reached (Connection refused)")
    assert document["without_bmc"] == ["gpu-03"]


def test_a_range_gives_rows_of_machines_that_are_new(
    environment: Path, service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unlisted = written(tmp_path, service, "192.0.2.9")
    unlisted.write_text(unlisted.read_text().replace("EXA100-0002", "another"))
    assert run("discover", unlisted, "--range", f"{service.address},127.0.0.1:2") == 0
    out, err = capsys.readouterr()
    assert yaml.safe_load(out) == {"host-exa100-0002": {"serial": "EXA100-0002", "bmc": service.address}}
    assert "1 machines, 1 of them new; 1 addresses are silent" in err


def test_a_password_that_is_not_at_hand_is_told_before_anything_is_asked(
    environment: Path, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FULLBORE_BMC_PASSWORD")
    service.asked.clear()
    assert run("discover", environment) == 2
    assert "site.bmc.password: missing; export FULLBORE_BMC_PASSWORD" in capsys.readouterr().err
    assert run("discover", environment, "--range", "b", "--group", "gone") == 2
    assert "--group: got gone, allowed gpu" in capsys.readouterr().err
    assert service.asked == []

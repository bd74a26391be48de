"""Switching a machine through a small HTTPS service, and whether one that serves may go off."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redfish_double import PASSWORD, USER, V1, Service, gpu_host, serving

from fullbore.bmc import Access, Bmc, BmcError, connect
from fullbore.bmc.compare import PlannedHost, planned_hosts
from fullbore.bmc.power import Clock, Switch
from fullbore.cli import main
from fullbore.config import ConfigError, Environment, load_file
from fullbore.machines.power import release
from fullbore.plan import Plan, make_plan
from fullbore.provider.drain import Kubectl

SYSTEM = f"{V1}/Systems/Host"
RESET = f"POST {SYSTEM}/Actions/ComputerSystem.Reset"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    documents = {path: each for path, each in gpu_host().items() if path in (f"{V1}/", f"{V1}/Systems", SYSTEM)}
    documents[f"{V1}/Systems"]["Members"] = [{"@odata.id": SYSTEM}]
    del documents[f"{V1}/"]["Links"]  # no sessions: fewer requests
    with serving(tmp_path_factory.mktemp("bmc"), documents) as service:
        yield service


@pytest.fixture
def service(running: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    for name in ("HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sushy.connector.time.sleep", lambda seconds: None)
    running.documents[SYSTEM]["PowerState"] = "On"
    running.hangs = False
    running.asked.clear()
    running.failures.clear()
    return running


@pytest.fixture
def bmc(service: Service) -> Iterator[Bmc]:
    with connect(Access(address=service.address, user=USER, password=PASSWORD, ca_file=service.ca_file)) as each:
        yield each


class Time:
    """A clock that only waiting moves."""

    def __init__(self, waited: Callable[[], None] = lambda: None) -> None:
        self.seconds, self._waited = 0.0, waited

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self._waited()

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.seconds, sleep=self.sleep)


def test_a_machine_goes_off_and_on_and_is_switched_no_more_than_needed(bmc: Bmc, service: Service) -> None:
    seen: list[str] = []
    switch = Switch(bmc, 60, seen.append, Time().clock)
    switch.on()
    assert RESET not in service.asked
    switch.off(force=False)
    switch.off(force=True)
    switch.on()
    assert seen == ["Off", "On"]
    assert service.asked.count(RESET) == 2


def test_it_boots_once_from_what_was_asked_for(bmc: Bmc) -> None:
    switch = Switch(bmc, 60)
    state = switch.boot_once("pxe")
    assert (state.boot.target, state.boot.enabled, state.boot.mode) == ("Pxe", "Once", "UEFI")


def test_a_system_that_does_not_shut_down_is_named_with_what_to_do(bmc: Bmc, service: Service) -> None:
    service.hangs = True
    switch = Switch(bmc, 10, clock=(time := Time()).clock)
    with pytest.raises(BmcError, match=r"is On 10 s after GracefulShutdown, wanted Off; --force cuts its power"):
        switch.off(force=False)
    assert time.seconds == 10
    switch.off(force=True)
    assert switch.state().power == "Off"


def test_an_answer_that_fails_while_it_switches_is_asked_for_again(bmc: Bmc, service: Service) -> None:
    switch = Switch(bmc, 60, clock=Time(waited=service.failures.clear).clock)
    service.documents[SYSTEM]["PowerState"] = "Off"
    original = bmc.get

    def failing(path: str) -> Any:
        document = original(path)
        if RESET in service.asked and "GET failed" not in service.asked:
            service.asked.append("GET failed")
            raise BmcError(bmc.address, "busy")
        return document

    bmc.get = failing  # type: ignore[method-assign]
    switch.on()
    assert "GET failed" in service.asked


def test_what_a_machine_cannot_is_refused_by_name(bmc: Bmc, service: Service) -> None:
    action = service.documents[SYSTEM]["Actions"]["#ComputerSystem.Reset"]
    allowed, action["ResetType@Redfish.AllowableValues"] = (
        action["ResetType@Redfish.AllowableValues"],
        ["On", "ForceOff"],
    )
    targets = service.documents[SYSTEM]["Boot"]
    sources = targets["BootSourceOverrideTarget@Redfish.AllowableValues"]
    targets["BootSourceOverrideTarget@Redfish.AllowableValues"] = ["None", "Hdd"]
    try:
        switch = Switch(bmc, 60)
        with pytest.raises(BmcError, match=r"cannot GracefulShutdown, allowed ForceOff, On; --force cuts its power"):
            switch.off(force=False)
        with pytest.raises(BmcError, match=r"cannot boot from Pxe, allowed Hdd, None"):
            switch.boot_once("pxe")
    finally:
        action["ResetType@Redfish.AllowableValues"] = allowed
        targets["BootSourceOverrideTarget@Redfish.AllowableValues"] = sources


@pytest.fixture(scope="module")
def prod() -> tuple[Environment, Plan]:
    environment = load_file(ROOT / "stacks" / "Pulumi.prod.yaml")
    return environment, make_plan(environment)


def host_of(environment: Environment, name: str = "gpu-r01-02") -> PlannedHost:
    assert environment.site
    return next(host for host in planned_hosts(environment.site) if host.name == name)


OPEN, SHUT = datetime(2026, 11, 21, 22, 0, tzinfo=UTC), datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
"""A Saturday at 23:00 and a Tuesday at 13:00 in Berlin."""
POD = {"metadata": {"namespace": "fullbore", "name": "serving-0"}}
AGENT = {"metadata": {"namespace": "kube", "name": "dcgm", "ownerReferences": [{"kind": "DaemonSet"}]}}


class Cluster:
    """kubectl's answers, and what it was asked."""

    def __init__(self, pods: list[Any], drained: tuple[str, ...] = ()) -> None:
        self.pods, self.drained, self.asked = pods, drained, list[str]()

    def run(self, argv: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        words = argv[2:]
        self.asked.append(" ".join(words[:2]))
        nodes = [{"metadata": {"name": name}, "spec": {"unschedulable": True}} for name in self.drained]
        answers: dict[str, Any] = {
            "get pods": {"items": self.pods},
            "get nodes": {"items": nodes},
            "get node": {"metadata": {}, "spec": {}},
        }
        return subprocess.CompletedProcess(argv, 0, json.dumps(answers.get(" ".join(words[:2]), "")), "")

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl("kubeconfig", self.run)


def ask(prod: tuple[Environment, Plan], cluster: Cluster, *, drain: bool, now: datetime = OPEN) -> str:
    environment, plan = prod
    try:
        release(plan, host_of(environment), cluster.kubectl, drain=drain, now=lambda: now)
    except ConfigError as error:
        return str(error)
    return ""


def test_a_machine_without_pods_of_its_own_may_go_off(prod: tuple[Environment, Plan]) -> None:
    cluster = Cluster([AGENT])
    assert ask(prod, cluster, drain=False) == ""
    assert cluster.asked == ["get pods"]


def test_a_machine_that_serves_stays_on(prod: tuple[Environment, Plan]) -> None:
    assert ask(prod, Cluster([POD, AGENT]), drain=False) == (
        "site.groups.gpu-r01.hosts.gpu-r01-02: serves: fullbore/serving-0; drain it with --drain, "
        "or say --even-if-serving"
    )


def test_it_is_drained_inside_the_window_where_the_floor_leaves_room(prod: tuple[Environment, Plan]) -> None:
    cluster = Cluster([POD])
    assert ask(prod, cluster, drain=True) == ""
    assert cluster.asked[-1] == "drain gpu-r01-02"


@pytest.mark.parametrize(
    ("cluster", "now", "why"),
    [
        (Cluster([POD]), SHUT, "stays on: it waits for the maintenance window, which opens Sat 2026-11-28 22:00"),
        (Cluster([POD], ("gpu-r02-01",)), OPEN, "stays on: gpu-r02-01 of its kind is out of service, and at most 1"),
    ],
)
def test_it_is_not_drained_at_other_times_nor_below_the_floor(
    prod: tuple[Environment, Plan], cluster: Cluster, now: datetime, why: str
) -> None:
    assert why in ask(prod, cluster, drain=True, now=now)
    assert not any(asked.startswith("drain") for asked in cluster.asked)


def test_without_a_window_nothing_is_drained(prod: tuple[Environment, Plan]) -> None:
    environment, plan = prod
    assert plan.site
    bare = replace(plan, site=replace(plan.site, maintenance=None))
    assert "site.maintenance gives no window" in ask((environment, bare), Cluster([POD]), drain=True)


def test_a_cluster_that_does_not_answer_is_no_leave(prod: tuple[Environment, Plan]) -> None:
    cluster = Cluster([])
    cluster.run = lambda argv, timeout_s: subprocess.CompletedProcess(argv, 1, "", "connection refused\n")  # type: ignore[method-assign]
    assert "whether it serves cannot be told (connection refused)" in ask(prod, cluster, drain=False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("gone", "status"), "HOST: got gone, allowed gpu-01, gpu-02, nvme-01"),
        (("gpu-01", "off", "--boot", "pxe"), "--boot: got pxe with off, allowed with on and cycle"),
        (("gpu-01", "on", "--even-if-serving"), "--even-if-serving: got it with on, allowed with off and cycle"),
        (("gpu-01", "off", "--drain", "--even-if-serving"), "--drain: got it with --even-if-serving"),
        (("gpu-01", "status"), "site.bmc.password: missing; export FULLBORE_BMC_PASSWORD"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    arguments: tuple[str, ...],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FULLBORE_BMC_PASSWORD", raising=False)
    with pytest.raises(SystemExit) as end:
        main(["power", str(ROOT / "stacks" / "Pulumi.staging.yaml"), *arguments])
    assert (end.value.code, told in capsys.readouterr().err) == (2, True)

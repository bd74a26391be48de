"""Evidence over a real channel: outputs of tools in place of Ansible, a clock of its own, and real keys."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from provider_plugin import RECORDED, Plugin, refused, running

from fullbore.provider.evidence import Evidences
from fullbore.provider.plugin import EVIDENCE, Fullbore
from fullbore.provider.runner import Job
from fullbore.provider.values import UNKNOWN, Map

KEYS: dict[str, str] = json.loads((RECORDED / "host_keys.json").read_text())
FIXTURES = Path(__file__).parents[2] / "fixtures" / "evidence"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOCK = {"gpu_driver": "580.159.04", "nccl": "2.31.2"}
FILES = {
    "chronyc tracking": "chronyc-tracking.pps.txt",
    "nvidia-smi -q": "nvidia-smi-q.h200.txt",
    "dcgmi diag -j": "dcgmi-diag-r2.gb10.json",
}


def healthy() -> Map:
    """What a host with two GPUs prints; of DCGM a level 1 in which both passed."""
    texts = {name: (FIXTURES / file).read_text() for name, file in FILES.items()}
    results = [{"entity_group": "GPU", "entity_id": gpu, "status": "Pass"} for gpu in (0, 1)]
    category = {"category": "Deployment", "tests": [{"name": "software", "results": results}]}
    dcgm = {"DCGM Diagnostic": {"test_categories": [category]}, "metadata": {"version": "4.5.2"}}
    return {**texts, "dcgmi diag -j": json.dumps(dcgm)}


@dataclass
class Hosts:
    """Stands in for Ansible: each host answers with what its tools print, or fails."""

    outputs: dict[str, Map] = field(default_factory=lambda: {host: healthy() for host in KEYS})
    failed: dict[str, str] = field(default_factory=dict)
    missing: dict[str, Map] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)

    def run(self, job: Job, on_event: Callable[[Map], None]) -> None:
        self.jobs.append(job)
        for host in job.hosts:
            about = {"host": host, "role": "", "task": "Run the checks", "changed": False}
            if host in self.failed:
                on_event({**about, "event": "failed", "message": self.failed[host]})
            else:
                checks = {"outputs": self.outputs[host], "missing": self.missing.get(host, {})}
                on_event({**about, "event": "ok", "checks": checks})
        on_event({"event": "stats", "failed": sorted(self.failed), "unreachable": [], "changed": []})
        on_event({"event": "end", "status": "successful", "rc": 0})

    def stop(self) -> None:
        raise AssertionError("nothing stops here")


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """(file of the private key, public key), as ssh-keygen makes them."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    file = tmp_path_factory.mktemp("keys") / "evidence"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return str(file), key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@pytest.fixture
def inputs(signing: tuple[str, str]) -> Map:
    spec = {"address": "198.51.100.11", "port": 22, "serial": "S1"}
    return {
        "group": "gpu",
        "rack": "r01",
        "hosts": {host: {**spec, "hostKey": key} for host, key in KEYS.items()},
        "ssh": {"user": "root", "privateKeyFile": "/keys/id"},
        "accelerator": "t4",
        "gpus": 2,
        "dcgmLevel": 1,
        "lock": LOCK,
        "signingKeyFile": signing[0],
        "publicKey": signing[1],
    }


Start = Callable[..., Plugin]


@pytest.fixture
def start(inputs: Map) -> Iterator[Start]:
    """Starts a plugin over some hosts and a clock."""
    with ExitStack() as stack:

        def begin(hosts: Hosts, clock: Clock | None = None) -> Plugin:
            provider = Fullbore(runner=hosts)
            provider._types[EVIDENCE] = Evidences(hosts, clock or Clock())
            return stack.enter_context(running(provider, EVIDENCE))

        yield begin


def complete(plugin: Plugin, inputs: Map) -> Map:
    checked, failures = plugin.check(inputs)
    assert failures == []
    return checked


def test_healthy_hosts_are_accepted_under_a_signature(start: Start, inputs: Map) -> None:
    hosts = Hosts()
    plugin = start(hosts)
    news = complete(plugin, inputs)
    id, outputs = plugin.create(news)
    assert (id, outputs["accepted"], outputs["problems"]) == ("r01/gpu", True, [])
    assert outputs["expires"] == (NOW + timedelta(days=30)).isoformat()
    body = json.loads(outputs["evidence"])
    assert body["tools"] == {"dcgm": "4.5.2", "nvidia-smi": "580.159.04"}
    assert {verdict["state"] for verdict in body["verdicts"]} == {"passed"}
    assert plugin.diff(news, outputs, news) == {}
    assert [job.play for job in hosts.jobs] == ["evidence"]


def test_each_host_is_told_what_to_run(start: Start, inputs: Map) -> None:
    hosts = Hosts()
    plugin = start(hosts)
    plugin.create(complete(plugin, inputs))
    told = hosts.jobs[0].hosts["gpu-01"]
    assert [check["name"] for check in told["fullbore_checks"]] == list(FILES)
    assert told["fullbore_checks"][-1]["argv"] == ("dcgmi", "diag", "-r", "1", "-j")
    assert told["fullbore_gpus"] is True
    assert KEYS["gpu-01"] in told["ansible_ssh_common_args"]


def test_a_preview_runs_nothing(start: Start, inputs: Map) -> None:
    hosts = Hosts()
    plugin = start(hosts)
    id, outputs = plugin.create(complete(plugin, inputs), preview=True)
    assert (id, outputs["evidence"], outputs["accepted"], hosts.jobs) == ("", UNKNOWN, UNKNOWN, [])


def one_bad_gpu() -> Hosts:
    hosts = Hosts()
    text = hosts.outputs["gpu-02"]["nvidia-smi -q"]
    hosts.outputs["gpu-02"]["nvidia-smi -q"] = text.replace(
        "Unrepairable Memory                            : No", "Unrepairable Memory : Yes", 1
    )
    return hosts


def test_a_strict_one_fails_and_names_the_gpu_but_keeps_its_state(start: Start, inputs: Map) -> None:
    plugin = start(one_bad_gpu())
    error = refused(lambda: plugin.create(complete(plugin, inputs)))
    assert "gpu-02.gpu0.repair: a repair is needed (Yes), but must be not needed; take the host out of service" in str(
        error.details()
    )
    assert "gpu-01" not in str(error.details())


def test_an_advisory_one_warns_and_is_tried_again_with_the_next_update(start: Start, inputs: Map) -> None:
    hosts = one_bad_gpu()
    plugin = start(hosts)
    news = complete(plugin, {**inputs, "strict": False})
    _, outputs = plugin.create(news)
    assert (outputs["accepted"], len(outputs["problems"])) == (False, 1)
    assert any("gpu-02.gpu0.repair" in line for line in plugin.log.said("warning"))
    assert plugin.diff(news, outputs, news) == {"evidence": "UPDATE"}
    hosts.outputs["gpu-02"] = healthy()
    assert plugin.update(news, outputs, news)["accepted"] is True


@pytest.mark.parametrize(
    ("later", "lock", "said"),
    [
        pytest.param(timedelta(days=29), LOCK, None, id="nothing changed"),
        pytest.param(timedelta(days=30), LOCK, "expired", id="expired"),
        pytest.param(timedelta(), {**LOCK, "nccl": "2.29.3"}, "versions.nccl", id="drift of the lock"),
    ],
)
def test_evidence_ends_with_its_time_and_with_its_lock(
    start: Start, inputs: Map, later: timedelta, lock: Map, said: str | None
) -> None:
    clock = Clock()
    plugin = start(Hosts(), clock)
    news = complete(plugin, inputs)
    _, outputs = plugin.create(news)
    clock.now += later
    changes = plugin.diff(news, outputs, {**news, "lock": lock})
    assert ("evidence" in changes) == (said is not None)
    assert said is None or any(said in line for line in plugin.log.said("info"))
    _, _, seen = plugin.read({**news, "lock": lock}, outputs)
    assert seen["accepted"] == (said is None)


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        pytest.param({"ssh": {"user": "ops", "privateKeyFile": "/keys/id"}}, False, id="reached in another way"),
        pytest.param({"validDays": 60, "strict": False}, False, id="terms of the next one"),
        pytest.param({"dcgmLevel": 2}, True, id="another level"),
        pytest.param({"lock": {**LOCK, "nccl": "2.29.3"}}, True, id="another lock"),
    ],
)
def test_hosts_are_loaded_again_only_for_what_is_measured(
    start: Start, inputs: Map, changes: dict[str, Any], again: bool
) -> None:
    hosts = Hosts()
    plugin = start(hosts)
    news = complete(plugin, {**inputs, "strict": False})
    _, outputs = plugin.create(news)
    after = plugin.update(news, outputs, {**news, **changes})
    assert len(hosts.jobs) == (2 if again else 1)
    assert (after["evidence"] == outputs["evidence"]) != again


def of_hosts(evidence: str) -> dict[str, int]:
    """{host: its verdicts}."""
    return Counter(verdict["path"].split(".")[0] for verdict in json.loads(evidence)["verdicts"])


@pytest.mark.parametrize("change", ["replaced", "added"])
def test_only_a_machine_that_is_new_is_measured_and_the_result_ends_with_the_older_part(
    start: Start, inputs: Map, change: str
) -> None:
    hosts, clock = Hosts(), Clock()
    plugin = start(hosts, clock)
    whole = complete(plugin, inputs)
    one, two = whole["hosts"]
    before = {**whole, "hosts": {one: whole["hosts"][one]}} if change == "added" else whole
    spare = {**whole["hosts"], two: {**whole["hosts"][two], "serial": "S2"}}
    _, outputs = plugin.create(before)
    clock.now += timedelta(days=7)
    after = plugin.update(before, outputs, {**whole, "hosts": spare})
    assert [sorted(job.hosts) for job in hosts.jobs][1] == [two]
    assert (after["accepted"], after["expires"]) == (True, outputs["expires"])
    assert of_hosts(after["evidence"]) == of_hosts(plugin.create(whole)[1]["evidence"])
    assert plugin.diff({**whole, "hosts": spare}, after, {**whole, "hosts": spare}) == {}


def test_after_a_failure_only_the_machine_that_failed_is_measured_again(start: Start, inputs: Map) -> None:
    hosts = one_bad_gpu()
    plugin = start(hosts)
    news = complete(plugin, {**inputs, "strict": False})
    _, outputs = plugin.create(news)
    hosts.outputs["gpu-02"] = healthy()
    hosts.failed["gpu-01"] = "1 processes run on the GPUs: it serves by now"
    after = plugin.update(news, outputs, news)
    assert [sorted(job.hosts) for job in hosts.jobs] == [["gpu-01", "gpu-02"], ["gpu-02"]]
    assert after["accepted"] is True


def test_a_machine_that_failed_and_was_taken_out_no_longer_counts(start: Start, inputs: Map) -> None:
    hosts = one_bad_gpu()
    plugin = start(hosts)
    news = complete(plugin, {**inputs, "strict": False})
    _, outputs = plugin.create(news)
    after = plugin.update(news, outputs, {**news, "hosts": {"gpu-01": news["hosts"]["gpu-01"]}})
    assert (after["accepted"], len(hosts.jobs)) == (True, 1)
    assert of_hosts(after["evidence"]).keys() == {"gpu-01"}


@pytest.mark.parametrize("later", [timedelta(days=30), timedelta(days=-1)])
def test_nothing_is_kept_of_what_expired_or_lies_ahead(start: Start, inputs: Map, later: timedelta) -> None:
    hosts, clock = Hosts(), Clock()
    plugin = start(hosts, clock)
    news = complete(plugin, inputs)
    _, outputs = plugin.create(news)
    clock.now += later
    after = plugin.update(news, outputs, news)
    assert [sorted(job.hosts) for job in hosts.jobs] == [["gpu-01", "gpu-02"]] * 2
    assert after["expires"] == (clock.now + timedelta(days=30)).isoformat()


def test_evidence_that_was_changed_in_state_is_not_believed(start: Start, inputs: Map) -> None:
    plugin = start(one_bad_gpu())
    news = complete(plugin, {**inputs, "strict": False})
    _, outputs = plugin.create(news)
    forged = {
        **outputs,
        "evidence": outputs["evidence"].replace('"failed"', '"passed"'),
        "accepted": True,
        "problems": [],
    }
    assert plugin.diff(news, forged, news) == {"evidence": "UPDATE"}
    assert any("signature is not of this key" in line for line in plugin.log.said("info"))


def test_a_host_that_is_busy_or_away_is_named_and_the_others_are_judged(start: Start, inputs: Map) -> None:
    hosts = Hosts(failed={"gpu-02": "1 processes run on the GPUs: 4711, python; drain the host"})
    plugin = start(hosts)
    news = complete(plugin, {**inputs, "strict": False})
    _, outputs = plugin.create(news)
    assert "gpu-02: the run is Run the checks: 1 processes run on the GPUs: 4711, python" in outputs["problems"][0]
    verdicts = json.loads(outputs["evidence"])["verdicts"]
    assert [v["path"] for v in verdicts if v["state"] == "failed"] == ["gpu-02"]
    assert any(v["path"].startswith("gpu-01.gpu1") for v in verdicts)


def test_a_tool_that_is_missing_is_no_acceptance(start: Start, inputs: Map) -> None:
    hosts = Hosts()
    del hosts.outputs["gpu-01"]["dcgmi diag -j"]
    hosts.missing["gpu-01"] = {"dcgmi diag -j": "dcgmi: not installed"}
    plugin = start(hosts)
    _, outputs = plugin.create(complete(plugin, {**inputs, "strict": False}))
    assert "gpu-01: the output of dcgmi diag -j is missing" in outputs["problems"][0]
    assert "gpu-01: dcgmi diag -j did not run: dcgmi: not installed" in plugin.log.said("warning")


def test_two_swapped_cables_are_named_from_what_the_subnet_manager_sees(start: Start, inputs: Map) -> None:
    hosts = Hosts()
    hosts.outputs = {host: {"chronyc tracking": healthy()["chronyc tracking"]} for host in ("gpu-01", "gpu-03")}
    hosts.outputs["gpu-01"]["iblinkinfo"] = (FIXTURES / "iblinkinfo.swapped.txt").read_text()
    spec = next(iter(inputs["hosts"].values()))
    cables = [
        {"host": "gpu-01", "port": "mlx5_0", "peer": "leaf-0", "peerPort": "1"},
        {"host": "gpu-03", "port": "mlx5_2", "peer": "leaf-2", "peerPort": "3"},
        {"host": "gpu-03", "port": "mlx5_3", "peer": "leaf-3", "peerPort": "3"},
    ]
    changes = {"gpus": 0, "accelerator": "", "fabric": "infiniband", "linkGbps": 100, "cables": cables, "strict": False}
    plugin = start(hosts)
    news = complete(plugin, {**inputs, **changes, "hosts": {"gpu-01": spec, "gpu-03": spec}})
    _, outputs = plugin.create(news)
    told = {host: [check["name"] for check in spec["fullbore_checks"]] for host, spec in hosts.jobs[0].hosts.items()}
    assert told == {"gpu-01": ["chronyc tracking", "iblinkinfo"], "gpu-03": ["chronyc tracking"]}
    (problem,) = outputs["problems"]
    assert "gpu.gpu-01.mlx5_0: the other end of the cable is leaf-2 port 3, but gpu-01 mlx5_0 must be on " in problem
    assert "it is swapped with gpu-03 mlx5_2: change the two over" in problem
    assert problem.startswith("2 of 10 checks failed")


def test_a_key_that_is_not_there_is_said_before_the_hosts_are_loaded(start: Start, inputs: Map) -> None:
    hosts = Hosts()
    plugin = start(hosts)
    error = refused(lambda: plugin.create(complete(plugin, {**inputs, "signingKeyFile": "/nowhere/key"})))
    assert "signingKeyFile: /nowhere/key: No such file or directory; make one with ssh-keygen" in error.details()
    assert hosts.jobs == []


def test_a_key_that_does_not_fit_the_public_one_accepts_nothing(start: Start, inputs: Map) -> None:
    plugin = start(Hosts())
    _, outputs = plugin.create(complete(plugin, {**inputs, "publicKey": KEYS["gpu-01"], "strict": False}))
    assert outputs["problems"] == ["the signature is not of this key; run the acceptance again, or correct the key"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"dcgmLevel": 4}, "got 4, but it must be 1, 2 or 3"),
        ({"validDays": 0}, "got 0, but it must be a whole number from 1 to 365"),
        ({"publicKey": "ssh-rsa AAAA"}, "it must be 'ssh-ed25519 AAAA...'"),
        ({"hosts": {}}, "a map of 1 to 32 hosts"),
        ({"cables": [{"host": "gpu-09", "port": "mlx5_0", "peer": "a", "peerPort": "1"}]}, "must be one of the hosts"),
        ({"cables": [{"host": "gpu-01"}]}, "is missing"),
        ({"wipe": True}, "is not known here"),
    ],
)
def test_wrong_inputs_are_refused_by_name(start: Start, inputs: Map, changes: dict[str, Any], why: str) -> None:
    _, failures = start(Hosts()).check({**inputs, **changes})
    assert any(why in failure for failure in failures)


def test_what_is_not_known_yet_passes_and_changes(start: Start, inputs: Map) -> None:
    plugin = start(Hosts())
    news = complete(plugin, inputs)
    _, outputs = plugin.create(news)
    later = {**news, "lock": UNKNOWN}
    assert plugin.check(later)[1] == []
    assert plugin.diff(news, outputs, later) == {"lock": "UPDATE"}


def told(outputs: Map, serial: str) -> list[tuple[str, str, str]]:
    """[(host, event, why)] of a part's history."""
    return [(entry["host"], entry["event"], entry["why"]) for entry in outputs["history"].get(serial, [])]


def own_serials(inputs: Map) -> Map:
    """Machines with serial numbers of their own."""
    return {
        **inputs,
        "strict": False,
        "hosts": {h: {**spec, "serial": f"S-{h}"} for h, spec in inputs["hosts"].items()},
    }


def with_gpus(host: Hosts, name: str, **serials: str) -> None:
    """The GPUs that a host's tool tells of get other serial numbers."""
    for old, new in serials.items():
        text = host.outputs[name]["nvidia-smi -q"]
        host.outputs[name]["nvidia-smi -q"] = text.replace(f"165000000000{old[1:]}", new)


def test_a_machine_in_quarantine_keeps_its_history_when_it_is_replaced_and_comes_back(
    start: Start, inputs: Map
) -> None:
    hosts, clock = one_bad_gpu(), Clock()
    with_gpus(hosts, "gpu-02", g1="G1", g2="G2")
    plugin = start(hosts, clock)
    news = complete(plugin, own_serials(inputs))
    _, first = plugin.create(news)
    (_, event, why) = told(first, "S-gpu-02")[0]
    assert event == "quarantined"
    assert why.startswith("gpu-02.gpu0.repair: a repair is needed (Yes)")
    assert told(first, "S-gpu-01") == [("gpu-01", "accepted", "")]
    assert (told(first, "G1")[0][1], told(first, "G2")[0][1]) == ("quarantined", "accepted")
    assert {entry["at"] for entries in first["history"].values() for entry in entries} == {NOW.isoformat()}

    spare = {**news, "hosts": {**news["hosts"], "gpu-02": {**news["hosts"]["gpu-02"], "serial": "S-spare"}}}
    hosts.outputs["gpu-02"] = healthy()
    with_gpus(hosts, "gpu-02", g1="G8", g2="G9")
    clock.now += timedelta(days=1)
    second = plugin.update(news, first, spare)
    assert [sorted(job.hosts) for job in hosts.jobs][1:] == [["gpu-02"]], "the others are not touched"
    assert told(second, "S-gpu-02")[-1] == ("gpu-02", "replaced", f"by S-spare, for {why}")
    assert told(second, "S-spare") == [("gpu-02", "accepted", "")]
    assert second["parts"]["gpu-02"]["machine"] == "S-spare"
    assert told(second, "S-gpu-01") == told(first, "S-gpu-01")

    hosts.outputs["gpu-02"] = healthy()
    with_gpus(hosts, "gpu-02", g1="G1", g2="G2")
    third = plugin.update(spare, second, news)
    assert f"gpu-02: S-gpu-02 comes back from quarantine: {why}" in plugin.log.said("warning")
    assert [entry[1] for entry in told(third, "S-gpu-02")] == ["quarantined", "replaced", "accepted"]


def test_a_gpu_that_is_exchanged_is_known_by_its_serial_number(start: Start, inputs: Map) -> None:
    hosts = one_bad_gpu()
    with_gpus(hosts, "gpu-02", g1="G1", g2="G2")
    plugin = start(hosts)
    news = complete(plugin, own_serials(inputs))
    _, first = plugin.create(news)
    hosts.outputs["gpu-02"] = healthy()
    with_gpus(hosts, "gpu-02", g1="G3", g2="G2")
    second = plugin.update(news, first, news)
    (quarantined, exchanged) = told(second, "G1")
    assert exchanged == ("gpu-02", "replaced", f"by G3, for {quarantined[2]}")
    assert [entry[1] for entry in told(second, "G3")] == ["accepted"]
    assert told(second, "G2") == told(first, "G2")
    assert [entry[1] for entry in told(second, "S-gpu-02")] == ["quarantined", "accepted"]


def test_a_machine_that_was_taken_out_is_remembered(start: Start, inputs: Map) -> None:
    plugin = start(Hosts())
    news = complete(plugin, own_serials(inputs))
    _, outputs = plugin.create(news)
    after = plugin.update(news, outputs, {**news, "hosts": {"gpu-01": news["hosts"]["gpu-01"]}})
    assert [entry[1] for entry in told(after, "S-gpu-02")] == ["accepted", "removed"]
    assert "gpu-02" not in after["parts"]

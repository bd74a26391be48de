"""`fullbore:metal:Evidence`: acceptance of a group's machines as a signed result.

State: the outputs are the inputs and

    evidence   the signed result, as `fullbore.evidence.signed` makes it
    problems   [why it does not let the group serve]; empty where it does
    accepted   whether there are none
    expires    when it ends
    parts      what each host was made of when it was last measured, by serial number
    history    what became of machines and GPUs (both as in `fullbore.evidence.history`)

Machines are measured anew where what is measured changed, where the lock is another than the evidence's, where it
expired, and where they were not accepted; the others keep what was found, which ends when it would have. Nothing here
stops what runs already: only what comes new depends on this resource.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

from fullbore.evidence.commands import tool_versions
from fullbore.evidence.history import Seen, gpu_serials, quarantined, recorded
from fullbore.evidence.judge import LINKINFO, LLDP, SMI, GroupOutputs, judge_group, judge_host
from fullbore.evidence.model import Verdict
from fullbore.evidence.signed import Evidence, problems, sign
from fullbore.evidence.verdicts import required
from fullbore.provider.base import (
    UNKNOWN,
    Check,
    Created,
    Diff,
    Map,
    PartialFailure,
    ProviderError,
    Read,
    Request,
)
from fullbore.provider.carried import NOTHING, Carried, carried, failed_by_host, joined
from fullbore.provider.events import Fold, Outcome
from fullbore.provider.evidenceinputs import DEFAULTS, cabling, check_inputs, machines, narrowed, variables
from fullbore.provider.runner import Job, Runner
from fullbore.provider.values import differences, has_unknown, plain

OUTPUTS: Final = ("evidence", "problems", "accepted", "expires", "parts", "history")


def _now() -> datetime:
    return datetime.now(UTC)


class Evidences:
    """The resource's operations. `now` is the clock."""

    def __init__(self, runner: Runner, now: Callable[[], datetime] = _now) -> None:
        self._runner = runner
        self._now = now

    def stop(self) -> None:
        self._runner.stop()

    def check(self, r: Request) -> Check:
        inputs = {**DEFAULTS, **r.news}
        return Check(inputs, check_inputs(inputs))

    def diff(self, r: Request) -> Diff:
        changes: dict[str, str] = differences(r.old_inputs, r.news)
        if has_unknown(r.news):
            return Diff(changes)
        for problem in self._problems(r.olds, plain(r.news)):
            changes["evidence"] = "update"
            r.log("info", problem)
        return Diff(changes)

    def create(self, r: Request) -> Created:
        if r.preview:
            return Created("", _foreseen(r.news))
        id = f"{plain(r.news['rack'])}/{plain(r.news['group'])}"
        return Created(id, self._accept(r, id))

    def update(self, r: Request) -> Map:
        if r.preview:
            return _foreseen(r.news)
        news: Map = plain(r.news)
        text = str(plain(r.olds).get("evidence", ""))
        earlier = carried(text, plain(r.old_inputs), news, self._now())
        kept = self._judged(text, news)
        if kept["accepted"] and earlier.hosts == news["hosts"].keys():
            return {**r.news, **kept, **self._recorded(r, news, {}, ())}
        return self._accept(r, r.id, earlier)

    def read(self, r: Request) -> Read:
        if not r.inputs.get("hosts"):
            raise ProviderError(f"{r.name}: evidence is not imported, it is made; drop the import option")
        return Read(r.id, r.inputs, {**r.olds, **self._judged(str(r.olds.get("evidence", "")), plain(r.inputs))})

    def delete(self, r: Request) -> None:
        """Evidence is a record; the machines stay as they are."""

    def _problems(self, olds: Map, inputs: Map) -> tuple[str, ...]:
        return tuple(self._judged(str(plain(olds).get("evidence", "")), inputs)["problems"])

    def _judged(self, text: str, inputs: Map) -> Map:
        """The outputs that follow from a signed result."""
        found = problems(
            text, public_key=inputs["publicKey"], group=inputs["group"], lock=inputs["lock"], now=self._now()
        )
        return {"evidence": text, "problems": list(found), "accepted": not found, "expires": _expiry(text)}

    def _accept(self, r: Request, id: str, earlier: Carried = NOTHING) -> Map:
        """Measure the hosts that no earlier result accepts."""
        inputs: Map = plain(r.news)
        key = _key(inputs["signingKeyFile"])  # before the machines are loaded for an hour
        some = narrowed(inputs, inputs["hosts"].keys() - earlier.hosts)
        outcomes = self._run(r, some) if some["hosts"] else {}
        verdicts = _verdicts(some, outcomes) if some["hosts"] else ()
        for verdict in verdicts:
            if verdict.state == "not judged":
                r.log("warning", f"{verdict.path}: {verdict.what} is {verdict.got}, and {verdict.allowed}")
        record = self._recorded(r, some, outcomes, verdicts)
        text = self._signed(inputs, outcomes, replace(earlier, verdicts=joined(earlier, verdicts)), key)
        outputs = {**r.news, **self._judged(text, inputs), **record}
        if outputs["accepted"]:
            return outputs
        if inputs["strict"]:
            raise PartialFailure(id, outputs, r.news, outputs["problems"])
        for problem in outputs["problems"]:
            r.log("warning", problem)
        return outputs

    def _recorded(self, r: Request, inputs: Map, outcomes: Mapping[str, Outcome], verdicts: tuple[Verdict, ...]) -> Map:
        """The outputs `parts` and `history`; machines that come back from quarantine are named."""
        olds: Map = plain(r.olds)
        hosts = {host: spec["serial"] for host, spec in plain(r.news)["hosts"].items()}
        failed = failed_by_host(verdicts, inputs["hosts"], inputs["group"])
        seen = [
            Seen(
                host=host,
                serial=hosts[host],
                gpus=gpu_serials(_outputs(outcome).get(SMI, "")),
                failed=failed.get(host, ()),
            )
            for host, outcome in outcomes.items()
        ]
        before: Map = olds.get("history") or {}
        parts = cast("dict[str, dict[str, str]]", olds.get("parts") or {})
        for each in seen:
            for serial in (each.serial, *each.gpus.values()):
                why = quarantined(before, serial)
                if why and serial not in parts.get(each.host, {}).values():
                    r.log("warning", f"{each.host}: {serial} comes back from quarantine: {why}")
        record = recorded(parts, before, hosts, seen, self._now().isoformat())
        return {"parts": record.parts, "history": record.history}

    def _signed(self, inputs: Map, outcomes: Mapping[str, Outcome], whole: Carried, key: bytes) -> str:
        """`whole` has all verdicts; a result of which a part is older ends when that part does."""
        texts = [text for outcome in outcomes.values() for text in _outputs(outcome).values()]
        now = self._now()
        expires = now + timedelta(days=inputs["validDays"])
        evidence = Evidence(
            group=inputs["group"],
            lock=inputs["lock"],
            tools={**(whole.tools or {}), **tool_versions(texts)},
            made_at=now,
            expires_at=min(expires, whole.expires or expires),
            verdicts=whole.verdicts,
        )
        try:
            return sign(evidence, key)
        except ValueError as error:
            raise ProviderError(f"signingKeyFile: {inputs['signingKeyFile']}: {error}") from None

    def _run(self, r: Request, inputs: Map) -> dict[str, Outcome]:
        """Run the checks on every host, with progress in the engine's output."""
        fold = Fold()

        def on_event(event: Map) -> None:
            fold.feed(event)
            checks: Map = event.get("checks", {})
            for name, reason in cast("Map", checks.get("missing", {})).items():
                r.log("warning", f"{event['host']}: {name} did not run: {reason}")
            if event["event"] in ("ok", "failed", "unreachable"):
                r.log("info", f"{event['host']}: {event.get('message', 'measured')}", ephemeral=True)

        job = Job(play="evidence", hosts=variables(inputs), timeout_s=r.timeout_s)
        self._runner.run(job, on_event)
        return fold.outcomes(inputs["hosts"])


def _foreseen(news: Map) -> Map:
    return {**news, **dict.fromkeys(OUTPUTS, UNKNOWN)}


def _expiry(text: str) -> str:
    """As the text says it; whether that is signed is among the problems."""
    try:
        return str(json.loads(text)["expiresAt"])
    except (ValueError, KeyError, TypeError):
        return ""


def _key(file: str) -> bytes:
    try:
        return Path(file).expanduser().read_bytes()
    except OSError as error:
        raise ProviderError(
            f"signingKeyFile: {file}: {error.strerror}; make one with ssh-keygen -t ed25519 -N '' -f {file}"
        ) from None


def _outputs(outcome: Outcome) -> Mapping[str, str]:
    return cast("Mapping[str, str]", (outcome.checks or {}).get("outputs", {}))


def _verdicts(inputs: Map, outcomes: Mapping[str, Outcome]) -> tuple[Verdict, ...]:
    """Of every host, and of the cables between them."""
    found: list[Verdict] = []
    for host, machine in machines(inputs).items():
        outcome = outcomes[host]
        if outcome.failed:
            fix = "mend it and run the acceptance again"
            found.append(required("host", host, "the run", outcome.failed, "finished", "", fix))
        else:
            found += judge_host(machine, _outputs(outcome))
    return (*found, *_cables(inputs, outcomes))


def _cables(inputs: Map, outcomes: Mapping[str, Outcome]) -> tuple[Verdict, ...]:
    commands: dict[str, Any] = {}
    lldp: dict[str, str] = {}
    for host, outcome in outcomes.items():
        outputs = _outputs(outcome)
        commands |= {LINKINFO: outputs[LINKINFO]} if LINKINFO in outputs else {}
        lldp |= {host: outputs[LLDP]} if LLDP in outputs else {}
    return judge_group(cabling(inputs), GroupOutputs(commands=commands, lldp=lldp))

"""How verdicts are made: each kind of comparison once."""

from __future__ import annotations

from fullbore.evidence.floors import Floor
from fullbore.evidence.model import State, Verdict
from fullbore.evidence.unreadable import Unreadable


def measured(gate: str, path: str, what: str, got: float, floor: Floor | None, fix: str) -> Verdict:
    """A figure against its floor; not judged where no source for one is known."""
    if floor is None:
        return Verdict(
            gate=gate,
            path=path,
            what=what,
            got=f"{got:g}",
            allowed="no floor with a source is known for these machines",
            source="",
            fix="compare it with the other hosts",
            state="not judged",
        )
    return Verdict(
        gate=gate,
        path=path,
        what=what,
        got=f"{got:.4g} {floor.unit}".strip(),
        allowed=str(floor),
        source=floor.source,
        fix=fix,
        state="passed" if floor.met(got) else "failed",
    )


def required(gate: str, path: str, what: str, got: str, want: str, source: str, fix: str) -> Verdict:
    """A word that must be as wanted."""
    state: State = "passed" if got == want else "failed"
    return Verdict(
        gate=gate, path=path, what=what, got=got, allowed=f"must be {want}", source=source, fix=fix, state=state
    )


def did_not_run(gate: str, path: str, command: str) -> Verdict:
    """A check whose output is not there: no evidence is no acceptance."""
    return Verdict(
        gate=gate,
        path=path,
        what=f"the output of {command}",
        got="missing",
        allowed="must be there",
        source="",
        fix="install the tool and run the acceptance again",
        state="failed",
    )


def unreadable(gate: str, path: str, command: str, error: Unreadable) -> Verdict:
    return Verdict(
        gate=gate,
        path=path,
        what=f"the output of {command}",
        got=f"not readable: {error}",
        allowed="must be whole",
        source="",
        fix="run it by hand on the host and look at what it prints",
        state="failed",
    )

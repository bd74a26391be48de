"""What a pod does next: a pure state machine over its containers.

Init containers run one after another; then the main ones, the first of which holds the network that the others join.
A container that ended is started again as the pod's restart policy says, after a delay that doubles as kubelet's does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

RESTART_BASE_S, RESTART_MOST_S, RESTART_RESET_S = 10.0, 300.0, 600.0
"""kubelet's back-off: the first restart is at once, then 10 s, 20 s, ... 5 minutes; forgotten after 10 minutes up."""
RETRY_BASE_S, RETRY_MOST_S = 1.0, 30.0
"""For what may appear at any moment on one machine: an image that is being pushed, a ConfigMap."""

Policy = Literal["Always", "OnFailure", "Never"]


class State(Enum):
    NEW = "new"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str
    started_at: str
    finished_at: str
    id: str


@dataclass(kw_only=True)
class Slot:
    """One container of a pod over all of its runs. Only the worker that holds the pod changes it."""

    name: str
    init: bool = False
    sidecar: bool = False
    """An init container that keeps running (restartPolicy Always)."""
    state: State = State.NEW
    id: str = ""
    image_id: str = ""
    stop_signal: str = "SIGTERM"
    started_at: str = ""
    started_clock: float = 0.0
    started: bool = False
    """Its startup probe passed, or it has none."""
    ready: bool = False
    exited: bool = False
    """Set from outside when its process ended and the worker has not looked yet."""
    unhealthy: str = ""
    """Why the liveness or startup probe wants it restarted."""
    restarts: int = 0
    ended: Ended | None = None
    waiting: tuple[str, str] = ("", "")
    """Reason and message of a container that could not be started."""
    failures: int = 0
    retry_at: float = 0.0
    term_at: float | None = None
    kill_at: float | None = None


@dataclass(frozen=True)
class Start:
    """Start this container now."""

    slot: Slot


@dataclass(frozen=True)
class Wait:
    """Look again at this time of the monotonic clock."""

    until: float


@dataclass(frozen=True)
class Done:
    """Nothing will run any more."""

    phase: Literal["Succeeded", "Failed"]


@dataclass(frozen=True)
class Idle:
    """Nothing to do before the next event."""


Step = Start | Wait | Done | Idle


@dataclass
class PodRun:
    """What the runner knows of one pod besides the object itself."""

    uid: str
    slots: list[Slot]
    address: str = ""
    aliases: tuple[str, ...] = ()
    prepared: bool = False
    """Its volumes exist."""
    prestopped: bool = False
    hold_until: float = 0.0
    """While a preStop hook sleeps."""

    def main(self) -> list[Slot]:
        return [s for s in self.slots if not s.init]

    def init(self) -> list[Slot]:
        return [s for s in self.slots if s.init]

    def slot(self, name: str) -> Slot:
        return next(s for s in self.slots if s.name == name)


def next_step(run: PodRun, policy: Policy, now: float) -> Step:
    """What to do now, given what runs and what ended."""
    for slot in run.init():
        step = _init_step(slot, policy, now)
        if step is not None:
            return step
    steps = [_main_step(slot, policy, now) for slot in run.main()]
    for step in steps:
        if isinstance(step, Start):
            return step
    if any(s.state is State.RUNNING for s in run.main()):
        return _earliest(steps)
    if all(step is None for step in steps):
        failed = any(s.ended and s.ended.exit_code for s in run.main())
        return Done("Failed" if failed else "Succeeded")
    # A container that joins the first one's network cannot run before it.
    return _earliest(steps)


def _earliest(steps: Sequence[Step | None]) -> Step:
    waits = [step.until for step in steps if isinstance(step, Wait)]
    return Wait(min(waits)) if waits else Idle()


def _init_step(slot: Slot, policy: Policy, now: float) -> Step | None:
    """None where the next container may start."""
    if slot.sidecar:
        if slot.state is State.RUNNING:
            return None if slot.started else Idle()
        return _start(slot, now)
    if slot.state is State.RUNNING:
        return Idle()
    if slot.state is State.EXITED and slot.ended and slot.ended.exit_code == 0:
        return None
    if slot.state is State.EXITED and policy == "Never":
        return Done("Failed")
    return _start(slot, now)


def _main_step(slot: Slot, policy: Policy, now: float) -> Step | None:
    """None where it ended for good."""
    if slot.state is State.RUNNING:
        return Idle()
    if slot.state is State.EXITED and slot.ended and not restarts(policy, slot.ended.exit_code):
        return None
    return _start(slot, now)


def _start(slot: Slot, now: float) -> Step:
    return Start(slot) if now >= slot.retry_at else Wait(slot.retry_at)


def restarts(policy: Policy, exit_code: int) -> bool:
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def ran(slot: Slot, ended: Ended, now: float) -> None:
    """Note that the container ended: it is neither ready nor started, and may be started again after a delay."""
    if now - slot.started_clock >= RESTART_RESET_S:
        slot.failures = 0
    delay = min(RESTART_BASE_S * 2 ** (slot.failures - 1), RESTART_MOST_S) if slot.failures else 0.0
    slot.failures += 1
    slot.retry_at = now + delay
    slot.state, slot.ended, slot.waiting = State.EXITED, ended, ("", "")
    slot.ready = slot.started = slot.exited = False
    slot.unhealthy, slot.term_at, slot.kill_at = "", None, None


def refused(slot: Slot, reason: str, message: str, now: float) -> None:
    """Note that the container could not be started, and when to try again."""
    slot.failures += 1
    slot.retry_at = now + min(RETRY_BASE_S * 2 ** (slot.failures - 1), RETRY_MOST_S)
    slot.waiting = (reason, message)


def running(slot: Slot, container: str, started_at: str, now: float, again: bool) -> None:
    """Note that the container runs."""
    if again:
        slot.restarts += 1
    if slot.waiting[0]:
        slot.failures = 0
    slot.state, slot.id, slot.started_at, slot.started_clock = State.RUNNING, container, started_at, now
    slot.waiting, slot.exited = ("", ""), False

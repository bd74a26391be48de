"""The end of a container: noticing it, bringing it about, and clearing up after a pod."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime

from fullbore_sandbox.kubelet import machine, spec
from fullbore_sandbox.kubelet.api import ApiError, collection
from fullbore_sandbox.kubelet.containers import Observed
from fullbore_sandbox.kubelet.context import Context, name_of
from fullbore_sandbox.kubelet.machine import Ended, PodRun, Slot, State
from fullbore_sandbox.kubelet.probes import Target, ask
from fullbore_sandbox.kubelet.spec import Object
from fullbore_sandbox.state import SandboxError

log = logging.getLogger(__name__)
LIVENESS_GRACE_S = 30.0
"""Between TERM and KILL for an unhealthy container, where the pod does not say: Kubernetes' default."""
TAIL_LINES = 10
"""Lines of a failed container's output that go into its status."""
RETRY_S = 0.5


def look_at_exits(ctx: Context, pod: Object, run: PodRun) -> None:
    """Note which containers ended since the last look, and say so to the cluster."""
    for slot in run.slots:
        if slot.state is not State.RUNNING or not slot.exited:
            continue
        ctx.prober.remove(slot.id)
        end = ended(ctx, slot, ctx.engine.ended(slot.id))
        machine.ran(slot, end, ctx.clock())
        log.info("%s %s: %s ended with %d", ctx.cluster, name_of(pod), slot.name, end.exit_code)
        if slot.failures > 1:
            ctx.events.event(pod, "Warning", "BackOff", f"back-off restarting failed container {slot.name}")
        if not pod["metadata"].get("deletionTimestamp"):
            # Not ready from now on, and said so before anything is started again.
            ctx.publish(pod, run)


def ended(ctx: Context, slot: Slot, observed: Observed | None) -> Ended:
    """How a container ended; one that the engine no longer knows was removed by force."""
    code = observed.exit_code if observed else 137
    reason = "OOMKilled" if observed and observed.oom_killed else "Error" if code else "Completed"
    return Ended(
        exit_code=code,
        reason=reason,
        message=ctx.engine.tail(slot.id, TAIL_LINES) if code and observed else "",
        started_at=slot.started_at,
        finished_at=observed.finished_at if observed else ctx.now(),
        id=slot.id,
    )


def restart_unhealthy(ctx: Context, pod: Object, run: PodRun) -> None:
    """Stop containers whose probes want that; they start again as after any other end."""
    grace_s = float(pod["spec"].get("terminationGracePeriodSeconds", LIVENESS_GRACE_S))
    for slot in run.slots:
        if slot.unhealthy and slot.state is State.RUNNING:
            if slot.term_at is None:
                ctx.events.event(pod, "Normal", "Killing", f"{slot.name}: {slot.unhealthy}, will be restarted")
            _signal(ctx, run, slot, ctx.clock() + grace_s)


def _signal(ctx: Context, run: PodRun, slot: Slot, deadline: float) -> None:
    """TERM once, KILL at the deadline; its exit is an event."""
    try:
        if slot.term_at is None:
            slot.term_at, slot.kill_at = ctx.clock(), deadline
            ctx.engine.kill(slot.id, slot.stop_signal)
        slot.kill_at = min(slot.kill_at or deadline, deadline)
        if slot.exited:
            ctx.enqueue(run.uid)
        elif ctx.clock() >= slot.kill_at:
            ctx.engine.kill(slot.id, "KILL")
        else:
            ctx.enqueue(run.uid, slot.kill_at)
    except SandboxError as error:
        log.info("%s: %s", slot.name, error)
        found = ctx.engine.inspect(slot.id)
        slot.exited = found is None or not found.running
        ctx.enqueue(run.uid, ctx.clock() + RETRY_S)


def terminate(ctx: Context, pod: Object, run: PodRun) -> bool:
    """Bring a deleted pod to its end, step by step; True when nothing of it is left."""
    look_at_exits(ctx, pod, run)
    deadline = ctx.clock() + _seconds_left(pod["metadata"]["deletionTimestamp"])
    alive = [s for s in run.slots if s.state is State.RUNNING]
    if not alive:
        forget(ctx, run)
        _delete(ctx, pod)
        return True
    if not run.prestopped:
        run.prestopped = True
        _pre_stop(ctx, pod, run, alive, deadline)
    if ctx.clock() < run.hold_until:
        ctx.enqueue(run.uid, run.hold_until)
        return False
    for slot in alive:
        if slot.term_at is None:
            ctx.events.event(pod, "Normal", "Killing", f"stopping container {slot.name}")
        _signal(ctx, run, slot, deadline)
    return False


def _delete(ctx: Context, pod: Object) -> None:
    """Tell the cluster that the pod is gone; it may know already."""
    metadata = pod["metadata"]
    body: Object = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
    try:
        ctx.server.delete(f"{collection('v1', 'pods', metadata['namespace'])}/{metadata['name']}", body)
    except ApiError as error:
        if error.status not in (404, 409):
            raise


def _pre_stop(ctx: Context, pod: Object, run: PodRun, slots: Iterable[Slot], deadline: float) -> None:
    """Run preStop hooks within what is left of the grace period."""
    hooks = {
        c["name"]: c["lifecycle"]["preStop"] for c in spec.containers(pod) if c.get("lifecycle", {}).get("preStop")
    }
    for slot in slots:
        hook, left = hooks.get(slot.name), deadline - ctx.clock()
        if not hook or left <= 0:
            continue
        if "sleep" in hook:
            run.hold_until = max(run.hold_until, ctx.clock() + min(float(hook["sleep"]["seconds"]), left))
            continue
        target = Target(container=slot.id, address=run.address, ports=())
        good, why = ask(ctx.engine, {**hook, "timeoutSeconds": left}, target)
        if not good:
            ctx.events.event(pod, "Warning", "FailedPreStopHook", f"{slot.name}: {why}")


def forget(ctx: Context, run: PodRun) -> None:
    """Remove the containers, folder and address of a pod that is gone or may go."""
    for slot in run.slots:
        if slot.id:
            ctx.prober.remove(slot.id)
    for slot in reversed(run.slots):
        if slot.id:
            ctx.engine.remove(slot.id)
    shutil.rmtree(ctx.folder / run.uid, ignore_errors=True)
    ctx.addresses.release(run.uid)


def _seconds_left(deletion: str) -> float:
    """Until the end of the grace period, which the server adds to the time of the deletion."""
    end = datetime.fromisoformat(deletion.replace("Z", "+00:00"))
    return max(0.0, (end - datetime.now(UTC)).total_seconds())

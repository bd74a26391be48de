"""Starting a container of a pod, and listening to it from then on."""

from __future__ import annotations

import logging

from fullbore_sandbox.kubelet import machine, services, spec, volumes
from fullbore_sandbox.kubelet.containers import Network, Observed
from fullbore_sandbox.kubelet.context import Context, name_of
from fullbore_sandbox.kubelet.ending import ended
from fullbore_sandbox.kubelet.images import Unpullable
from fullbore_sandbox.kubelet.machine import PodRun, Slot, State
from fullbore_sandbox.kubelet.probes import Kind, Target
from fullbore_sandbox.kubelet.spec import ConfigError, Object
from fullbore_sandbox.state import SandboxError

log = logging.getLogger(__name__)
CONFIG_ERROR = "CreateContainerConfigError"


def start(ctx: Context, pod: Object, run: PodRun, slot: Slot) -> None:
    """Start a container; where that fails, note why and when to try again."""
    try:
        _try_start(ctx, pod, run, slot)
    except Unpullable as error:
        reason = "ImagePullBackOff" if slot.failures else error.reason
        _not_started(ctx, pod, run, slot, reason, error.message)
    except ConfigError as error:
        _not_started(ctx, pod, run, slot, CONFIG_ERROR, str(error))
    except SandboxError as error:
        _not_started(ctx, pod, run, slot, "CreateContainerError", str(error))


def _not_started(ctx: Context, pod: Object, run: PodRun, slot: Slot, reason: str, message: str) -> None:
    machine.refused(slot, reason, message, ctx.clock())
    log.info("%s %s: %s: %s", ctx.cluster, name_of(pod), reason, message)
    ctx.events.event(pod, "Warning", "Failed", f"{slot.name}: {reason}: {message}")


def _try_start(ctx: Context, pod: Object, run: PodRun, slot: Slot) -> None:
    container = next(c for c in [*spec.init_containers(pod), *spec.containers(pod)] if c["name"] == slot.name)
    run.address = ctx.addresses.of(run.uid)
    volumes.refresh(ctx.volumes(run), pod, ctx.lookup(pod), run.address)
    run.prepared = True
    wanted = spec.desired(pod, container, ctx.lookup(pod), run.address)
    image = ctx.engine.image(wanted.image, wanted.always_pull)
    if wanted.run_as_non_root and _is_root(wanted.user or image.user):
        raise ConfigError("container has runAsNonRoot and image will run as root; set runAsUser")
    network = _network(ctx, pod, run, slot)
    binds = [(volumes.source(ctx.volumes(run), m), m.path, m.read_only) for m in wanted.mounts]
    again = slot.state is State.EXITED
    if not network.join:
        _stop_joined(ctx, pod, run, slot)
    started = ctx.engine.run(ctx.owner(pod, slot), wanted, binds, network)
    slot.image_id, slot.stop_signal = image.digest, image.stop_signal
    observed = ctx.engine.inspect(started)
    machine.running(slot, started, observed.started_at if observed else ctx.now(), ctx.clock(), again)
    ctx.events.event(pod, "Normal", "Started", f"started container {slot.name}")
    watch(ctx, pod, run, slot, observed)


def _network(ctx: Context, pod: Object, run: PodRun, slot: Slot) -> Network:
    """A pod's first main container has its address and names; init containers before it have the address alone."""
    if slot.init and not slot.sidecar:
        return Network(address=run.address)
    holder = next(s for s in run.slots if s.sidecar or not s.init)
    if slot is not holder:
        return Network(join=holder.id)
    run.aliases = services.aliases(pod, ctx.stores.services.all(), ctx.suffix)
    return Network(address=run.address, aliases=run.aliases)


def _stop_joined(ctx: Context, pod: Object, run: PodRun, holder: Slot) -> None:
    """Containers inside the holder's old network must start again in its new one, as after a lost pod sandbox."""
    for slot in run.slots:
        if slot is not holder and slot.state is State.RUNNING:
            ctx.prober.remove(slot.id)
            ctx.engine.remove(slot.id)
            machine.ran(slot, ended(ctx, slot, None), ctx.clock())
            slot.retry_at = 0.0


def watch(ctx: Context, pod: Object, run: PodRun, slot: Slot, observed: Observed | None, ready: bool = False) -> None:
    """Hear of the container's probes and of its end."""
    container = next(c for c in [*spec.init_containers(pod), *spec.containers(pod)] if c["name"] == slot.name)
    slot.started = "startupProbe" not in container
    slot.ready = ready if "readinessProbe" in container else slot.started
    ports = tuple((p["name"], p["containerPort"]) for p in container.get("ports", []) if "name" in p)
    target = Target(container=slot.id, address=run.address, ports=ports)
    identity = slot.id

    def told(kind: Kind, good: bool, why: str) -> None:
        if slot.id == identity:
            _probed(ctx, pod, run, slot, container, kind, good, why)

    def gone() -> None:
        if slot.id == identity:
            slot.exited = True
            ctx.enqueue(run.uid)

    ctx.prober.add(container, target, slot.ready, told)
    if observed and observed.running:
        ctx.engine.on_exit(observed, gone)
    else:
        gone()


def _probed(
    ctx: Context, pod: Object, run: PodRun, slot: Slot, container: Object, kind: Kind, good: bool, why: str
) -> None:
    """A verdict changed. Only flags are set here; the worker acts on them."""
    if kind == "startup" and good:
        slot.started = True
        slot.ready = slot.ready or "readinessProbe" not in container
    elif kind == "readiness":
        slot.ready = good
    elif not good:
        slot.unhealthy = f"{kind} probe failed: {why}"
    if not good:
        ctx.events.event(pod, "Warning", "Unhealthy", f"{slot.name}: {kind} probe failed: {why}")
    ctx.enqueue(run.uid)


def _is_root(user: str) -> bool:
    return user.partition(":")[0] in ("", "0", "root")

"""Makes the containers of one cluster's pods what the pods ask for, and tells the cluster what became of them."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from fullbore_sandbox.kubelet import machine, services, spec, status, volumes
from fullbore_sandbox.kubelet.addresses import Addresses
from fullbore_sandbox.kubelet.api import ApiError, collection
from fullbore_sandbox.kubelet.engine import Engine, Network, Observed, Owner
from fullbore_sandbox.kubelet.events import Recorder
from fullbore_sandbox.kubelet.images import Unpullable
from fullbore_sandbox.kubelet.machine import Done, Ended, PodRun, Slot, Start, State, Wait
from fullbore_sandbox.kubelet.probes import Kind, Prober, Target, ask
from fullbore_sandbox.kubelet.queue import WorkQueue
from fullbore_sandbox.kubelet.spec import ConfigError, Object, uid
from fullbore_sandbox.state import SandboxError

log = logging.getLogger(__name__)
LIVENESS_GRACE_S = 30.0
"""Between TERM and KILL for an unhealthy container, where the pod does not say: Kubernetes' default."""
TAIL_LINES = 10
CONFIG_ERROR = "CreateContainerConfigError"


class Store(Protocol):
    """One collection as the informer keeps it."""

    def get(self, namespace: str, name: str) -> Object | None: ...
    def all(self) -> list[Object]: ...
    def remember(self, obj: Object) -> None: ...


class Server(Protocol):
    """The part of `Api` that the reconciler writes to."""

    def create(self, path: str, body: Object) -> Object: ...
    def merge(self, path: str, body: Object) -> Object: ...
    def delete(self, path: str, body: Object | None = None) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Stores:
    """What is known of one cluster."""

    pods: Store
    services: Store
    configmaps: Store
    secrets: Store


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Pods:
    """The reconciler of one cluster. `sync` is called by one worker at a time for each pod."""

    def __init__(
        self,
        *,
        cluster: str,
        suffix: str,
        folder: Path,
        server: Server,
        stores: Stores,
        engine: Engine,
        prober: Prober,
        addresses: Addresses,
        queue: WorkQueue,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self.cluster, self.suffix, self.folder = cluster, suffix, folder
        self._server, self._stores, self._engine, self._prober = server, stores, engine, prober
        self._addresses, self._queue, self._clock, self._now = addresses, queue, clock, now
        self._events = Recorder(server, now)
        self._runs: dict[str, PodRun] = {}

    # What happens outside

    def pod_changed(self, pod: Object) -> None:
        if pod["spec"].get("nodeName"):
            self._enqueue(uid(pod))

    def configuration_changed(self, obj: Object) -> None:
        """A ConfigMap or Secret changed: look at the pods of its namespace."""
        for pod in self._stores.pods.all():
            if pod["metadata"]["namespace"] == obj["metadata"].get("namespace"):
                self._retry_config(uid(pod))
                self.pod_changed(pod)

    def _retry_config(self, pod_uid: str) -> None:
        """What a container lacked may be there now: it is tried at once."""
        run = self._runs.get(pod_uid)
        for slot in run.slots if run else ():
            if slot.waiting[0] == CONFIG_ERROR:
                slot.retry_at = 0.0

    def service_changed(self, service: Object) -> None:
        """A Service changed: names of pods may change, and a load balancer needs its name."""
        self.configuration_changed(service)
        self._queue.add(f"{self.cluster} service {service['metadata']['namespace']}/{service['metadata']['name']}")

    def _enqueue(self, pod_uid: str, at: float | None = None) -> None:
        self._queue.add(f"{self.cluster} pod {pod_uid}", at)

    def sync(self, kind: str, name: str) -> None:
        """Do what is due for a pod (by uid) or a service (by namespace/name)."""
        if kind == "service":
            self._sync_service(*name.split("/"))
            return
        pod = next((p for p in self._stores.pods.all() if uid(p) == name), None)
        run = self._runs.get(name)
        if pod is None:
            if run:
                self._forget(run)
        elif pod["metadata"].get("deletionTimestamp"):
            self._terminate(pod, run or self._new_run(pod))
        elif pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            self._advance(pod, run or self._new_run(pod))

    # Services

    def _sync_service(self, namespace: str, name: str) -> None:
        service = self._stores.services.get(namespace, name)
        if service is None:
            return
        patch = services.load_balancer(service, self.suffix)
        if patch:
            self._server.merge(f"{collection('v1', 'services', namespace)}/{name}/status", patch)
        for moved in services.moved_ports(service):
            message = f"port {moved}: the sandbox has no proxy; clients must use the container's port"
            self._events.event({**service, "kind": "Service"}, "Warning", "PortNotForwarded", message)

    # A pod's life

    def _new_run(self, pod: Object) -> PodRun:
        init = [
            Slot(name=c["name"], init=True, sidecar=c.get("restartPolicy") == "Always")
            for c in spec.init_containers(pod)
        ]
        run = PodRun(uid=uid(pod), slots=[*init, *(Slot(name=c["name"]) for c in spec.containers(pod))])
        self._runs[run.uid] = run
        return run

    def _advance(self, pod: Object, run: PodRun) -> None:
        refusals = spec.refusals(pod)
        if refusals:
            self._refuse(pod, run, "; ".join(refusals))
            return
        self._look_at_exits(pod, run)
        self._restart_unhealthy(pod, run)
        if run.prepared:
            self._update_volumes(pod, run)
            self._update_names(pod, run)
        phase = self._take_steps(pod, run)
        self._publish(pod, run, phase)

    def _take_steps(self, pod: Object, run: PodRun) -> str | None:
        """Start what is due; the final phase where nothing is left to run."""
        while True:
            step = machine.next_step(run, pod["spec"].get("restartPolicy", "Always"), self._clock())
            if isinstance(step, Start):
                self._start(pod, run, step.slot)
                continue
            if isinstance(step, Wait):
                self._enqueue(run.uid, step.until)
            if isinstance(step, Done):
                return step.phase
            return None

    def _refuse(self, pod: Object, run: PodRun, why: str) -> None:
        if any(slot.waiting != (CONFIG_ERROR, why) for slot in run.slots):
            self._events.event(pod, "Warning", "FailedCreatePodSandBox", why)
        for slot in run.slots:
            slot.waiting = (CONFIG_ERROR, why)
        self._publish(pod, run, "Pending", {"reason": "Refused", "message": why})

    # Starting

    def _start(self, pod: Object, run: PodRun, slot: Slot) -> None:
        try:
            self._try_start(pod, run, slot)
        except Unpullable as error:
            reason = "ImagePullBackOff" if slot.failures else error.reason
            self._not_started(pod, run, slot, reason, error.message)
        except ConfigError as error:
            self._not_started(pod, run, slot, CONFIG_ERROR, str(error))
        except SandboxError as error:
            self._not_started(pod, run, slot, "CreateContainerError", str(error))

    def _not_started(self, pod: Object, run: PodRun, slot: Slot, reason: str, message: str) -> None:
        machine.refused(slot, reason, message, self._clock())
        log.info("%s %s: %s: %s", self.cluster, _name(pod), reason, message)
        self._events.event(pod, "Warning", "Failed", f"{slot.name}: {reason}: {message}")

    def _try_start(self, pod: Object, run: PodRun, slot: Slot) -> None:
        container = next(c for c in [*spec.init_containers(pod), *spec.containers(pod)] if c["name"] == slot.name)
        run.address = self._addresses.of(run.uid)
        volumes.refresh(self._volumes(run), pod, self._lookup(pod), run.address)
        run.prepared = True
        wanted = spec.desired(pod, container, self._lookup(pod), run.address)
        image = self._engine.image(wanted.image, wanted.always_pull)
        if wanted.run_as_non_root and _is_root(wanted.user or image.user):
            raise ConfigError("container has runAsNonRoot and image will run as root; set runAsUser")
        network = self._network(pod, run, slot)
        binds = [(volumes.source(self._volumes(run), m), m.path, m.read_only) for m in wanted.mounts]
        again = slot.state is State.EXITED
        if not network.join:
            self._stop_joined(pod, run, slot)
        started = self._engine.run(self._owner(pod, slot), wanted, binds, network)
        slot.image_id, slot.stop_signal = image.digest, image.stop_signal
        observed = self._engine.inspect(started)
        machine.running(slot, started, observed.started_at if observed else self._now(), self._clock(), again)
        self._events.event(pod, "Normal", "Started", f"started container {slot.name}")
        self._watch(pod, run, slot, observed)

    def _network(self, pod: Object, run: PodRun, slot: Slot) -> Network:
        """A pod's first main container has its address and names; init containers before it have the address alone."""
        if slot.init and not slot.sidecar:
            return Network(address=run.address)
        holder = next(s for s in run.slots if s.sidecar or not s.init)
        if slot is not holder:
            return Network(join=holder.id)
        run.aliases = services.aliases(pod, self._stores.services.all(), self.suffix)
        return Network(address=run.address, aliases=run.aliases)

    def _stop_joined(self, pod: Object, run: PodRun, holder: Slot) -> None:
        """Containers inside the holder's old network must start again in its new one, as after a lost pod sandbox."""
        for slot in run.slots:
            if slot is not holder and slot.state is State.RUNNING:
                self._prober.remove(slot.id)
                self._engine.remove(slot.id)
                machine.ran(slot, self._ended(slot, None), self._clock())
                slot.retry_at = 0.0

    def _watch(self, pod: Object, run: PodRun, slot: Slot, observed: Observed | None, ready: bool = False) -> None:
        container = next(c for c in [*spec.init_containers(pod), *spec.containers(pod)] if c["name"] == slot.name)
        slot.started = "startupProbe" not in container
        slot.ready = ready if "readinessProbe" in container else slot.started
        ports = tuple((p["name"], p["containerPort"]) for p in container.get("ports", []) if "name" in p)
        target = Target(container=slot.id, address=run.address, ports=ports)
        identity = slot.id

        def told(kind: Kind, good: bool, why: str) -> None:
            if slot.id == identity:
                self._probed(pod, run, slot, container, kind, good, why)

        def ended() -> None:
            if slot.id == identity:
                slot.exited = True
                self._enqueue(run.uid)

        self._prober.add(container, target, slot.ready, told)
        if observed and observed.running:
            self._engine.on_exit(observed, ended)
        else:
            ended()

    def _probed(
        self, pod: Object, run: PodRun, slot: Slot, container: Object, kind: Kind, good: bool, why: str
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
            self._events.event(pod, "Warning", "Unhealthy", f"{slot.name}: {kind} probe failed: {why}")
        self._enqueue(run.uid)

    # Running

    def _look_at_exits(self, pod: Object, run: PodRun) -> None:
        for slot in run.slots:
            if slot.state is not State.RUNNING or not slot.exited:
                continue
            self._prober.remove(slot.id)
            ended = self._ended(slot, self._engine.inspect(slot.id))
            machine.ran(slot, ended, self._clock())
            log.info("%s %s: %s ended with %d", self.cluster, _name(pod), slot.name, ended.exit_code)
            if slot.failures > 1:
                self._events.event(pod, "Warning", "BackOff", f"back-off restarting failed container {slot.name}")
            if not pod["metadata"].get("deletionTimestamp"):
                # Not ready from now on, and said so before anything is started again.
                self._publish(pod, run)

    def _ended(self, slot: Slot, observed: Observed | None) -> Ended:
        code = observed.exit_code if observed else 137
        reason = "OOMKilled" if observed and observed.oom_killed else "Error" if code else "Completed"
        return Ended(
            exit_code=code,
            reason=reason,
            message=self._engine.tail(slot.id, TAIL_LINES) if code and observed else "",
            started_at=slot.started_at,
            finished_at=observed.finished_at if observed else self._now(),
            id=slot.id,
        )

    def _restart_unhealthy(self, pod: Object, run: PodRun) -> None:
        grace_s = float(pod["spec"].get("terminationGracePeriodSeconds", LIVENESS_GRACE_S))
        for slot in run.slots:
            if slot.unhealthy and slot.state is State.RUNNING:
                if slot.term_at is None:
                    self._events.event(pod, "Normal", "Killing", f"{slot.name}: {slot.unhealthy}, will be restarted")
                self._signal(run, slot, self._clock() + grace_s)

    def _signal(self, run: PodRun, slot: Slot, deadline: float) -> None:
        """TERM once, KILL at the deadline; its exit is an event."""
        try:
            if slot.term_at is None:
                slot.term_at, slot.kill_at = self._clock(), deadline
                self._engine.kill(slot.id, slot.stop_signal)
            slot.kill_at = min(slot.kill_at or deadline, deadline)
            if self._clock() >= slot.kill_at:
                self._engine.kill(slot.id, "KILL")
            else:
                self._enqueue(run.uid, slot.kill_at)
        except SandboxError as error:
            log.info("%s: %s", slot.name, error)
            slot.exited = True
            self._enqueue(run.uid, self._clock() + 0.2)

    def _update_volumes(self, pod: Object, run: PodRun) -> None:
        try:
            volumes.refresh(self._volumes(run), pod, self._lookup(pod), run.address)
        except ConfigError as error:
            self._events.event(pod, "Warning", "FailedMount", str(error))

    def _update_names(self, pod: Object, run: PodRun) -> None:
        """Give a running pod the names of Services that came, went or changed after it started."""
        wanted = services.aliases(pod, self._stores.services.all(), self.suffix)
        holder = next((s for s in run.slots if s.sidecar or not s.init), None)
        if wanted == run.aliases or holder is None or holder.state is not State.RUNNING:
            return
        try:
            self._engine.rename(holder.id, Network(address=run.address, aliases=wanted))
        except SandboxError as error:
            # Left half attached it is of no use: it starts again with all of its names.
            log.warning("%s %s: %s", self.cluster, _name(pod), error)
            self._engine.kill(holder.id, "KILL")
        run.aliases = wanted

    # Ending

    def _terminate(self, pod: Object, run: PodRun) -> None:
        self._look_at_exits(pod, run)
        deadline = self._clock() + _seconds_left(pod["metadata"]["deletionTimestamp"])
        alive = [s for s in run.slots if s.state is State.RUNNING]
        if alive and not run.prestopped:
            run.prestopped = True
            self._pre_stop(pod, run, alive, deadline)
        if alive and self._clock() < run.hold_until:
            self._enqueue(run.uid, run.hold_until)
            return
        for slot in alive:
            if slot.term_at is None:
                self._events.event(pod, "Normal", "Killing", f"stopping container {slot.name}")
            self._signal(run, slot, deadline)
        if alive:
            return
        self._forget(run)
        metadata = pod["metadata"]
        body: Object = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        try:
            self._server.delete(f"{collection('v1', 'pods', metadata['namespace'])}/{metadata['name']}", body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    def _pre_stop(self, pod: Object, run: PodRun, slots: Iterable[Slot], deadline: float) -> None:
        """Run preStop hooks within what is left of the grace period."""
        hooks = {
            c["name"]: c["lifecycle"]["preStop"] for c in spec.containers(pod) if c.get("lifecycle", {}).get("preStop")
        }
        for slot in slots:
            hook, left = hooks.get(slot.name), deadline - self._clock()
            if not hook or left <= 0:
                continue
            if "sleep" in hook:
                run.hold_until = max(run.hold_until, self._clock() + min(float(hook["sleep"]["seconds"]), left))
                continue
            target = Target(container=slot.id, address=run.address, ports=())
            good, why = ask(self._engine, {**hook, "timeoutSeconds": left}, target)
            if not good:
                self._events.event(pod, "Warning", "FailedPreStopHook", f"{slot.name}: {why}")

    def _forget(self, run: PodRun) -> None:
        """Remove the containers, folder and address of a pod that is gone or may go."""
        for slot in run.slots:
            if slot.id:
                self._prober.remove(slot.id)
        for slot in reversed(run.slots):
            if slot.id:
                self._engine.remove(slot.id)
        shutil.rmtree(self.folder / run.uid, ignore_errors=True)
        self._addresses.release(run.uid)
        self._runs.pop(run.uid, None)

    # After a restart of the runner

    def adopt(self, found: Iterable[Observed]) -> None:
        """Take over the containers of pods that still exist, and remove all others of this cluster."""
        pods = {uid(p): p for p in self._stores.pods.all()}
        known = list(found)
        for observed in known:
            if observed.uid not in pods:
                log.info("%s: removing the container %s of a pod that is gone", self.cluster, observed.name)
                self._engine.remove(observed.id)
        for pod_uid, pod in pods.items():
            mine = {o.name: o for o in known if o.uid == pod_uid}
            if mine:
                self._adopt_pod(pod, mine)
        for folder in self.folder.iterdir() if self.folder.exists() else ():
            if folder.name not in pods:
                shutil.rmtree(folder, ignore_errors=True)

    def _adopt_pod(self, pod: Object, mine: dict[str, Observed]) -> None:
        run = self._new_run(pod)
        old = pod.get("status", {})
        said = {s["name"]: s for s in old.get("containerStatuses", []) + old.get("initContainerStatuses", [])}
        attached = next((o for o in mine.values() if o.address), None)
        run.address = attached.address if attached else old.get("podIP", "")
        if run.address:
            self._addresses.keep(run.uid, run.address)
        run.prepared = True
        for slot in run.slots:
            observed, told = mine.get(slot.name), said.get(slot.name, {})
            slot.restarts, slot.image_id = told.get("restartCount", 0), told.get("imageID", "")
            if observed is None:
                continue
            if observed.never_started:
                self._engine.remove(observed.id)
                continue
            slot.id, slot.started_at, slot.started_clock = observed.id, observed.started_at, self._clock()
            slot.state = State.RUNNING
            if observed.aliases:
                run.aliases = observed.aliases
            same = told.get("containerID") == f"podman://{observed.id}"
            self._watch(pod, run, slot, observed, ready=same and told.get("ready", False))

    # Small things

    def _publish(self, pod: Object, run: PodRun, phase: str | None = None, more: Object | None = None) -> None:
        """Write the pod's status where it differs from what the server has."""
        current = self._stores.pods.get(pod["metadata"]["namespace"], pod["metadata"]["name"]) or pod
        new = status.pod_status(current, run, self._now(), phase) | (more or {})
        if uid(current) != run.uid or not status.changed(current.get("status", {}), new):
            return
        path = f"{collection('v1', 'pods', pod['metadata']['namespace'])}/{pod['metadata']['name']}/status"
        try:
            self._stores.pods.remember(self._server.merge(path, status.patch(current, new)))
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    def _lookup(self, pod: Object) -> spec.Lookup:
        namespace = pod["metadata"]["namespace"]
        stores = {"configmaps": self._stores.configmaps, "secrets": self._stores.secrets}
        return lambda kind, name: stores[kind].get(namespace, name)

    def _volumes(self, run: PodRun) -> Path:
        return self.folder / run.uid

    def _owner(self, pod: Object, slot: Slot) -> Owner:
        metadata = pod["metadata"]
        return Owner(
            cluster=self.cluster,
            namespace=metadata["namespace"],
            pod=metadata["name"],
            uid=metadata["uid"],
            kind="init" if slot.init else "main",
        )


def _name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _is_root(user: str) -> bool:
    return user.partition(":")[0] in ("", "0", "root")


def _seconds_left(deletion: str) -> float:
    """Until the end of the grace period, which the server adds to the time of the deletion."""
    end = datetime.fromisoformat(deletion.replace("Z", "+00:00"))
    return max(0.0, (end - datetime.now(UTC)).total_seconds())

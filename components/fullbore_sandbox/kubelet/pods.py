"""Makes the containers of one cluster's pods what the pods ask for, and tells the cluster what became of them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable

from fullbore_sandbox.kubelet import ending, machine, services, spec, starting, volumes
from fullbore_sandbox.kubelet.api import collection
from fullbore_sandbox.kubelet.containers import Network, Observed
from fullbore_sandbox.kubelet.context import Context, name_of
from fullbore_sandbox.kubelet.machine import Done, PodRun, Slot, Start, State, Wait
from fullbore_sandbox.kubelet.spec import ConfigError, Object, uid
from fullbore_sandbox.kubelet.starting import CONFIG_ERROR
from fullbore_sandbox.state import SandboxError

log = logging.getLogger(__name__)


class Pods:
    """The reconciler of one cluster. `sync` is called by one worker at a time for each pod."""

    def __init__(self, context: Context) -> None:
        self._ctx = context
        self._runs: dict[str, PodRun] = {}

    # What happens outside

    def pod_changed(self, pod: Object) -> None:
        if pod["spec"].get("nodeName"):
            self._ctx.enqueue(uid(pod))

    def configuration_changed(self, obj: Object) -> None:
        """A ConfigMap or Secret changed: look at the pods of its namespace."""
        for pod in self._ctx.stores.pods.all():
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
        self._ctx.queue.add(
            f"{self._ctx.cluster} service {service['metadata']['namespace']}/{service['metadata']['name']}"
        )

    def sync(self, kind: str, name: str) -> None:
        """Do what is due for a pod (by uid) or a service (by namespace/name)."""
        if kind == "service":
            self._sync_service(*name.split("/"))
            return
        pod = next((p for p in self._ctx.stores.pods.all() if uid(p) == name), None)
        run = self._runs.get(name)
        if pod is None:
            if run:
                self._drop(run)
        elif pod["metadata"].get("deletionTimestamp"):
            self._terminate(pod, run or self._new_run(pod))
        elif pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            self._advance(pod, run or self._new_run(pod))

    # Services

    def _sync_service(self, namespace: str, name: str) -> None:
        service = self._ctx.stores.services.get(namespace, name)
        if service is None:
            return
        patch = services.load_balancer(service, self._ctx.suffix)
        if patch:
            self._ctx.server.merge(f"{collection('v1', 'services', namespace)}/{name}/status", patch)
        for moved in services.moved_ports(service):
            message = f"port {moved}: the sandbox has no proxy; clients must use the container's port"
            self._ctx.events.event({**service, "kind": "Service"}, "Warning", "PortNotForwarded", message)

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
        ending.look_at_exits(self._ctx, pod, run)
        ending.restart_unhealthy(self._ctx, pod, run)
        if run.prepared:
            self._update_volumes(pod, run)
            self._update_names(pod, run)
        phase = self._take_steps(pod, run)
        self._ctx.publish(pod, run, phase)

    def _take_steps(self, pod: Object, run: PodRun) -> str | None:
        """Start what is due; the final phase where nothing is left to run."""
        while True:
            step = machine.next_step(run, pod["spec"].get("restartPolicy", "Always"), self._ctx.clock())
            if isinstance(step, Start):
                starting.start(self._ctx, pod, run, step.slot)
                continue
            if isinstance(step, Wait):
                self._ctx.enqueue(run.uid, step.until)
            if isinstance(step, Done):
                return step.phase
            return None

    def _refuse(self, pod: Object, run: PodRun, why: str) -> None:
        if any(slot.waiting != (CONFIG_ERROR, why) for slot in run.slots):
            self._ctx.events.event(pod, "Warning", "FailedCreatePodSandBox", why)
        for slot in run.slots:
            slot.waiting = (CONFIG_ERROR, why)
        self._ctx.publish(pod, run, "Pending", {"reason": "Refused", "message": why})

    def _update_volumes(self, pod: Object, run: PodRun) -> None:
        try:
            volumes.refresh(self._ctx.volumes(run), pod, self._ctx.lookup(pod), run.address)
        except ConfigError as error:
            self._ctx.events.event(pod, "Warning", "FailedMount", str(error))

    def _update_names(self, pod: Object, run: PodRun) -> None:
        """Give a running pod the names of Services that came, went or changed after it started."""
        wanted = services.aliases(pod, self._ctx.stores.services.all(), self._ctx.suffix)
        holder = next((s for s in run.slots if s.sidecar or not s.init), None)
        if wanted == run.aliases or holder is None or holder.state is not State.RUNNING:
            return
        try:
            self._ctx.engine.rename(holder.id, Network(address=run.address, aliases=wanted))
        except SandboxError as error:
            # Left half attached it is of no use: it starts again with all of its names.
            log.warning("%s %s: %s", self._ctx.cluster, name_of(pod), error)
            self._ctx.engine.kill(holder.id, "KILL")
        run.aliases = wanted

    def _terminate(self, pod: Object, run: PodRun) -> None:
        if ending.terminate(self._ctx, pod, run):
            self._runs.pop(run.uid, None)

    def _drop(self, run: PodRun) -> None:
        """The pod was deleted by force: nobody waits for its end."""
        ending.forget(self._ctx, run)
        self._runs.pop(run.uid, None)

    # After a restart of the runner

    def adopt(self, found: Iterable[Observed]) -> None:
        """Take over the containers of pods that still exist, and remove all others of this cluster."""
        pods = {uid(p): p for p in self._ctx.stores.pods.all()}
        known = list(found)
        for observed in known:
            if observed.uid not in pods:
                log.info("%s: removing the container %s of a pod that is gone", self._ctx.cluster, observed.name)
                self._ctx.engine.remove(observed.id)
        for pod_uid, pod in pods.items():
            mine = {o.name: o for o in known if o.uid == pod_uid}
            if mine:
                self._adopt_pod(pod, mine)
        for folder in self._ctx.folder.iterdir() if self._ctx.folder.exists() else ():
            if folder.name not in pods:
                shutil.rmtree(folder, ignore_errors=True)

    def _adopt_pod(self, pod: Object, mine: dict[str, Observed]) -> None:
        run = self._new_run(pod)
        old = pod.get("status", {})
        said = {s["name"]: s for s in old.get("containerStatuses", []) + old.get("initContainerStatuses", [])}
        attached = next((o for o in mine.values() if o.address), None)
        run.address = attached.address if attached else old.get("podIP", "")
        if run.address:
            self._ctx.addresses.keep(run.uid, run.address)
        run.prepared = True
        for slot in run.slots:
            observed, told = mine.get(slot.name), said.get(slot.name, {})
            slot.restarts, slot.image_id = told.get("restartCount", 0), told.get("imageID", "")
            if observed is None:
                continue
            if observed.never_started:
                self._ctx.engine.remove(observed.id)
                continue
            slot.id, slot.started_at, slot.started_clock = observed.id, observed.started_at, self._ctx.clock()
            slot.state = State.RUNNING
            if observed.aliases:
                run.aliases = observed.aliases
            same = told.get("containerID") == f"podman://{observed.id}"
            starting.watch(self._ctx, pod, run, slot, observed, ready=same and told.get("ready", False))

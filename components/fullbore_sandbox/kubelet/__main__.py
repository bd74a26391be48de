"""`python -m fullbore_sandbox.kubelet --root ROOT`: run the pods of both clusters until SIGTERM.

Containers outlive this process; the next one takes them over.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
import time
from pathlib import Path

from fullbore_sandbox.clusterfiles import SUFFIXES
from fullbore_sandbox.kubelet.addresses import Addresses
from fullbore_sandbox.kubelet.api import Api, ApiError, Unreachable, collection
from fullbore_sandbox.kubelet.context import Context, Stores
from fullbore_sandbox.kubelet.engine import Engine, Podman
from fullbore_sandbox.kubelet.informer import Informer
from fullbore_sandbox.kubelet.pods import Pods
from fullbore_sandbox.kubelet.probes import Prober
from fullbore_sandbox.kubelet.queue import WorkQueue
from fullbore_sandbox.state import SandboxError, State, write_atomically

log = logging.getLogger("kubelet")
WORKERS = 6
RETRY_S = 1.0
SYNC_S = 60.0
FOLDER = "kubelet"


class Runner:
    """Both clusters: informers that fill one queue, workers that empty it."""

    def __init__(self, state: State, engine: Engine) -> None:
        self._state, self._engine = state, engine
        self._queue = WorkQueue()
        self._stopped = threading.Event()
        self._clusters: dict[str, Pods] = {}
        self._informers: list[Informer] = []
        prober, addresses = Prober(engine), Addresses(state.subnet)
        for name, suffix in SUFFIXES.items():
            self._clusters[name] = self._cluster(name, suffix, prober, addresses)

    def _cluster(self, name: str, suffix: str, prober: Prober, addresses: Addresses) -> Pods:
        api = Api(self._state.data(name) / "kubeconfig")
        informers = {
            kind: Informer(
                api, collection("v1", kind), lambda obj, kind=kind: self._changed(name, kind, obj), self._stopped
            )
            for kind in ("pods", "services", "configmaps", "secrets")
        }
        self._informers += informers.values()
        folder = self._state.data(FOLDER) / "pods" / name
        folder.mkdir(parents=True, exist_ok=True)
        context = Context(
            cluster=name,
            suffix=suffix,
            folder=folder,
            server=api,
            stores=Stores(**informers),
            engine=self._engine,
            prober=prober,
            addresses=addresses,
            queue=self._queue,
        )
        return Pods(context)

    def _changed(self, cluster: str, kind: str, obj: dict[str, object]) -> None:
        pods = self._clusters[cluster]
        {"pods": pods.pod_changed, "services": pods.service_changed}.get(kind, pods.configuration_changed)(obj)

    def start(self) -> None:
        """Learn what there is, take over what runs, then work. Raises SandboxError where a cluster does not answer."""
        for informer in self._informers:
            informer.start()
        deadline = time.monotonic() + SYNC_S
        for informer in self._informers:
            if not informer.synced.wait(max(0.0, deadline - time.monotonic())):
                raise SandboxError(f"the clusters did not answer within {SYNC_S:.0f} s")
        found = self._engine.list()
        for name, pods in self._clusters.items():
            pods.adopt(o for o in found if o.cluster == name)
        for i in range(WORKERS):
            threading.Thread(target=self._work, name=f"worker-{i}", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        self._queue.close()

    def _work(self) -> None:
        while (key := self._queue.take()) is not None:
            cluster, kind, name = key.split(" ")
            try:
                self._clusters[cluster].sync(kind, name)
            except (ApiError, Unreachable, SandboxError, OSError) as error:
                log.warning("%s: %s", key, error)
                self._queue.add(key, time.monotonic() + RETRY_S)
            except Exception:
                # A defect in the handling of one pod must not end the worker that all pods share; it is logged in full.
                log.exception("%s", key)
                self._queue.add(key, time.monotonic() + RETRY_S)
            finally:
                self._queue.done(key)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fullbore_sandbox.kubelet", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the checkout whose sandbox this belongs to")
    root = parser.parse_args().root
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    state = State.load_or_create(root)
    folder = state.data(FOLDER)
    folder.chmod(0o700)
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    runner = Runner(state, Podman(state))
    runner.start()
    write_atomically(ready, str(os.getpid()))
    log.info("ready")
    ended.wait()
    runner.stop()
    ready.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        main()
    except SandboxError as error:
        raise SystemExit(f"error: {error}") from error

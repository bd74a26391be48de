"""The processes of one control plane and their command lines.

Sized for a handful of nodes: one writer, no leader election, admission and controllers that the stack uses, caches that
are given back early. What each choice leaves out is said beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fullbore_sandbox.clusterfiles.certificates import Certificates, Pair
from fullbore_sandbox.toolchain import KWOK_STAGES, TOOLS

FILES = Path(__file__).parent
SERVICE_CIDR = "10.96.0.0/16"
"""Where ClusterIPs are taken from. Nothing routes there: the sandbox has no kube-proxy."""

CONTROLLERS = (
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
)
"""No volumes, certificates, autoscaling or cloud: nothing in the sandbox provides what those would control."""

NO_ADMISSION = (
    "CertificateApproval",
    "CertificateSigning",
    "CertificateSubjectRestriction",
    "ClusterTrustBundleAttest",
    "DefaultIngressClass",
    "DefaultStorageClass",
    "NodeDeclaredFeatureValidator",
    "PersistentVolumeClaimResize",
    "PodGroupProtection",
    "PodGroupWorkloadExists",
    "RuntimeClass",
    "ServiceAccount",
    "StorageObjectInUseProtection",
)
"""ServiceAccount would mount an API token into every pod, which the pod runner does not provide."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One control plane: its name, folder, certificates and ports by process name."""

    name: str
    folder: Path
    kubeconfig: Path
    certificates: Certificates
    port: Callable[[str], int]

    def url(self, process: str) -> str:
        return f"https://127.0.0.1:{self.port(process)}"


@dataclass(frozen=True, kw_only=True)
class Process:
    """A row of the table: the binary, its arguments, its Go heap limit and the path that says it is up."""

    binary: str
    arguments: Callable[[Plane], list[str]]
    memory_mib: int
    health: str | None = None

    def environment(self) -> Mapping[str, str]:
        """Small heaps: collect at half the usual growth, and hard when the limit comes near."""
        cores = str(min(2, os.cpu_count() or 1))
        return {"GOGC": "50", "GOMEMLIMIT": f"{self.memory_mib}MiB", "GOMAXPROCS": cores}


def _tls(flags: tuple[str, str], pair: Pair) -> list[str]:
    return [f"--{flags[0]}={pair.certificate}", f"--{flags[1]}={pair.key}"]


def _etcd(plane: Plane) -> list[str]:
    certificates, client, peer = plane.certificates, plane.url("etcd"), plane.url("etcd-peer")
    authority = certificates.authority.certificate
    return [
        f"--name={plane.name}",
        f"--data-dir={plane.folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={plane.name}={peer}",
        *_tls(("cert-file", "key-file"), certificates.server),
        *_tls(("peer-cert-file", "peer-key-file"), certificates.server),
        f"--trusted-ca-file={authority}",
        f"--peer-trusted-ca-file={authority}",
        "--client-cert-auth",
        "--peer-client-cert-auth",
        # A killed process loses nothing that the kernel holds; only a power cut would.
        "--unsafe-no-fsync",
        "--quota-backend-bytes=268435456",
        "--snapshot-count=5000",
        "--max-snapshots=1",
        "--max-wals=1",
        "--log-level=warn",
    ]


def _apiserver(plane: Plane) -> list[str]:
    certificates = plane.certificates
    authority = certificates.authority.certificate
    return [
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={plane.port('kube-apiserver')}",
        f"--etcd-servers={plane.url('etcd')}",
        f"--etcd-cafile={authority}",
        *_tls(("etcd-certfile", "etcd-keyfile"), certificates.client),
        *_tls(("tls-cert-file", "tls-private-key-file"), certificates.server),
        f"--client-ca-file={authority}",
        # Nothing fronts this API server, but the other processes wait for the setting and complain without end.
        f"--requestheader-client-ca-file={authority}",
        "--requestheader-allowed-names=front-proxy",
        "--anonymous-auth=false",
        "--authorization-mode=RBAC",
        f"--service-account-key-file={certificates.accounts.certificate}",
        f"--service-account-signing-key-file={certificates.accounts.key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        f"--disable-admission-plugins={','.join(NO_ADMISSION)}",
        # Flow control and snapshots of lists serve many clients; here there are a few, on loopback.
        "--enable-priority-and-fairness=false",
        "--feature-gates=ListFromCacheSnapshot=false,DetectCacheInconsistency=false",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
    ]


def _client(plane: Plane, name: str) -> list[str]:
    return [
        f"--kubeconfig={plane.kubeconfig}",
        f"--authentication-kubeconfig={plane.kubeconfig}",
        f"--authorization-kubeconfig={plane.kubeconfig}",
        "--authorization-always-allow-paths=/healthz,/readyz,/livez",
        f"--client-ca-file={plane.certificates.authority.certificate}",
        *_tls(("tls-cert-file", "tls-private-key-file"), plane.certificates.server),
        "--bind-address=127.0.0.1",
        f"--secure-port={plane.port(name)}",
        "--leader-elect=false",
        "--profiling=false",
    ]


def _controller_manager(plane: Plane) -> list[str]:
    return [
        *_client(plane, "kube-controller-manager"),
        f"--controllers={','.join(CONTROLLERS)}",
        f"--service-account-private-key-file={plane.certificates.accounts.key}",
        # Few objects: fewer workers, each of which holds buffers.
        "--concurrent-gc-syncs=4",
        "--concurrent-namespace-syncs=4",
    ]


def _scheduler(plane: Plane) -> list[str]:
    return _client(plane, "kube-scheduler")


def _kwok(plane: Plane) -> list[str]:
    return [
        f"--kubeconfig={plane.kubeconfig}",
        *(f"--config={TOOLS[stage].path}" for stage in KWOK_STAGES),
        "--manage-all-nodes=true",
        "--node-ip=127.0.0.1",
        "--node-lease-duration-seconds=40",
        "--v=WARN",
        f"--server-address=127.0.0.1:{plane.port('kwok')}",
    ]


def _volcano(plane: Plane, name: str) -> list[str]:
    return [
        f"--kubeconfig={plane.kubeconfig}",
        "--leader-elect=false",
        "--enable-healthz=true",
        f"--healthz-address=127.0.0.1:{plane.port(name)}",
        f"--listen-address=127.0.0.1:{plane.port(name + '-metrics')}",
        "--logtostderr",
    ]


def _volcano_scheduler(plane: Plane) -> list[str]:
    return [
        *_volcano(plane, "vc-scheduler"),
        f"--scheduler-conf={FILES / 'volcano-scheduler.yaml'}",
        "--schedule-period=500ms",
        "--cache-dumper=false",
        "--node-worker-threads=2",
    ]


def _volcano_controllers(plane: Plane) -> list[str]:
    return [
        *_volcano(plane, "vc-controller-manager"),
        f"--controllers={','.join(VOLCANO_CONTROLLERS)}",
    ]


VOLCANO_CONTROLLERS: Mapping[str, tuple[str, ...]] = {
    "pg-controller": ("scheduling.volcano.sh_podgroups",),
    "queue-controller": ("scheduling.volcano.sh_queues", "bus.volcano.sh_commands"),
    "hyperNode-controller": ("topology.volcano.sh_hypernodes",),
}
"""Controllers that run, with the custom resources that each waits for."""
SCHEDULER_RESOURCES = ("nodeinfo.volcano.sh_numatopologies",)
"""What Volcano's scheduler watches besides."""
VOLCANO_RESOURCES = (*(name for names in VOLCANO_CONTROLLERS.values() for name in names), *SCHEDULER_RESOURCES)

PROCESSES: Mapping[str, Process] = {
    "etcd": Process(binary="etcd", arguments=_etcd, memory_mib=128, health="https:/health"),
    "kube-apiserver": Process(binary="kube-apiserver", arguments=_apiserver, memory_mib=320, health="https:/readyz"),
    "kube-controller-manager": Process(
        binary="kube-controller-manager", arguments=_controller_manager, memory_mib=128, health="https:/healthz"
    ),
    "kube-scheduler": Process(binary="kube-scheduler", arguments=_scheduler, memory_mib=96, health="https:/healthz"),
    "kwok": Process(binary="kwok", arguments=_kwok, memory_mib=64, health="http:/healthz"),
    "vc-scheduler": Process(binary="vc-scheduler", arguments=_volcano_scheduler, memory_mib=96, health="http:/healthz"),
    "vc-controller-manager": Process(
        binary="vc-controller-manager", arguments=_volcano_controllers, memory_mib=96, health="http:/healthz"
    ),
}
CLOUD = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
SITE = (*CLOUD, "vc-scheduler", "vc-controller-manager")

"""Rules about versions: one for each kind of combination that is bad, all from the catalog's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cmp_to_key

from fullbore.catalog.container_runtime import SERIES
from fullbore.catalog.versions.conflicts import CONFLICTS, Conflict
from fullbore.catalog.versions.releases import CHANGEABLE, CUDA, DOCA, EFA
from fullbore.plan.change import Change
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.versions import broken, compare, given_of, proposal, resolve

SUMMARIES = {
    "versions-cuda-driver": "the driver is too old for CUDA",
    "versions-cuda-minor": "CUDA runs on the driver by minor version compatibility only",
    "versions-cuda-gpu": "CUDA does not know the GPU",
    "versions-driver-gpu": "the driver does not know the GPU",
    "versions-driver-kernel": "the driver's modules do not build for the kernel",
    "versions-gpu-modules": "the kernel modules' flavour does not drive the GPU",
    "versions-gpu-memory": "GPU memory cannot be registered for RDMA in this way",
    "versions-nccl": "NCCL is too old for the GPU or the EFA plugin",
    "versions-nccl-cuda": "NCCL was not published for this CUDA",
    "versions-known-bad": "a release or combination is known to hang or crash",
    "versions-known-poor": "a release or combination is known to be slow or to need a workaround",
    "versions-container-toolkit": "the container toolkit lets a container out",
    "versions-os": "a part does not support the operating system",
    "versions-efa-bundle": "a library is not the one that the EFA installer brings",
    "versions-efa-p5": "EFA on P5 nodes needs a newer part",
    "versions-ofed": "DOCA-OFED does not know the network card",
    "versions-firmware-card": "the firmware is for another network card",
    "versions-firmware": "the network card's firmware is older than DOCA-OFED's",
}


def _finder(rule: str) -> Callable[[Subject], Iterable[Finding]]:
    def find(subject: Subject) -> Iterable[Finding]:
        rows = [row for row in broken(subject.env) if row.rule == rule]
        changes = _fix(subject) if rows else ()
        for row in rows:
            version = resolve(subject.env)[row.part]
            yield Finding(f"versions.{row.part}", _message(row, version, changes), changes)

    return find


def _fix(subject: Subject) -> tuple[Change, ...]:
    """The least change of the lock that makes all of it good; nothing where none does."""
    changes = proposal(subject.env) or {}
    return tuple(Change(path=("versions", part), value=version) for part, version in changes.items())


def _message(row: Conflict, version: str, changes: tuple[Change, ...]) -> str:
    todo = ", ".join(map(str, changes)) or "no release that is known goes with the other parts and the machines"
    return f"got {version}, but {row.why}; {todo} (source: {row.source})"


_LISTED = {"cuda": CUDA, "efa": EFA, "ofed_version": DOCA}
_CONTAINERD = "site.container_runtime.containerd"
_DRIVERS = tuple(c.at_least for row in CONFLICTS for c in row.when if c.part == "gpu_driver" and c.at_least)
_SERIES: dict[str, tuple[int, tuple[str, ...]]] = {
    "versions.gpu_driver": (1, (*CHANGEABLE["gpu_driver"], *_DRIVERS)),
    "versions.container_toolkit": (2, CHANGEABLE["container_toolkit"]),
    _CONTAINERD: (2, SERIES),
}
"""Of these, releases within a series are many and alike: {path: (numbers that name a series, releases)}."""


def _unlisted(subject: Subject) -> Iterable[Finding]:
    env, given = subject.env, given_of(subject.env)
    for part, rows in _LISTED.items():
        if part in given and not any(compare(row.version, given[part]) == 0 for row in rows):
            known = ", ".join(row.version for row in rows)
            yield Finding(f"versions.{part}", f"got {given[part]}, of which nothing is known; known: {known}")
    runtime = env.site.container_runtime if env.site else None
    held = {f"versions.{part}": version for part, version in given.items()}
    held |= {_CONTAINERD: runtime.containerd} if runtime else {}
    for path, (numbers, releases) in _SERIES.items():
        known = sorted({_series(release, numbers) for release in releases}, key=cmp_to_key(compare))
        if path in held and _series(held[path], numbers) not in known:
            message = f"got {held[path]}, of whose series nothing is known; known: {', '.join(known)}"
            yield Finding(path, message)


def _kubernetes(subject: Subject) -> Iterable[Finding]:
    """Nodes and images are made for one Kubernetes, which is the cloud's, too."""
    cloud, given = subject.env.cloud, given_of(subject.env)
    if cloud and "kubernetes" in given and _minor(given["kubernetes"]) != _minor(cloud.kubernetes_version):
        message = f"got {given['kubernetes']}, but cloud.kubernetes_version is {cloud.kubernetes_version[:20]}"
        change = Change(path=("cloud", "kubernetes_version"), value=_minor(given["kubernetes"]))
        yield Finding("versions.kubernetes", f"{message}; lock one for both: {change}", (change,))


def _eks_image(subject: Subject) -> Iterable[Finding]:
    """EKS API reference, CreateNodegroup: the release is of the node group's Kubernetes, which is the cluster's."""
    cloud, image = subject.env.cloud, given_of(subject.env).get("eks_image")
    if cloud and image and _minor(image) != _minor(cloud.kubernetes_version):
        message = f"got {image}, but cloud.kubernetes_version is {cloud.kubernetes_version[:20]}"
        yield Finding("versions.eks_image", f"{message}; lock a release of that version")


def _minor(version: str) -> str:
    return _series(version, 2)


def _series(version: str, numbers: int) -> str:
    return ".".join(version.split(".")[:numbers])


def _rule(rule: str) -> Rule:
    first = next(row for row in CONFLICTS if row.rule == rule)
    return Rule(id=rule, severity=first.severity, summary=SUMMARIES[rule], find=_finder(rule))


RULES = (
    *(_rule(rule) for rule in dict.fromkeys(row.rule for row in CONFLICTS)),
    Rule(id="versions-unlisted", severity="info", summary="the catalog does not know a release", find=_unlisted),
    Rule(
        id="versions-kubernetes",
        severity="error",
        summary="the lock and the cloud name different versions of Kubernetes",
        find=_kubernetes,
    ),
    Rule(
        id="versions-eks-image",
        severity="error",
        summary="the image of cloud nodes is of another version of Kubernetes",
        find=_eks_image,
    ),
)

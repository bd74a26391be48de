"""Rules about which part needs which other, and what only a sandbox may leave out."""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import normpath

from fullbore.config.models import Environment
from fullbore.plan.change import put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.model import BUILDABLE

NEEDS = {
    "storage": ("cloud",),
    "replication": ("cloud", "storage"),
    "site.kubernetes": ("cluster",),
    "serving": ("cluster", "image"),
    "gateway": ("serving",),
    "monitoring": ("cluster",),
    "monitoring.lag": ("replication",),
    "standby": ("cloud", "serving"),
    "recovery": ("standby",),
}
"""Parts that each part is made from."""

LEFT_OUT_IN_SANDBOX = {
    "site.ssh.private_key_file": "the path of the key that Ansible logs in with",
    "image.registry": "host:port of the registry",
    "cluster.kubeconfig": "the path of the cluster's kubeconfig",
    "gateway.port": "the port that it listens on",
    "gateway.address": "the name or address that clients use",
}
"""Fields that a sandbox chooses itself and that a real environment must say."""


def _needs(subject: Subject) -> Iterable[Finding]:
    for part, needed in NEEDS.items():
        if _said(subject.env, part) is None:
            continue
        for other in needed:
            if _said(subject.env, other) is None:
                message = f"needs {other}, which is missing; add {other} or remove {part}"
                without = (part, *(name for name in _made_from(part) if _said(subject.env, name) is not None))
                yield Finding(part, message, tuple(map(remove, without)))


def _said(env: Environment, path: str) -> object:
    """What an environment has at a dotted path; None where it, or what it is in, is left out."""
    value: object = env
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


def _made_from(part: str) -> list[str]:
    """Parts that cannot be without this one."""
    direct = [name for name, needed in NEEDS.items() if part in needed]
    return list(dict.fromkeys(name for one in direct for name in (one, *_made_from(one))))


def _real(subject: Subject) -> Iterable[Finding]:
    if subject.env.sandbox:
        return
    for path, what in LEFT_OUT_IN_SANDBOX.items():
        value = _said(subject.env, path)
        declared = getattr(subject.env, path.partition(".")[0]) is not None
        if declared and value is None:
            yield Finding(path, f"missing; add {what} (only an environment with sandbox may leave it out)")


def _image(subject: Subject) -> Iterable[Finding]:
    image = subject.env.image
    if image is None or subject.env.sandbox or image.digest or image.base or image.profile not in BUILDABLE:
        return
    message = "missing; pin the digest that CI built, or give base (by digest) to build the image in this update"
    yield Finding("image.digest", message)


def _buildable(subject: Subject) -> Iterable[Finding]:
    image = subject.env.image
    if image and not image.digest and image.profile not in BUILDABLE:
        message = (
            f"missing, and an image of profile {image.profile} cannot be built here, only {', '.join(BUILDABLE)}; "
            "pin the digest of one that was built elsewhere"
        )
        yield Finding("image.digest", message)


def _standby_kubeconfig(subject: Subject) -> Iterable[Finding]:
    """Without a file the Kubernetes provider would take the caller's own, which may be the site's cluster."""
    env = subject.env
    if env.standby and env.cloud and not env.sandbox and not env.cloud.kubeconfig:
        message = (
            "missing, but the standby is deployed to that cluster; write the EKS cluster's kubeconfig with "
            "aws eks update-kubeconfig --kubeconfig FILE and name the file here"
        )
        yield Finding("cloud.kubeconfig", message)


def _same_kubeconfig(subject: Subject) -> Iterable[Finding]:
    """The standby would be deployed beside what it must survive."""
    cloud, cluster = subject.env.cloud, subject.env.cluster
    if not (cloud and cluster and cloud.kubeconfig and cluster.kubeconfig):
        return
    if normpath(cloud.kubeconfig) == normpath(cluster.kubeconfig):
        message = (
            f"got {cloud.kubeconfig[:60]}, the same file as cluster.kubeconfig, so the standby would be deployed "
            "to the site's cluster; name the file of the EKS cluster"
        )
        yield Finding("cloud.kubeconfig", message)


def _namespace(subject: Subject) -> Iterable[Finding]:
    """It is made with the stack, and deleted with it (kubernetes.io/docs, Namespaces, "Initial namespaces")."""
    namespace = subject.env.cluster.namespace if subject.env.cluster else ""
    if namespace in ("default", "volcano-system") or namespace.startswith("kube-"):
        path = "cluster.namespace"
        owner = "Volcano's" if namespace == "volcano-system" else "Kubernetes'"
        message = f"got {namespace}, which is {owner} own; name another, e.g. fullbore"
        yield Finding(path, message, (put(path, "fullbore"),))


def _lag_twice(subject: Subject) -> Iterable[Finding]:
    """Prometheus has one job for it, and each alert would come twice."""
    given = subject.env.monitoring
    if given and given.lag and given.lag_exporter:
        message = f"got {given.lag_exporter[:60]}, but monitoring.lag measures it in the cluster; remove one of them"
        yield Finding("monitoring.lag_exporter", message, (remove("monitoring.lag_exporter"),))


def _base(subject: Subject) -> Iterable[Finding]:
    image = subject.env.image
    if image and image.base and "@sha256:" not in image.base:
        yield Finding("image.base", f"got {image.base[:60]}, allowed a reference by digest (NAME@sha256:...)")


RULES = (
    Rule(id="part-missing", severity="error", summary="a part needs another that is not declared", find=_needs),
    Rule(id="real-field-missing", severity="error", summary="a real environment must say it", find=_real),
    Rule(id="image-unpinned", severity="error", summary="no image digest, and nothing to build from", find=_image),
    Rule(
        id="image-unbuildable",
        severity="error",
        summary="no image digest, and the profile is not one that can be built",
        find=_buildable,
    ),
    Rule(
        id="standby-kubeconfig",
        severity="error",
        summary="a real standby does not name its cluster's kubeconfig",
        find=_standby_kubeconfig,
    ),
    Rule(
        id="kubeconfig-shared",
        severity="error",
        summary="the site's and the cloud's cluster have the same kubeconfig",
        find=_same_kubeconfig,
    ),
    Rule(id="namespace-taken", severity="error", summary="the namespace is Kubernetes' own", find=_namespace),
    Rule(id="lag-twice", severity="error", summary="two exporters of the replication's lag", find=_lag_twice),
    Rule(id="base-by-tag", severity="error", summary="the base image is not named by digest", find=_base),
)

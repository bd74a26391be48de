"""Rules about machines that join the site's cluster: their labels."""

from __future__ import annotations

from collections.abc import Iterable

from fullbore.catalog.kubernetes import LABEL_DOMAINS, OWN_LABEL_DOMAINS, OWN_LABELS
from fullbore.config.paths import dotted
from fullbore.plan.change import Change
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.kubernetes import OWN_DOMAIN, ZONE_LABEL


def _labels(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    for key in site.kubernetes.labels if site and site.kubernetes else ():
        fault = _fault(key)
        if fault:
            where = ("site", "kubernetes", "labels", key)
            yield Finding(dotted(where), f"{fault}; remove it", (Change(path=where, value=None),))


def _fault(key: str) -> str:
    """Why nodes cannot have a label from here, empty where they can."""
    domain = key.rpartition("/")[0]
    if _within(domain, (OWN_DOMAIN,)) or key == ZONE_LABEL:
        return "is a label that the plan gives itself"
    if _within(domain, LABEL_DOMAINS) and not _within(domain, OWN_LABEL_DOMAINS) and key not in OWN_LABELS:
        allowed = " and ".join(f"{each}/" for each in OWN_LABEL_DOMAINS)
        return f"is a label of Kubernetes' own with which a kubelet does not start; allowed are those of {allowed}"
    return ""


def _within(domain: str, domains: Iterable[str]) -> bool:
    return any(domain == each or domain.endswith(f".{each}") for each in domains)


RULES = (
    Rule(
        id="node-label",
        severity="error",
        summary="a label that a kubelet may not give its node, or that the plan gives it",
        find=_labels,
    ),
)

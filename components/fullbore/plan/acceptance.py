"""How the site's machines are accepted, decided from its configuration and the lock. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from fullbore.config.models import Host, Site
from fullbore.plan.model import AcceptancePlan, CablePlan


def acceptance_plan(site: Site, lock: Mapping[str, str]) -> AcceptancePlan | None:
    """None where the environment asks for none."""
    asked = site.acceptance
    if asked is None:
        return None
    return AcceptancePlan(
        signing_key_file=asked.signing_key_file,
        public_key=asked.public_key,
        valid_days=asked.valid_days,
        strict=asked.strict,
        dcgm_level=asked.dcgm_level,
        nvls=asked.nvls,
        fabric=site.fabric,
        link_gbps=site.link_gbps,
        lock=lock,
    )


def cable_plans(host: Host) -> tuple[CablePlan, ...]:
    """By the host's port."""
    return tuple(
        CablePlan(port=port, peer=cable.switch, peer_port=cable.port) for port, cable in sorted(host.cables.items())
    )

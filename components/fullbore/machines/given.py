"""What commands on machines find in an environment, or refuse it for."""

from __future__ import annotations

from fullbore.config import Environment
from fullbore.config.models import Site
from fullbore.problems import refusal


def site_of(environment: Environment) -> Site:
    """Raises ConfigError where there is none."""
    if environment.site is None:
        raise refusal("site", "bmc-unknown", "missing; machines are discovered and switched at a site")
    return environment.site

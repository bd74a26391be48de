"""What commands on machines find in an environment, or refuse it for."""

from __future__ import annotations

from fullbore.config import Environment
from fullbore.config.models import Site
from fullbore.problems import ConfigError, Problem


def site_of(environment: Environment) -> Site:
    """Raises ConfigError where there is none."""
    if environment.site is None:
        raise problem("site", "bmc-unknown", "missing; machines are discovered and switched at a site")
    return environment.site


def problem(path: str, rule: str, message: str) -> ConfigError:
    return ConfigError([Problem(path=path, severity="error", rule=rule, message=message)])

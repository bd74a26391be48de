"""Every rule over an environment, as one table; all of them run, and all problems come back together."""

from fullbore.config.endpoints import Endpoints
from fullbore.config.models import Environment
from fullbore.plan.checks import (
    acceptance,
    capacity,
    cloud,
    cost,
    data,
    fabric,
    infiniband,
    kubernetes,
    memory,
    model,
    network,
    numa,
    recovery,
    room,
    serving,
    site,
    software,
    sovereignty,
    storage,
    structure,
    versions,
    zones,
)
from fullbore.plan.checks.base import Rule, Subject
from fullbore.problems import Problem

RULES: tuple[Rule, ...] = (
    *structure.RULES,
    *site.RULES,
    *acceptance.RULES,
    *network.RULES,
    *model.RULES,
    *memory.RULES,
    *numa.RULES,
    *fabric.RULES,
    *infiniband.RULES,
    *software.RULES,
    *kubernetes.RULES,
    *serving.RULES,
    *cloud.RULES,
    *cost.RULES,
    *capacity.RULES,
    *zones.RULES,
    *room.RULES,
    *recovery.RULES,
    *data.RULES,
    *storage.RULES,
    *sovereignty.RULES,
    *versions.RULES,
)


def check(env: Environment, endpoints: Endpoints | None = None) -> tuple[Problem, ...]:
    """Problems of every rule, sorted by path."""
    subject = Subject(env, endpoints)
    return tuple(sorted({problem for rule in RULES for problem in rule.problems(subject)}))

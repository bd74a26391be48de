"""From an environment to its plan: every part decided, every problem named. Pure, and it never raises."""

from __future__ import annotations

from fullbore.config.endpoints import Endpoints
from fullbore.config.models import Environment
from fullbore.plan import parts
from fullbore.plan.checks import check
from fullbore.plan.cost import cost_plan
from fullbore.plan.model import Plan
from fullbore.plan.recovery import recovery_plan
from fullbore.plan.serving import serving_plan
from fullbore.plan.sovereignty import data_flows
from fullbore.plan.versions import versions_plan


def make_plan(env: Environment, endpoints: Endpoints | None = None) -> Plan:
    """The whole plan. Endpoints count for a sandbox only; without them it gets placeholder addresses on loopback.

    Problems are in `plan.problems`, sorted by path; a plan that holds an error must not be carried out.
    """
    used = endpoints if env.sandbox else None
    versions = versions_plan(env)
    site = parts.site_plan(env, env.site, versions, used) if env.site else None
    return Plan(
        environment=env.name,
        sandbox=env.sandbox is not None,
        tags=env.tags,
        site=site,
        cloud=parts.cloud_plan(env, env.cloud, versions, used) if env.cloud else None,
        storage=parts.storage_plan(env),
        replication=parts.replication_plan(env),
        time_control=parts.time_control_plan(env, used),
        lag=parts.lag_plan(env),
        image=parts.image_plan(env, used),
        cluster=parts.site_cluster_plan(env, used),
        serving=serving_plan(env, site, versions),
        gateway=parts.gateway_plan(env, used),
        monitoring=parts.monitoring_plan(env, site, used),
        standby=parts.standby_plan(env, versions, used),
        recovery=recovery_plan(env),
        flows=data_flows(env),
        cost=cost_plan(env),
        versions=versions,
        problems=check(env, used),
    )

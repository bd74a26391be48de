"""The role of the pod that measures the lag: it asks how far replication is, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from fullbore import policies
from fullbore._aws import Policy, Role, Scope
from fullbore.plan.model import ReaderPlan


@dataclass(frozen=True, kw_only=True)
class LagReader:
    """Who may ask, and for which task; `task_arn` is empty where S3 itself copies."""

    plan: ReaderPlan
    role: Role
    task_arn: pulumi.Input[str] = ""


def create_reader(scope: Scope, plan: ReaderPlan, grants: Policy, task_arn: pulumi.Input[str] = "") -> LagReader:
    trust = scope.account.apply(
        lambda account: policies.trust_pods(account, plan.oidc_provider, plan.namespace, plan.service_account)
    )
    role = scope.role("lag-reader", trust, inline={"lag-read": grants})
    return LagReader(plan=plan, role=role, task_arn=task_arn)

"""Flow logs of the VPC: who spoke to whom, in a log group that forgets after the days of the plan."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws

from fullbore import policies
from fullbore._aws import Role, Scope
from fullbore.cloud.network import NetworkParts

INTERVAL_S = 60
"""The shorter of the two intervals that flow logs are gathered in (EC2 API reference, CreateFlowLogs)."""


@dataclass(frozen=True, kw_only=True)
class FlowLogParts:
    group: aws.cloudwatch.LogGroup
    role: Role
    log: aws.ec2.FlowLog


def create_flow_logs(scope: Scope, network: NetworkParts, days: int) -> FlowLogParts:
    group = aws.cloudwatch.LogGroup(
        scope.part("flow-logs"),
        name=f"/fullbore/{scope.physical('flow-logs')}",
        retention_in_days=days,
        tags=scope.tags,
        opts=scope.child(),
    )
    trust = scope.account.apply(
        lambda account: policies.trust("vpc-flow-logs.amazonaws.com", policies.of_account(account))
    )
    role = scope.role("flow-logs", trust, inline={"flow-logs-write": group.arn.apply(policies.write_flow_logs)})
    log = aws.ec2.FlowLog(
        scope.part("flow-logs"),
        vpc_id=network.vpc.id,
        traffic_type="ALL",
        log_destination_type="cloud-watch-logs",
        log_destination=group.arn,
        iam_role_arn=role.role.arn,
        max_aggregation_interval=INTERVAL_S,
        tags=scope.tags,
        opts=scope.child(depends_on=[*role.grants]),
    )
    return FlowLogParts(group=group, role=role, log=log)

"""Replication as one component: two locations, the task between them, and who is told when it fails or lags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore import policies
from fullbore._aws import Role, Scope
from fullbore._component import Component
from fullbore.cloud import Cloud
from fullbore.plan.model import ReplicationPlan
from fullbore.replication.agents import create_agents
from fullbore.replication.alarms import AlarmParts, create_alarms
from fullbore.replication.limits import create_limits
from fullbore.replication.locations import Location, create_destination, create_source
from fullbore.replication.reader import LagReader, create_reader
from fullbore.replication.task import create_failback, create_task
from fullbore.storage import Storage


@dataclass(frozen=True, kw_only=True)
class ReplicationResources:
    """What a `Replication` made. `agents` are by name, `limits` by the hour at which they begin; `failback`,
    `alarms` and `reader` are there where the plan has them."""

    role: Role
    agents: Mapping[str, aws.datasync.Agent]
    source: Location
    destination: Location
    task: aws.datasync.Task
    failback: aws.datasync.Task | None
    limits: Mapping[int, aws.scheduler.Schedule]
    alarms: AlarmParts | None
    reader: LagReader | None


class Replication(Component):
    """A task that copies what changed at the site's store to the bucket, and checks what it copied."""

    def __init__(
        self,
        name: str,
        plan: ReplicationPlan,
        *,
        cloud: Cloud,
        storage: Storage,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        scope = Scope(self, plan.environment, dict(tags))
        bucket_arn = storage.resources.weights.bucket.arn
        role = _create_role(scope, plan, bucket_arn)
        agents = create_agents(scope, plan, cloud)
        source = create_source(scope, plan, role, [*plan.agent_arns, *(agent.arn for agent in agents.values())])
        destination = create_destination(scope, plan, storage, cloud, role)
        task = create_task(scope, plan, source, destination, role, bucket_arn)
        self.resources = ReplicationResources(
            role=role,
            agents=agents,
            source=source,
            destination=destination,
            task=task,
            failback=create_failback(scope, plan, source, destination) if plan.failback else None,
            limits=create_limits(scope, plan, task),
            alarms=create_alarms(scope, plan.alarm, task) if plan.alarm else None,
            reader=create_reader(scope, plan.reader, task.arn.apply(policies.read_task), task.arn)
            if plan.reader
            else None,
        )
        self.register_outputs({"taskArn": task.arn})


def _create_role(scope: Scope, plan: ReplicationPlan, bucket_arn: pulumi.Output[str]) -> Role:
    """Only DataSync of this account may take the role: another account's task must not borrow it."""
    source = [f"arn:aws:s3:::{plan.server}"] if plan.source == "s3" else []
    written, read = (source, []) if plan.failback else ([], source)
    trust = scope.account.apply(lambda number: policies.trust("datasync.amazonaws.com", policies.of_account(number)))
    return scope.role(
        "datasync",
        trust,
        inline={"bucket-access": bucket_arn.apply(lambda arn: policies.copy_buckets([arn, *written], read))},
    )

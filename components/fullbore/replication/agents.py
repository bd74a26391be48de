"""Activating DataSync agents: a step of its own, for their keys are used once and expire after half an hour.

An agent whose key has expired fails alone, under its own name; with a new key the next `up` activates it and goes on
with what waits for it: the source, and the tasks.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from fullbore._aws import Scope
from fullbore.cloud import Cloud
from fullbore.plan.model import ReplicationPlan

DATASYNC = "datasync"
"""The service among the VPC's endpoints."""


def create_agents(scope: Scope, plan: ReplicationPlan, cloud: Cloud) -> Mapping[str, aws.datasync.Agent]:
    """By name. Over the VPC's endpoint where it has one: then no agent needs the internet, and its tasks' interfaces
    are in one subnet (DataSync user guide, "Choosing a service endpoint", VPC)."""
    network = cloud.resources.network
    subnet = next(iter(network.subnets.values()))
    endpoint = network.interfaces[DATASYNC] if plan.private else None
    return {
        agent.name: aws.datasync.Agent(
            scope.part(f"agent-{agent.name}"),
            name=scope.physical(f"agent-{agent.name}"),
            activation_key=pulumi.Output.secret(agent.activation_key),
            vpc_endpoint_id=endpoint.id if endpoint else None,
            subnet_arns=[subnet.arn] if endpoint else None,
            security_group_arns=[network.endpoint_group.arn] if endpoint else None,
            tags=scope.tags,
            # The key is used up: that the file still names it, or another one, does not make a new agent.
            opts=scope.child(ignore_changes=["activationKey"]),
        )
        for agent in plan.agents
    }

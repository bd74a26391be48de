"""Roles of pods: one for each job of the plan, taken by EKS Pod Identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi_aws as aws

from fullbore import policies
from fullbore._aws import Role, Scope
from fullbore.cloud.cluster import ClusterParts
from fullbore.plan.model import CloudPlan, JobPlan

AGENT = "eks-pod-identity-agent"
"""The add-on that hands credentials to pods (EKS user guide, "Set up the Amazon EKS Pod Identity Agent")."""


@dataclass(frozen=True, kw_only=True)
class IdentityParts:
    """By name of the job; `agent` is None where no pod has a role."""

    agent: aws.eks.Addon | None
    roles: Mapping[str, Role]
    associations: Mapping[str, aws.eks.PodIdentityAssociation]


def create_identity(scope: Scope, plan: CloudPlan, cluster: ClusterParts) -> IdentityParts:
    if not plan.pod_identity:
        return IdentityParts(agent=None, roles={}, associations={})
    agent = aws.eks.Addon(
        scope.part("pod-identity"),
        cluster_name=cluster.cluster.name,
        addon_name=AGENT,
        tags=scope.tags,
        opts=scope.child(),
    )
    roles = {job.name: _create_role(scope, job) for job in plan.jobs}
    associations = {
        job.name: aws.eks.PodIdentityAssociation(
            scope.part(job.name),
            cluster_name=cluster.cluster.name,
            namespace=job.namespace,
            service_account=job.service_account,
            role_arn=roles[job.name].role.arn,
            tags=scope.tags,
            opts=scope.child(depends_on=[*roles[job.name].grants]),
        )
        for job in plan.jobs
    }
    return IdentityParts(agent=agent, roles=roles, associations=associations)


def _create_role(scope: Scope, job: JobPlan) -> Role:
    bucket = {f"{job.name}-bucket": policies.read_bucket(f"arn:aws:s3:::{job.reads_bucket}")}
    return scope.role(
        job.name,
        policies.trust("pods.eks.amazonaws.com", policies.of_pods(job.namespace, job.service_account), tagged=True),
        managed=(job.managed_policy,) if job.managed_policy else (),
        inline=bucket if job.reads_bucket else None,
    )

"""The EKS cluster, its own role, that of its nodes, and the key of its secrets."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore import policies
from fullbore._aws import Role, Scope
from fullbore.cloud.network import NetworkParts
from fullbore.plan.model import CloudPlan

CLUSTER_POLICIES = ("AmazonEKSClusterPolicy",)
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")
NETWORK_POLICY = "AmazonEKS_CNI_Policy"
"""The network plugin's, which has it of its own where pods have identities, and else from its node."""
LOG_TYPES = ("api", "audit", "authenticator")
DELETION_DAYS = 30
"""Days in which a deleted key can be called back: the most that KMS allows."""


@dataclass(frozen=True, kw_only=True)
class ClusterParts:
    """The cluster, the roles, and the key where secrets have one of their own."""

    cluster: aws.eks.Cluster
    cluster_role: Role
    node_role: Role
    key: aws.kms.Key | None

    @property
    def nodes_group(self) -> pulumi.Output[str]:
        """The security group that EKS makes for the cluster; every node is in it."""
        return self.cluster.vpc_config.apply(lambda config: config.cluster_security_group_id or "")


def create_cluster(scope: Scope, plan: CloudPlan, network: NetworkParts) -> ClusterParts:
    """Reached by who may over its public endpoint, behind IAM; nodes stay on the private one."""
    key = _create_key(scope) if plan.own_key else None
    cluster_role = scope.role(
        "cluster",
        policies.trust("eks.amazonaws.com"),
        managed=CLUSTER_POLICIES,
        inline={"secrets-key": key.arn.apply(policies.use_key)} if key else None,
    )
    network_policy = () if plan.pod_identity else (NETWORK_POLICY,)
    node_role = scope.role("node", policies.trust("ec2.amazonaws.com"), managed=(*NODE_POLICIES, *network_policy))
    cluster = aws.eks.Cluster(
        scope.part("eks"),
        name=scope.physical("eks"),
        role_arn=cluster_role.role.arn,
        version=plan.kubernetes_version,
        vpc_config=aws.eks.ClusterVpcConfigArgs(
            subnet_ids=[subnet.id for subnet in network.subnets.values()],
            endpoint_private_access=True,
            endpoint_public_access=plan.api_from != (),
            public_access_cidrs=list(plan.api_from) if plan.api_from else None,
        ),
        access_config=aws.eks.ClusterAccessConfigArgs(authentication_mode="API"),
        encryption_config=_encryption(key) if key else None,
        enabled_cluster_log_types=list(LOG_TYPES),
        tags=scope.tags,
        # A role without its policies cannot delete what the cluster made: they must outlive it.
        opts=scope.child(depends_on=[*cluster_role.grants]),
    )
    return ClusterParts(cluster=cluster, cluster_role=cluster_role, node_role=node_role, key=key)


def _create_key(scope: Scope) -> aws.kms.Key:
    """The account's root manages the key; the cluster's role uses it, by a policy of the role."""
    key = aws.kms.Key(
        scope.part("secrets"),
        description=f"secrets of the cluster {scope.physical('eks')}",
        enable_key_rotation=True,
        deletion_window_in_days=DELETION_DAYS,
        policy=scope.account.apply(lambda account: policies.document([policies.key_administration(account)])),
        tags=scope.tags,
        opts=scope.child(),
    )
    aws.kms.Alias(
        scope.part("secrets"), name=f"alias/{scope.physical('secrets')}", target_key_id=key.key_id, opts=scope.child()
    )
    return key


def _encryption(key: aws.kms.Key) -> aws.eks.ClusterEncryptionConfigArgs:
    return aws.eks.ClusterEncryptionConfigArgs(
        provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=key.arn), resources=["secrets"]
    )

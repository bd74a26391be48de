"""The cloud as one component: network, cluster, identities and nodes, each made by the module of that name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore._aws import Scope
from fullbore._component import Component
from fullbore.cloud.cluster import ClusterParts, create_cluster
from fullbore.cloud.direct_connect import DirectConnectParts, create_direct_connect
from fullbore.cloud.flow_logs import FlowLogParts, create_flow_logs
from fullbore.cloud.identity import IdentityParts, create_identity
from fullbore.cloud.network import NetworkParts, create_network
from fullbore.cloud.nodes import NodeParts, create_nodes
from fullbore.cloud.volumes import create_driver
from fullbore.cloud.vpn import VpnParts, create_vpn
from fullbore.plan.model import CloudPlan


@dataclass(frozen=True, kw_only=True)
class CloudResources:
    """What a `Cloud` made, for whoever builds on it."""

    network: NetworkParts
    vpn: VpnParts | None
    direct: DirectConnectParts | None
    flow_logs: FlowLogParts | None
    cluster: ClusterParts
    identity: IdentityParts
    nodes: NodeParts
    driver: aws.eks.Addon | None


class Cloud(Component):
    """A VPC without a way in, an EKS cluster in it, and a managed node group for each group of the plan."""

    def __init__(
        self,
        name: str,
        plan: CloudPlan,
        *,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        scope = Scope(self, plan.environment, dict(tags))
        network = create_network(scope, plan)
        cluster = create_cluster(scope, plan, network)
        identity = create_identity(scope, plan, cluster)
        vpn = create_vpn(scope, plan.vpn, network) if plan.vpn else None
        line = plan.vpn.direct if plan.vpn else None
        nodes = create_nodes(scope, plan, network, cluster, identity)
        self.resources = CloudResources(
            network=network,
            vpn=vpn,
            direct=create_direct_connect(scope, line, vpn) if line and vpn else None,
            flow_logs=create_flow_logs(scope, network, plan.flow_logs_days) if plan.flow_logs_days else None,
            cluster=cluster,
            identity=identity,
            nodes=nodes,
            driver=create_driver(scope, plan, cluster, nodes),
        )
        self.register_outputs(
            {
                "vpcId": network.vpc.id,
                "clusterName": cluster.cluster.name,
                "clusterEndpoint": cluster.cluster.endpoint,
            }
        )

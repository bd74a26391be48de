"""EKS: AWS makes a security group for each cluster, and answers with it and with the VPC."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from typing import Any

from moto.ec2.models import ec2_backends
from moto.eks.models import Cluster, EKSBackend

Json = dict[str, Any]


def install() -> None:
    for name, wrap in _EKS.items():
        setattr(EKSBackend, name, wrap(getattr(EKSBackend, name)))


def _with_security_group(create: Callable[..., Cluster]) -> Callable[..., Cluster]:
    @functools.wraps(create)
    def wrapper(self: EKSBackend, *args: Any, **kwargs: Any) -> Cluster:
        cluster = create(self, *args, **kwargs)
        ec2 = ec2_backends[self.account_id][self.region_name]
        subnets = [ec2.get_subnet(s) for s in cluster.resources_vpc_config.get("subnetIds", [])]
        if subnets:
            vpc_id = subnets[0].vpc_id
            name = f"eks-cluster-sg-{cluster.name}-{secrets.token_hex(4)}"
            group = ec2.create_security_group(name, "EKS created security group", vpc_id=vpc_id)
            filled = {"clusterSecurityGroupId": group.id, "vpcId": vpc_id}
            public = {"endpointPublicAccess": True, "endpointPrivateAccess": False, "publicAccessCidrs": ["0.0.0.0/0"]}
            cluster.resources_vpc_config = {**public, **cluster.resources_vpc_config, **filled}
        return cluster

    return wrapper


def _keeping_config(update: Callable[..., Cluster]) -> Callable[..., Cluster]:
    @functools.wraps(update)
    def wrapper(self: EKSBackend, name: str, resources_vpc_config: Json | None = None, **kwargs: Any) -> Cluster:
        cluster = self.clusters.get(name)
        merged = {**cluster.resources_vpc_config, **(resources_vpc_config or {})} if cluster else resources_vpc_config
        return update(self, name=name, resources_vpc_config=merged, **kwargs)

    return wrapper


def _with_its_group(delete: Callable[..., Cluster]) -> Callable[..., Cluster]:
    @functools.wraps(delete)
    def wrapper(self: EKSBackend, *args: Any, **kwargs: Any) -> Cluster:
        cluster = delete(self, *args, **kwargs)
        group = cluster.resources_vpc_config.get("clusterSecurityGroupId")
        if group:
            ec2_backends[self.account_id][self.region_name].delete_security_group(group_id=group)
        return cluster

    return wrapper


_EKS = {
    "create_cluster": _with_security_group,
    "update_cluster_config": _keeping_config,
    "delete_cluster": _with_its_group,
}

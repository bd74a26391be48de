"""Who reaches a file system: the nodes of the cloud, by their group, on the ports of its protocol and no others."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from fullbore._aws import Scope
from fullbore.cloud import Cloud

Ports = tuple[int, int]
RULES: Mapping[str, type[aws.vpc.SecurityGroupIngressRule | aws.vpc.SecurityGroupEgressRule]] = {
    "in": aws.vpc.SecurityGroupIngressRule,
    "out": aws.vpc.SecurityGroupEgressRule,
}


def create_group(scope: Scope, part: str, description: str, cloud: Cloud) -> aws.ec2.SecurityGroup:
    return aws.ec2.SecurityGroup(
        scope.part(part),
        name=scope.physical(part),
        description=description,
        vpc_id=cloud.resources.network.vpc.id,
        tags=scope.tags,
        opts=scope.child(),
    )


def open_ports(
    scope: Scope, part: str, way: str, ports: Ports, group: pulumi.Input[str], other: pulumi.Input[str]
) -> pulumi.Resource:
    """One rule of `group`, for TCP from (`way` in) or to (out) what is in the other group."""
    first, last = ports
    return RULES[way](
        scope.part(f"{part}-{first}"),
        security_group_id=group,
        referenced_security_group_id=other,
        ip_protocol="tcp",
        from_port=first,
        to_port=last,
        description=part.replace("-", " "),
        tags=scope.tags,
        opts=scope.child(),
    )

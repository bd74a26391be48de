"""The parts of a GPU node's launch template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from fullbore.plan.model import NodeGroupPlan

ROOT_VOLUME_GIB = 200
"""Room for the runtime image, its unpacked layers and logs; weights are on instance storage or S3."""


def is_placed(group: NodeGroupPlan) -> bool:
    """EFA wants nodes close together; a capacity block is placed by AWS itself."""
    return group.efa_interfaces > 0 and group.capacity != "capacity-block"


def root_volume() -> aws.ec2.LaunchTemplateBlockDeviceMappingArgs:
    return aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
        device_name="/dev/xvda",
        ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
            volume_type="gp3", volume_size=ROOT_VOLUME_GIB, encrypted="true", delete_on_termination="true"
        ),
    )


def interfaces(
    group: NodeGroupPlan, security_groups: Sequence[pulumi.Output[str]]
) -> list[aws.ec2.LaunchTemplateNetworkInterfaceArgs]:
    """The primary interface carries IP; each network card adds one that carries EFA only and takes no address.

    Source: EKS user guide, EFA; EC2 user guide, "maximize network bandwidth on Amazon EC2 instances with multiple
    network cards". Card 0 of p4d to p6-b200 has EFA; a type whose first card has none needs another layout.
    """
    primary = aws.ec2.LaunchTemplateNetworkInterfaceArgs(
        network_card_index=0,
        device_index=0,
        interface_type="interface",
        security_groups=list(security_groups),
        delete_on_termination="true",
    )
    fabric = [
        aws.ec2.LaunchTemplateNetworkInterfaceArgs(
            network_card_index=card,
            device_index=1,
            interface_type="efa-only",
            security_groups=list(security_groups),
            delete_on_termination="true",
        )
        for card in range(group.efa_interfaces)
    ]
    return [primary, *fabric]


def market(group: NodeGroupPlan) -> aws.ec2.LaunchTemplateInstanceMarketOptionsArgs | None:
    """Only a capacity block is named in the template: spot belongs to the node group (EKS user guide)."""
    if group.capacity != "capacity-block":
        return None
    return aws.ec2.LaunchTemplateInstanceMarketOptionsArgs(market_type="capacity-block")


def reservation(group: NodeGroupPlan) -> aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs | None:
    if group.capacity_reservation_id is None:
        return None
    return aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs(
        capacity_reservation_target=aws.ec2.LaunchTemplateCapacityReservationSpecificationCapacityReservationTargetArgs(
            capacity_reservation_id=group.capacity_reservation_id
        )
    )


def launched_tags(tags: Mapping[str, str]) -> list[aws.ec2.LaunchTemplateTagSpecificationArgs]:
    """Tags of what the template launches: neither the provider's tags nor the node group's reach it."""
    return [
        aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=dict(tags))
        for kind in ("instance", "volume", "network-interface")
    ]

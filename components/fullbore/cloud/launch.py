"""The parts of a GPU node's launch template, each from the plan of its group."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from fullbore.plan.model import KubeletPlan, NodeGroupPlan

ROOT_VOLUME_GIB = 200
"""Room for the runtime image, its unpacked layers and logs; weights are on instance storage or S3."""
BOUNDARY = "fullbore"
"""Between the parts of the user data."""


def root_volume() -> aws.ec2.LaunchTemplateBlockDeviceMappingArgs:
    return aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
        device_name="/dev/xvda",
        ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
            volume_type="gp3", volume_size=ROOT_VOLUME_GIB, encrypted="true", delete_on_termination="true"
        ),
    )


def metadata_options() -> aws.ec2.LaunchTemplateMetadataOptionsArgs:
    """IMDSv2 only, and one hop: pods do not reach the node's credentials
    (https://docs.aws.amazon.com/eks/latest/userguide/best-practices-security.html)."""
    return aws.ec2.LaunchTemplateMetadataOptionsArgs(
        http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
    )


def interfaces(
    group: NodeGroupPlan, security_groups: Sequence[pulumi.Output[str]]
) -> list[aws.ec2.LaunchTemplateNetworkInterfaceArgs]:
    """The interfaces that the plan placed; just the primary where the type's network cards are not known."""
    placed = [(each.card, each.device, each.kind) for each in group.interfaces] or [(0, 0, "interface")]
    return [
        aws.ec2.LaunchTemplateNetworkInterfaceArgs(
            network_card_index=card,
            device_index=device,
            interface_type=kind,
            security_groups=list(security_groups),
            delete_on_termination="true",
        )
        for card, device, kind in placed
    ]


def placement(group_name: pulumi.Input[str] | None) -> aws.ec2.LaunchTemplatePlacementArgs | None:
    return None if group_name is None else aws.ec2.LaunchTemplatePlacementArgs(group_name=group_name)


def market(group: NodeGroupPlan) -> aws.ec2.LaunchTemplateInstanceMarketOptionsArgs | None:
    """Only a capacity block is named in the template: spot belongs to the node group (EKS user guide)."""
    if group.capacity != "capacity-block":
        return None
    return aws.ec2.LaunchTemplateInstanceMarketOptionsArgs(market_type="capacity-block")


def reservation(group: NodeGroupPlan) -> aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs | None:
    """A target alone: with a preference beside it EC2 refuses the template (EC2 API reference,
    CapacityReservationSpecification)."""
    if group.capacity_reservation_id is None:
        return None
    return aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs(
        capacity_reservation_target=aws.ec2.LaunchTemplateCapacityReservationSpecificationCapacityReservationTargetArgs(
            capacity_reservation_id=group.capacity_reservation_id
        )
    )


def user_data(group: NodeGroupPlan) -> str:
    """What nodeadm reads at boot, as EC2 wants it (base64): one NodeConfig in a MIME document.

    EKS adds the part that joins the cluster (EKS user guide, "Customize managed nodes with launch templates").
    """
    spec: dict[str, object] = {"kubelet": {"config": kubelet_config(group.kubelet)}}
    if group.instance_store:
        spec["instance"] = {"localStorage": {"strategy": "RAID0"}}
    config = {"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": spec}
    lines = (
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{BOUNDARY}"',
        "",
        f"--{BOUNDARY}",
        "Content-Type: application/node.eks.aws",
        "",
        "---",
        json.dumps(config, sort_keys=True, indent=2),  # JSON is YAML
        "",
        f"--{BOUNDARY}--",
        "",
    )
    return base64.b64encode("\n".join(lines).encode()).decode()


def kubelet_config(plan: KubeletPlan) -> dict[str, object]:
    """KubeletConfiguration of pods that get CPUs to themselves, near their GPUs.

    CPUs are reserved by number, not by name: nodeadm names cgroups for what is reserved, and beside these the kubelet
    refuses `reservedSystemCPUs` (awslabs/amazon-eks-ami nodeadm/internal/kubelet/config.go,
    withDefaultReservedResources; kubernetes.io, "Reserve Compute Resources for System Daemons").
    """
    options = {"full-pcpus-only": "true"}
    if plan.cpus_across_nodes:
        options["distribute-cpus-across-numa"] = "true"
    # nodeadm reserves a part of one CPU, which the kubelet rounds up together with this.
    reserved = {"systemReserved": {"cpu": str(plan.reserved_cpus - 1)}} if plan.reserved_cpus > 1 else {}
    return {
        "cpuManagerPolicy": "static",
        "cpuManagerPolicyOptions": options,
        "topologyManagerPolicy": plan.topology_policy,
        **reserved,
    }


def launched_tags(tags: Mapping[str, str]) -> list[aws.ec2.LaunchTemplateTagSpecificationArgs]:
    """Tags of what the template launches: neither the provider's tags nor the node group's reach it."""
    return [
        aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=dict(tags))
        for kind in ("instance", "volume", "network-interface")
    ]

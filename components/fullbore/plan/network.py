"""Address arithmetic: which subnet each availability zone gets."""

from __future__ import annotations

from ipaddress import IPv4Network

from fullbore.config.models import Cloud

AWS_LARGEST_PREFIX = 16
"""The largest range that a VPC may have (AWS VPC user guide, VPC CIDR blocks)."""
AWS_SMALLEST_PREFIX = 28
"""The smallest subnet that a VPC may have (AWS VPC user guide, subnet sizing)."""
AWS_RESERVED_ADDRESSES = 5
"""Addresses of each subnet that AWS keeps (AWS VPC user guide, subnet sizing)."""
PRIVATE_SERVICES = ("ec2", "ecr.api", "ecr.dkr", "eks", "logs", "sts")
"""What nodes without a way to the internet must reach (EKS user guide, "Deploy private clusters with limited
internet access"); S3 has its gateway."""
SLOT_BITS = 4
"""A VPC is cut into 16 subnets where it is large enough."""


def private_services(cloud: Cloud) -> tuple[str, ...]:
    """Services with an endpoint of the VPC: an address in every subnet for each."""
    asked = {"datasync": cloud.datasync_endpoint, "eks-auth": cloud.pod_identity}
    return (*PRIVATE_SERVICES, *(service for service, wanted in asked.items() if wanted))


def slot_prefix(vpc: IPv4Network) -> int:
    """Prefix length of one zone's subnet: a sixteenth of the VPC, but no smaller than AWS allows."""
    return max(vpc.prefixlen, min(vpc.prefixlen + SLOT_BITS, AWS_SMALLEST_PREFIX))


def zone_subnet(vpc: IPv4Network, zone: str) -> IPv4Network | None:
    """The subnet of a zone, None where the VPC has no room for it.

    A zone's letter alone picks its slot, so that adding a zone never moves another.
    """
    prefix = slot_prefix(vpc)
    slot = ord(zone) - ord("a")
    if slot >= 2 ** (prefix - vpc.prefixlen):
        return None
    first = int(vpc.network_address) + slot * 2 ** (32 - prefix)
    return IPv4Network((first, prefix))


def free_addresses(subnet: IPv4Network) -> int:
    """Addresses of a subnet that machines may take."""
    return max(0, subnet.num_addresses - AWS_RESERVED_ADDRESSES)

"""Address arithmetic: which subnet each availability zone gets."""

from __future__ import annotations

from ipaddress import IPv4Network

AWS_LARGEST_PREFIX = 16
"""The largest range that a VPC may have (AWS VPC user guide, VPC CIDR blocks)."""
AWS_SMALLEST_PREFIX = 28
"""The smallest subnet that a VPC may have (AWS VPC user guide, subnet sizing)."""
AWS_RESERVED_ADDRESSES = 5
"""Addresses of each subnet that AWS keeps (AWS VPC user guide, subnet sizing)."""
SLOT_BITS = 4
"""A VPC is cut into 16 subnets where it is large enough."""


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

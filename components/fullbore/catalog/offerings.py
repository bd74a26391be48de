"""In which zones, and so in which regions, AWS offers which instance types.

Zones are named by id: which letter stands for which zone differs between accounts.
"""

from __future__ import annotations

SOURCE = (
    "getmoto/moto 5.2.5, moto/ec2/resources/instance_type_offerings/availability-zone-id: answers of AWS's "
    "DescribeInstanceTypeOfferings"
)

PREFIXES = {
    "af-south-1": "afs1",
    "ap-east-1": "ape1",
    "ap-northeast-1": "apne1",
    "ap-northeast-2": "apne2",
    "ap-northeast-3": "apne3",
    "ap-south-1": "aps1",
    "ap-south-2": "aps2",
    "ap-southeast-1": "apse1",
    "ap-southeast-2": "apse2",
    "ap-southeast-3": "apse3",
    "ap-southeast-4": "apse4",
    "ap-southeast-5": "apse5",
    "ca-central-1": "cac1",
    "ca-west-1": "caw1",
    "eu-central-1": "euc1",
    "eu-central-2": "euc2",
    "eu-north-1": "eun1",
    "eu-south-1": "eus1",
    "eu-south-2": "eus2",
    "eu-west-1": "euw1",
    "eu-west-2": "euw2",
    "eu-west-3": "euw3",
    "il-central-1": "ilc1",
    "me-central-1": "mec1",
    "me-south-1": "mes1",
    "sa-east-1": "sae1",
    "us-east-1": "use1",
    "us-east-2": "use2",
    "us-west-1": "usw1",
    "us-west-2": "usw2",
}
"""How the ids of a region's zones begin, for the regions that were asked; of others nothing is known."""


def _ids(zones: str) -> tuple[str, ...]:
    """`apne1-14 use1-6` as apne1-az1, apne1-az4 and use1-az6."""
    pairs = (word.split("-") for word in zones.split())
    return tuple(f"{prefix}-az{number}" for prefix, numbers in pairs for number in numbers)


_G4DN = _ids(
    "afs1-23 ape1-123 apne1-124 apne2-123 apne3-12 aps1-123 apse1-123 apse2-123 cac1-12 euc1-123 eun1-123 eus1-23 "
    "euw1-123 euw2-123 euw3-123 mes1-23 sae1-123 use1-12456 use2-123 usw1-13 usw2-123"
)
_G6E = _ids("apne1-14 apne2-12 apne3-12 aps1-13 aps2-12 euc1-123 eun1-12 eus2-23 mec1-12 use1-1246 use2-123 usw2-1234")
_G4DN_SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "metal")
_G6E_SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "48xlarge")

ZONES: dict[str, tuple[str, ...]] = {
    **{f"g4dn.{size}": _G4DN for size in _G4DN_SIZES},
    **{f"g6e.{size}": _G6E for size in _G6E_SIZES},
    "p3dn.24xlarge": _ids("apne1-4 euw1-12 use1-16 usw2-13"),
    "p4d.24xlarge": _ids(
        "apne1-14 apne2-24 aps1-123 apse2-12 cac1-12 euc1-123 eun1-3 euw1-2 euw2-23 sae1-13 use1-1246 use2-123 "
        "usw2-1234"
    ),
    "p4de.24xlarge": _ids("apne1-14 apse1-23 euc1-12 ilc1-123 use1-46 usw2-123"),
    "p5.4xlarge": _ids(
        "apne1-1 aps1-123 apse2-3 apse3-1 eun1-123 euw2-123 sae1-3 use1-123456 use2-123 usw2-1234",
    ),
    "p5.48xlarge": _ids(
        "apne1-14 apne2-1 aps1-123 apse2-123 apse3-1 cac1-4 eun1-123 euw2-123 sae1-3 use1-123456 use2-123 usw1-13 "
        "usw2-1234"
    ),
    "p5e.48xlarge": _ids("apse2-3 apse3-13 eun1-1 euw2-2 sae1-23 use2-123 usw2-3"),
    "p5en.48xlarge": _ids(
        "apne1-4 apne2-1 aps1-13 apse3-23 eun1-13 eus2-12 mec1-13 use1-26 use2-123 usw1-3 usw2-234",
    ),
    "p6-b200.48xlarge": _ids("aps1-2 aps2-2 eun1-2 euw3-1 use1-6 use2-123 usw2-124"),
}
"""Ids of zones by instance type; a type that no region named is left out, and of it nothing is known."""

_REGIONS = {prefix: region for region, prefix in PREFIXES.items()}

OFFERED: dict[str, tuple[str, ...]] = {
    name: tuple(sorted({_REGIONS[zone.partition("-")[0]] for zone in zones})) for name, zones in ZONES.items()
}
"""Regions by instance type."""


def missing_in(instance_type: str, region: str) -> bool:
    """True where the region was asked and does not offer the type, which others do."""
    return region in PREFIXES and instance_type in OFFERED and region not in OFFERED[instance_type]


def zone_offers(instance_type: str, zone_id: str) -> bool | None:
    """Whether a zone was told to offer a type; None where its region was not asked, or no region named the type."""
    if instance_type not in ZONES or zone_id.partition("-")[0] not in _REGIONS:
        return None
    return zone_id in ZONES[instance_type]

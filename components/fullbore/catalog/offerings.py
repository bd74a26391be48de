"""In which regions AWS offers which instance types.

Zones are left out: which letter stands for which zone differs between accounts.
"""

from __future__ import annotations

SOURCE = (
    "getmoto/moto 5.2.5, moto/ec2/resources/instance_type_offerings/region: answers of AWS's "
    "DescribeInstanceTypeOfferings"
)

ASKED = (
    *("af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2"),
    *("ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ca-central-1"),
    *("ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2"),
    *("eu-west-3", "il-central-1", "me-central-1", "me-south-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1"),
    "us-west-2",
)
"""Regions that were asked; of others nothing is known."""

_G4DN = (
    *("af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1"),
    *("ap-southeast-2", "ca-central-1", "eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-2"),
    *("eu-west-3", "me-south-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
)
_G6E = (
    *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2", "eu-central-1", "eu-north-1"),
    *("eu-south-2", "me-central-1", "us-east-1", "us-east-2", "us-west-2"),
)
_G4DN_SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "metal")
_G6E_SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "48xlarge")

OFFERED: dict[str, tuple[str, ...]] = {
    **{f"g4dn.{size}": _G4DN for size in _G4DN_SIZES},
    **{f"g6e.{size}": _G6E for size in _G6E_SIZES},
    "p3dn.24xlarge": ("ap-northeast-1", "eu-west-1", "us-east-1", "us-west-2"),
    "p4d.24xlarge": (
        *("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-2", "ca-central-1", "eu-central-1"),
        *("eu-north-1", "eu-west-1", "eu-west-2", "sa-east-1", "us-east-1", "us-east-2", "us-west-2"),
    ),
    "p4de.24xlarge": ("ap-northeast-1", "ap-southeast-1", "eu-central-1", "il-central-1", "us-east-1", "us-west-2"),
    "p5.4xlarge": (
        *("ap-northeast-1", "ap-south-1", "ap-southeast-2", "ap-southeast-3", "eu-north-1", "eu-west-2", "sa-east-1"),
        *("us-east-1", "us-east-2", "us-west-2"),
    ),
    "p5.48xlarge": (
        *("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-2", "ap-southeast-3", "ca-central-1"),
        *("eu-north-1", "eu-west-2", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    ),
    "p5e.48xlarge": (
        *("ap-southeast-2", "ap-southeast-3", "eu-north-1", "eu-west-2", "sa-east-1", "us-east-2", "us-west-2"),
    ),
    "p5en.48xlarge": (
        *("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-3", "eu-north-1", "eu-south-2"),
        *("me-central-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    ),
    "p6-b200.48xlarge": (
        *("ap-south-1", "ap-south-2", "eu-north-1", "eu-west-3", "us-east-1", "us-east-2", "us-west-2"),
    ),
}
"""Regions by instance type; a type that no region named is left out, and of it nothing is known."""


def missing_in(instance_type: str, region: str) -> bool:
    """True where the region was asked and does not offer the type, which others do."""
    return region in ASKED and instance_type in OFFERED and region not in OFFERED[instance_type]

"""EC2 instance types with GPUs: how many, which, their EFA interfaces, and what an hour costs.

What they are made of besides, and how they may be bought, is in `shapes`.
"""

from __future__ import annotations

from dataclasses import dataclass

_EFA = "aws-samples/awsome-distributed-training 2.gpu-cluster-healthcheck/instance-profiles.conf"
_EC2 = "AWS EC2 user guide: accelerated instances, EFA-supported types"
_PRICE = "AWS price list, us-east-1, Linux, on demand, read November 2026 through public copies of it"
EKS_CONTROL_PLANE_USD_PER_HOUR = 0.10
"""AWS EKS pricing: a cluster on a version in standard support."""


@dataclass(frozen=True, kw_only=True)
class InstanceRow:
    """One instance type. `usd_per_hour`, on demand, is None where no price is known; prices differ by region."""

    name: str
    accelerator: str
    gpus: int
    efa_interfaces: int
    efa_source: str = _EFA
    usd_per_hour: float | None
    price_source: str = _PRICE


def _g(name: str, accelerator: str, gpus: int, efa_interfaces: int, usd_per_hour: float) -> InstanceRow:
    return InstanceRow(
        name=name,
        accelerator=accelerator,
        gpus=gpus,
        efa_interfaces=efa_interfaces,
        efa_source=_EC2,
        usd_per_hour=usd_per_hour,
    )


INSTANCES = {
    row.name: row
    for row in (
        _g("g4dn.xlarge", "t4", 1, 0, 0.526),
        _g("g4dn.2xlarge", "t4", 1, 0, 0.752),
        _g("g4dn.4xlarge", "t4", 1, 0, 1.204),
        _g("g4dn.8xlarge", "t4", 1, 1, 2.176),
        _g("g4dn.12xlarge", "t4", 4, 1, 3.912),
        _g("g4dn.16xlarge", "t4", 1, 1, 4.352),
        _g("g4dn.metal", "t4", 8, 1, 7.824),
        _g("g6e.xlarge", "l40s", 1, 0, 1.861),
        _g("g6e.2xlarge", "l40s", 1, 0, 2.24208),
        _g("g6e.4xlarge", "l40s", 1, 0, 3.00424),
        _g("g6e.8xlarge", "l40s", 1, 1, 4.52856),
        _g("g6e.12xlarge", "l40s", 4, 1, 10.49264),
        _g("g6e.16xlarge", "l40s", 1, 1, 7.57719),
        _g("g6e.24xlarge", "l40s", 4, 2, 15.06559),
        _g("g6e.48xlarge", "l40s", 8, 4, 30.13118),
        InstanceRow(
            name="p3dn.24xlarge", accelerator="v100-32", gpus=8, efa_interfaces=1, efa_source=_EC2, usd_per_hour=31.212
        ),
        InstanceRow(name="p4d.24xlarge", accelerator="a100-40", gpus=8, efa_interfaces=4, usd_per_hour=21.957642),
        InstanceRow(name="p4de.24xlarge", accelerator="a100-80", gpus=8, efa_interfaces=4, usd_per_hour=27.44705),
        InstanceRow(
            name="p5.4xlarge", accelerator="h100", gpus=1, efa_interfaces=1, efa_source=_EC2, usd_per_hour=None
        ),
        InstanceRow(name="p5.48xlarge", accelerator="h100", gpus=8, efa_interfaces=32, usd_per_hour=55.04),
        InstanceRow(
            name="p5e.48xlarge",
            accelerator="h200",
            gpus=8,
            efa_interfaces=32,
            usd_per_hour=None,
        ),
        InstanceRow(name="p5en.48xlarge", accelerator="h200", gpus=8, efa_interfaces=16, usd_per_hour=63.296),
        InstanceRow(name="p6-b200.48xlarge", accelerator="b200", gpus=8, efa_interfaces=8, usd_per_hour=113.9328),
        InstanceRow(name="p6e-gb200.36xlarge", accelerator="gb200", gpus=4, efa_interfaces=4, usd_per_hour=None),
    )
}

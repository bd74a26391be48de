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


INSTANCES = {
    row.name: row
    for row in (
        InstanceRow(
            name="g4dn.12xlarge", accelerator="t4", gpus=4, efa_interfaces=1, efa_source=_EC2, usd_per_hour=3.912
        ),
        InstanceRow(name="g4dn.metal", accelerator="t4", gpus=8, efa_interfaces=1, efa_source=_EC2, usd_per_hour=7.824),
        InstanceRow(
            name="g6e.12xlarge", accelerator="l40s", gpus=4, efa_interfaces=1, efa_source=_EC2, usd_per_hour=10.49264
        ),
        InstanceRow(
            name="g6e.24xlarge", accelerator="l40s", gpus=4, efa_interfaces=2, efa_source=_EC2, usd_per_hour=None
        ),
        InstanceRow(
            name="g6e.48xlarge", accelerator="l40s", gpus=8, efa_interfaces=4, efa_source=_EC2, usd_per_hour=30.13118
        ),
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

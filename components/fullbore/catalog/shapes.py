"""What EC2 instance types are made of, as the EC2 API describes them, and which quota they count against."""

from __future__ import annotations

from dataclasses import dataclass

_API = "EC2 DescribeInstanceTypes, recorded in getmoto/moto 5.2.5 moto/ec2/resources/instance_types.json"
_GB200 = "https://aws.amazon.com/ec2/instance-types/p6/; no Spot: EC2 instance types, accelerated computing"


_EKS_QUOTAS = "https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html"


@dataclass(frozen=True, kw_only=True)
class QuotaRow:
    """One quota of EC2 or EKS. `name` is the field of `cloud.quotas`."""

    name: str
    code: str
    title: str
    unit: str = "vCPUs"
    source: str = "https://docs.aws.amazon.com/general/latest/gr/ec2-service.html, service quotas"


QUOTAS = {
    row.name: row
    for row in (
        QuotaRow(name="p_on_demand", code="L-417A185B", title="Running On-Demand P instances"),
        QuotaRow(name="g_on_demand", code="L-DB2E81BA", title="Running On-Demand G and VT instances"),
        QuotaRow(name="p4_spot", code="L-7212CCBC", title="All P4, P3 and P2 Spot Instance Requests"),
        QuotaRow(name="p5_spot", code="L-C4BD4855", title="All P5 Spot Instance Requests"),
        QuotaRow(name="g_spot", code="L-3819A6DF", title="All G and VT Spot Instance Requests"),
        QuotaRow(
            name="node_groups",
            code="L-6D54EA21",
            title="Managed node groups per cluster",
            unit="node groups",
            source=_EKS_QUOTAS,
        ),
        QuotaRow(
            name="nodes_per_group",
            code="L-BD136A63",
            title="Nodes per managed node group",
            unit="nodes",
            source=_EKS_QUOTAS,
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One instance type. What no source gives is None.

    `efa_cards` are the network cards that carry EFA, one interface each. `card_0_interfaces` is how many interfaces
    card 0 takes, `addresses` how many IPv4 addresses one of them holds. `instance_store_gb` is in 10^9 bytes.
    `spot_quota` is None also where sources disagree (P6).
    """

    name: str
    vcpus: int
    memory_gib: int
    network_cards: int | None
    efa_cards: tuple[int, ...] | None
    card_0_interfaces: int | None
    addresses: int | None
    instance_store_gb: int | None
    bought: tuple[str, ...]
    on_demand_quota: str
    spot_quota: str | None
    architecture: str = "x86_64"
    source: str = _API


def _g(
    name: str, vcpus: int, memory_gib: int, card_0_interfaces: int, addresses: int, instance_store_gb: int, efa: int
) -> Shape:
    """A type of the G family: one network card, or one for each of its EFA interfaces."""
    return Shape(
        name=name,
        vcpus=vcpus,
        memory_gib=memory_gib,
        network_cards=max(1, efa),
        efa_cards=tuple(range(efa)),
        card_0_interfaces=card_0_interfaces,
        addresses=addresses,
        instance_store_gb=instance_store_gb,
        bought=("on-demand", "spot"),
        on_demand_quota="g_on_demand",
        spot_quota="g_spot",
    )


SHAPES = {
    row.name: row
    for row in (
        _g("g4dn.xlarge", 4, 16, 3, 10, 125, efa=0),
        _g("g4dn.2xlarge", 8, 32, 3, 10, 225, efa=0),
        _g("g4dn.4xlarge", 16, 64, 3, 10, 225, efa=0),
        _g("g4dn.8xlarge", 32, 128, 4, 15, 900, efa=1),
        _g("g4dn.12xlarge", 48, 192, 8, 30, 900, efa=1),
        _g("g4dn.16xlarge", 64, 256, 4, 15, 900, efa=1),
        _g("g4dn.metal", 96, 384, 15, 50, 1800, efa=1),
        _g("g6e.xlarge", 4, 32, 4, 15, 250, efa=0),
        _g("g6e.2xlarge", 8, 64, 4, 15, 450, efa=0),
        _g("g6e.4xlarge", 16, 128, 8, 30, 600, efa=0),
        _g("g6e.8xlarge", 32, 256, 8, 30, 900, efa=1),
        _g("g6e.12xlarge", 48, 384, 10, 30, 3800, efa=1),
        _g("g6e.16xlarge", 64, 512, 15, 50, 1900, efa=1),
        _g("g6e.24xlarge", 96, 768, 10, 50, 3800, efa=2),
        _g("g6e.48xlarge", 192, 1536, 10, 50, 7600, efa=4),
        Shape(
            name="p3dn.24xlarge",
            vcpus=96,
            memory_gib=768,
            network_cards=1,
            efa_cards=(0,),
            card_0_interfaces=15,
            addresses=50,
            instance_store_gb=1800,
            bought=("on-demand", "spot"),
            on_demand_quota="p_on_demand",
            spot_quota="p4_spot",
        ),
        Shape(
            name="p4d.24xlarge",
            vcpus=96,
            memory_gib=1152,
            network_cards=4,
            efa_cards=(0, 1, 2, 3),
            card_0_interfaces=15,
            addresses=50,
            instance_store_gb=8000,
            bought=("on-demand", "spot", "capacity-block"),
            on_demand_quota="p_on_demand",
            spot_quota="p4_spot",
        ),
        Shape(
            name="p4de.24xlarge",
            vcpus=96,
            memory_gib=1152,
            network_cards=4,
            efa_cards=(0, 1, 2, 3),
            card_0_interfaces=15,
            addresses=50,
            instance_store_gb=8000,
            bought=("on-demand", "spot", "capacity-block"),
            on_demand_quota="p_on_demand",
            spot_quota="p4_spot",
        ),
        Shape(
            name="p5.4xlarge",
            vcpus=16,
            memory_gib=256,
            network_cards=1,
            efa_cards=(0,),
            card_0_interfaces=4,
            addresses=30,
            instance_store_gb=3800,
            bought=("on-demand", "spot", "capacity-block"),
            on_demand_quota="p_on_demand",
            spot_quota="p5_spot",
        ),
        Shape(
            name="p5.48xlarge",
            vcpus=192,
            memory_gib=2048,
            network_cards=32,
            efa_cards=tuple(range(32)),
            card_0_interfaces=2,
            addresses=50,
            instance_store_gb=30400,
            bought=("on-demand", "spot", "capacity-block"),
            on_demand_quota="p_on_demand",
            spot_quota="p5_spot",
        ),
        Shape(
            name="p5e.48xlarge",
            vcpus=192,
            memory_gib=2048,
            network_cards=32,
            efa_cards=tuple(range(32)),
            card_0_interfaces=2,
            addresses=50,
            instance_store_gb=30400,
            bought=("on-demand", "spot", "capacity-block"),
            on_demand_quota="p_on_demand",
            spot_quota="p5_spot",
        ),
        Shape(
            name="p5en.48xlarge",
            vcpus=192,
            memory_gib=2048,
            network_cards=16,
            efa_cards=tuple(range(16)),
            card_0_interfaces=4,
            addresses=50,
            instance_store_gb=30400,
            bought=("on-demand", "spot", "capacity-block"),
            on_demand_quota="p_on_demand",
            spot_quota="p5_spot",
        ),
        Shape(
            name="p6-b200.48xlarge",
            vcpus=192,
            memory_gib=2048,
            network_cards=8,
            efa_cards=tuple(range(8)),
            card_0_interfaces=4,
            addresses=50,
            instance_store_gb=30400,
            bought=("on-demand", "spot", "capacity-block"),
            on_demand_quota="p_on_demand",
            spot_quota=None,
        ),
        Shape(
            name="p6e-gb200.36xlarge",
            vcpus=144,
            memory_gib=960,
            network_cards=None,
            efa_cards=None,
            card_0_interfaces=None,
            addresses=None,
            instance_store_gb=None,
            bought=("on-demand", "capacity-block"),
            on_demand_quota="p_on_demand",
            spot_quota=None,
            architecture="arm64",
            source=_GB200,
        ),
    )
}

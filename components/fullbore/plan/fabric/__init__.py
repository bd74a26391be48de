"""What carries traffic between hosts: marks and queues on its way, the environment, and whether it is fast enough."""

from fullbore.plan.fabric.landing import landings
from fullbore.plan.fabric.make import (
    fabric_plan,
    group_environment,
    hca_list,
    links,
    narrowest_group,
    system_environment,
)
from fullbore.plan.fabric.need import Flow, need_gbps
from fullbore.plan.fabric.queues import HostQueues, SwitchQueues, host_queues, priority_of, switch_queues

__all__ = [
    "Flow",
    "HostQueues",
    "SwitchQueues",
    "fabric_plan",
    "group_environment",
    "hca_list",
    "host_queues",
    "landings",
    "links",
    "narrowest_group",
    "need_gbps",
    "priority_of",
    "switch_queues",
    "system_environment",
]

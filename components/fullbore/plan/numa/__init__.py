"""Which GPU belongs to which HCA, NUMA node and CPUs, and what the kubelet must be told."""

from fullbore.plan.numa.cloud import kubelet_plan, standby_pod
from fullbore.plan.numa.cpus import cpu_list, rank_cpus, reserved_by_node, reserved_cpus
from fullbore.plan.numa.kubelet import NODES_BY_DEFAULT, POLICIES, PodShape, admits, strictest_policy
from fullbore.plan.numa.machine import Machine, machine_of
from fullbore.plan.numa.make import node_memory_mib, numa_plan, planned_pod
from fullbore.plan.numa.pairs import DISTANCES, distance, nearest_hca

__all__ = [
    "DISTANCES",
    "NODES_BY_DEFAULT",
    "POLICIES",
    "Machine",
    "PodShape",
    "admits",
    "cpu_list",
    "distance",
    "kubelet_plan",
    "machine_of",
    "nearest_hca",
    "node_memory_mib",
    "numa_plan",
    "planned_pod",
    "rank_cpus",
    "reserved_by_node",
    "reserved_cpus",
    "standby_pod",
    "strictest_policy",
]

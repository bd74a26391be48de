"""The bare-metal site: its machines, a resource for each rack's group, changed in waves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pulumi

from fullbore._component import Component
from fullbore.declared import content_digest, group_inputs
from fullbore.plan.model import AcceptancePlan, CablePlan, GroupPlan, HostPlan, SitePlan
from fullbore.plan.rolling import in_order
from fullbore.provider.resources import Cable, Evidence, HostGroup, Reached

REPOSITORY = Path(__file__).parents[2]


class Site(Component):
    """Every machine of the plan, converged by Ansible.

    Groups of a stage follow those of the stage before once these are done, so that a bad change stops at the first.
    `hosts` is {host: {group, rack, serial, failed, pending}}: why it did not converge and what it waits for, or None.
    `accepted` is {group: {accepted, expires, problems, history}} of the groups that are measured before they serve.
    """

    def __init__(self, name: str, plan: SitePlan, *, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.plan = plan
        self.groups: dict[str, HostGroup] = {}
        self.evidence: dict[str, Evidence] = {}
        content = content_digest(REPOSITORY)
        for group in in_order(plan.groups):
            self.groups[group.name] = self._create_group(group, content)
            if plan.acceptance:
                self.evidence[group.name] = self._create_evidence(group, plan.acceptance)
        self.hosts = self._summary()
        self.accepted = self._accepted()
        self.register_outputs({"hosts": self.hosts})

    def _create_group(self, group: GroupPlan, content: str) -> HostGroup:
        place = group.rolling
        before = [self.groups[each.name] for each in self.plan.groups if each.rolling.stage == place.stage - 1]
        return HostGroup(
            self.part(group.name),
            **group_inputs(self.plan, group, content),
            max_failures=group.max_failures,
            opts=self.child(depends_on=list[pulumi.Resource](before)),
        )

    def _create_evidence(self, group: GroupPlan, asked: AcceptancePlan) -> Evidence:
        """Measured once the group is converged."""
        return Evidence(
            self.part(f"{group.name}-evidence"),
            group=group.name,
            rack=group.rack,
            hosts={host.name: _reached(host) for host in group.hosts},
            ssh={"user": self.plan.ssh_user, "privateKeyFile": self.plan.ssh_private_key_file},
            lock=asked.lock,
            signing_key_file=asked.signing_key_file,
            public_key=asked.public_key,
            accelerator=group.accelerator or "",
            gpus=group.gpus,
            nvls=asked.nvls,
            dcgm_level=asked.dcgm_level,
            drives=sorted(group.numa.nvme) if group.numa else [],
            fabric=asked.fabric,
            link_gbps=asked.link_gbps,
            cables=[_cable(host, cable) for host in group.hosts for cable in host.cables],
            valid_days=asked.valid_days,
            strict=asked.strict,
            opts=self.child(depends_on=[self.groups[group.name]]),
        )

    def _accepted(self) -> pulumi.Output[dict[str, dict[str, object]]]:
        return pulumi.Output.all(
            **{
                name: pulumi.Output.all(
                    accepted=each.accepted, expires=each.expires, problems=each.problems, history=each.history
                )
                for name, each in self.evidence.items()
            }
        )

    def _summary(self) -> pulumi.Output[dict[str, dict[str, str | None]]]:
        told = pulumi.Output.all(
            failed=pulumi.Output.all(**{name: group.failed for name, group in self.groups.items()}),
            pending=pulumi.Output.all(**{name: group.pending for name, group in self.groups.items()}),
        )
        return told.apply(lambda each: summary(self.plan, each["failed"], each["pending"]))


def _reached(host: HostPlan) -> Reached:
    return {"address": host.address, "port": host.port, "hostKey": host.host_key, "serial": host.serial}


def _cable(host: HostPlan, cable: CablePlan) -> Cable:
    return {"host": host.name, "port": cable.port, "peer": cable.peer, "peerPort": cable.peer_port}


Reasons = Mapping[str, Mapping[str, str] | None]
"""{group: {host: reason}}; None for a group that never said."""


def summary(plan: SitePlan, failed: Reasons, pending: Reasons) -> dict[str, dict[str, str | None]]:
    """{host: {group, rack, serial, failed, pending}}."""
    return {
        host.name: {
            "group": group.name,
            "rack": group.rack,
            "serial": host.serial,
            "failed": (failed.get(group.name) or {}).get(host.name),
            "pending": (pending.get(group.name) or {}).get(host.name),
        }
        for group in plan.groups
        for host in group.hosts
    }

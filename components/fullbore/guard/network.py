"""Guards of networks: who gets in, and what is written down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fullbore.guard.model import Guard, Inputs, Registered, is_true, items

ANYBODY = ("0.0.0.0/0", "::/0")
RULES = ("ingress", "egress")


def _open(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    for name in ("cidrIpv4", "cidrIpv6"):
        if inputs.get(name) in ANYBODY:
            yield f"{name}: got {inputs[name]}, which is anybody; name a range or a group"


def _inline(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    """Rules inside of a group are not seen by what looks at rules."""
    for name in RULES:
        if items(inputs.get(name)):
            yield f"{name}: rules inside of the group; make each a resource of its own"


def _described(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if not inputs.get("description"):
        yield "description: missing; say what it is for"


def _subnet(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if is_true(inputs.get("mapPublicIpOnLaunch")):
        yield "mapPublicIpOnLaunch: got true, allowed false; machines would have public addresses"


def _flow_logs(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if not any(each.type == "aws:ec2/flowLog:FlowLog" for each in resources):
        yield "no flow log tells who spoke to whom; set cloud.flow_logs_days"


INGRESS, EGRESS = (f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule" for way in ("Ingress", "Egress"))
GROUP = "aws:ec2/securityGroup:SecurityGroup"

GUARDS = (
    Guard(id="open-ingress", type=INGRESS, summary="a rule that lets anybody in", find=_open),
    Guard(id="open-egress", type=EGRESS, summary="a rule that leads anywhere", find=_open),
    Guard(id="group-inline", type=GROUP, summary="rules hidden in a group", find=_inline),
    *(
        Guard(id=f"{what}-undescribed", type=token, summary="a group or rule without a description", find=_described)
        for what, token in (("group", GROUP), ("ingress", INGRESS), ("egress", EGRESS))
    ),
    Guard(
        id="subnet-public", type="aws:ec2/subnet:Subnet", summary="a subnet that gives public addresses", find=_subnet
    ),
    Guard(
        id="vpc-unlogged",
        type="aws:ec2/vpc:Vpc",
        summary="a VPC without flow logs",
        find=_flow_logs,
        severity="warning",
    ),
)

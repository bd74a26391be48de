"""Security groups and their rules. Rules are resources of their own; the inline form is not carried out."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Literal

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import pick, tag_map
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row
from fullbore_sandbox.plugins.aws.rows.ec2 import TAGGING, by_token, first, tags_for

NO_CALL = "EC2 API reference: no Modify call takes it"
DEFAULT_DESCRIPTION = "Managed by Pulumi"
"""What the official provider writes where no description is given; the API demands one."""


def _create_group(api: Api, inputs: Map, token: str) -> str:
    answer = api.ec2.create_security_group(
        GroupName=inputs["name"],
        Description=inputs.get("description", DEFAULT_DESCRIPTION),
        TagSpecifications=tags_for("security-group", inputs, token),
        **pick(inputs, {"vpcId": "VpcId"}),
    )
    return answer["GroupId"]


def _drop_default_egress(api: Api, ident: str, inputs: Map) -> None:
    """As the official provider does (terraform-provider-aws docs, aws_security_group: "By default, AWS creates an
    ALLOW ALL egress rule [...] Terraform will remove this default rule")."""
    permissions = _group(api, ident)["IpPermissionsEgress"]
    if permissions:
        api.ec2.revoke_security_group_egress(GroupId=ident, IpPermissions=permissions)


def _group(api: Api, ident: str) -> Map:
    return api.ec2.describe_security_groups(GroupIds=[ident])["SecurityGroups"][0]


def _read_group(api: Api, ident: str, known: Map) -> Map | None:
    group = _group(api, ident)
    return {
        "arn": api.arn("ec2", f"security-group/{ident}"),
        "tags": tag_map(group.get("Tags")),
        **pick(group, {"GroupName": "name", "Description": "description", "VpcId": "vpcId", "OwnerId": "ownerId"}),
    }


SECURITY_GROUP = Row(
    type="aws:ec2/securityGroup:SecurityGroup",
    inputs={"name", "description", "vpcId", "tags"},
    create=_create_group,
    finish=_drop_default_egress,
    read=_read_group,
    delete=lambda api, ident, known: api.ec2.delete_security_group(GroupId=ident),
    find=by_token("describe_security_groups", "SecurityGroups", "GroupId"),
    tagging=TAGGING,
    name="name",
    replace={"name": NO_CALL, "description": NO_CALL, "vpcId": NO_CALL},
    unique={"name", "vpcId"},
    computed={"vpcId"},
    defaults={"description": DEFAULT_DESCRIPTION},
    absent={"egress", "ingress", "namePrefix"},
)

Direction = Literal["ingress", "egress"]


def _permission(inputs: Map) -> Map:
    """One rule as the API takes it: exactly one of the four kinds of peer."""
    note = pick(inputs, {"description": "Description"})
    peers = {
        "cidrIpv4": ("IpRanges", "CidrIp"),
        "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
        "prefixListId": ("PrefixListIds", "PrefixListId"),
        "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    }
    peer = {listed: [{key: inputs[name], **note}] for name, (listed, key) in peers.items() if inputs.get(name)}
    ports = pick(inputs, {"fromPort": "FromPort", "toPort": "ToPort"})
    return {"IpProtocol": inputs["ipProtocol"], **ports, **peer}


def _authorize(direction: Direction) -> Callable[[Api, Map, str], str]:
    def create(api: Api, inputs: Map, token: str) -> str:
        call = getattr(api.ec2, f"authorize_security_group_{direction}")
        answer = call(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[_permission(inputs)],
            TagSpecifications=tags_for("security-group-rule", inputs, token),
        )
        return answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    return create


def _revoke(direction: Direction) -> Callable[[Api, str, Map], None]:
    def delete(api: Api, ident: str, known: Map) -> None:
        call = getattr(api.ec2, f"revoke_security_group_{direction}")
        call(GroupId=known["securityGroupId"], SecurityGroupRuleIds=[ident])

    return delete


def _read_rule(api: Api, ident: str, known: Map) -> Map | None:
    rule = first(api.ec2.describe_security_group_rules(SecurityGroupRuleIds=[ident]), "SecurityGroupRules")
    if rule is None:
        return None
    names = {
        "GroupId": "securityGroupId",
        "IpProtocol": "ipProtocol",
        "CidrIpv4": "cidrIpv4",
        "CidrIpv6": "cidrIpv6",
        "PrefixListId": "prefixListId",
        "Description": "description",
    }
    group = rule.get("ReferencedGroupInfo", {}).get("GroupId")
    all_ports = rule["IpProtocol"] == "-1"
    return {
        "arn": api.arn("ec2", f"security-group-rule/{ident}"),
        "securityGroupRuleId": ident,
        "tags": tag_map(rule.get("Tags")),
        **pick(rule, names),
        **({"referencedSecurityGroupId": group} if group else {}),
        **({} if all_ports else pick(rule, {"FromPort": "fromPort", "ToPort": "toPort"})),
    }


def _modify_rule(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    names = {
        "ipProtocol": "IpProtocol",
        "fromPort": "FromPort",
        "toPort": "ToPort",
        "cidrIpv4": "CidrIpv4",
        "cidrIpv6": "CidrIpv6",
        "prefixListId": "PrefixListId",
        "referencedSecurityGroupId": "ReferencedGroupId",
        "description": "Description",
    }
    rule = {"SecurityGroupRuleId": ident, "SecurityGroupRule": pick(inputs, names)}
    api.ec2.modify_security_group_rules(GroupId=inputs["securityGroupId"], SecurityGroupRules=[rule])


def _find_rule(api: Api, token: str) -> str | None:
    """The emulator does not filter rules by tag, so this looks through them."""
    rules = api.ec2.describe_security_group_rules()["SecurityGroupRules"]
    return next((r["SecurityGroupRuleId"] for r in rules if tag_map(r.get("Tags")).get(TOKEN_TAG) == token), None)


def _rule(direction: Direction) -> Row:
    return Row(
        type=f"aws:vpc/securityGroup{direction.title()}Rule:SecurityGroup{direction.title()}Rule",
        inputs={
            "securityGroupId",
            "ipProtocol",
            "fromPort",
            "toPort",
            "cidrIpv4",
            "cidrIpv6",
            "prefixListId",
            "referencedSecurityGroupId",
            "description",
            "tags",
        },
        create=_authorize(direction),
        read=_read_rule,
        update=_modify_rule,
        delete=_revoke(direction),
        find=_find_rule,
        tagging=TAGGING,
        replace={"securityGroupId": NO_CALL},
    )


ROWS = (SECURITY_GROUP, _rule("ingress"), _rule("egress"))

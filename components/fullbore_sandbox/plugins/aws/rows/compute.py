"""Launch templates and placement groups."""

from __future__ import annotations

from collections.abc import Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import camel, flags_to_strings, pascal, pick, tag_list, tag_map
from fullbore_sandbox.plugins.aws.row import Map, Row, Tagging
from fullbore_sandbox.plugins.aws.rows.ec2 import TAGGING, first, tags_for

NO_CALL = "EC2 API reference: no Modify call takes it"

_DATA = {
    "blockDeviceMappings",
    "capacityReservationSpecification",
    "ebsOptimized",
    "iamInstanceProfile",
    "imageId",
    "instanceMarketOptions",
    "instanceType",
    "keyName",
    "metadataOptions",
    "monitoring",
    "networkInterfaces",
    "placement",
    "tagSpecifications",
    "userData",
    "vpcSecurityGroupIds",
}
"""Properties that make up a version of the template."""
_RENAMED = {"vpcSecurityGroupIds": "SecurityGroupIds", "securityGroups": "Groups"}
_FLAGS = ("associatePublicIpAddress", "associateCarrierIpAddress", "deleteOnTermination", "encrypted", "ebsOptimized")
"""Booleans of the API that the SDK types as strings."""
_FLAGGED = ("networkInterfaces", "blockDeviceMappings", "ebsOptimized")


def _data(inputs: Map) -> Map:
    """`LaunchTemplateData` of the inputs; flags as booleans, tags as lists of keys and values."""
    data = pascal(_flags_read({k: inputs[k] for k in _DATA - {"tagSpecifications"} if k in inputs}), _RENAMED)
    tagged = inputs.get("tagSpecifications", [])
    specifications = [{"ResourceType": t["resourceType"], "Tags": tag_list(t.get("tags") or {})} for t in tagged]
    return data | ({"TagSpecifications": specifications} if specifications else {})


def _flags_read(value: object) -> object:
    if isinstance(value, dict):
        return {k: v == "true" if k in _FLAGS and isinstance(v, str) else _flags_read(v) for k, v in value.items()}
    return [_flags_read(v) for v in value] if isinstance(value, list) else value


def _data_read(data: Map) -> Map:
    # The emulator lists the tags of the template itself here too.
    given = [t for t in data.get("TagSpecifications", []) if t["ResourceType"] != "launch-template"]
    tagged = [{"resourceType": t["ResourceType"], "tags": tag_map(t.get("Tags"))} for t in given]
    values = camel({k: v for k, v in data.items() if k != "TagSpecifications"}, _RENAMED)
    found = {k: v for k, v in values.items() if k in _DATA} | ({"tagSpecifications": tagged} if tagged else {})
    return {k: flags_to_strings(v) if k in _FLAGGED else v for k, v in found.items()}


def _create_template(api: Api, inputs: Map, token: str) -> str:
    answer = api.ec2.create_launch_template(
        LaunchTemplateName=inputs["name"],
        LaunchTemplateData=_data(inputs),
        TagSpecifications=tags_for("launch-template", inputs, token),
        **pick(inputs, {"description": "VersionDescription"}),
    )
    return answer["LaunchTemplate"]["LaunchTemplateId"]


def _read_template(api: Api, ident: str, known: Map) -> Map | None:
    template = first(api.ec2.describe_launch_templates(LaunchTemplateIds=[ident]), "LaunchTemplates")
    if template is None:
        return None
    answer = api.ec2.describe_launch_template_versions(LaunchTemplateId=ident, Versions=["$Latest"])
    version = answer["LaunchTemplateVersions"][0]
    return {
        "arn": api.arn("ec2", f"launch-template/{ident}"),
        "name": template["LaunchTemplateName"],
        "defaultVersion": template["DefaultVersionNumber"],
        "latestVersion": template["LatestVersionNumber"],
        "tags": tag_map(template.get("Tags")),
        **pick(version, {"VersionDescription": "description"}),
        **_data_read(version["LaunchTemplateData"]),
    }


def _update_template(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    """A template never changes: a new version is made, and becomes the default where that was asked for."""
    latest = _read_template(api, ident, inputs) or {}
    number = latest.get("latestVersion")
    if changed & (_DATA | {"description"}):
        described = pick(inputs, {"description": "VersionDescription"})
        answer = api.ec2.create_launch_template_version(
            LaunchTemplateId=ident, LaunchTemplateData=_data(inputs), **described
        )
        number = answer["LaunchTemplateVersion"]["VersionNumber"]
    wanted = number if inputs.get("updateDefaultVersion") else inputs.get("defaultVersion")
    if wanted is not None and wanted != latest.get("defaultVersion"):
        api.ec2.modify_launch_template(LaunchTemplateId=ident, DefaultVersion=str(wanted))


def _find_template(api: Api, token: str) -> str | None:
    found = first(api.ec2.describe_launch_templates(LaunchTemplateNames=[token]), "LaunchTemplates")
    return found["LaunchTemplateId"] if found else None


LAUNCH_TEMPLATE = Row(
    type="aws:ec2/launchTemplate:LaunchTemplate",
    inputs={"name", "description", "defaultVersion", "updateDefaultVersion", "tags", *_DATA},
    token=lambda inputs: inputs["name"],
    create=_create_template,
    read=_read_template,
    update=_update_template,
    delete=lambda api, ident, known: api.ec2.delete_launch_template(LaunchTemplateId=ident),
    find=_find_template,
    tagging=TAGGING,
    name="name",
    replace={"name": NO_CALL},
    unique={"name"},
    unreadable={"updateDefaultVersion"},
    computed={"defaultVersion", "metadataOptions"},
    moving={"latestVersion", "defaultVersion"},
    absent={"metadataOptions", "namePrefix"},
)


def _create_placement(api: Api, inputs: Map, token: str) -> str:
    names = {"strategy": "Strategy", "partitionCount": "PartitionCount", "spreadLevel": "SpreadLevel"}
    specifications = tags_for("placement-group", inputs, token)
    api.ec2.create_placement_group(GroupName=inputs["name"], **pick(inputs, names), TagSpecifications=specifications)
    return inputs["name"]


def _read_placement(api: Api, ident: str, known: Map) -> Map | None:
    group = first(api.ec2.describe_placement_groups(GroupNames=[ident]), "PlacementGroups")
    if group is None or group["State"] == "deleted":
        return None
    return {
        "arn": group.get("GroupArn") or api.arn("ec2", f"placement-group/{ident}"),
        "name": group["GroupName"],
        "strategy": group["Strategy"],
        "placementGroupId": group["GroupId"],
        "partitionCount": group.get("PartitionCount", 0),
        "spreadLevel": group.get("SpreadLevel", ""),
        "tags": tag_map(group.get("Tags")),
    }


def _find_placement(api: Api, token: str) -> str | None:
    found = first(api.ec2.describe_placement_groups(GroupNames=[token]), "PlacementGroups")
    return found["GroupName"] if found else None


def _placement_id(ident: str, outputs: Map) -> str:
    return outputs["placementGroupId"]


PLACEMENT_GROUP = Row(
    type="aws:ec2/placementGroup:PlacementGroup",
    inputs={"name", "strategy", "partitionCount", "spreadLevel", "tags"},
    token=lambda inputs: inputs["name"],
    create=_create_placement,
    read=_read_placement,
    delete=lambda api, ident, known: api.ec2.delete_placement_group(GroupName=ident),
    find=_find_placement,
    tagging=Tagging(key=_placement_id, set=TAGGING.set, unset=TAGGING.unset),
    name="name",
    replace=dict.fromkeys(("name", "strategy", "partitionCount", "spreadLevel"), NO_CALL),
    unique={"name"},
    computed={"partitionCount", "spreadLevel"},
)

ROWS = (LAUNCH_TEMPLATE, PLACEMENT_GROUP)

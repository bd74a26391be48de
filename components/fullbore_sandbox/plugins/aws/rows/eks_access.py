"""EKS add-ons and Pod Identity associations. Ids are CLUSTER:ADDON and CLUSTER,ASSOCIATION, as in
terraform-provider-aws."""

from __future__ import annotations

from collections.abc import Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import pick
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row, Tagging
from fullbore_sandbox.plugins.aws.rows.eks import NO_CALL, TAGGING

_ADDON = {
    "addonVersion": "addonVersion",
    "configurationValues": "configurationValues",
    "serviceAccountRoleArn": "serviceAccountRoleArn",
}


def _named(ident: str) -> Map:
    cluster, _, name = ident.partition(":")
    return {"clusterName": cluster, "addonName": name}


def _create_addon(api: Api, inputs: Map, token: str) -> str:
    conflicts = pick(inputs, {"resolveConflictsOnCreate": "resolveConflicts"})
    named = {"clusterName": inputs["clusterName"], "addonName": inputs["addonName"]}
    api.eks.create_addon(
        **named, **pick(inputs, _ADDON), **conflicts, tags={**inputs.get("tags", {}), TOKEN_TAG: token}
    )
    return f"{inputs['clusterName']}:{inputs['addonName']}"


def _await_addon(api: Api, ident: str, inputs: Map) -> None:
    api.eks.get_waiter("addon_active").wait(**_named(ident))


def _read_addon(api: Api, ident: str, known: Map) -> Map | None:
    addon = api.eks.describe_addon(**_named(ident))["addon"]
    names = {"addonName": "addonName", "clusterName": "clusterName", "addonArn": "arn"}
    return {
        "createdAt": addon["createdAt"].isoformat(),
        "modifiedAt": addon["modifiedAt"].isoformat(),
        "tags": addon.get("tags", {}),
        **pick(addon, {**names, **_ADDON}),
    }


def _update_addon(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    if changed & _ADDON.keys():
        conflicts = pick(inputs, {"resolveConflictsOnUpdate": "resolveConflicts"})
        api.eks.update_addon(**_named(ident), **pick(inputs, _ADDON), **conflicts)
        _await_addon(api, ident, inputs)


def _delete_addon(api: Api, ident: str, known: Map) -> None:
    api.eks.delete_addon(**_named(ident))
    api.eks.get_waiter("addon_deleted").wait(**_named(ident))


ADDON = Row(
    type="aws:eks/addon:Addon",
    inputs={"addonName", "clusterName", "resolveConflictsOnCreate", "resolveConflictsOnUpdate", "tags", *_ADDON},
    token=lambda inputs: f"{inputs['clusterName']}:{inputs['addonName']}",
    create=_create_addon,
    finish=_await_addon,
    read=_read_addon,
    update=_update_addon,
    delete=_delete_addon,
    find=lambda api, token: token if _read_addon(api, token, {}) else None,
    tagging=TAGGING,
    replace={"addonName": NO_CALL, "clusterName": NO_CALL},
    unique={"addonName", "clusterName"},
    # What to do about conflicts is said with a call and not kept.
    unreadable={"resolveConflictsOnCreate", "resolveConflictsOnUpdate"},
    computed={"addonVersion", "configurationValues"},
    moving={"modifiedAt"},
    absent={"configurationValues", "namespaceConfig"},
)


def _split(ident: str) -> Map:
    cluster, _, association = ident.partition(",")
    return {"clusterName": cluster, "associationId": association}


def _create_association(api: Api, inputs: Map, token: str) -> str:
    names = ("clusterName", "namespace", "serviceAccount", "roleArn")
    tags = {**inputs.get("tags", {}), TOKEN_TAG: token}
    given = {name: inputs[name] for name in names}
    made = api.eks.create_pod_identity_association(**given, tags=tags)["association"]
    return f"{made['clusterName']},{made['associationId']}"


def _read_association(api: Api, ident: str, known: Map) -> Map | None:
    found = api.eks.describe_pod_identity_association(**_split(ident))["association"]
    names = ("associationArn", "associationId", "clusterName", "namespace", "roleArn", "serviceAccount")
    return {
        "disableSessionTags": found.get("disableSessionTags", False),
        "tags": found.get("tags", {}),
        **{name: found[name] for name in names},
    }


def _update_association(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    if "roleArn" in changed:
        api.eks.update_pod_identity_association(**_split(ident), roleArn=inputs["roleArn"])


def _find_association(api: Api, token: str) -> str | None:
    """By cluster, namespace and service account, of which there is one."""
    cluster, namespace, account = token.split("/")
    listed = api.eks.list_pod_identity_associations(clusterName=cluster)["associations"]
    mine = (each for each in listed if (each["namespace"], each["serviceAccount"]) == (namespace, account))
    return next((f"{cluster},{each['associationId']}" for each in mine), None)


POD_IDENTITY_ASSOCIATION = Row(
    type="aws:eks/podIdentityAssociation:PodIdentityAssociation",
    inputs={"clusterName", "namespace", "serviceAccount", "roleArn", "tags"},
    token=lambda inputs: f"{inputs['clusterName']}/{inputs['namespace']}/{inputs['serviceAccount']}",
    create=_create_association,
    read=_read_association,
    update=_update_association,
    delete=lambda api, ident, known: api.eks.delete_pod_identity_association(**_split(ident)),
    find=_find_association,
    tagging=Tagging(key=lambda ident, outputs: outputs["associationArn"], set=TAGGING.set, unset=TAGGING.unset),
    replace={"clusterName": NO_CALL, "namespace": NO_CALL, "serviceAccount": NO_CALL},
    unique={"clusterName", "namespace", "serviceAccount"},
    absent={"externalId"},
)

ROWS = (ADDON, POD_IDENTITY_ASSOCIATION)

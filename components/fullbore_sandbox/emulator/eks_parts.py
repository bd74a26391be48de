"""EKS: add-ons, Pod Identity associations, new versions of node groups, and tags of everything in a cluster."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.eks import urls
from moto.eks.exceptions import ResourceInUseException, ResourceNotFoundException
from moto.eks.models import EKSBackend
from moto.eks.responses import EKSResponse

Json = dict[str, Any]

_PATHS = (
    "addons$",
    "addons/(?P<addonName>[^/]+)$",
    "addons/(?P<addonName>[^/]+)/update$",
    "pod-identity-associations$",
    "pod-identity-associations/(?P<associationId>[^/]+)$",
    "node-groups/(?P<nodegroupName>[^/]+)/update-version$",
)
ADDON_VERSION = "v1.0.0-eksbuild.1"
"""Where none is asked for; AWS has a default for each add-on and Kubernetes version."""


def install() -> None:
    for path in _PATHS:
        urls.url_paths[f"{{0}}/clusters/(?P<name>[^/]+)/{path}"] = urls.response.dispatch
    for name, method in _ACTIONS.items():
        setattr(EKSResponse, name, method)
    for name in ("tag_resource", "untag_resource"):
        setattr(EKSBackend, name, _tagging_all(getattr(EKSBackend, name), removing=name == "untag_resource"))


def _parts(response: EKSResponse, kind: str) -> dict[tuple[str, str], Json]:
    """Objects of a kind by cluster and id; asking for those of a cluster that is not there is an error."""
    backend: Any = response.eks_backend
    backend.describe_cluster(name=response._get_param("name"))
    return _store(backend, kind)


def _store(backend: Any, kind: str) -> dict[tuple[str, str], Json]:
    if not hasattr(backend, "parts"):
        backend.parts = {"addon": {}, "podidentityassociation": {}}
    return backend.parts[kind]


def _existing(response: EKSResponse, kind: str, parameter: str) -> Json:
    cluster, ident = response._get_param("name"), response._get_param(parameter)
    found = _parts(response, kind).get((cluster, ident))
    if found is None:
        raise ResourceNotFoundException(
            clusterName=cluster,
            nodegroupName=None,
            fargateProfileName=None,
            addonName=None,
            message=f"No {kind} found for: {ident}.",
        )
    return found


def _given(response: EKSResponse) -> Json:
    return {k: v for k, v in json.loads(response.body or "{}").items() if k != "clientRequestToken"}


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _arn(response: EKSResponse, kind: str, ident: str) -> str:
    backend, cluster = response.eks_backend, response._get_param("name")
    return f"arn:aws:eks:{backend.region_name}:{backend.account_id}:{kind}/{cluster}/{ident}"


def _create_addon(self: EKSResponse) -> str:
    given, cluster = _given(self), self._get_param("name")
    name = given["addonName"]
    if (cluster, name) in _parts(self, "addon"):
        raise ResourceInUseException(
            clusterName=cluster,
            nodegroupName=None,
            fargateProfileName=None,
            addonName=name,
            message="Addon already exists.",
        )
    made = {"addonVersion": ADDON_VERSION, **given, "clusterName": cluster, "status": "ACTIVE"}
    made |= {"addonArn": _arn(self, "addon", name), "createdAt": _now(), "modifiedAt": _now()}
    _parts(self, "addon")[cluster, name] = made
    return json.dumps({"addon": made})


def _describe_addon(self: EKSResponse) -> str:
    return json.dumps({"addon": _existing(self, "addon", "addonName")})


def _update_addon(self: EKSResponse) -> str:
    addon = _existing(self, "addon", "addonName")
    addon |= {**_given(self), "modifiedAt": _now()}
    return json.dumps({"update": {"id": secrets.token_hex(8), "status": "Successful"}})


def _delete_addon(self: EKSResponse) -> str:
    addon = _existing(self, "addon", "addonName")
    del _parts(self, "addon")[self._get_param("name"), addon["addonName"]]
    return json.dumps({"addon": addon})


def _list_addons(self: EKSResponse) -> str:
    cluster = self._get_param("name")
    return json.dumps({"addons": [name for owner, name in _parts(self, "addon") if owner == cluster]})


KIND = "podidentityassociation"


def _create_association(self: EKSResponse) -> str:
    given, cluster = _given(self), self._get_param("name")
    pair = (given["namespace"], given["serviceAccount"])
    others = [each for (owner, _), each in _parts(self, KIND).items() if owner == cluster]
    if pair in [(each["namespace"], each["serviceAccount"]) for each in others]:
        raise ResourceInUseException(
            clusterName=cluster,
            nodegroupName=None,
            fargateProfileName=None,
            addonName=None,
            message=f"Association already exists: {pair[0]}/{pair[1]}",
        )
    ident = f"a-{secrets.token_hex(8)}1"
    made = {"disableSessionTags": False, **given, "clusterName": cluster, "associationId": ident}
    made |= {"associationArn": _arn(self, KIND, ident), "createdAt": _now(), "modifiedAt": _now()}
    _parts(self, KIND)[cluster, ident] = made
    return json.dumps({"association": made})


def _describe_association(self: EKSResponse) -> str:
    return json.dumps({"association": _existing(self, KIND, "associationId")})


def _update_association(self: EKSResponse) -> str:
    found = _existing(self, KIND, "associationId")
    found |= {**_given(self), "modifiedAt": _now()}
    return json.dumps({"association": found})


def _delete_association(self: EKSResponse) -> str:
    found = _existing(self, KIND, "associationId")
    del _parts(self, KIND)[self._get_param("name"), found["associationId"]]
    return json.dumps({"association": found})


def _list_associations(self: EKSResponse) -> str:
    cluster = self._get_param("name")
    keys = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")
    mine = [each for (owner, _), each in _parts(self, KIND).items() if owner == cluster]
    return json.dumps({"associations": [{key: each[key] for key in keys} for each in mine]})


def _update_nodegroup_version(self: EKSResponse) -> str:
    given = _given(self)
    group: Any = self.eks_backend.describe_nodegroup(
        cluster_name=self._get_param("name"), nodegroup_name=self._get_param("nodegroupName")
    )
    group.launch_template = {**(group.launch_template or {}), **given.get("launchTemplate", {})} or None
    group.release_version = given.get("releaseVersion", group.release_version)
    group.version = given.get("version", group.version)
    return json.dumps({"update": {"id": secrets.token_hex(8), "status": "Successful"}})


_ACTIONS = {
    "create_addon": _create_addon,
    "describe_addon": _describe_addon,
    "update_addon": _update_addon,
    "delete_addon": _delete_addon,
    "list_addons": _list_addons,
    "create_pod_identity_association": _create_association,
    "describe_pod_identity_association": _describe_association,
    "update_pod_identity_association": _update_association,
    "delete_pod_identity_association": _delete_association,
    "list_pod_identity_associations": _list_associations,
    "update_nodegroup_version": _update_nodegroup_version,
}


def _tagging_all(call: Callable[..., None], removing: bool) -> Callable[..., None]:
    """moto tags clusters only."""

    @functools.wraps(call)
    def wrapper(self: EKSBackend, resource_arn: str, values: Any) -> None:
        tags = _tags_in_cluster(self, resource_arn)
        if tags is None:
            call(self, resource_arn, values)
        elif removing:
            for key in values if isinstance(values, list) else [values]:
                tags.pop(key, None)
        else:
            tags.update(values)

    return wrapper


def _tags_in_cluster(backend: EKSBackend, arn: str) -> dict[str, str] | None:
    """Tags of the node group, add-on or association with this ARN; None where there is none."""
    groups: list[Any] = [group for cluster in backend.clusters.values() for group in cluster.nodegroups.values()]
    for group in groups:
        if group.arn == arn:
            return group.tags
    parts = {**_store(backend, "addon"), **_store(backend, KIND)}
    found = next((each for each in parts.values() if arn in (each.get("addonArn"), each.get("associationArn"))), None)
    return None if found is None else found.setdefault("tags", {})

"""What the API's kinds do that no schema says: which belong to no namespace, and which fields cannot be changed.

Sources: `pulumi` is the official provider's table (pulumi/pulumi-kubernetes, provider/pkg/provider/diff.go), `api` the
server's own update validation (kubernetes/kubernetes, pkg/apis/*/validation), which answers "field is immutable".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fullbore.provider.values import Map, Secret, map_leaves

CLUSTER_SCOPED = frozenset(
    {
        ("", "Namespace"),
        ("", "Node"),
        ("", "PersistentVolume"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("certificates.k8s.io", "ClusterTrustBundle"),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
        ("networking.k8s.io", "IPAddress"),
        ("networking.k8s.io", "IngressClass"),
        ("networking.k8s.io", "ServiceCIDR"),
        ("node.k8s.io", "RuntimeClass"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("resource.k8s.io", "DeviceClass"),
        ("resource.k8s.io", "DeviceTaintRule"),
        ("resource.k8s.io", "ResourceSlice"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "CSIDriver"),
        ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "StorageClass"),
        ("storage.k8s.io", "VolumeAttachment"),
        ("storage.k8s.io", "VolumeAttributesClass"),
        ("storagemigration.k8s.io", "StorageVersionMigration"),
    }
)
"""(group, kind) of the built-in kinds that live in no namespace; the server's discovery says the same."""

ALWAYS_REPLACED = ("apiVersion", "kind", "metadata.name", "metadata.namespace")
"""What makes the object another object (pulumi)."""

IMMUTABLE: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("apps", "DaemonSet"): ("spec.selector",),  # pulumi, api
    ("apps", "Deployment"): ("spec.selector",),  # pulumi, api
    ("apps", "ReplicaSet"): ("spec.selector",),  # api
    ("apps", "StatefulSet"): (  # pulumi, api
        "spec.podManagementPolicy",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),  # pulumi, api
    ("", "ConfigMap"): ("binaryData", "data"),  # pulumi, unless enableConfigMapMutable
    ("", "Secret"): ("data", "stringData", "type"),  # pulumi, unless enableSecretMutable (`type`: api)
    ("", "PersistentVolume"): (
        "spec.csi",
        "spec.hostPath",
        "spec.local",
        "spec.nfs",
        "spec.iscsi",
        "spec.fc",
    ),  # pulumi
    ("", "PersistentVolumeClaim"): ("spec",),  # pulumi
    ("", "Pod"): ("spec",),  # pulumi; api: all of it but images and a few others
    ("", "ResourceQuota"): ("spec.scopes",),  # pulumi, api
    ("", "Service"): ("spec.clusterIP",),  # pulumi, api
    ("node.k8s.io", "RuntimeClass"): ("handler",),  # api
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),  # pulumi, api
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),  # pulumi, api
    ("scheduling.k8s.io", "PriorityClass"): ("preemptionPolicy", "value"),  # api
    ("storage.k8s.io", "StorageClass"): (  # pulumi (the first two), api
        "parameters",
        "provisioner",
        "reclaimPolicy",
        "volumeBindingMode",
    ),
}
"""{(group, kind): property paths whose change replaces the object}."""

SECRET_DATA = ("data", "stringData")
"""Properties of a Secret that are secret whatever the program says."""

_MUTABLE_OPTION = {"ConfigMap": "enableConfigMapMutable", "Secret": "enableSecretMutable"}


def group_of(api_version: str) -> str:
    """`apps/v1` -> `apps`; `v1` and a token's `core/v1` -> the empty group."""
    group = api_version.rpartition("/")[0]
    return "" if group == "core" else group


def api_version_of(token: str) -> tuple[str, str]:
    """(apiVersion, kind) of a type token: `kubernetes:core/v1:Namespace` -> (`v1`, `Namespace`)."""
    _, api, kind = token.split(":")
    return api.removeprefix("core/"), kind


def sealed(inputs: Map) -> Map:
    """Inputs in which every value of a Secret's data is secret, whether or not the program says so."""
    if inputs.get("kind") != "Secret" or inputs.get("apiVersion") != "v1":
        return inputs
    return {**inputs, **{key: map_leaves(inputs[key], _secret) for key in SECRET_DATA if key in inputs}}


def _secret(leaf: Any) -> Any:
    return leaf if leaf is None or isinstance(leaf, Secret) else Secret(leaf)


def replaced_by(group: str, kind: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The property paths whose change replaces an object of this kind."""
    fields = IMMUTABLE.get((group, kind), ())
    if group == "" and config.get(_MUTABLE_OPTION.get(kind, "")):
        fields = tuple(field for field in fields if field == "type")
    return (*ALWAYS_REPLACED, *fields)

"""One program with configuration files: its ConfigMap or Secret, Deployment and Service, children of a component.

The gateway, Prometheus and Alertmanager have this in common: files rendered here, a port of the node, no root, nothing
writable but the folder of their data, and a restart when a file changes.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    HTTPGetActionArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    ProjectedVolumeSourceArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    Secret,
    SecretVolumeSourceArgs,
    SecurityContextArgs,
    Service,
    ServiceAccount,
    ServiceAccountTokenProjectionArgs,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeProjectionArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from fullbore._component import Component
from fullbore.cluster import LABELS, Cluster
from fullbore.policies import AUDIENCE


@dataclass(frozen=True, kw_only=True)
class Listen:
    """A port of the container; `host` is the node's port that leads to it."""

    port: int
    host: int | None = None


@dataclass(frozen=True, kw_only=True)
class Data:
    """A folder that the program writes to; it lives as long as the pod."""

    folder: str
    size: str


@dataclass(frozen=True, kw_only=True)
class WebIdentity:
    """A role of AWS that the pod takes by a token of its service account."""

    account: str
    role_arn: pulumi.Input[str]


TOKEN_FOLDER = "/var/run/secrets/fullbore"
TOKEN_FILE = "token"
TOKEN_S = 3600
"""Seconds for which a token holds; the kubelet renews it before (kubernetes.io/docs, "Configure Service Accounts for
Pods", ServiceAccount token volume projection)."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What runs. `app` names every object; `ready` is (path, port) of the readiness probe."""

    app: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...]
    user: int
    listens: Mapping[str, Listen]
    ready: tuple[str, int]
    folder: str
    files: pulumi.Input[Mapping[str, str]] = field(repr=False)
    secret: bool = False
    """Whether the files hold a secret: they are in a Secret then, not in a ConfigMap."""
    data: Data | None = None
    identity: WebIdentity | None = None
    after: tuple[pulumi.Resource, ...] = ()
    """What it cannot do without, and would not look for again for a while."""
    requests: Mapping[str, str]
    memory_limit: str

    @property
    def selector(self) -> dict[str, str]:
        return {"app.kubernetes.io/name": self.app, "app.kubernetes.io/part-of": LABELS["app.kubernetes.io/part-of"]}


@dataclass(frozen=True, kw_only=True)
class DaemonResources:
    """What `create_daemon` created."""

    config: ConfigMap | Secret
    account: ServiceAccount | None
    deployment: Deployment
    service: Service


def create_daemon(owner: Component, program: Program, cluster: Cluster, *, prefix: str = "") -> DaemonResources:
    """The resources of a program, named OWNER-PREFIXconfig and so on."""
    metadata = ObjectMetaArgs(name=program.app, namespace=cluster.namespace, labels={**LABELS, **program.selector})
    config = _create_config(owner, f"{prefix}config", program, metadata, cluster)
    account = _create_account(owner, f"{prefix}account", program, cluster) if program.identity else None
    deployment = Deployment(
        owner.part(f"{prefix}deployment"),
        metadata=metadata,
        spec=_deployment_spec(program),
        opts=owner.child(cluster.provider, depends_on=[config, *([account] if account else []), *program.after]),
    )
    service = Service(
        owner.part(f"{prefix}service"),
        metadata=metadata,
        spec=_service_spec(program),
        opts=owner.child(cluster.provider),
    )
    return DaemonResources(config=config, account=account, deployment=deployment, service=service)


def _create_account(owner: Component, part: str, program: Program, cluster: Cluster) -> ServiceAccount:
    """It has no rights in the cluster: it is a name that a role trusts."""
    assert program.identity
    return ServiceAccount(
        owner.part(part),
        metadata=ObjectMetaArgs(
            name=program.identity.account, namespace=cluster.namespace, labels={**LABELS, **program.selector}
        ),
        automount_service_account_token=False,
        opts=owner.child(cluster.provider),
    )


def _create_config(
    owner: Component, part: str, program: Program, metadata: ObjectMetaArgs, cluster: Cluster
) -> ConfigMap | Secret:
    name, opts = owner.part(part), owner.child(cluster.provider)
    if not program.secret:
        return ConfigMap(name, metadata=metadata, data=program.files, opts=opts)
    return Secret(name, metadata=metadata, data=pulumi.Output.secret(program.files).apply(encoded), opts=opts)


def _service_spec(program: Program) -> ServiceSpecArgs:
    ports = [ServicePortArgs(name=name, port=it.port, target_port=it.port) for name, it in program.listens.items()]
    return ServiceSpecArgs(selector=program.selector, ports=ports)


def _deployment_spec(program: Program) -> DeploymentSpecArgs:
    return DeploymentSpecArgs(
        replicas=1,
        selector=LabelSelectorArgs(match_labels=program.selector),
        # The node's port is free only once the old pod is gone.
        strategy=DeploymentStrategyArgs(
            type="RollingUpdate", rolling_update=RollingUpdateDeploymentArgs(max_surge=0, max_unavailable=1)
        ),
        template=PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(
                labels={**LABELS, **program.selector},
                # The programs read their files once, at start: another hash is another pod.
                annotations={"fullbore/config-sha256": pulumi.Output.from_input(program.files).apply(files_sha256)},
            ),
            spec=_pod_spec(program),
        ),
    )


def _pod_spec(program: Program) -> PodSpecArgs:
    volumes = [
        VolumeArgs(name="config", secret=SecretVolumeSourceArgs(secret_name=program.app))
        if program.secret
        else VolumeArgs(name="config", config_map=ConfigMapVolumeSourceArgs(name=program.app))
    ]
    if program.data:
        volumes.append(VolumeArgs(name="data", empty_dir=EmptyDirVolumeSourceArgs(size_limit=program.data.size)))
    if program.identity:
        volumes.append(VolumeArgs(name="token", projected=_token()))
    return PodSpecArgs(
        automount_service_account_token=False,
        service_account_name=program.identity.account if program.identity else None,
        enable_service_links=False,
        security_context=PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=program.user,
            run_as_group=program.user,
            fs_group=program.user,
            seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
        ),
        containers=[_container(program)],
        volumes=volumes,
    )


def _container(program: Program) -> ContainerArgs:
    path, port = program.ready
    mounts = [VolumeMountArgs(name="config", mount_path=program.folder, read_only=True)]
    if program.data:
        mounts.append(VolumeMountArgs(name="data", mount_path=program.data.folder))
    if program.identity:
        mounts.append(VolumeMountArgs(name="token", mount_path=TOKEN_FOLDER, read_only=True))
    return ContainerArgs(
        name=program.app,
        image=program.image,
        command=list(program.command) or None,
        args=list(program.args),
        env=_role_env(program.identity) if program.identity else None,
        ports=[
            ContainerPortArgs(name=name, container_port=it.port, host_port=it.host)
            for name, it in program.listens.items()
        ],
        readiness_probe=ProbeArgs(
            http_get=HTTPGetActionArgs(path=path, port=port), period_seconds=2, timeout_seconds=2, failure_threshold=3
        ),
        resources=ResourceRequirementsArgs(requests=dict(program.requests), limits={"memory": program.memory_limit}),
        security_context=SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=CapabilitiesArgs(drop=["ALL"]),
        ),
        volume_mounts=mounts,
    )


def _token() -> ProjectedVolumeSourceArgs:
    token = ServiceAccountTokenProjectionArgs(path=TOKEN_FILE, audience=AUDIENCE, expiration_seconds=TOKEN_S)
    return ProjectedVolumeSourceArgs(sources=[VolumeProjectionArgs(service_account_token=token)])


def _role_env(identity: WebIdentity) -> list[EnvVarArgs]:
    """What AWS' SDKs take a role by (AWS SDKs and tools reference guide, "Assume role credential provider")."""
    return [
        EnvVarArgs(name="AWS_ROLE_ARN", value=identity.role_arn),
        EnvVarArgs(name="AWS_WEB_IDENTITY_TOKEN_FILE", value=f"{TOKEN_FOLDER}/{TOKEN_FILE}"),
    ]


def files_sha256(files: Mapping[str, str]) -> str:
    """One digest of names and contents."""
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()


def encoded(files: Mapping[str, str]) -> dict[str, str]:
    """Contents in base64, as a Secret's `data` has them."""
    return {name: b64encode(text.encode()).decode() for name, text in files.items()}

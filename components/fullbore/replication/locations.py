"""Where replication reads and writes: the site's store, and buckets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pulumi
import pulumi_aws as aws

from fullbore._aws import Role, Scope
from fullbore.cloud import Cloud
from fullbore.plan.model import ReplicationPlan
from fullbore.plan.weights import COPIED_TO
from fullbore.storage import Storage
from fullbore.storage.lustre import LustreParts
from fullbore.storage.shared import SharedParts

FOLDER = f"/{COPIED_TO}"
"""Of what is written to."""

Location = (
    aws.datasync.EfsLocation
    | aws.datasync.LocationFsxLustre
    | aws.datasync.LocationHdfs
    | aws.datasync.LocationObjectStorage
    | aws.datasync.LocationSmb
    | aws.datasync.NfsLocation
    | aws.datasync.S3Location
)

NAME_NODE_PORT = 8020
"""Where a NameNode listens by default (DataSync user guide, "AWS DataSync network requirements")."""


Agents = Sequence[pulumi.Input[str]]
"""ARNs of the agents that reach the store."""


def create_source(scope: Scope, plan: ReplicationPlan, role: Role, agents: Agents) -> Location:
    makers: Mapping[str, Callable[[Scope, ReplicationPlan, Agents], Location]] = {
        "smb": _create_smb,
        "nfs": _create_nfs,
        "object-store": _create_object_store,
        "hdfs": _create_hdfs,
    }
    if plan.source == "s3":
        return create_s3(scope, "source", f"arn:aws:s3:::{plan.server}", plan.path, role)
    return makers[plan.source](scope, plan, agents)


def _create_smb(scope: Scope, plan: ReplicationPlan, agents: Agents) -> aws.datasync.LocationSmb:
    return aws.datasync.LocationSmb(
        scope.part("source"),
        server_hostname=plan.server,
        subdirectory=plan.path,
        user=plan.user or "",
        password=pulumi.Output.secret(plan.password or ""),
        agent_arns=list(agents),
        tags=scope.tags,
        opts=scope.child(),
    )


def _create_nfs(scope: Scope, plan: ReplicationPlan, agents: Agents) -> aws.datasync.NfsLocation:
    return aws.datasync.NfsLocation(
        scope.part("source"),
        server_hostname=plan.server,
        subdirectory=plan.path,
        on_prem_config=aws.datasync.NfsLocationOnPremConfigArgs(agent_arns=list(agents)),
        tags=scope.tags,
        opts=scope.child(),
    )


def _create_object_store(scope: Scope, plan: ReplicationPlan, agents: Agents) -> aws.datasync.LocationObjectStorage:
    """Over TLS, on its usual port where the plan names none."""
    return aws.datasync.LocationObjectStorage(
        scope.part("source"),
        server_hostname=plan.server,
        server_protocol="HTTPS",
        server_port=plan.port,
        bucket_name=plan.bucket or "",
        subdirectory=plan.path,
        access_key=plan.user,
        secret_key=pulumi.Output.secret(plan.password),
        agent_arns=list(agents),
        tags=scope.tags,
        opts=scope.child(),
    )


def _create_hdfs(scope: Scope, plan: ReplicationPlan, agents: Agents) -> aws.datasync.LocationHdfs:
    """By the name of a user; a cluster with Kerberos is not supported."""
    node = aws.datasync.LocationHdfsNameNodeArgs(hostname=plan.server, port=plan.port or NAME_NODE_PORT)
    return aws.datasync.LocationHdfs(
        scope.part("source"),
        name_nodes=[node],
        authentication_type="SIMPLE",
        simple_user=plan.user,
        subdirectory=plan.path,
        agent_arns=list(agents),
        tags=scope.tags,
        opts=scope.child(),
    )


def create_destination(scope: Scope, plan: ReplicationPlan, storage: Storage, cloud: Cloud, role: Role) -> Location:
    """What the plan writes to. Raises ValueError where it is not there, which a rule of the plan refuses."""
    made = storage.resources
    if plan.destination == "shared" and made.shared:
        return _create_efs(scope, made.shared, cloud)
    if plan.destination == "lustre" and made.lustre:
        return _create_lustre(scope, made.lustre)
    if plan.destination != "bucket":
        raise ValueError(f"replication.destination: storage.{plan.destination} is not declared")
    return create_s3(scope, "destination", made.weights.bucket.arn, FOLDER, role)


def _create_efs(scope: Scope, shared: SharedParts, cloud: Cloud) -> aws.datasync.EfsLocation:
    """By one mount target, over TLS, without which the file system's policy lets nobody in."""
    subnet = next(iter(cloud.resources.network.subnets.values()))
    return aws.datasync.EfsLocation(
        scope.part("destination"),
        efs_file_system_arn=shared.file_system.arn,
        ec2_config=aws.datasync.EfsLocationEc2ConfigArgs(security_group_arns=[shared.group.arn], subnet_arn=subnet.arn),
        in_transit_encryption="TLS1_2",
        subdirectory=FOLDER,
        tags=scope.tags,
        opts=scope.child(depends_on=[*shared.targets.values()]),
    )


def _create_lustre(scope: Scope, lustre: LustreParts) -> aws.datasync.LocationFsxLustre:
    return aws.datasync.LocationFsxLustre(
        scope.part("destination"),
        fsx_filesystem_arn=lustre.file_system.arn,
        security_group_arns=[lustre.group.arn],
        subdirectory=FOLDER,
        tags=scope.tags,
        opts=scope.child(),
    )


def create_s3(
    scope: Scope, part: str, bucket_arn: pulumi.Input[str], folder: str, role: Role
) -> aws.datasync.S3Location:
    return aws.datasync.S3Location(
        scope.part(part),
        s3_bucket_arn=bucket_arn,
        subdirectory=folder,
        s3_config=aws.datasync.S3LocationS3ConfigArgs(bucket_access_role_arn=role.role.arn),
        tags=scope.tags,
        # DataSync tries the bucket when the location is made, so the grant must be there.
        opts=scope.child(depends_on=[*role.grants]),
    )

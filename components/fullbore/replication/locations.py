"""Where replication reads and writes: the site's store, and buckets."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from fullbore._aws import Role, Scope
from fullbore.plan.model import ReplicationPlan

Location = aws.datasync.LocationSmb | aws.datasync.NfsLocation | aws.datasync.S3Location


def create_source(scope: Scope, plan: ReplicationPlan, role: Role) -> Location:
    if plan.source == "smb":
        return _create_smb(scope, plan)
    if plan.source == "nfs":
        return _create_nfs(scope, plan)
    return create_s3(scope, "source", f"arn:aws:s3:::{plan.server}", plan.path, role)


def _create_smb(scope: Scope, plan: ReplicationPlan) -> aws.datasync.LocationSmb:
    return aws.datasync.LocationSmb(
        scope.part("source"),
        server_hostname=plan.server,
        subdirectory=plan.path,
        user=plan.user or "",
        password=pulumi.Output.secret(plan.password or ""),
        agent_arns=list(plan.agent_arns),
        tags=scope.tags,
        opts=scope.child(),
    )


def _create_nfs(scope: Scope, plan: ReplicationPlan) -> aws.datasync.NfsLocation:
    return aws.datasync.NfsLocation(
        scope.part("source"),
        server_hostname=plan.server,
        subdirectory=plan.path,
        on_prem_config=aws.datasync.NfsLocationOnPremConfigArgs(agent_arns=list(plan.agent_arns)),
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

"""Copying weights from the site's store to the cloud: a DataSync task on a schedule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore._aws import physical_name, trust_policy
from fullbore._component import Component
from fullbore.plan.model import ReplicationPlan
from fullbore.storage import Storage

DESTINATION = "/weights"
UNLIMITED = -1
MIB = 1024 * 1024

Location = aws.datasync.LocationSmb | aws.datasync.NfsLocation | aws.datasync.S3Location

OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectTagging",
)
BUCKET_ACTIONS = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
"""What DataSync needs of a bucket and its objects (DataSync user guide, "Providing DataSync access to S3 buckets")."""


@dataclass(frozen=True, kw_only=True)
class ReplicationResources:
    """What a `Replication` made."""

    role: aws.iam.Role
    policy: aws.iam.RolePolicy
    source: Location
    destination: aws.datasync.S3Location
    task: aws.datasync.Task


class Replication(Component):
    """A task that copies what changed at the site's store to the bucket, and checks what it copied."""

    def __init__(
        self,
        name: str,
        plan: ReplicationPlan,
        *,
        storage: Storage,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        self.plan = plan
        self.storage = storage
        self.tags = dict(tags)
        role = self._create_role()
        policy = self._create_policy(role)
        source = self._create_source(role, policy)
        destination = self._create_s3_location("destination", storage.resources.bucket.arn, DESTINATION, role, policy)
        self.resources = ReplicationResources(
            role=role,
            policy=policy,
            source=source,
            destination=destination,
            task=self._create_task(source, destination),
        )
        self.register_outputs({"taskArn": self.resources.task.arn})

    def _create_role(self) -> aws.iam.Role:
        """Only DataSync of this account may take the role: another account's task must not borrow it."""
        caller = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self))
        trust = caller.account_id.apply(
            lambda account: trust_policy("datasync.amazonaws.com", {"StringEquals": {"aws:SourceAccount": account}})
        )
        return aws.iam.Role(
            self.part("datasync"),
            name=self._physical("datasync"),
            assume_role_policy=trust,
            tags=self.tags,
            opts=self.child(),
        )

    def _physical(self, part: str) -> str:
        return physical_name(self.plan.environment, self.part(part))

    def _create_policy(self, role: aws.iam.Role) -> aws.iam.RolePolicy:
        read_too = [f"arn:aws:s3:::{self.plan.server}"] if self.plan.source == "s3" else []
        document = self.storage.resources.bucket.arn.apply(lambda arn: bucket_policy([arn, *read_too]))
        name = self.part("bucket-access")
        return aws.iam.RolePolicy(name, name=name, role=role.name, policy=document, opts=self.child())

    def _create_source(self, role: aws.iam.Role, policy: aws.iam.RolePolicy) -> Location:
        makers = {
            "smb": self._create_smb_location,
            "nfs": self._create_nfs_location,
            "s3": lambda: self._create_s3_location(
                "source", f"arn:aws:s3:::{self.plan.server}", self.plan.path, role, policy
            ),
        }
        return makers[self.plan.source]()

    def _create_smb_location(self) -> aws.datasync.LocationSmb:
        return aws.datasync.LocationSmb(
            self.part("source"),
            server_hostname=self.plan.server,
            subdirectory=self.plan.path,
            user=self.plan.user or "",
            password=pulumi.Output.secret(self.plan.password or ""),
            agent_arns=list(self.plan.agent_arns),
            tags=self.tags,
            opts=self.child(),
        )

    def _create_nfs_location(self) -> aws.datasync.NfsLocation:
        return aws.datasync.NfsLocation(
            self.part("source"),
            server_hostname=self.plan.server,
            subdirectory=self.plan.path,
            on_prem_config=aws.datasync.NfsLocationOnPremConfigArgs(agent_arns=list(self.plan.agent_arns)),
            tags=self.tags,
            opts=self.child(),
        )

    def _create_s3_location(
        self, part: str, bucket_arn: pulumi.Input[str], folder: str, role: aws.iam.Role, policy: aws.iam.RolePolicy
    ) -> aws.datasync.S3Location:
        return aws.datasync.S3Location(
            self.part(part),
            s3_bucket_arn=bucket_arn,
            subdirectory=folder,
            s3_config=aws.datasync.S3LocationS3ConfigArgs(bucket_access_role_arn=role.arn),
            tags=self.tags,
            # DataSync tries the bucket when the location is made, so the grant must be there.
            opts=self.child(depends_on=[policy]),
        )

    def _create_task(self, source: Location, destination: aws.datasync.S3Location) -> aws.datasync.Task:
        limit = self.plan.bandwidth_mib_s
        return aws.datasync.Task(
            self.part("task"),
            name=self._physical("task"),
            source_location_arn=source.arn,
            destination_location_arn=destination.arn,
            schedule=aws.datasync.TaskScheduleArgs(schedule_expression=self.plan.schedule),
            options=aws.datasync.TaskOptionsArgs(
                verify_mode="ONLY_FILES_TRANSFERRED",
                overwrite_mode="ALWAYS",
                transfer_mode="CHANGED",
                # What is gone at the site stays in the bucket: a loss there must not become a loss here.
                preserve_deleted_files="PRESERVE",
                bytes_per_second=UNLIMITED if limit is None else limit * MIB,
            ),
            tags=self.tags,
            opts=self.child(),
        )


def bucket_policy(bucket_arns: list[str]) -> str:
    """Access to these buckets and their objects, and to nothing else."""
    statements = [
        {"Sid": "Buckets", "Effect": "Allow", "Action": list(BUCKET_ACTIONS), "Resource": bucket_arns},
        {
            "Sid": "Objects",
            "Effect": "Allow",
            "Action": list(OBJECT_ACTIONS),
            "Resource": [f"{arn}/*" for arn in bucket_arns],
        },
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, sort_keys=True)

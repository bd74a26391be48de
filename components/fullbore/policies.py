"""IAM policy documents, as JSON text: one function for each job, and the reason of every wildcard. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

Statement = Mapping[str, object]

WILDCARDS: Mapping[str, str] = {
    "TlsOnly": "it denies: every request without TLS, whatever it asks for",
    "AccountOnly": "it denies: every request from outside the account, whatever it asks for",
    "KeyAdministration": "a key policy speaks of its own key only; without the account's root the key could be lost "
    "for good (KMS developer guide, default key policy)",
    "ThroughS3": "a key policy speaks of its own key only; who may use it is narrowed to S3 and this account",
    "OwnAccount": "an endpoint grants nothing: it only narrows what roles grant, here to principals of the account",
    "ReadMetrics": "reading metrics takes no resource (CloudWatch: actions, resources and condition keys)",
    "FindLogGroup": "listing log groups takes no resource (CloudWatch Logs: actions, resources and condition keys)",
}
"""Statements with `*` as a resource, or in an action, by their id, and why. A test refuses any other."""


def document(statements: Sequence[Statement]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)


def trust(service: str, condition: Mapping[str, object] | None = None, *, tagged: bool = False) -> str:
    """Who may take a role: one AWS service, under a condition where one is given; `tagged` where the session carries
    tags, as Pod Identity's do (EKS user guide, "Create IAM role with trust policy required by EKS Pod Identity")."""
    statement: dict[str, object] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["sts:AssumeRole", "sts:TagSession"] if tagged else "sts:AssumeRole",
    }
    if condition:
        statement["Condition"] = dict(condition)
    return document([statement])


AUDIENCE = "sts.amazonaws.com"
"""Whom a pod's token is for that takes a role (EKS user guide, "Assign IAM roles to Kubernetes service accounts")."""


def trust_pods(account: str, oidc_provider: str, namespace: str, service_account: str) -> str:
    """Who may take a role: pods of one service account, in the cluster whose issuer IAM has as `oidc_provider` (EKS
    user guide, "Assign IAM roles to Kubernetes service accounts")."""
    who = {"sub": f"system:serviceaccount:{namespace}:{service_account}", "aud": AUDIENCE}
    return document(
        [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{account}:oidc-provider/{oidc_provider}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"{oidc_provider}:{key}": value for key, value in who.items()}},
            }
        ]
    )


def of_account(account: str) -> dict[str, object]:
    """A condition that keeps a service from being used by another account (IAM user guide, confused deputy)."""
    return {"StringEquals": {"aws:SourceAccount": account}}


def of_pods(namespace: str, service_account: str) -> dict[str, object]:
    """A condition that keeps a role to the pods of one service account, by the tags of Pod Identity's sessions
    (EKS user guide, "Create IAM role with trust policy required by EKS Pod Identity")."""
    tags = {"kubernetes-namespace": namespace, "kubernetes-service-account": service_account}
    return {"StringEquals": {f"aws:RequestTag/{name}": value for name, value in tags.items()}}


def read_bucket(bucket_arn: str) -> str:
    """Listing one bucket and reading its objects."""
    return document(
        [
            {"Sid": "List", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [bucket_arn]},
            {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"{bucket_arn}/*"]},
        ]
    )


def write_flow_logs(group_arn: str) -> str:
    """What the VPC's flow logs need of their log group (VPC user guide, "IAM role for publishing flow
    logs to CloudWatch Logs")."""
    writes = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    return document(
        [
            {"Sid": "WriteLogs", "Effect": "Allow", "Action": writes, "Resource": [group_arn, f"{group_arn}:*"]},
            {"Sid": "FindLogGroup", "Effect": "Allow", "Action": ["logs:DescribeLogGroups"], "Resource": "*"},
        ]
    )


def key_administration(account: str) -> Statement:
    """The account's own IAM policies decide who may use and manage a key."""
    return {
        "Sid": "KeyAdministration",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }


def use_key(key_arn: str) -> str:
    """What a cluster's role does with the key of its secrets (terraform-aws-modules/terraform-aws-eks, main.tf,
    cluster_encryption); the grant to EKS is made by whoever makes the cluster."""
    actions = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:ListGrants"]
    return document([{"Sid": "SecretsKey", "Effect": "Allow", "Action": actions, "Resource": [key_arn]}])


def key_through_s3(account: str, region: str) -> Statement:
    """Whoever of the account may use an object may use the key that it is encrypted with, through S3 alone
    (KMS developer guide, condition key kms:ViaService)."""
    actions = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*")
    return {
        "Sid": "ThroughS3",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": list(actions),
        "Resource": "*",
        "Condition": {"StringEquals": {"kms:CallerAccount": account, "kms:ViaService": f"s3.{region}.amazonaws.com"}},
    }


def bucket_policy(bucket_arn: str, *, account: str = "", may_replicate: bool = True) -> str:
    """What a bucket refuses: requests without TLS; with an account, those from outside of it, and where data may not
    leave the region, being made to replicate elsewhere."""
    both = [bucket_arn, f"{bucket_arn}/*"]
    statements: list[Statement] = [_deny("TlsOnly", "s3:*", both, {"Bool": {"aws:SecureTransport": "false"}})]
    if account:
        outside = {
            "StringNotEquals": {"aws:PrincipalAccount": account},
            "Bool": {"aws:PrincipalIsAWSService": "false"},
        }
        statements.append(_deny("AccountOnly", "s3:*", both, outside))
    if account and not may_replicate:
        statements.append(_deny("NoReplication", "s3:PutReplicationConfiguration", [bucket_arn], None))
    return document(statements)


CLIENT_ACTIONS = tuple(f"elasticfilesystem:Client{action}" for action in ("Mount", "RootAccess", "Write"))


def shared_files(system_arn: str) -> str:
    """Who may use an EFS file system: whoever its mount targets let in, and over TLS only (EFS user guide, "Using IAM
    to control access to file systems")."""
    mounted = {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}}
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    common = {"Principal": {"AWS": "*"}, "Action": list(CLIENT_ACTIONS), "Resource": [system_arn]}
    return document(
        [
            {"Sid": "Mounted", "Effect": "Allow", **common, "Condition": mounted},
            {"Sid": "TlsOnly", "Effect": "Deny", **common, "Condition": plain},
        ]
    )


def _deny(sid: str, action: str, resources: Sequence[str], condition: Mapping[str, object] | None) -> Statement:
    statement = {"Sid": sid, "Effect": "Deny", "Principal": "*", "Action": action, "Resource": list(resources)}
    return {**statement, "Condition": condition} if condition else statement


def own_buckets(names: Sequence[str], region: str) -> str:
    """What the VPC's way to S3 lets through: the environment's own buckets, and the layers of images in ECR, which are
    in a bucket of AWS (ECR user guide, "Minimum Amazon S3 bucket permissions for Amazon ECR")."""
    actions = [
        *("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"),
        *("s3:ListMultipartUploadParts", "s3:PutObject"),
    ]
    arns = [f"arn:aws:s3:::{name}" for name in names]
    layers = f"arn:aws:s3:::prod-{region}-starport-layer-bucket/*"
    return document(
        [
            {
                "Sid": "OwnBuckets",
                "Effect": "Allow",
                "Principal": "*",
                "Action": actions,
                "Resource": [*arns, *(f"{arn}/*" for arn in arns)],
            },
            {"Sid": "ImageLayers", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": [layers]},
        ]
    )


def own_account(account: str) -> str:
    """What an interface endpoint lets through: calls that the account's own principals make (IAM user guide,
    aws:PrincipalAccount)."""
    return document(
        [
            {
                "Sid": "OwnAccount",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "*",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:PrincipalAccount": account}},
            }
        ]
    )


OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectTagging",
)
READ_ACTIONS = ("s3:GetObject", "s3:GetObjectTagging", "s3:ListMultipartUploadParts")
BUCKET_ACTIONS = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
"""What DataSync needs of a bucket and its objects (DataSync user guide, "Providing DataSync access to S3 buckets")."""


def copy_buckets(written: Sequence[str], read: Sequence[str] = ()) -> str:
    """Access of DataSync to these buckets and their objects, and to nothing else; what is only read stays as it is."""
    buckets, objects = [*written, *read], [f"{arn}/*" for arn in written]
    statements: list[Statement] = [
        {"Sid": "Buckets", "Effect": "Allow", "Action": list(BUCKET_ACTIONS), "Resource": buckets},
        {"Sid": "Objects", "Effect": "Allow", "Action": list(OBJECT_ACTIONS), "Resource": objects},
    ]
    if read:
        sources = [f"{arn}/*" for arn in read]
        statements.append({"Sid": "Sources", "Effect": "Allow", "Action": list(READ_ACTIONS), "Resource": sources})
    return document(statements)


def replicate(source: str, target: str, regions: tuple[str, str], keys: tuple[str | None, str]) -> str:
    """What S3 needs to copy new objects between two buckets of an account, with a key on either side (S3 user guide,
    "Setting up permissions for live replication", "Replicating encrypted objects"). Buckets and keys by their ARNs."""
    copied = ("s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging")
    written = ("s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags")
    statements = [
        _allow("Source", ("s3:GetReplicationConfiguration", "s3:ListBucket"), source),
        _allow("Read", copied, f"{source}/*"),
        _allow("Write", written, f"{target}/*"),
        _allow("Encrypt", ("kms:Encrypt", "kms:GenerateDataKey"), keys[1], _through_s3(regions[1])),
    ]
    if keys[0]:
        statements.append(_allow("Decrypt", ("kms:Decrypt",), keys[0], _through_s3(regions[0])))
    return document(statements)


def _through_s3(region: str) -> Mapping[str, object]:
    return {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}}


def _allow(
    sid: str, actions: Sequence[str], resource: str, condition: Mapping[str, object] | None = None
) -> Mapping[str, object]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": [resource]}
    return {**statement, "Condition": condition} if condition else statement


def update_task(task_arn: str) -> str:
    """Changing one DataSync task."""
    return document([{"Sid": "Limit", "Effect": "Allow", "Action": ["datasync:UpdateTask"], "Resource": [task_arn]}])


def read_task(task_arn: str) -> str:
    """Asking for the runs of one DataSync task (service authorization reference, AWS DataSync)."""
    return document(
        [
            {"Sid": "Runs", "Effect": "Allow", "Action": ["datasync:ListTaskExecutions"], "Resource": [task_arn]},
            {
                "Sid": "Run",
                "Effect": "Allow",
                "Action": ["datasync:DescribeTaskExecution"],
                "Resource": [f"{task_arn}/execution/*"],
            },
        ]
    )


def read_metrics() -> str:
    """Asking for statistics of metrics, which cannot be narrowed to some of them."""
    actions = ["cloudwatch:GetMetricStatistics"]
    return document([{"Sid": "ReadMetrics", "Effect": "Allow", "Action": actions, "Resource": "*"}])

"""checkov's rules for the types that the components use, and the guard that covers each, or why none does.

Ids and subjects are those of checkov 3.3.30 (checkov/terraform/checks/resource/aws and graph_checks/aws), for every
Terraform type that stands behind a class of `pulumi_aws` that a component uses.
"""

from __future__ import annotations

from dataclasses import dataclass

CHECKOV = "3.3.30"


@dataclass(frozen=True, kw_only=True)
class Covered:
    """One rule of checkov: `by` are ids of guards; where it is empty, `why` says why none is needed."""

    id: str
    subject: str
    by: tuple[str, ...] = ()
    why: str = ""


def _by(id: str, subject: str, *guards: str) -> Covered:
    return Covered(id=id, subject=subject, by=guards)


def _not(id: str, subject: str, why: str) -> Covered:
    return Covered(id=id, subject=subject, why=why)


UNUSED = "no component makes what it looks for"

CHECKS = (
    _by("CKV_AWS_7", "rotation of KMS keys", "kms-key"),
    _not("CKV_AWS_18", "access logs of buckets", "data events of CloudTrail say the same and belong to the account"),
    _by("CKV_AWS_19", "encryption of buckets", "s3-no-encryption", "s3-encryption"),
    _by("CKV_AWS_20", "buckets readable by all, by ACL", "s3-no-public-block", "s3-public"),
    _by("CKV_AWS_21", "versions of objects", "s3-no-versions", "s3-versions-off"),
    _by(
        "CKV_AWS_23",
        "descriptions of groups and rules",
        "group-undescribed",
        "ingress-undescribed",
        "egress-undescribed",
    ),
    _by("CKV_AWS_24", "SSH from anywhere", "open-ingress", "group-inline"),
    _by("CKV_AWS_25", "RDP from anywhere", "open-ingress", "group-inline"),
    _by("CKV_AWS_33", "keys that anybody may use", "key-anybody"),
    _not(
        "CKV_AWS_37",
        "all five logs of a cluster",
        "eks-logs asks for the two that say who did what; the others say how the control plane fares",
    ),
    _by("CKV_AWS_38", "a cluster's endpoint open to all", "eks-endpoint"),
    _by("CKV_AWS_39", "a cluster's public endpoint", "eks-endpoint"),
    _by("CKV_AWS_42", "encryption of EFS", "efs-encryption"),
    _by("CKV_AWS_46", "secrets in user data", "user-data-secret"),
    _by("CKV_AWS_53", "public ACLs blocked", "s3-public"),
    _by("CKV_AWS_54", "public policies blocked", "s3-public"),
    _by("CKV_AWS_55", "public ACLs ignored", "s3-public"),
    _by("CKV_AWS_56", "public buckets restricted", "s3-public"),
    _by("CKV_AWS_57", "buckets writable by all, by ACL", "s3-no-public-block", "s3-public"),
    _by("CKV_AWS_58", "encryption of a cluster's secrets", "eks-secrets"),
    _by("CKV_AWS_60", "who may take a role", "role-anybody"),
    _by("CKV_AWS_61", "who may take a role, across services", "role-anybody"),
    _by("CKV_AWS_62", "policies that grant everything", "role-wide"),
    _by("CKV_AWS_63", "policies with any action", "role-wide"),
    _by("CKV_AWS_66", "retention of logs", "logs-retention"),
    _by("CKV_AWS_70", "buckets that any principal may use", "bucket-anybody", "bucket-wide"),
    _by("CKV_AWS_79", "IMDSv1", "imds"),
    _by("CKV_AWS_88", "public addresses of machines", "machine-public"),
    _not(
        "CKV_AWS_93", "policies that lock everybody out", "denials are of requests without TLS, or from another account"
    ),
    _by("CKV_AWS_100", "SSH to nodes", "node-ssh"),
    _by("CKV_AWS_130", "subnets with public addresses", "subnet-public"),
    _not("CKV_AWS_143", "Object Lock of buckets", "weights are replaced; backups are locked, where they are declared"),
    _not(
        "CKV_AWS_144", "replication of buckets", "weights are on the site, too; where they may go is the plan's to say"
    ),
    _not("CKV_AWS_145", "buckets with keys of KMS", "the environment chooses by storage.own_key"),
    _not("CKV_AWS_158", "logs with keys of KMS", "CloudWatch encrypts them; flow logs hold addresses and no contents"),
    _not("CKV_AWS_184", "EFS with keys of KMS", "the environment chooses by storage.own_key"),
    _not("CKV_AWS_190", "FSx for Lustre with keys of KMS", "the environment chooses by storage.own_key"),
    _by("CKV_AWS_227", "keys that are switched off", "kms-key"),
    _by("CKV_AWS_260", "HTTP from anywhere", "open-ingress", "group-inline"),
    _by("CKV_AWS_274", "AdministratorAccess", "role-admin"),
    _by("CKV_AWS_277", "any port from anywhere", "open-ingress", "group-inline"),
    _not(
        "CKV_AWS_295",
        "secrets of object stores in clear",
        "the stack file encrypts them, and state keeps them as secrets",
    ),
    _not("CKV_AWS_297", "schedules with keys of KMS", "a schedule holds a task's name and a bandwidth, and no secret"),
    _by("CKV_AWS_300", "broken uploads", "s3-no-lifecycle", "s3-uploads"),
    _by("CKV_AWS_319", "alarms that are switched off", "alarm-off"),
    _not("CKV_AWS_338", "logs for a year", "the environment chooses the days"),
    _not(
        "CKV_AWS_339",
        "supported versions of Kubernetes",
        "the version is the environment's, and its end a date that moves",
    ),
    _by("CKV_AWS_341", "hops of metadata", "imds"),
    _by("CKV_AWS_379", "TLS of buckets", "s3-no-policy", "s3-tls"),
    _by("CKV_AWS_382", "egress to anywhere", "open-egress", "group-inline"),
    _not("CKV_AWS_393", "roles of GitHub Actions", UNUSED),
    _not("CKV2_AWS_1", "network ACLs of subnets", "groups decide; a second list without state only repeats them"),
    _not("CKV2_AWS_5", "groups that nothing uses", "each group is used by what the same component makes"),
    _by("CKV2_AWS_6", "a bucket's public access block", "s3-no-public-block", "s3-public"),
    _not("CKV2_AWS_7", "open groups of EMR", UNUSED),
    _not("CKV2_AWS_10", "logs of CloudTrail", "the trail belongs to the account, not to an environment"),
    _by("CKV2_AWS_11", "flow logs of VPCs", "vpc-unlogged"),
    _not(
        "CKV2_AWS_12", "the default group of a VPC", "nothing is made in it: each machine and endpoint names its groups"
    ),
    _not("CKV2_AWS_18", "EFS in plans of AWS Backup", "what must survive is in the buckets; nodes share files there"),
    _not("CKV2_AWS_23", "addresses of Route 53", UNUSED),
    _not("CKV2_AWS_35", "routes to NAT gateways", UNUSED),
    _by("CKV2_AWS_40", "policies that grant all of IAM", "role-wide"),
    _not("CKV2_AWS_44", "routes to peered VPCs", UNUSED),
    _not("CKV2_AWS_46", "origins of CloudFront", UNUSED),
    _by("CKV2_AWS_56", "IAMFullAccess", "role-admin"),
    _by("CKV2_AWS_61", "a bucket's lifecycle", "s3-no-lifecycle"),
    _not("CKV2_AWS_62", "events of buckets", "what changes is read from the manifest; nothing waits for events"),
    _by("CKV2_AWS_64", "a key's policy", "kms-key"),
    _not("CKV2_AWS_68", "roles of SageMaker notebooks", UNUSED),
)
"""In the order of their numbers."""

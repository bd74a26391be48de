"""What every component on AWS shares: the provider, and who may take a role."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from fullbore.plan.model import CloudPlan

EMULATED_SERVICES = ("ec2", "eks", "iam", "s3", "datasync", "sts")
"""Services that the components call: each gets the endpoint of an emulation."""


def aws_provider(plan: CloudPlan, tags: Mapping[str, str], opts: pulumi.ResourceOptions | None = None) -> aws.Provider:
    """The provider of the plan's region; its tags reach what no component tags.

    AWS itself is reached with the caller's own credentials, never with ours.
    """
    default_tags = aws.ProviderDefaultTagsArgs(tags=dict(tags))
    if plan.endpoint_url is None:
        return aws.Provider("aws", region=plan.region, default_tags=default_tags, opts=opts)
    return aws.Provider(
        "aws",
        region=plan.region,
        default_tags=default_tags,
        endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(EMULATED_SERVICES, plan.endpoint_url))],
        access_key="test",
        secret_key="test",
        s3_use_path_style=True,
        skip_credentials_validation=True,
        skip_metadata_api_check=True,
        skip_region_validation=True,
        skip_requesting_account_id=True,
        opts=opts,
    )


def physical_name(environment: str, name: str) -> str:
    """The name in AWS of what Pulumi calls `name`: two environments may share an account, and some names a region.

    An environment's name has 40 characters at most, so that the longest name of a role has 61 of IAM's 64.
    """
    return f"{environment}-{name}"


def trust_policy(service: str, condition: Mapping[str, object] | None = None) -> str:
    """Who may take a role: one AWS service, under a condition where one is given."""
    statement: dict[str, object] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if condition:
        statement["Condition"] = dict(condition)
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, sort_keys=True)

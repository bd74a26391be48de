"""What every component on AWS shares: the provider, names and tags, and roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pulumi
import pulumi_aws as aws

from fullbore._component import Component

EMULATED_SERVICES = (
    *(
        "cloudwatch",
        "datasync",
        "directconnect",
        "ec2",
        "efs",
        "eks",
        "events",
        "fsx",
        "iam",
        "kms",
        "logs",
        "s3",
        "scheduler",
        "sts",
    ),
)
"""Services that the components call: each gets the endpoint of an emulation."""


def aws_provider(
    name: str,
    region: str,
    endpoint_url: str | None,
    *,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions | None = None,
) -> aws.Provider:
    """The provider of a region; its tags reach what no component tags.

    AWS itself, where there is no endpoint of an emulation, is reached with the caller's own credentials.
    """
    default_tags = aws.ProviderDefaultTagsArgs(tags=dict(tags))
    if endpoint_url is None:
        return aws.Provider(name, region=region, default_tags=default_tags, opts=opts)
    return aws.Provider(
        name,
        region=region,
        default_tags=default_tags,
        endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(EMULATED_SERVICES, endpoint_url))],
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


Policy = pulumi.Input[str]
"""A policy document as JSON text."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role and its policies; whoever uses the role waits for `grants`, too."""

    role: aws.iam.Role
    grants: tuple[pulumi.Resource, ...]


@dataclass(frozen=True)
class Scope:
    """How what a component makes in AWS is named, tagged and parented."""

    component: Component
    environment: str
    tags: Mapping[str, str]
    provider: pulumi.ProviderResource | None = None
    """Of another region than the component's own."""

    def part(self, part: str) -> str:
        """The Pulumi name of a child."""
        return self.component.part(part)

    def physical(self, part: str) -> str:
        """The name of a child in AWS."""
        return physical_name(self.environment, self.part(part))

    def named(self, part: str) -> dict[str, str]:
        """Tags of an object whose only name is a tag."""
        return {**self.tags, "Name": self.physical(part)}

    def child(
        self,
        depends_on: list[pulumi.Resource] | None = None,
        ignore_changes: list[str] | None = None,
        secret_outputs: list[str] | None = None,
    ) -> pulumi.ResourceOptions:
        return self.component.child(
            self.provider,
            depends_on=depends_on,
            ignore_changes=ignore_changes,
            additional_secret_outputs=secret_outputs,
        )

    @cached_property
    def account(self) -> pulumi.Output[str]:
        """Number of the account, asked for once a component."""
        caller = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self.component))
        return caller.account_id

    def role(
        self,
        part: str,
        trust: pulumi.Input[str],
        *,
        managed: Sequence[str] = (),
        inline: Mapping[str, Policy] | None = None,
    ) -> Role:
        """A role with policies that AWS maintains, by name, and with its own, by their part of the name."""
        role = aws.iam.Role(
            self.part(part), name=self.physical(part), assume_role_policy=trust, tags=self.tags, opts=self.child()
        )
        attached: list[pulumi.Resource] = [
            aws.iam.RolePolicyAttachment(
                self.part(policy.removeprefix("Amazon").replace("_", "-").lower()),
                role=role.name,
                policy_arn=f"arn:aws:iam::aws:policy/{policy}",
                opts=self.child(),
            )
            for policy in managed
        ]
        own: list[pulumi.Resource] = [
            aws.iam.RolePolicy(self.part(name), name=self.part(name), role=role.name, policy=text, opts=self.child())
            for name, text in (inline or {}).items()
        ]
        return Role(role=role, grants=(*attached, *own))

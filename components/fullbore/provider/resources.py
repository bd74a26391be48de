"""The provider's resources as a Pulumi program uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import pulumi

from fullbore.provider.schema import VERSION

__all__ = ["Host", "HostGroup", "Image", "Ssh"]


class Host(TypedDict):
    """One machine: how it is reached and every value that it must hold."""

    address: pulumi.Input[str]
    port: pulumi.Input[int]
    hostKey: pulumi.Input[str]
    serial: pulumi.Input[str]
    settings: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """{setting id: wanted value}"""
    vars: pulumi.Input[Mapping[str, Any]]
    """Variables of the roles; `fullbore_settings` must say the same as `settings`."""


class Ssh(TypedDict):
    """How the hosts are reached."""

    user: pulumi.Input[str]
    privateKeyFile: pulumi.Input[str]


def _options(opts: pulumi.ResourceOptions | None, hidden: list[str] | None = None) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(version=VERSION, hide_diffs=hidden), opts)


class HostGroup(pulumi.CustomResource):
    """Machines of one kind in one rack, at most 32, converged by Ansible over SSH.

    `content` is a digest of the roles and the agent: another one runs every role again. Up to `max_failures` hosts may
    fail; they are in `failed`, and the next update tries them again. Deleting it leaves the machines as they are,
    unless `wipe` says to remove what was installed.
    """

    hosts: pulumi.Output[dict[str, Any]]
    """The hosts; `settings` are the values that each reported."""
    facts: pulumi.Output[dict[str, Any]]
    """{host: {settings, reportedAt, signature}} as each host reported and signed it."""
    failed: pulumi.Output[dict[str, str]]
    """{host: reason} of hosts that the last run did not finish."""

    def __init__(
        self,
        name: str,
        *,
        group: pulumi.Input[str],
        rack: pulumi.Input[str],
        roles: pulumi.Input[Sequence[pulumi.Input[str]]],
        hosts: pulumi.Input[Mapping[str, Host]],
        ssh: pulumi.Input[Ssh],
        content: pulumi.Input[str],
        max_failures: pulumi.Input[int] = 0,
        wipe: pulumi.Input[bool] = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "group": group,
            "rack": rack,
            "roles": roles,
            "hosts": hosts,
            "ssh": ssh,
            "content": content,
            "maxFailures": max_failures,
            "wipe": wipe,
        }
        outputs = {"facts": None, "failed": None}
        # Each look at the hosts signs its facts anew; what differs in them shows under `hosts`.
        options = _options(opts, hidden=["facts"])
        super().__init__("fullbore:metal:HostGroup", name, {**inputs, **outputs}, options)


class Image(pulumi.CustomResource):
    """A container image, built from a folder and pushed, or pinned by `digest`, in which case nothing is built.

    `context` is relative to the repository. While the folder and the arguments stay the same, nothing is built again.
    """

    digest: pulumi.Output[str]
    """sha256:... of the image's manifest."""
    ref: pulumi.Output[str]
    """REGISTRY/REPOSITORY@DIGEST, to run the image by."""
    source: pulumi.Output[str | None]
    """Hash of everything that goes into the build; None where the image is pinned."""

    def __init__(
        self,
        name: str,
        *,
        registry: pulumi.Input[str],
        repository: pulumi.Input[str],
        context: pulumi.Input[str] | None = None,
        containerfile: pulumi.Input[str] = "Containerfile",
        build_args: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        insecure: pulumi.Input[bool] = False,
        digest: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "registry": registry,
            "repository": repository,
            "context": context,
            "containerfile": containerfile,
            "buildArgs": build_args or {},
            "insecure": insecure,
            "digest": digest,
        }
        super().__init__("fullbore:image:Image", name, {**inputs, "ref": None, "source": None}, _options(opts))

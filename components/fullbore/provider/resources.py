"""The provider's resources as a Pulumi program uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import pulumi

from fullbore import VERSION

__all__ = ["Cable", "Evidence", "Host", "HostGroup", "Image", "Maintenance", "Reached", "Rolling", "Ssh"]


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


class Reached(TypedDict):
    """One machine: how it is reached."""

    address: pulumi.Input[str]
    port: pulumi.Input[int]
    hostKey: pulumi.Input[str]
    serial: pulumi.Input[str]


class Cable(TypedDict):
    """One cable: the host's end and the switch's."""

    host: pulumi.Input[str]
    port: pulumi.Input[str]
    """RDMA device on InfiniBand, interface elsewhere."""
    peer: pulumi.Input[str]
    peerPort: pulumi.Input[str]


class Rolling(TypedDict):
    """How a change goes over the machines of a group that serve."""

    pool: pulumi.Input[str]
    """Name of what the machines share: `spare` counts those of every group of it."""
    atOnce: pulumi.Input[int]
    """Machines of the group that change at once."""
    spare: pulumi.Input[int]
    """Machines of the pool that may be out of service at once."""
    rollBack: pulumi.Input[bool]
    """Whether machines on which a change fails are put back to what they shall have held before."""


class Maintenance(TypedDict):
    """The window in which machines are rebooted."""

    days: pulumi.Input[Sequence[pulumi.Input[str]]]
    """mon to sun"""
    start: pulumi.Input[str]
    """HH:MM"""
    hours: pulumi.Input[int]
    timeZone: pulumi.Input[str]
    drainLimitS: pulumi.Input[int]
    returnLimitS: pulumi.Input[int]
    kubeconfig: pulumi.Input[str]
    """Of the cluster whose pods leave a machine before; empty for none."""


class Ssh(TypedDict):
    """How the hosts are reached."""

    user: pulumi.Input[str]
    privateKeyFile: pulumi.Input[str]


def _options(opts: pulumi.ResourceOptions | None, hidden: list[str] | None = None) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(version=VERSION, hide_diffs=hidden), opts)


class HostGroup(pulumi.CustomResource):
    """Machines of one kind in one rack, at most 32, converged by Ansible over SSH.

    `content` is a digest of the roles and the agent: another one runs every role again. Up to `max_failures` hosts may
    fail; they are in `failed`, and the next update tries them again. Where `rolling` is given, an update changes one
    machine, then so many at once, and stops where the first fails, where too many fail, and where too many would be
    out of service; what it did not reach is in `pending`. A machine that needs a reboot gets it inside the window of
    `maintenance`, drained before, and is in `pending` until then. Deleting it leaves the machines as they are, unless
    `wipe` says to remove the units and files that the roles wrote; packages, and what containerd and the kubelet run
    by, stay.
    """

    hosts: pulumi.Output[dict[str, Any]]
    """The hosts; `settings` are the values that each reported."""
    facts: pulumi.Output[dict[str, Any]]
    """{host: {settings, reportedAt, signature}} as each host reported and signed it."""
    failed: pulumi.Output[dict[str, str]]
    """{host: reason} of hosts that the last run did not finish."""
    pending: pulumi.Output[dict[str, str]]
    """{host: reason} of hosts that are still to change: a run stopped before them, or they wait for a reboot."""

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
        rolling: pulumi.Input[Rolling] | None = None,
        maintenance: pulumi.Input[Maintenance] | None = None,
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
            "rolling": rolling or {},
            "maintenance": maintenance or {},
        }
        outputs = {"facts": None, "failed": None, "pending": None}
        # Each look at the hosts signs its facts anew; what differs in them shows under `hosts`.
        options = _options(opts, hidden=["facts"])
        super().__init__("fullbore:metal:HostGroup", name, {**inputs, **outputs}, options)


class Evidence(pulumi.CustomResource):
    """Acceptance of a group's machines as a signed result.

    The checks run where what is measured changes, where the lock is another than the evidence's, where it expired, and
    where it was not accepted; a host on whose GPUs something runs is refused. A `strict` one fails the update where a
    check fails, so that what depends on it is not placed; what runs already is not touched.
    """

    evidence: pulumi.Output[str]
    """Verdicts, versions and expiry under a signature, as JSON."""
    problems: pulumi.Output[list[str]]
    """Why the evidence does not let the group serve; empty where it does."""
    accepted: pulumi.Output[bool]
    expires: pulumi.Output[str]
    """UTC, ISO 8601."""
    parts: pulumi.Output[dict[str, dict[str, str]]]
    """{host: {slot: serial number}}; a slot is "machine" or a GPU's PCI address."""
    history: pulumi.Output[dict[str, list[dict[str, str]]]]
    """{serial number: [{at, host, slot, event, why}]}: accepted, quarantined, replaced or removed."""

    def __init__(
        self,
        name: str,
        *,
        group: pulumi.Input[str],
        rack: pulumi.Input[str],
        hosts: pulumi.Input[Mapping[str, Reached]],
        ssh: pulumi.Input[Ssh],
        lock: pulumi.Input[Mapping[str, pulumi.Input[str]]],
        signing_key_file: pulumi.Input[str],
        public_key: pulumi.Input[str],
        accelerator: pulumi.Input[str] = "",
        gpus: pulumi.Input[int] = 0,
        nvls: pulumi.Input[bool] = False,
        dcgm_level: pulumi.Input[int] = 3,
        drives: pulumi.Input[Sequence[pulumi.Input[str]]] = (),
        fabric: pulumi.Input[str] = "",
        link_gbps: pulumi.Input[float] = 0,
        cables: pulumi.Input[Sequence[Cable]] = (),
        valid_days: pulumi.Input[int] = 30,
        strict: pulumi.Input[bool] = True,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "group": group,
            "rack": rack,
            "hosts": hosts,
            "ssh": ssh,
            "lock": lock,
            "signingKeyFile": signing_key_file,
            "publicKey": public_key,
            "accelerator": accelerator,
            "gpus": gpus,
            "nvls": nvls,
            "dcgmLevel": dcgm_level,
            "drives": drives,
            "fabric": fabric,
            "linkGbps": link_gbps,
            "cables": cables,
            "validDays": valid_days,
            "strict": strict,
        }
        outputs = dict.fromkeys(("evidence", "problems", "accepted", "expires", "parts", "history"))
        super().__init__("fullbore:metal:Evidence", name, {**inputs, **outputs}, _options(opts))


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

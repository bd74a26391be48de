"""The package schema that the plugin answers GetSchema with, from one table of properties a resource."""

from __future__ import annotations

from typing import Any, Final

from fullbore import VERSION

_TEXT: Final = {"type": "string"}
_FLAG: Final = {"type": "boolean"}
_TEXTS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_ANY: Final = {"type": "object", "additionalProperties": {"$ref": "pulumi.json#/Any"}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/types/fullbore:metal:{name}"}


def _map_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": item}


def _said(description: str, shape: dict[str, Any]) -> dict[str, Any]:
    return {**shape, "description": description}


_TYPES: Final[dict[str, Any]] = {
    "fullbore:metal:Host": {
        "type": "object",
        "description": "One machine: how it is reached and every value that it must hold.",
        "properties": {
            "address": _said("Management address that SSH reaches.", _TEXT),
            "port": _said("SSH port.", {"type": "integer"}),
            "hostKey": _said("Public SSH host key, 'ssh-ed25519 AAAA...'; another key is refused.", _TEXT),
            "serial": _said("Serial number of the chassis.", _TEXT),
            "settings": _said("Managed values by setting id; as an output, what the host reported.", _TEXTS),
            "vars": _said("Variables of the Ansible roles; not among the outputs.", _ANY),
        },
        "required": ["address", "port", "hostKey", "serial", "settings"],
    },
    "fullbore:metal:Ssh": {
        "type": "object",
        "description": "How the hosts are reached.",
        "properties": {
            "user": _said("User that Ansible logs in as.", _TEXT),
            "privateKeyFile": _said("Path of the private key; never its content.", _TEXT),
        },
        "required": ["user", "privateKeyFile"],
    },
    "fullbore:metal:Rolling": {
        "type": "object",
        "description": "How a change goes over the machines of a group that serve.",
        "properties": {
            "pool": _said("What the machines share: `spare` counts those of every group of it.", _TEXT),
            "atOnce": _said("Machines of the group that change at once.", {"type": "integer"}),
            "spare": _said("Machines of the pool that may be out of service at once.", {"type": "integer"}),
            "rollBack": _said("Whether machines on which a change fails are put back to what was before.", _FLAG),
        },
    },
    "fullbore:metal:Maintenance": {
        "type": "object",
        "description": "The window in which machines are rebooted.",
        "properties": {
            "days": _said("Days on which it opens, mon to sun.", {"type": "array", "items": _TEXT}),
            "start": _said("Time of day at which it opens, HH:MM.", _TEXT),
            "hours": _said("Hours that it stays open.", {"type": "integer"}),
            "timeZone": _said("Time zone of days and start, as IANA names it.", _TEXT),
            "drainLimitS": _said("Seconds that pods have to leave a machine.", {"type": "integer"}),
            "returnLimitS": _said("Seconds that a machine has to come back.", {"type": "integer"}),
            "kubeconfig": _said("Of the cluster whose pods leave a machine before; empty for none.", _TEXT),
        },
    },
    "fullbore:metal:Reached": {
        "type": "object",
        "description": "One machine: how it is reached.",
        "properties": {
            "address": _said("Management address that SSH reaches.", _TEXT),
            "port": _said("SSH port.", {"type": "integer"}),
            "hostKey": _said("Public SSH host key, 'ssh-ed25519 AAAA...'; another key is refused.", _TEXT),
            "serial": _said("Serial number of the chassis.", _TEXT),
        },
        "required": ["address", "port", "hostKey", "serial"],
    },
    "fullbore:metal:Cable": {
        "type": "object",
        "description": "One cable: the host's end and the switch's.",
        "properties": {
            "host": _said("Host name.", _TEXT),
            "port": _said("RDMA device on InfiniBand, interface elsewhere.", _TEXT),
            "peer": _said("Name of the switch.", _TEXT),
            "peerPort": _said("The switch's port, as it names it.", _TEXT),
        },
        "required": ["host", "port", "peer", "peerPort"],
    },
    "fullbore:metal:Facts": {
        "type": "object",
        "description": "What a host reported, signed with its SSH host key.",
        "properties": {
            "settings": _said("Values by setting id.", _TEXTS),
            "reportedAt": _said("When, UTC, ISO 8601.", _TEXT),
            "signature": _said("SSH signature, namespace fullbore-facts.", _TEXT),
            "content": _said("Digest of roles and agent that it last converged with; empty before.", _TEXT),
        },
        "required": ["settings", "reportedAt", "signature", "content"],
    },
}

_GROUP_INPUTS: Final[dict[str, Any]] = {
    "group": _said("Name of the host group.", _TEXT),
    "rack": _said("Rack that holds the machines.", _TEXT),
    "roles": _said("Ansible roles, in the order that they run.", {"type": "array", "items": _TEXT}),
    "hosts": _said("Machines by host name, at most 32.", _map_of(_ref("Host"))),
    "ssh": _said("How the hosts are reached.", _ref("Ssh")),
    "maxFailures": _said("Hosts that may fail without failing the update.", {"type": "integer", "default": 0}),
    "content": _said("Digest of the roles and the agent; another one runs every role again.", _TEXT),
    "wipe": _said(
        "Whether deleting the resource removes the units and files that the roles wrote. Packages stay, and what "
        "containerd and the kubelet run by.",
        {**_FLAG, "default": False},
    ),
    "rolling": _said("How a change goes over machines that serve; all at once where it is empty.", _ref("Rolling")),
    "maintenance": _said("When machines are rebooted; none is where it is empty.", _ref("Maintenance")),
}
_GROUP_OUTPUTS: Final[dict[str, Any]] = {
    "facts": _said("What each host reported last.", _map_of(_ref("Facts"))),
    "failed": _said("Hosts that the last run did not finish, and why.", _TEXTS),
    "earlier": _said("What hosts that a change failed on shall have held before it.", _ANY),
    "pending": _said("Hosts that are still to change: not touched yet, or waiting for a reboot.", _TEXTS),
}
_GROUP_OPTIONAL: Final = ("maxFailures", "wipe", "rolling", "maintenance")

_EVIDENCE_INPUTS: Final[dict[str, Any]] = {
    "group": _said("Name of the host group.", _TEXT),
    "rack": _said("Rack that holds the machines.", _TEXT),
    "hosts": _said("Machines by host name, at most 32.", _map_of(_ref("Reached"))),
    "ssh": _said("How the hosts are reached.", _ref("Ssh")),
    "accelerator": _said("GPU model as the catalog names it; empty for none.", {**_TEXT, "default": ""}),
    "gpus": _said("GPUs of each machine.", {"type": "integer", "default": 0}),
    "nvls": _said("Whether NCCL uses NVLink SHARP.", {**_FLAG, "default": False}),
    "dcgmLevel": _said("Run level of dcgmi diag, 1 to 3.", {"type": "integer", "default": 3}),
    "drives": _said("NVMe drives that fio reads, e.g. nvme0n1.", {"type": "array", "items": _TEXT}),
    "fabric": _said("Kind of the fabric: on infiniband the subnet manager is asked, else LLDP.", _TEXT),
    "linkGbps": _said("Rate of one port, Gbit/s.", {"type": "number", "default": 0}),
    "cables": _said(
        "Planned cables; none are checked where there are none.", {"type": "array", "items": _ref("Cable")}
    ),
    "lock": _said("Locked versions by part; evidence ends when they change.", _TEXTS),
    "signingKeyFile": _said("Path of the OpenSSH Ed25519 key that signs; never its content.", _TEXT),
    "publicKey": _said("The key that evidence is checked with, 'ssh-ed25519 AAAA...'.", _TEXT),
    "validDays": _said("Days until the evidence expires.", {"type": "integer", "default": 30}),
    "strict": _said("Whether a failed check fails the update; else it warns.", {**_FLAG, "default": True}),
}
_EVIDENCE_OUTPUTS: Final[dict[str, Any]] = {
    "evidence": _said("Verdicts, versions and expiry under a signature, as JSON.", _TEXT),
    "problems": _said("Why the evidence does not let the group serve.", {"type": "array", "items": _TEXT}),
    "accepted": _said("Whether there is no problem.", _FLAG),
    "expires": _said("When it ends, UTC, ISO 8601.", _TEXT),
    "parts": _said("Serial number by host and slot: `machine`, or a GPU's PCI address.", _map_of(_TEXTS)),
    "history": _said(
        "What became of machines and GPUs, by serial number: {at, host, slot, event, why}, oldest first.",
        _map_of({"type": "array", "items": _TEXTS}),
    ),
}
_EVIDENCE_OPTIONAL: Final = (
    "accelerator",
    "gpus",
    "nvls",
    "dcgmLevel",
    "drives",
    "fabric",
    "linkGbps",
    "cables",
    "validDays",
    "strict",
)

_IMAGE_INPUTS: Final[dict[str, Any]] = {
    "context": _said("Folder that is built, relative to the repository.", _TEXT),
    "containerfile": _said("Its Containerfile.", {**_TEXT, "default": "Containerfile"}),
    "buildArgs": _said("Build arguments.", _TEXTS),
    "registry": _said("host:port of the registry.", {**_TEXT, "willReplaceOnChanges": True}),
    "repository": _said("Repository in the registry.", {**_TEXT, "willReplaceOnChanges": True}),
    "insecure": _said("Whether the registry speaks plain HTTP.", {**_FLAG, "default": False}),
    "digest": _said("A digest that exists already; nothing is built then.", _TEXT),
}
_IMAGE_OUTPUTS: Final[dict[str, Any]] = {
    "digest": _said("Digest of the image's manifest.", _TEXT),
    "ref": _said("REGISTRY/REPOSITORY@DIGEST.", _TEXT),
    "source": _said("Hash of everything that goes into the build.", _TEXT),
}


def _resource(
    description: str,
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    optional: tuple[str, ...],
    always: tuple[str, ...],
) -> dict[str, Any]:
    required = [name for name in inputs if name not in optional]
    return {
        "description": description,
        "inputProperties": inputs,
        "requiredInputs": required,
        "properties": {**inputs, **outputs},
        "required": sorted({*required, *always}),
    }


SCHEMA: Final[dict[str, Any]] = {
    "name": "fullbore",
    "version": VERSION,
    "displayName": "Fullbore",
    "description": "Bare-metal host groups and container images of a Fullbore environment.",
    "license": "Apache-2.0",
    "meta": {"moduleFormat": "(.*)"},
    "types": _TYPES,
    "resources": {
        "fullbore:metal:HostGroup": _resource(
            "Machines of one kind in one rack, converged by Ansible over SSH.",
            _GROUP_INPUTS,
            _GROUP_OUTPUTS,
            _GROUP_OPTIONAL,
            ("maxFailures", "wipe", "rolling", "maintenance", "facts", "failed", "pending"),
        ),
        "fullbore:metal:Evidence": _resource(
            "Acceptance of a group's machines as a signed result. Machines that hold a workload are refused.",
            _EVIDENCE_INPUTS,
            _EVIDENCE_OUTPUTS,
            _EVIDENCE_OPTIONAL,
            (*_EVIDENCE_OPTIONAL, *_EVIDENCE_OUTPUTS),
        ),
        "fullbore:image:Image": _resource(
            "A container image, built from a folder and pushed, or pinned by its digest.",
            _IMAGE_INPUTS,
            _IMAGE_OUTPUTS,
            ("context", "containerfile", "buildArgs", "insecure", "digest"),
            ("containerfile", "buildArgs", "insecure", "digest", "ref"),
        ),
    },
}

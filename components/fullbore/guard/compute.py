"""Guards of machines and clusters."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence

from fullbore.guard.model import Guard, Inputs, Registered, block, is_true, items

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
CLUSTER = "aws:eks/cluster:Cluster"
LOGS = frozenset({"audit", "authenticator"})
"""Who did what, and who came as whom."""
SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY|(?i:password|secret_access_key)\s*[=:]"
)
"""A key's id as IAM numbers it, a private key, or a password that is set."""


def _metadata(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    options = block(inputs, "metadataOptions")
    if options.get("httpTokens") != "required":
        yield f"metadataOptions.httpTokens: got {options.get('httpTokens')}, allowed required; IMDSv2 only"
    hops = options.get("httpPutResponseHopLimit")
    if hops is None or float(hops) > 1:
        yield f"metadataOptions.httpPutResponseHopLimit: got {hops}, allowed 1; pods would reach the node's role"


def _volumes(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    for device in items(inputs.get("blockDeviceMappings")):
        if not is_true(device.get("ebs", {}).get("encrypted")):
            yield f"blockDeviceMappings: {device.get('deviceName')} is not encrypted; encrypt it"


def _addresses(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if any(is_true(each.get("associatePublicIpAddress")) for each in items(inputs.get("networkInterfaces"))):
        yield "networkInterfaces: a public address; machines are reached from within"


def _user_data(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    try:
        text = base64.b64decode(str(inputs.get("userData") or ""), validate=True).decode(errors="replace")
    except ValueError:
        return
    if SECRET.search(text):
        yield "userData: it seems to hold a secret, which every pod of the node could read; keep secrets elsewhere"


def _secrets(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if "secrets" not in items(block(inputs, "encryptionConfig").get("resources")):
        yield "encryptionConfig: secrets have no key of the account's own; set cloud.own_key"


def _logs(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    missing = sorted(LOGS - set(items(inputs.get("enabledClusterLogTypes"))))
    if missing:
        yield f"enabledClusterLogTypes: {', '.join(missing)} missing; write down who did what"


def _endpoint(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    """AWS opens the endpoint to all where nothing is said."""
    config = block(inputs, "vpcConfig")
    ranges = items(config.get("publicAccessCidrs"))
    if config.get("endpointPublicAccess") is not False and (not ranges or "0.0.0.0/0" in ranges):
        yield "vpcConfig.endpointPublicAccess: anybody reaches the endpoint; close it or name ranges"


def _ssh(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if inputs.get("remoteAccess"):
        yield "remoteAccess: nodes are open to SSH; remove it, and use the cluster"


GUARDS = (
    Guard(id="imds", type=TEMPLATE, summary="credentials of the machine within reach of pods", find=_metadata),
    Guard(id="volume-plain", type=TEMPLATE, summary="a volume that is not encrypted", find=_volumes),
    Guard(id="machine-public", type=TEMPLATE, summary="machines with public addresses", find=_addresses),
    Guard(id="user-data-secret", type=TEMPLATE, summary="a secret in user data", find=_user_data),
    Guard(
        id="eks-secrets",
        type=CLUSTER,
        summary="secrets without a key of the account's own",
        find=_secrets,
        severity="warning",
    ),
    Guard(id="eks-logs", type=CLUSTER, summary="a cluster that does not write down who did what", find=_logs),
    Guard(id="eks-endpoint", type=CLUSTER, summary="a cluster's endpoint that anybody reaches", find=_endpoint),
    Guard(id="node-ssh", type="aws:eks/nodeGroup:NodeGroup", summary="nodes that are open to SSH", find=_ssh),
)

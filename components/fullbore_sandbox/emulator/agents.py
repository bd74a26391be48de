"""DataSync agents, which moto lacks: a key activates one agent, within half an hour of its issue."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from moto.datasync.exceptions import InvalidRequestException
from moto.datasync.responses import DataSyncResponse

from fullbore_sandbox.emulator.datasync import remembered

Json = dict[str, Any]
VALID_S = 30 * 60
"""An activation key expires if it is not used for 30 minutes (DataSync user guide, "Activating your agent")."""
ISSUED: dict[str, float] = {}
"""Keys that agents of this process gave out, and when."""


def issue(at: float | None = None) -> str:
    """What an agent answers who asks for a key."""
    key = "-".join(secrets.token_hex(3)[:5].upper() for _ in range(5))
    ISSUED[key] = time.time() if at is None else at
    return key


def install() -> None:
    for name, method in _AGENTS.items():
        setattr(DataSyncResponse, name, method)


def _agents(self: DataSyncResponse) -> dict[str, Json]:
    return {arn: given for arn, given in remembered(self).items() if ":agent/" in arn}


def _agent(self: DataSyncResponse) -> tuple[str, Json]:
    arn = self._get_param("AgentArn")
    if arn not in _agents(self):
        raise InvalidRequestException(f"{arn} is not found.")
    return arn, remembered(self)[arn]


def _create(self: DataSyncResponse) -> str:
    given = json.loads(self.body)
    issued = ISSUED.get(given["ActivationKey"])
    if issued is None or time.time() - issued > VALID_S:
        raise InvalidRequestException("The activation key is invalid or has expired.")
    del ISSUED[given["ActivationKey"]]
    arn = f"arn:aws:datasync:{self.region}:{self.current_account}:agent/agent-{secrets.token_hex(8)}1"
    remembered(self)[arn] = given
    return json.dumps({"AgentArn": arn})


def _describe(self: DataSyncResponse) -> str:
    arn, given = _agent(self)
    answer: Json = {"AgentArn": arn, "Status": "ONLINE", "EndpointType": "PUBLIC"}
    if given.get("AgentName"):
        answer["Name"] = given["AgentName"]
    if given.get("VpcEndpointId"):
        names = ("VpcEndpointId", "SubnetArns", "SecurityGroupArns")
        private = {name: given[name] for name in names if name in given}
        answer |= {"EndpointType": "PRIVATE_LINK", "PrivateLinkConfig": private}
    return json.dumps(answer)


def _update(self: DataSyncResponse) -> str:
    _, given = _agent(self)
    given["AgentName"] = self._get_param("Name")
    return json.dumps({})


def _delete(self: DataSyncResponse) -> str:
    arn, _ = _agent(self)
    del remembered(self)[arn]
    return json.dumps({})


def _list(self: DataSyncResponse) -> str:
    return json.dumps({"Agents": [{"AgentArn": arn, "Status": "ONLINE"} for arn in _agents(self)]})


_AGENTS = {
    "create_agent": _create,
    "describe_agent": _describe,
    "update_agent": _update,
    "delete_agent": _delete,
    "list_agents": _list,
}

"""Guards of roles and policies: what they grant, and to whom."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fullbore.guard.model import Guard, Inputs, Registered, block, is_unknown, items
from fullbore.policies import WILDCARDS

FORBIDDEN = ("AdministratorAccess", "IAMFullAccess", "PowerUserAccess")
Statement = Mapping[str, Any]


def _statements(text: object) -> Iterator[Statement]:
    """Those of a policy document; none where it is not known yet."""
    if isinstance(text, str) and not is_unknown(text):
        yield from items(json.loads(text)["Statement"])


def _everybody(statement: Statement) -> bool:
    principal: Any = statement.get("Principal")
    return "*" in items(block(statement, "Principal").get("AWS") if isinstance(principal, dict) else principal)


def _is_wide(statement: Statement) -> bool:
    return "*" in items(statement.get("Resource")) or any("*" in each for each in items(statement.get("Action")))


def _wide(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    for statement in _statements(inputs.get("policy")):
        sid = statement.get("Sid", "without an id")
        if _is_wide(statement) and sid not in WILDCARDS:
            yield f"policy: statement {sid} has a wildcard; name actions and resources, or give the reason"


def _anybody(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    for statement in _statements(inputs.get("policy")):
        if _everybody(statement) and statement["Effect"] == "Allow" and not statement.get("Condition"):
            sid = statement.get("Sid", "without an id")
            yield f"policy: statement {sid} allows everybody; name a principal, or a condition"


def _trust(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    for statement in _statements(inputs.get("assumeRolePolicy")):
        if _everybody(statement) or not statement.get("Principal"):
            yield "assumeRolePolicy: anybody may take the role; name one service or principal"


def _attached(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    name = str(inputs.get("policyArn")).rpartition("/")[2]
    if name in FORBIDDEN:
        yield f"policyArn: got {name}, which grants nearly everything; grant what the job needs"


HOLDERS = {
    "role": "aws:iam/rolePolicy:RolePolicy",
    "key": "aws:kms/key:Key",
    "bucket": "aws:s3/bucketPolicy:BucketPolicy",
    "endpoint": "aws:ec2/vpcEndpoint:VpcEndpoint",
    "file-system": "aws:efs/fileSystemPolicy:FileSystemPolicy",
}
"""What has a policy; that of an endpoint may name everybody, because it grants nothing."""

GUARDS = (
    *(
        Guard(id=f"{word}-wide", type=token, summary=f"a {word}'s policy with a wildcard and no reason", find=_wide)
        for word, token in HOLDERS.items()
    ),
    *(
        Guard(id=f"{word}-anybody", type=HOLDERS[word], summary=f"a {word} that anybody may use", find=_anybody)
        for word in ("key", "bucket")
    ),
    Guard(id="role-anybody", type="aws:iam/role:Role", summary="a role that anybody may take", find=_trust),
    Guard(
        id="role-admin",
        type="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        summary="a role with a policy that grants nearly everything",
        find=_attached,
    ),
)

"""Every policy that an environment would put into AWS: no wildcard without a written reason, no role without a job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from pulumi.runtime.mocks import MockResourceArgs
from test_components import ENVIRONMENTS, environment, register

from fullbore.plan import make_plan
from fullbore.policies import WILDCARDS

POLICIES = ("assumeRolePolicy", "policy")
GRANTS = ("aws:iam/rolePolicy:RolePolicy", "aws:iam/rolePolicyAttachment:RolePolicyAttachment")
Map = dict[str, Any]


@cache
def registered(name: str) -> list[MockResourceArgs]:
    _, made = register(make_plan(environment(name), None))
    return [each for each in made if each.typ.startswith("aws:")]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def made(request: pytest.FixtureRequest) -> list[MockResourceArgs]:
    return registered(request.param)


def statements(made: list[MockResourceArgs]) -> Iterator[tuple[str, Map]]:
    for each in made:
        for name in POLICIES:
            text = each.inputs.get(name)
            if isinstance(text, str) and text.startswith("{"):
                yield from ((each.name, statement) for statement in json.loads(text)["Statement"])


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def is_wide(statement: Map) -> bool:
    wide = "*" in listed(statement.get("Resource", []))
    return wide or any("*" in action for action in listed(statement.get("Action", [])))


def test_every_wildcard_has_a_written_reason(made: list[MockResourceArgs]) -> None:
    assert list(statements(made))
    assert [(name, s) for name, s in statements(made) if is_wide(s) and s.get("Sid") not in WILDCARDS] == []


def test_who_is_everybody_is_denied_or_narrowed(made: list[MockResourceArgs]) -> None:
    for name, statement in statements(made):
        everybody = statement.get("Principal") in ("*", {"AWS": "*"})
        if everybody and statement["Effect"] == "Allow":
            narrowed = statement.get("Condition", {}).get("StringEquals", {})
            account = {"kms:CallerAccount", "aws:PrincipalAccount"} & narrowed.keys()
            assert account or statement["Resource"] != "*", f"{name}: {statement}"


def test_a_role_is_for_one_service_and_used_once(made: list[MockResourceArgs]) -> None:
    roles = {each.name: each for each in made if each.typ == "aws:iam/role:Role"}
    for role in roles.values():
        (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        ((kind, who),) = trust["Principal"].items()
        assert isinstance(who, str)
        assert kind == "Service" or of_one_account(who, trust)
    granted = {each.inputs["role"] for each in made if each.typ in GRANTS}
    assert granted == {role.inputs["name"] for role in roles.values()}


def of_one_account(provider: str, trust: Map) -> bool:
    """Whether a role that pods take by a token is for those of one service account, and the token for nobody else."""
    issuer = provider.partition(":oidc-provider/")[2]
    asked = trust["Condition"]["StringEquals"]
    account = asked[f"{issuer}:sub"].removeprefix("system:serviceaccount:").split(":")
    return all(account) and len(account) == 2 and asked[f"{issuer}:aud"] == "sts.amazonaws.com"


def test_every_key_turns_over_and_can_be_called_back(made: list[MockResourceArgs]) -> None:
    for key in (each for each in made if each.typ == "aws:kms/key:Key"):
        assert key.inputs["enableKeyRotation"] is True
        assert key.inputs["deletionWindowInDays"] == 30
        assert key.inputs["policy"]


def test_every_reason_is_used() -> None:
    """In production, and where S3 itself copies."""
    prod, dev = environment("prod"), environment("dev")
    copied = prod.model_copy(update={"replication": dev.replication})
    _, by_s3 = register(make_plan(copied, None))
    wide = {s.get("Sid") for _, s in statements([*registered("prod"), *by_s3]) if is_wide(s)}
    assert wide == set(WILDCARDS)

"""What the EC2 rows share: tags given at creation, the token to find an object by, and changing tags later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import tag_list
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Tagging, new_tags


def tags_for(kind: str, inputs: Map, token: str) -> list[Map]:
    """`TagSpecifications` of a creation: the tags exist from the first moment, the token among them."""
    return [{"ResourceType": kind, "Tags": new_tags(inputs, token)}]


def by_token(call: str, listed: str, ident: str) -> Callable[[Api, str], str | None]:
    """A `find` that asks `call` for the object with the token's tag and returns its `ident`."""

    def find(api: Api, token: str) -> str | None:
        answer = getattr(api.ec2, call)(Filters=[{"Name": f"tag:{TOKEN_TAG}", "Values": [token]}])
        return next((found[ident] for found in answer[listed]), None)

    return find


def first(answer: Mapping[str, Any], listed: str) -> Map | None:
    return next(iter(answer[listed]), None)


TAGGING = Tagging(
    key=lambda ident, outputs: ident,
    set=lambda api, ident, tags: api.ec2.create_tags(Resources=[ident], Tags=tag_list(tags)),
    unset=lambda api, ident, keys: api.ec2.delete_tags(Resources=[ident], Tags=[{"Key": k} for k in keys]),
)

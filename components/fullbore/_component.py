"""What every component shares: its type token, the names of its children, and their options."""

from __future__ import annotations

import pulumi

MAX_NAME = 63
"""Longest resource name: the limit of a DNS label, which Kubernetes and many AWS names share."""


def child_name(parent: str, part: str) -> str:
    """The name of a child: `PARENT-PART`, never longer than 63 characters.

    Raises ValueError where it would be longer: a cut name could collide with another.
    """
    name = f"{parent}-{part}"
    if len(name) > MAX_NAME:
        raise ValueError(f"{name}: {len(name)} characters, but a name may have {MAX_NAME}; shorten {parent}")
    return name


class Component(pulumi.ComponentResource):
    """A component of type `fullbore:index:CLASS`; its children are made with `self.child()` options."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"fullbore:index:{type(self).__name__}", name, None, opts)
        self.name = name

    def child(
        self,
        provider: pulumi.ProviderResource | None = None,
        depends_on: list[pulumi.Resource] | None = None,
        **options: object,
    ) -> pulumi.ResourceOptions:
        """Options of a child: this component is its parent; nothing of a caller's options is merged in."""
        return pulumi.ResourceOptions(parent=self, provider=provider, depends_on=depends_on, **options)  # pyright: ignore[reportArgumentType]

    def part(self, part: str) -> str:
        """The Pulumi name of a child."""
        return child_name(self.name, part)

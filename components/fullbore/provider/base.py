"""The base of a resource provider plugin: override `Provider`, then `serve` it.

Values come decoded (see `values`): `Secret`, `UNKNOWN` and plain Python ones. Errors are raised:

    ProviderError       one clear line: what, got, allowed, what to do
    PartialFailure      the resource exists but is not what was asked for: its state is kept, the next update retries
    anything else       a fault of the provider: one line for the user; with FULLBORE_DEBUG=1 a traceback on stderr
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fullbore.provider.values import UNKNOWN, Map, Secret

__all__ = [
    "UNKNOWN",
    "Check",
    "Created",
    "Diff",
    "Failure",
    "Map",
    "PartialFailure",
    "Provider",
    "ProviderError",
    "Read",
    "Request",
    "Secret",
    "Severity",
    "serve",
]

Severity = Literal["debug", "info", "warning", "error"]
"""Of a log line. An error line makes the engine stop starting other resources."""

Kind = Literal["add", "update", "delete", "add-replace", "update-replace", "delete-replace"]


class ProviderError(Exception):
    """Bad input or a refusal, as one line for the user."""


class PartialFailure(ProviderError):
    """The resource exists and its state is kept, but it failed to become what was asked for."""

    def __init__(self, id: str, outputs: Map, inputs: Map, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.id = id
        self.outputs = outputs
        self.inputs = inputs
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class Failure:
    """One input that is refused: its property path and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Check:
    """Inputs with what Check adds to them, or what is wrong with them."""

    inputs: Map
    failures: Sequence[Failure] = ()


@dataclass(frozen=True)
class Diff:
    """What an update would change: {property path: kind}, empty for no change. A kind of `...-replace` replaces.

    `input_diff` says that the paths compare old inputs with new ones, rather than old outputs with new inputs.
    """

    changes: Mapping[str, str] = field(default_factory=dict[str, str])
    delete_before_replace: bool = False
    input_diff: bool = False


@dataclass(frozen=True)
class Created:
    """A new resource. During a preview the id is empty and outputs may hold UNKNOWN."""

    id: str
    outputs: Map


@dataclass(frozen=True)
class Read:
    """A resource as it is now. `inputs` are those that would make it so."""

    id: str
    inputs: Map
    outputs: Map


Log = Callable[[str, Severity, str, bool], None]
"""(urn, severity, message, ephemeral)"""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call about one resource; a field that the call does not have is empty.

    `olds` are outputs, except in `check` and the two config calls, where they are old inputs.
    """

    urn: str
    type: str
    name: str
    id: str = ""
    olds: Map = field(default_factory=Map)
    old_inputs: Map = field(default_factory=Map)
    news: Map = field(default_factory=Map)
    inputs: Map = field(default_factory=Map)
    """Of `read` during a refresh: the old inputs. Empty where a resource is imported or looked up."""
    ignore_changes: tuple[str, ...] = ()
    preview: bool = False
    timeout_s: float | None = None
    """Seconds that the caller waits; None where it did not say."""
    write_log: Log = field(default=lambda urn, severity, message, ephemeral: None, repr=False)

    def log(self, severity: Severity, message: str, ephemeral: bool = False) -> None:
        """Show a line beside this resource; an ephemeral one is replaced by the next and not kept."""
        self.write_log(self.urn, severity, message, ephemeral)


class Provider:
    """A provider: override what its resources need. Calls come from several threads at once."""

    name: str
    version: str

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        """Set when the user gave up, or the engine died: long operations stop at the next safe point."""

    def schema(self) -> Map:
        """The Pulumi package schema."""
        return {"name": self.name, "version": self.version}

    def configure(self, config: Map) -> None:
        """Take the configuration; it is known in full (the engine does not call this otherwise)."""

    def check_config(self, olds: Map, news: Map) -> Check:
        return Check(news)

    def diff_config(self, olds: Map, news: Map) -> Diff:
        return Diff()

    def check(self, r: Request) -> Check:
        return Check(r.news)

    def diff(self, r: Request) -> Diff:
        raise NotImplementedError(f"{self.name}: diff of {r.type}")

    def create(self, r: Request) -> Created:
        raise NotImplementedError(f"{self.name}: create of {r.type}")

    def read(self, r: Request) -> Read | None:
        """The resource as it is; None where it is gone."""
        raise NotImplementedError(f"{self.name}: read of {r.type}")

    def update(self, r: Request) -> Map:
        """The new outputs."""
        raise NotImplementedError(f"{self.name}: update of {r.type}")

    def delete(self, r: Request) -> None:
        raise NotImplementedError(f"{self.name}: delete of {r.type}")

    def invoke(self, token: str, args: Map) -> Map:
        raise ProviderError(f"{token}: the provider {self.name} has no such function")

    def cancel(self) -> None:
        self.cancelled.set()


def serve(provider: Provider, argv: Sequence[str]) -> None:
    """Run the plugin until the engine is done with it. `argv` are the arguments that the engine gave.

    Writes the port as the first line of stdout; everything else that is printed there would confuse the engine.
    """
    from fullbore.provider import _process  # gRPC is slow to import, and a test of a provider needs none

    _process.serve(provider, argv)

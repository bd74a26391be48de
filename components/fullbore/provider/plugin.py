"""The plugin `fullbore`: its resources, by type token."""

from __future__ import annotations

from typing import Final, Protocol

from fullbore import VERSION
from fullbore.provider.base import Check, Created, Diff, Map, Provider, ProviderError, Read, Request
from fullbore.provider.evidence import Evidences
from fullbore.provider.hostgroup import HostGroups
from fullbore.provider.image import Images
from fullbore.provider.runner import AnsibleRunner, Runner
from fullbore.provider.schema import SCHEMA

HOST_GROUP: Final = "fullbore:metal:HostGroup"
EVIDENCE: Final = "fullbore:metal:Evidence"
IMAGE: Final = "fullbore:image:Image"


class Operations(Protocol):
    """What a resource type implements; each call as in `Provider`."""

    def check(self, r: Request) -> Check: ...
    def diff(self, r: Request) -> Diff: ...
    def create(self, r: Request) -> Created: ...
    def read(self, r: Request) -> Read | None: ...
    def update(self, r: Request) -> Map: ...
    def delete(self, r: Request) -> None: ...
    def stop(self) -> None: ...


class Fullbore(Provider):
    name = "fullbore"
    version = VERSION

    def __init__(self, runner: Runner | None = None, images: Images | None = None) -> None:
        super().__init__()
        runner = runner or AnsibleRunner()
        self._config: Map = {}
        self._types: dict[str, Operations] = {
            HOST_GROUP: HostGroups(runner, config=lambda: self._config),
            EVIDENCE: Evidences(runner),
            IMAGE: images or Images(),
        }

    def schema(self) -> Map:
        return SCHEMA

    def configure(self, config: Map) -> None:
        self._config = config

    def check(self, r: Request) -> Check:
        return self._of(r).check(r)

    def diff(self, r: Request) -> Diff:
        return self._of(r).diff(r)

    def create(self, r: Request) -> Created:
        return self._of(r).create(r)

    def read(self, r: Request) -> Read | None:
        return self._of(r).read(r)

    def update(self, r: Request) -> Map:
        return self._of(r).update(r)

    def delete(self, r: Request) -> None:
        self._of(r).delete(r)

    def cancel(self) -> None:
        super().cancel()
        for operations in self._types.values():
            operations.stop()

    def _of(self, r: Request) -> Operations:
        if r.type not in self._types:
            raise ProviderError(f"{r.type}: the provider fullbore has {', '.join(sorted(self._types))}")
        return self._types[r.type]

"""The CPU profile's own engine behind the gRPC front end, in the same process and by the same path as HTTP's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

from fullbore_runtime import api, health
from fullbore_runtime.errors import Unavailable
from fullbore_runtime.rpc.server import OnEnd
from fullbore_runtime.rpc.tensors import Asked, Part
from fullbore_runtime.service import Service


class Local:
    """A backend (rpc/server.py) of the service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.model = service.limits.served_model
        self.pool = service.pool
        self.pod = service.pod
        self.changed = service.changed

    @property
    def phase(self) -> health.Phase:
        return self.service.phase

    def request(self) -> AbstractContextManager[None]:
        return self.service.request()

    def generate(self, asked: Asked, on_end: OnEnd) -> Iterator[Part]:
        call = (api.chat_call if asked.chat else api.completion_call)(asked.body, self.service.limits)
        with self.service.generation(call.job) as sequence:
            if not on_end(sequence.cancel):
                raise Unavailable("the caller is gone")
            for piece in sequence.read():
                if piece.finish is None:
                    yield Part(piece.text)
                else:
                    yield Part(piece.text, piece.finish, len(call.job.prompt), piece.tokens)

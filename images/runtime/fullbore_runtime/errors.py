"""What can go wrong, as a tree.

RuntimeRefusal            the process must not start; the message says why and what to do
    DocumentError         /etc/fullbore/plan.json cannot be used
    WeightsError          a shard or the manifest does not hold what it should
    TableError            a table of measured kernels cannot be used (kernels/table.py)
RequestError              a client's request is wrong (HTTP 400 or 404; gRPC INVALID_ARGUMENT or NOT_FOUND)
Overloaded                no room for another request now (HTTP 429; gRPC RESOURCE_EXHAUSTED)
Unavailable               not serving: starting, draining or broken (HTTP 503; gRPC UNAVAILABLE)
"""

from __future__ import annotations


class RuntimeRefusal(Exception):
    """The process must not start."""


class DocumentError(RuntimeRefusal):
    """`/etc/fullbore/plan.json` cannot be read, or contradicts itself."""


class WeightsError(RuntimeRefusal):
    """The weights are not what the manifest says."""


class RequestError(Exception):
    """A client's request is wrong; `param` is the field, `status` the HTTP status."""

    def __init__(self, param: str | None, message: str, *, status: int = 400, code: str | None = None) -> None:
        super().__init__(message if param is None else f"{param}: {message}")
        self.param = param
        self.status = status
        self.code = code


class Overloaded(Exception):
    """Every place, running and waiting, is taken."""


class Unavailable(Exception):
    """Not serving now."""

"""The types that fields are made of, and the base of every config model.

Every field says its unit in its name or its type. A field that is not known is an error.
"""

from __future__ import annotations

from datetime import date, datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, PlainValidator, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError

from fullbore.config.hub_file import HubFile, read_hub_file


def _text_only(value: object) -> object:
    """An address is written as text: the ipaddress module would read the number 10 as 0.0.0.10."""
    if isinstance(value, str | IPv4Address | IPv4Network):
        return value
    raise PydanticCustomError("address_type", "an address is text")


MOST = 2**53
"""Beyond it a JSON reader would round a whole number."""


class _Exact:
    """Bounds a whole number by MOST where the field has no bound of its own: pydantic keeps the last of several, so
    that one in the type would take the place of the field's."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        if schema["type"] == "int":
            schema.setdefault("le", MOST)
        return schema


def _date(value: object) -> date:
    """A day as text: pydantic would read a number as seconds since 1970."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise PydanticCustomError("date_type", "a day is text") from error


Text = Annotated[str, Field(min_length=1, max_length=1024)]
Whole = Annotated[int, Field(strict=True), _Exact()]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
MOST_TOKENS_PER_S = 1e9
# Beyond what any site has, so that sums and quotients of figures stay numbers that can be printed.
MOST_USD = 1e9
MOST_GIB = 1e9
LEAST_RATE, MOST_RATE = 0.001, 1e6
MOST_SECONDS = 1e9
"""Far beyond any replica, and what follows from it is still a number."""
Address = Annotated[IPv4Address, BeforeValidator(_text_only, json_schema_input_type=str)]
Network = Annotated[IPv4Network, BeforeValidator(_text_only, json_schema_input_type=str)]
Date = Annotated[date, BeforeValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]
Zone = Annotated[str, Field(pattern=r"^[a-p]$")]
ZoneId = Annotated[str, Field(pattern=r"^[a-z]+[0-9]+-az[0-9]+$", max_length=32)]
"""An availability zone by its id, which is the same in every account, e.g. use1-az4 (EC2 user guide, AZ IDs)."""
Port = Annotated[Whole, Field(ge=1, le=65535)]
NAME_PATTERN = r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
REPOSITORY_PATTERN = r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$"
"""opencontainers/distribution-spec, spec.md, "Pulling manifests"."""
Interface = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$")]
"""A network interface: 15 characters, no slash and no blank (Linux, net/core/dev.c, dev_valid_name), and none that a
shell or a path reads otherwise."""
Hca = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", max_length=1024)]
Serial = Annotated[str, Field(pattern=r"^[!-~]+$", max_length=1024)]
SysctlKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$", max_length=1024)]
SysctlValue = Annotated[str, Field(pattern=r"^[!-~]+([ \t]+[!-~]+)*$", max_length=1024)]
"""One line: words with blanks or tabs between, e.g. `4096 87380 16777216`."""
Server = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:_-]*$", max_length=1024)]
"""A host name, an address or a bucket's name."""
Pinned = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$", max_length=1024)]
"""An image by digest, `REGISTRY/NAME@sha256:...`: a tag may name another image tomorrow."""
Accelerator = Literal["t4", "v100-32", "a100-40", "a100-80", "l40s", "h100", "h200", "b200", "gb200"]
Fabric = Literal["infiniband", "roce", "efa", "nvlink", "ethernet"]
HubConfig = Annotated[HubFile, PlainValidator(read_hub_file, json_schema_input_type=str)]
Precision = Literal["fp32", "fp16", "bf16", "fp8", "int8", "int4"]
DataClass = Literal["weights", "checkpoints", "prompts", "dialogue-logs", "logs", "metrics", "state"]


class Strict(BaseModel):
    """Base of every config model: unknown keys are errors, values never change after parsing."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

"""The JSON schema describes every field, and says the unit of every number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from annotated_types import Le
from pydantic import ValidationError

from fullbore.config.models import Environment, NodeGroup, Strict
from fullbore.report.reference import stack_file_schema

COUNTS = {
    *("max_failures", "gpus_per_host", "numa_nodes", "cpus", "port", "min_nodes", "max_nodes", "desired_nodes"),
    *(
        "efa_interfaces",
        "queue_weight",
        "replicas",
        "tensor_parallel",
        "pipeline_parallel",
        "data_parallel",
        "concurrency",
    ),
    *("sockets", "cores_per_socket", "threads_per_core", "hugepages_2mib", "qps_per_connection"),
    *("nodes", "gpu_nodes", "standby_nodes", "node_groups", "nodes_per_group", "files", "rpo_s", "rto_s"),
}
"""Numbers that count things which their description names; the last two say their unit in their name."""
CODES = {
    *("dscp", "cnp_dscp", "priority", "cnp_priority", "gid_index"),
    *("asn", "cloud_asn", "gateway_asn", "vlan", "pkey"),
    "dcgm_level",
    *("traffic_class", "control_traffic_class", "host_traffic_class"),
}
"""Numbers of a standard that stand for something and measure nothing."""
UNITS = (
    *("GiB", "Gbit/s", "MiB/s", "MB/s", "seconds", "hours", "days", "years", "tokens", "watts", "km", "ratio", "vCPUs"),
    *("US dollars", "dBm", "mW", "bytes", "MHz", "percent", "NUMA"),
)


def fields() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """`Model.field` and its schema."""
    definitions = cast("Mapping[str, Mapping[str, Any]]", stack_file_schema()["$defs"])
    for name, definition in sorted(definitions.items()):
        for field, schema in definition.get("properties", {}).items():
            yield f"{name}.{field}", schema


FIELDS = dict(fields())


def is_number(schema: Mapping[str, Any]) -> bool:
    options = [schema, *schema.get("anyOf", ())]
    return any(option.get("type") in ("integer", "number") for option in options)


NUMBERS = sorted(name for name, schema in FIELDS.items() if is_number(schema))


def test_every_field_is_described() -> None:
    described = {name: str(schema.get("description", "")) for name, schema in FIELDS.items()}
    assert [name for name, text in described.items() if len(text.split()) < 2] == []
    assert [name for name, text in described.items() if text.endswith(".")] == []


def test_every_number_says_its_unit() -> None:
    """In its description, or by a name among COUNTS or CODES."""
    described = {name: FIELDS[name]["description"] for name in NUMBERS if name.partition(".")[2] not in COUNTS | CODES}
    assert {name: text for name, text in described.items() if not any(unit in text for unit in UNITS)} == {}


BOUNDED = [
    (model, name, min(cast("list[int]", bounds)))
    for model in (Environment, *Strict.__subclasses__())
    for name, field in model.model_fields.items()
    if (bounds := [item.le for item in field.metadata if isinstance(item, Le)])
]


@pytest.mark.parametrize(("model", "name", "most"), BOUNDED, ids=lambda item: getattr(item, "__name__", str(item)))
def test_the_least_upper_bound_of_a_field_holds(model: type[Strict], name: str, most: int) -> None:
    """A bound of a type must not take the place of the field's own."""
    kinds = model.model_json_schema()["properties"][name]
    assert most in [kind.get("maximum") for kind in (kinds, *kinds.get("anyOf", ()))]
    with pytest.raises(ValidationError) as raised:
        model.model_validate({name: most + 4})  # a step of every field
    assert {error["type"] for error in raised.value.errors() if error["loc"] == (name,)} == {"less_than_equal"}


def test_a_number_that_json_would_round_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 9007199254740992"):
        NodeGroup.model_validate({"instance_type": "x", "max_nodes": 2**53 + 1})

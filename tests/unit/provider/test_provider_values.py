"""Property values survive the wire, and secrets stay secret."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from fullbore.provider.values import (
    SIGNATURE,
    UNKNOWN,
    Secret,
    Special,
    Unknown,
    decode,
    differences,
    encode,
    from_json_strings,
    has_secret,
    has_unknown,
    join_path,
    keep_secrets,
    plain,
)

text = st.text(max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer()),
    text,
    st.just(UNKNOWN),
)
bare = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=8,
)
values = st.recursive(
    st.one_of(bare, bare.map(Secret), st.dictionaries(text, text, max_size=2).map(lambda f: Special("asset", f))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(text, values, max_size=4))
def test_a_property_map_survives_the_wire(properties: dict[str, Any]) -> None:
    wire = encode(properties).SerializeToString()
    assert decode(struct_pb2.Struct.FromString(wire)) == properties


@given(st.dictionaries(text, values, max_size=4))
def test_plain_leaves_no_mark(properties: dict[str, Any]) -> None:
    assert not has_secret(plain(properties))
    assert has_unknown(properties) == has_unknown(plain(properties))


@given(st.dictionaries(text, values, max_size=4))
def test_nothing_differs_from_itself_but_the_unknown(properties: dict[str, Any]) -> None:
    assert bool(differences(properties, properties)) == has_unknown(properties)


def test_whole_numbers_come_back_as_int() -> None:
    assert decode(encode({"a": 4, "b": 4.0, "c": 4.5, "d": True})) == {"a": 4, "b": 4, "c": 4.5, "d": True}
    assert isinstance(decode(encode({"a": 4.0}))["a"], int)
    assert decode(encode({"d": True}))["d"] is True


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({"value": "v", "secret": True}, Secret("v")),
        ({"value": "v"}, "v"),
        ({"secret": True}, Secret(UNKNOWN)),
        ({}, UNKNOWN),
        ({"value": {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "value": 1}, "secret": True}, Secret(1)),
    ],
)
def test_output_values_of_the_engine(fields: dict[str, Any], want: Any) -> None:
    sent = struct_pb2.Struct()
    sent.update({"p": {SIGNATURE: "d0e6a833031e9bbcd3f4e8bde6ca49a4", "dependencies": [], **fields}})
    assert decode(sent) == {"p": want}


def test_an_unknown_mark_is_named() -> None:
    sent = struct_pb2.Struct()
    sent.update({"p": {SIGNATURE: "0123"}})
    with pytest.raises(ValueError, match="0123"):
        decode(sent)


def test_what_has_no_wire_form_is_named() -> None:
    with pytest.raises(TypeError, match="a bytes cannot be a property value"):
        encode({"p": b"x"})


def test_a_secret_shows_nothing() -> None:
    assert "hush" not in repr({"a": [Secret("hush")]})


def test_there_is_one_unknown() -> None:
    assert Unknown() is UNKNOWN
    assert copy.deepcopy([UNKNOWN])[0] is UNKNOWN
    assert pickle.loads(pickle.dumps(UNKNOWN)) is UNKNOWN


@pytest.mark.parametrize(
    ("outputs", "inputs", "want"),
    [
        ({"a": 1}, {"a": Secret(1)}, {"a": Secret(1)}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": Secret(0)}}, {"a": {"b": Secret(1), "c": 2}}),
        ({"a": {"b": 1}}, {"a": Secret({"b": 1})}, {"a": Secret({"b": 1})}),
        ({"a": [1, 2]}, {"a": [Secret(1), 2]}, {"a": [Secret(1), 2]}),
        ({"a": [1, 2, 3]}, {"a": [Secret(1), 2]}, {"a": Secret([1, 2, 3])}),
        ({"a": Secret(1)}, {}, {"a": Secret(1)}),
        ({"new": 1}, {"a": Secret(1)}, {"new": 1}),
    ],
)
def test_outputs_keep_the_secrets_of_inputs(outputs: Any, inputs: Any, want: Any) -> None:
    assert keep_secrets(outputs, inputs) == want


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": "update"}),
        ({"a": 1}, {}, {"a": "delete"}),
        ({}, {"a": 1}, {"a": "add"}),
        ({"a": {"b.c": 1}}, {"a": {"b.c": 2}}, {'a["b.c"]': "update"}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": "update"}),
        ({"a": 1}, {"a": UNKNOWN}, {"a": "update"}),
        ({"a": Secret(1)}, {"a": 1}, {}),
        ({"a": Secret({"b": 1})}, {"a": {"b": 2}}, {"a.b": "update"}),
        ({"a": {}}, {"a": None}, {"a": "update"}),
    ],
)
def test_differences(old: Any, new: Any, want: dict[str, str]) -> None:
    assert differences(old, new) == want


@pytest.mark.parametrize(
    ("parts", "want"),
    [
        (("hosts", "gpu-01", "settings", "sysctl.vm.x"), 'hosts.gpu-01.settings["sysctl.vm.x"]'),
        (("ports", 0), "ports[0]"),
        (("a", 'say "hi"'), 'a["say \\"hi\\""]'),
        (("", "a"), '[""].a'),
    ],
)
def test_paths_as_the_engine_reads_them(parts: tuple[str | int, ...], want: str) -> None:
    assert join_path("", *parts) == want


def test_config_that_the_sdk_sent_as_text() -> None:
    config = {
        "flag": "true",
        "list": '[{"a":1}]',
        "id": "123456789012",
        "name": "total",
        "odd": "[x",
        "s": Secret("{}"),
    }
    want = {"flag": True, "list": [{"a": 1}], "id": "123456789012", "name": "total", "odd": "[x", "s": Secret({})}
    assert from_json_strings(config) == want

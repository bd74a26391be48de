"""Requests of the Open Inference Protocol as OpenAI's bodies, and text as tensors.

The inputs are those of Triton's vLLM backend (text_input, stream, sampling_parameters), and `messages` for a chat; what
a request may ask for is decided where HTTP's is. Pure: no socket, no engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fullbore_runtime.api import parse_body
from fullbore_runtime.errors import RequestError
from fullbore_runtime.rpc.protocol import message

INPUTS = {"text_input": "BYTES", "messages": "BYTES", "sampling_parameters": "BYTES", "stream": "BOOL"}
"""Datatype of each input; all have one element."""
OUTPUTS = {
    "text_output": "BYTES",
    "finish_reason": "BYTES",
    "num_input_tokens": "UINT32",
    "num_output_tokens": "UINT32",
}
"""Datatype of each output; all but the text come with the last message of an answer."""
CONTENTS = {"BYTES": "bytes_contents", "BOOL": "bool_contents", "UINT32": "uint_contents"}
"""Field of InferTensorContents by datatype."""
SHAPES = ([1], [1, 1])
"""One element, alone or as a batch of one."""
VERSION = "1"
FINAL = "triton_final_response"
"""Parameter of a stream's last message, as Triton names it."""
OURS = ("model", "prompt", "messages", "stream", "stream_options")
"""Fields of a body that a request has other words for."""

Response = message("inference.ModelInferResponse")


@dataclass(frozen=True)
class Part:
    """Text of an answer; the last part has the finish reason and the counts of tokens."""

    text: str
    finish: str | None = None
    prompt_tokens: int = 0
    generated_tokens: int = 0


@dataclass(frozen=True)
class Asked:
    """A request in OpenAI's words."""

    body: Mapping[str, object]
    chat: bool
    stream: bool
    outputs: frozenset[str]
    id: str


def read_request(request: Any) -> Asked:
    """A ModelInferRequest. Raises RequestError."""
    check_version(request.model_version)
    given = read_inputs(request)
    texts = [name for name in ("text_input", "messages") if name in given]
    if len(texts) != 1:
        raise RequestError(
            "inputs", f"must hold one of text_input and messages, got {' and '.join(texts) or 'neither'}"
        )
    chat = texts == ["messages"]
    what: Mapping[str, object] = {"messages": json_text(given["messages"])} if chat else {"prompt": given["text_input"]}
    return Asked(
        body={"model": request.model_name, **read_sampling(request, given), **what},
        chat=chat,
        stream=given.get("stream") is True,
        outputs=read_outputs(request),
        id=request.id,
    )


def check_version(got: str) -> None:
    if got not in ("", VERSION):
        raise RequestError("model_version", f"{got!r} does not exist; there is {VERSION}, or leave it out", status=404)


def read_inputs(request: Any) -> dict[str, str | bool]:
    """The values of the input tensors by name."""
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise RequestError("raw_input_contents", f"has {len(raw)} entries, but there are {len(request.inputs)} inputs")
    found: dict[str, str | bool] = {}
    for index, tensor in enumerate(request.inputs):
        path = f"inputs[{index}]"
        kind = INPUTS.get(tensor.name)
        if kind is None or tensor.name in found:
            wrong = "comes twice" if tensor.name in found else f"is none of {', '.join(INPUTS)}"
            raise RequestError(path, f"{tensor.name!r} {wrong}")
        if tensor.datatype != kind or list(tensor.shape) not in SHAPES:
            raise RequestError(path, f"{tensor.name} must be {kind} of shape [1], got {tensor.datatype}{tensor.shape}")
        found[tensor.name] = from_raw(path, kind, raw[index]) if raw else from_contents(path, kind, tensor.contents)
    return found


def from_contents(path: str, kind: str, contents: Any) -> str | bool:
    values = getattr(contents, CONTENTS[kind])
    if len(values) != 1:
        raise RequestError(path, f"must have one element in {CONTENTS[kind]}, got {len(values)}")
    return text(path, values[0]) if kind == "BYTES" else values[0]


def from_raw(path: str, kind: str, data: bytes) -> str | bool:
    if kind == "BOOL":
        if data not in (b"\0", b"\1"):
            raise RequestError(path, f"must be one byte of 0 or 1, got {len(data)} bytes")
        return data == b"\1"
    if len(data) < 4 or int.from_bytes(data[:4], "little") != len(data) - 4:
        raise RequestError(path, "must be one element: its length in four bytes, little endian, and as many bytes")
    return text(path, data[4:])


def text(path: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise RequestError(path, f"is not UTF-8: {error}") from error


def json_text(value: str | bool) -> object:
    try:
        return json.loads(str(value))
    except (ValueError, RecursionError) as error:
        raise RequestError("messages", f"is not JSON: {error}") from error


def read_sampling(request: Any, given: Mapping[str, str | bool]) -> dict[str, object]:
    """OpenAI's fields of sampling: of the input sampling_parameters, and of the request's parameters."""
    found = parse_body(str(given.get("sampling_parameters", "{}")).encode())
    for name, value in request.parameters.items():
        if name in found:
            raise RequestError(name, "comes twice, as a parameter and in sampling_parameters")
        choice = value.WhichOneof("parameter_choice")
        found[name] = getattr(value, choice) if choice else None
    if ours := [name for name in OURS if name in found]:
        raise RequestError(ours[0], "is no parameter of sampling; give it as the model's name or as an input")
    return found


def read_outputs(request: Any) -> frozenset[str]:
    """Names of the outputs that are asked for; all where none is."""
    names = [output.name for output in request.outputs]
    for index, name in enumerate(names):
        if name not in OUTPUTS:
            raise RequestError(f"outputs[{index}]", f"{name!r} is none of {', '.join(OUTPUTS)}")
    return frozenset(names or OUTPUTS)


def response(asked: Asked, part: Part) -> Any:
    """A ModelInferResponse of a part of the answer."""
    made = Response(model_name=str(asked.body["model"]), model_version=VERSION, id=asked.id)
    if part.finish is not None:
        made.parameters[FINAL].bool_param = True
    for name, value in values(part):
        if name in asked.outputs:
            kind = OUTPUTS[name]
            tensor = made.outputs.add(name=name, datatype=kind, shape=[1])
            getattr(tensor.contents, CONTENTS[kind]).append(value)
    return made


def values(part: Part) -> Iterator[tuple[str, bytes | int]]:
    yield "text_output", part.text.encode()
    if part.finish is not None:
        yield "finish_reason", part.finish.encode()
        yield "num_input_tokens", part.prompt_tokens
        yield "num_output_tokens", part.generated_tokens

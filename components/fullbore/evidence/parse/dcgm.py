"""`dcgmi diag -r LEVEL -j` of DCGM 3 and 4."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from fullbore.evidence.unreadable import Unreadable, positive

_ROOTS = ("DCGM Diagnostic", "DCGM GPU Diagnostic")
"""The key of version 4 and of version 3."""
_RATE = re.compile(r"(GPU to Host|Host to GPU) bandwidth:\s*(\S+) GB/s")
_OTHER_NAMES = {"gpu_memory": "memory"}
"""Names of version 3 that version 4 changed, beside case and blanks."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One test on one GPU; `gpu` is None where the test is of the whole host."""

    test: str
    gpu: int | None
    status: str
    said: tuple[str, ...]

    @property
    def host_rates(self) -> dict[str, float]:
        """{direction: GB/s} that the PCIe test measured between host and GPU."""
        found = (match for text in self.said for match in _RATE.finditer(text))
        return {match[1]: positive(match[2], match[1]) for match in found}


def parse_diag(text: str) -> tuple[Outcome, ...]:
    """Every outcome, in order; tests of the category Deployment count as "software", as version 4 names them."""
    root = _root(text)
    outcomes = tuple(
        outcome
        for category in _list(root, "test_categories")
        for test in _list(category, "tests")
        for outcome in _outcomes(str(category.get("category", "")), test)
    )
    if not outcomes:
        raise Unreadable("no test is listed")
    return outcomes


def _root(text: str) -> Mapping[str, Any]:
    start = text.find("{")
    try:
        content: Any = json.loads(text[start:]) if start >= 0 else None
    except json.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(content, dict):
        raise Unreadable("not a JSON object")
    roots = cast("dict[str, Any]", content)
    found = next((roots[key] for key in _ROOTS if key in roots), None)
    if not isinstance(found, dict):
        raise Unreadable("it has no 'DCGM Diagnostic'")
    return cast("Mapping[str, Any]", found)


def _list(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = content.get(key)
    if not isinstance(found, list):
        raise Unreadable(f"'{key}' is not a list")
    return [item for item in cast("list[Any]", found) if isinstance(item, dict)]


def _outcomes(category: str, test: Mapping[str, Any]) -> Iterator[Outcome]:
    name = "software" if category == "Deployment" else str(test.get("name", "")).strip().lower().replace(" ", "_")
    for result in _list(test, "results"):
        status = result.get("status")
        if not isinstance(status, str):
            raise Unreadable(f"a result of '{name}' has no status")
        said = tuple(_texts(result.get("warnings")) + _texts(result.get("info")))
        for gpu in _gpus(result):
            yield Outcome(test=_OTHER_NAMES.get(name, name), gpu=gpu, status=status, said=said)


def _gpus(result: Mapping[str, Any]) -> list[int | None]:
    """The GPUs of one result; [None] where it names none."""
    if result.get("entity_group", "GPU") != "GPU":
        return [None]
    named = result.get("entity_id", result.get("gpu_ids", result.get("gpu_id")))
    return [int(word) for word in re.findall(r"\d+", str(named))] or [None]


def _texts(said: Any) -> list[str]:
    """Warnings and infos are a text, a list of texts, or a list of objects with a `warning`."""
    if isinstance(said, str):
        return [said]
    if isinstance(said, dict):
        return _texts(cast("dict[str, Any]", said).get("warning"))
    return [text for item in cast("list[Any]", said or []) for text in _texts(item)]

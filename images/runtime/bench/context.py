"""The context policy on a running vLLM: which tokens of a prompt that is too long the model sees.

    python images/runtime/bench/context.py --out DIRECTORY

Started as the launcher starts it, with two layers of Qwen3-8B's shape and dummy weights; a word of the prompt is one
token, so that what is left of it can be told. Writes context.json: for each request the answer's status and the tokens
that were kept, which must be the prompt's last.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import shapes
from served import Served, argv_and_environment, launched

MODEL, CONTEXT, START_S = "qwen3-8b", 4096, 150.0
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
FIRST = 1000
"""Number of the prompt's first token; the others count up from it."""


@dataclass(frozen=True)
class Case:
    """A request, and how many tokens of its prompt the model must see: None where it must be refused."""

    name: str
    tokens: int
    kept: int | None
    asked: Mapping[str, Any]
    form: str = "text"
    policy: str = "truncate"


CASES = (
    Case("text", 6000, 4000, {"max_tokens": 96}),
    Case("token numbers", 6000, 4000, {"max_tokens": 96}, form="numbers"),
    Case("text, no length of the answer", 6000, 3840, {}),
    Case("chat", 6000, 3996, {"max_completion_tokens": 100, "max_tokens": 96}, form="chat"),
    Case("chat, no length of the answer", 6000, 3840, {}, form="chat"),
    Case("text that fits", 100, 100, {"max_tokens": 96}),
    Case("text that fills the context", 4000, 4000, {"max_tokens": 96}),
    Case("the client cuts", 6000, 7, {"max_tokens": 96, "truncate_prompt_tokens": 7, "truncation_side": "left"}),
    Case("an answer longer than the context", 6000, None, {"max_tokens": 4097}),
    Case("text, policy refuse", 6000, None, {"max_tokens": 96}, policy="refuse"),
)


def body(case: Case) -> tuple[str, dict[str, Any]]:
    """(path, request)."""
    numbers = list(range(FIRST, FIRST + case.tokens))
    text = " ".join(f"w{number}" for number in numbers)
    given = {"model": MODEL, "temperature": 0, "return_token_ids": True, **case.asked}
    if case.form == "chat":
        return "/v1/chat/completions", {**given, "messages": [{"role": "user", "content": text}]}
    return "/v1/completions", {**given, "prompt": numbers if case.form == "numbers" else text}


def answer(case: Case, port: int) -> dict[str, Any]:
    """What came of a request; `end` says whether the model saw the prompt's last tokens."""
    path, given = body(case)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(given).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            said = json.load(response)
    except urllib.error.HTTPError as error:
        return {"status": error.code, "kept": None, "end": None, "said": error.read().decode()[:300]}
    seen = said.get("prompt_token_ids") or said["choices"][0]["prompt_token_ids"]
    end = list(range(FIRST + case.tokens - len(seen), FIRST + case.tokens))
    return {"status": 200, "kept": len(seen), "end": seen == end, "answer": said["usage"]["completion_tokens"]}


def rows(policy: str, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The cases of one policy, against one engine."""
    root: Path = arguments.root
    model = shapes.folder(root / "model", {**shapes.SHAPES[MODEL], "num_hidden_layers": 2})
    (root / "template.jinja").write_text(TEMPLATE)
    plan = {
        "model": MODEL, "profile": "cuda", "accelerator": arguments.accelerator, "precision": "fp16",
        "tensor_parallel": 1, "context_tokens": CONTEXT, "context_policy": policy, "concurrency": 16,
        "memory_fraction": 0.5, "batch_tokens": 8192, "port": arguments.port,
    }  # fmt: skip
    more = ("--load-format=dummy", "--enforce-eager", f"--chat-template={root / 'template.jinja'}")
    argv, env = argv_and_environment(launched(plan, model, None, os.environ), *more)
    engine = Served(argv, env, arguments.out / f"context-{policy}.log", arguments.port)
    try:
        if engine.ready(START_S) is None:
            raise RuntimeError(f"the engine did not start; see {engine.log}")
        for case in CASES:
            if case.policy == policy:
                got = answer(case, arguments.port)
                met = got["kept"] == case.kept and got["end"] in (True, None)
                yield {
                    "case": case.name,
                    "policy": policy,
                    "prompt": case.tokens,
                    "wanted": case.kept,
                    **got,
                    "met": met,
                }
    finally:
        engine.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--accelerator", default="h200")
    parser.add_argument("--port", type=int, default=18_200)
    parser.add_argument("--root", type=Path, default=Path("/tmp/context"))
    arguments = parser.parse_args()
    found: list[dict[str, Any]] = []
    for policy in ("truncate", "refuse"):
        for row in rows(policy, arguments):
            found.append(row)
            print(json.dumps(row), flush=True)
            (arguments.out / "context.json").write_text(json.dumps(found, indent=1))
    return 0 if all(row["met"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())

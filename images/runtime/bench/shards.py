"""vLLM behind the launcher, on a GPU, with shards that are right and with one that is damaged.

    python images/runtime/bench/shards.py OUT

Needs vLLM and this package installed with its plugin. A small Qwen3 with random weights is served through the launcher;
then one byte of a shard is changed: vLLM must end before it loads it, and say which shard. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import shapes
from served import Served

PORT, START_S = 18_300, 120.0
SMALL = {**shapes.SHAPES["qwen3-8b"], "num_hidden_layers": 4, "hidden_size": 1024, "intermediate_size": 3072,
         "num_attention_heads": 8}  # fmt: skip
PLAN = {"version": 1, "kind": "serving", "model": "small", "profile": "cuda", "precision": "fp16",
        "context_tokens": 2048, "concurrency": 8, "memory_fraction": 0.5, "port": PORT}  # fmt: skip


def start(model: Path, log: Path) -> dict[str, object]:
    """Whether it served, and what it said of shards."""
    env = {**os.environ, "FULLBORE_PROFILE": "cuda", "FULLBORE_MODEL_DIRECTORY": str(model)}
    engine = Served([sys.executable, "-m", "fullbore_runtime", "--plan", str(model / "plan.json")], env, log, PORT)
    try:
        ready = engine.ready(START_S)
        first = engine.first_token("small") if ready else None
    finally:
        engine.stop()
    text = log.read_text(errors="replace")
    said = next((line for line in text.splitlines() if "refusing to start: shard" in line), None)
    return {"ready_s": ready, "first_token_s": first, "ended": engine.process.poll(), "said": said,
            "loaded": "Loading weights took" in text, "raised": "WeightsError: shard" in text}  # fmt: skip


def main() -> None:
    import torch.multiprocessing as processes

    out = Path(sys.argv[1])
    model = out / "model"
    # in a process that ends: what it takes of the GPU would be in use, and the launcher would refuse to start
    maker = processes.get_context("spawn").Process(target=shapes.checkpoint, args=(model, SMALL, 4))
    maker.start()
    maker.join()
    (model / "plan.json").write_text(json.dumps(PLAN))
    found = {"right": start(model, out / "right.log")}
    shard = sorted(model.glob("*.safetensors"))[1]
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    found["damaged"] = start(model, out / "damaged.log")
    print(json.dumps(found))
    right, damaged = found["right"], found["damaged"]
    assert right["first_token_s"], "it does not serve"
    assert damaged["ready_s"] is None, "it serves a damaged shard"
    assert not damaged["loaded"], "it has loaded a damaged shard"
    assert shard.name in str(damaged["said"]), "it does not name the shard"


if __name__ == "__main__":
    main()

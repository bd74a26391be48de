"""Decode rate of vLLM with and without the kernels of this package, in one engine start.

    python images/runtime/bench/decode.py --name NAME --out DIRECTORY [--table kernels.json] [--bits 4] [--wait FILE]

A model of Qwen3-8B's shape with dummy weights, which vLLM draws from a fixed seed, and no tokenizer. Writes NAME.json:
tokens a second by batch, the first tokens chosen with their log probability, and the time to start. With --wait it
starts, says so in FILE.ready, and measures once FILE is there: several engines can start beside each other and be
measured one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from pathlib import Path

SHAPE = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288,
    "vocab_size": 151936,
    "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 1000000, "max_position_embeddings": 40960,
    "tie_word_embeddings": False, "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 151643,
    "eos_token_id": 151645, "torch_dtype": "float16", "use_cache": True, "initializer_range": 0.02,
}  # fmt: skip
BATCHES = ((1, 384), (4, 192), (16, 192), (64, 192), (256, 128))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--bits", type=int, choices=(4, 8))
    parser.add_argument("--wait", type=Path)
    parser.add_argument("--kv-gib", type=float, default=15.0)
    parser.add_argument("--tensor-parallel", type=int, default=1)
    arguments = parser.parse_args()
    begun = time.time()
    shape = dict(SHAPE)
    if arguments.bits:
        shape["quantization_config"] = {
            "quant_method": "gptq", "bits": arguments.bits, "group_size": 128, "desc_act": False, "sym": True,
            "lm_head": False,
        }  # fmt: skip
    settings: dict = {}
    if arguments.table:
        from fullbore_runtime.kernels.plugin import ENVIRONMENT, engine_arguments
        from fullbore_runtime.kernels.table import load

        os.environ[ENVIRONMENT] = str(arguments.table)
        for name, value in engine_arguments(load(arguments.table), SHAPE["hidden_size"], quantised=False).items():
            settings[name.removeprefix("--").replace("-", "_")] = json.loads(value)
    model = Path("/tmp") / f"model-{arguments.name}"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps(shape))
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=str(model), load_format="dummy", skip_tokenizer_init=True, dtype="float16", max_model_len=8192,
        gpu_memory_utilization=0.25, kv_cache_memory_bytes=int(arguments.kv_gib * 2**30),
        tensor_parallel_size=arguments.tensor_parallel, **settings,
    )  # fmt: skip
    draw = random.Random(0)

    def generate(batch: int, tokens: int, logprobs: int | None = None):
        prompts = [
            {"prompt_token_ids": [draw.randrange(1000, SHAPE["vocab_size"] - 1000) for _ in range(128)]}
            for _ in range(batch)
        ]
        sampling = SamplingParams(
            temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False, logprobs=logprobs
        )
        at = time.perf_counter()
        outputs = llm.generate(prompts, sampling, use_tqdm=False)
        return time.perf_counter() - at, outputs

    result: dict = {"name": arguments.name, "start_s": time.time() - begun, "settings": settings, "batches": {}}
    _, outputs = generate(4, 8, logprobs=1)
    result["first"] = [
        [
            (token, round(step[token].logprob, 4))
            for token, step in zip(o.outputs[0].token_ids, o.outputs[0].logprobs, strict=True)
        ]
        for o in outputs
    ]
    if arguments.wait:
        arguments.wait.with_suffix(".ready").touch()
        while not arguments.wait.exists():
            time.sleep(0.2)
    for batch, tokens in BATCHES:
        generate(batch, 8)
        short = statistics.median(generate(batch, 1)[0] for _ in range(3))
        long = statistics.median(generate(batch, tokens)[0] for _ in range(3))
        step = (long - short) / (tokens - 1)
        result["batches"][batch] = {"step_ms": step * 1e3, "tokens_per_s": batch / step, "first_token_ms": short * 1e3}
        print(arguments.name, batch, result["batches"][batch], flush=True)
        (arguments.out / f"{arguments.name}.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""What quantisation costs: a small model trained here, quantised each way, and asked by vLLM for all its probabilities.

    python images/runtime/bench/accuracy.py train --out DIRECTORY [--seconds 150]     # and writes the checkpoints
    python images/runtime/bench/accuracy.py judge --out DIRECTORY

A Qwen3 over bytes is trained on the Python sources and texts that this machine holds, a fiftieth of the files kept out.
It is quantised with calibration on texts that it was trained on (quantise.py) and written in AWQ's and GPTQ's layouts.
`judge` starts vLLM on each checkpoint and takes, for kept-out texts, the probability of every next byte: perplexity,
the divergence from FP16's probabilities, and how often the likeliest byte is the same. Writes accuracy.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import quantise
import shapes

CONFIG: dict[str, Any] = {
    **shapes.SHAPES["qwen3-8b"], "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 6,
    "num_key_value_heads": 2, "intermediate_size": 2304, "vocab_size": 256, "max_position_embeddings": 2048,
    "bos_token_id": None, "eos_token_id": None, "rope_theta": 10_000,
}  # fmt: skip
LENGTH, BATCH = 1024, 64
KEPT_OUT = 5
"""Files whose digest begins with a byte below this, of 256, are kept out."""
TEXTS = 24
CALIBRATION = 64
WAYS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "fp16": ("fp16", {}, {}),
    "fp8": ("fp16", {"quantization": "fp8"}, {}),
    "fp8 weights only": ("fp16", {"quantization": "fp8"}, {"VLLM_TEST_FORCE_FP8_MARLIN": "1"}),
    "int8 GPTQ": ("gptq8", {}, {}),
    "int4 AWQ": ("awq4", {}, {}),
    "int4 AWQ, Marlin": ("awq4", {"linear_backend": "marlin"}, {}),
    "int4 GPTQ": ("gptq4", {}, {}),
    "int4 nearest": ("nearest4", {}, {}),
}
"""{name: (checkpoint, further arguments of vllm.LLM, environment)}."""


def texts() -> Iterator[tuple[bytes, bytes]]:
    """(digest, content) of every Python source and text of this Python's folders, each content once."""
    seen: set[bytes] = set()
    roots = {Path(part).resolve() for part in sys.path if part and Path(part).is_dir()}
    for root in sorted(roots):
        for path in sorted(root.rglob("*")):
            if path.suffix not in (".py", ".rst", ".md", ".txt") or not path.is_file():
                continue
            content = path.read_bytes()
            digest = hashlib.sha256(content).digest()
            if 2000 <= len(content) <= 200_000 and digest not in seen:
                seen.add(digest)
                yield digest, content


def corpus() -> tuple[bytes, bytes]:
    """(to train on, kept out), files in the order of their digests."""
    found = sorted(texts())
    train = b"\0".join(content for digest, content in found if digest[0] >= KEPT_OUT)
    return train, b"\0".join(content for digest, content in found if digest[0] < KEPT_OUT)


def train(arguments: argparse.Namespace) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import Qwen3Config, Qwen3ForCausalLM

    begun = time.monotonic()
    taught, kept = corpus()
    kept_mb = kept[: 1 << 20]
    document: dict[str, Any] = {"train_bytes": len(taught), "kept_out_bytes": len(kept),
                                "xz_bits_per_byte": 8 * len(lzma.compress(kept_mb)) / len(kept_mb)}  # fmt: skip
    print(f"{time.monotonic() - begun:.0f} s", document, flush=True)
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    data = torch.frombuffer(bytearray(taught), dtype=torch.uint8).cuda()
    named = {key: value for key, value in CONFIG.items() if key not in ("architectures", "torch_dtype")}
    model = Qwen3ForCausalLM(Qwen3Config(**named)).cuda()
    quick = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    offsets = torch.arange(LENGTH + 1, device="cuda")

    def batch(count: int) -> torch.Tensor:
        starts = torch.randint(0, len(data) - LENGTH - 1, (count, 1), device="cuda")
        return data[starts + offsets].long()

    step, started, losses = 0, None, []
    while started is None or time.monotonic() - started < arguments.seconds:
        # the first steps compile and do not count
        done = 0.0 if started is None else (time.monotonic() - started) / arguments.seconds
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))
        given = batch(BATCH)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            logits = quick(given[:, :-1]).logits
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), given[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step == 3:
            torch.cuda.synchronize()
            started = time.monotonic()
        if step % 100 == 0:
            losses.append((step, round(float(loss), 4)))
            print(f"{time.monotonic() - begun:.0f} s", *losses[-1], flush=True)
    document |= {"steps": step, "parameters": sum(p.numel() for p in model.parameters()), "losses": losses}
    model = model.half().eval()
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write(arguments.out / "fp16", tensors, None, save_file)
    layers, moments, magnitudes = calibrated(model, batch(CALIBRATION)[:, :-1])
    for name, method, bits in (("gptq8", "gptq", 8), ("gptq4", "gptq", 4), ("nearest4", "gptq", 4)):
        made = dict(tensors)
        for layer, weight in layers.items():
            found = (quantise.nearest(weight, bits, symmetric=True) if name == "nearest4"
                     else quantise.gptq(weight, moments[layer], bits))  # fmt: skip
            replace(made, layer, quantise.gptq_tensors(found))
        write(arguments.out / name, made, quantise.config(method, bits), save_file)
        print(f"{time.monotonic() - begun:.0f} s", name, flush=True)
    write(arguments.out / "awq4", awq(tensors, layers, moments, magnitudes), quantise.config("awq", 4), save_file)
    # whole texts that begin where a file may be cut: what counts is that none of it was trained on
    step_bytes = max(LENGTH, len(kept) // TEXTS)
    (arguments.out / "texts.json").write_text(
        json.dumps([list(kept[at : at + LENGTH - 1]) for at in range(0, len(kept) - LENGTH, step_bytes)][:TEXTS])
    )
    (arguments.out / "train.json").write_text(json.dumps(document))
    print(f"{time.monotonic() - begun:.0f} s done", flush=True)


def calibrated(model: Any, given: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """By layer: its weight, the sum of x x' of its inputs, and their mean magnitudes."""
    import torch

    layers, moments, magnitudes = {}, {}, {}

    def watch(name: str) -> Any:
        def hook(_layer: Any, inputs: tuple[Any, ...], _out: Any) -> None:
            x = inputs[0].flatten(0, -2).float()
            moments[name] = moments.get(name, 0) + x.T @ x
            magnitudes[name] = magnitudes.get(name, 0) + x.abs().mean(0)

        return hook

    hooks = []
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and name != "lm_head":
            layers[name] = layer.weight.detach()
            hooks.append(layer.register_forward_hook(watch(name)))
    with torch.no_grad():
        for part in given.split(8):
            model(part)
    for hook in hooks:
        hook.remove()
    return layers, moments, magnitudes


def awq(tensors: dict[str, Any], layers: dict[str, Any], moments: dict[str, Any], magnitudes: dict[str, Any]) -> Any:
    """Tensors of an AWQ checkpoint: what feeds a group of layers is divided by the factors that their columns get."""
    made = {name: value.clone() for name, value in tensors.items()}
    weights = {name: weight.float() for name, weight in layers.items()}

    def scaled(names: list[str], feeder: str, rows: bool) -> None:
        factor = quantise.awq_scale([weights[name] for name in names], magnitudes[names[0]], moments[names[0]])
        for name in names:
            weights[name] = weights[name] * factor
        if rows:
            weights[feeder] = weights[feeder] / factor.unsqueeze(-1)
        else:
            made[f"{feeder}.weight"] = (made[f"{feeder}.weight"].float().cuda() / factor).half().cpu()

    for number in range(CONFIG["num_hidden_layers"]):
        at = f"model.layers.{number}"
        # down before up is scaled by rows, so that the search for gate and up sees what will be rounded
        scaled([f"{at}.mlp.down_proj"], f"{at}.mlp.up_proj", rows=True)
        scaled([f"{at}.self_attn.{part}_proj" for part in "qkv"], f"{at}.input_layernorm", rows=False)
        scaled([f"{at}.mlp.{part}_proj" for part in ("gate", "up")], f"{at}.post_attention_layernorm", rows=False)
    for name, weight in weights.items():
        replace(made, name, quantise.awq_tensors(quantise.nearest(weight, 4, symmetric=False)))
    return made


def replace(tensors: dict[str, Any], layer: str, made: dict[str, Any]) -> None:
    del tensors[f"{layer}.weight"]
    tensors |= {f"{layer}.{name}": value.cpu() for name, value in made.items()}


def write(path: Path, tensors: dict[str, Any], quantisation: Any, save_file: Any) -> None:
    shapes.folder(path, {**CONFIG, **({"quantization_config": quantisation} if quantisation else {})})
    save_file({name: value.contiguous() for name, value in tensors.items()}, path / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip


def ask(folder: str, out: str, more: dict[str, Any]) -> None:
    """In a process of its own: every probability of the next byte, as float32 [texts, LENGTH - 2, 256]."""
    import numpy as np
    from vllm import LLM, SamplingParams

    given = json.loads((Path(folder).parent / "texts.json").read_text())
    llm = LLM(folder, dtype="float16", skip_tokenizer_init=True, enforce_eager=True, max_model_len=LENGTH + 1,
              gpu_memory_utilization=0.03, kv_cache_memory_bytes=1 << 30, max_logprobs=256,
              enable_prefix_caching=False, **more)  # fmt: skip
    sampling = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=256, detokenize=False)
    table = np.full((len(given), LENGTH - 2, 256), -np.inf, np.float32)
    for number, answer in enumerate(llm.generate([{"prompt_token_ids": text} for text in given], sampling)):
        for at, step in enumerate(answer.prompt_logprobs[1:]):
            for token, found in step.items():
                table[number, at, token] = found.logprob
    np.save(out, table)
    os._exit(0)  # the engine's own end takes longer than the work, and may abort


def judge(arguments: argparse.Namespace) -> None:
    import numpy as np

    started = {}
    for number, (name, (folder, more, env)) in enumerate(WAYS.items()):
        out = arguments.out / f"way-{number}.npy"
        argv = [sys.executable, __file__, "ask", "--out", str(out), "--folder", str(arguments.out / folder),
                "--more", json.dumps(more)]  # fmt: skip
        log = (arguments.out / f"way-{number}.log").open("wb")
        started[name] = out, subprocess.Popen(argv, env={**os.environ, **env}, stdout=log, stderr=log)
    failed = [name for name, (_, process) in started.items() if process.wait(240)]
    found = {name: np.load(out) for name, (out, _) in started.items() if name not in failed}
    given = np.array(json.loads((arguments.out / "texts.json").read_text()))
    document = json.loads((arguments.out / "train.json").read_text())
    document |= {"failed": failed, "texts": len(given), "bytes": int(given[:, 1:].size), "ways": {}}
    truth = found["fp16"].astype(np.float64)
    for name, wide in found.items():
        logs = wide.astype(np.float64)
        own = np.take_along_axis(logs, given[:, 1:, None], 2)[..., 0]
        apart = (np.exp(truth) * (truth - logs)).sum(-1)
        folder = arguments.out / WAYS[name][0] / "model.safetensors"
        document["ways"][name] = {
            "checkpoint_bytes": folder.stat().st_size, "loss_nats": -own.mean(), "perplexity": math.exp(-own.mean()),
            "bits_per_byte": -own.mean() / math.log(2), "kl_nats": apart.mean(),
            "kl_99th": float(np.quantile(apart, 0.99)),
            "same_first": float((logs.argmax(-1) == truth.argmax(-1)).mean()),
        }  # fmt: skip
        print(name, {key: f"{value:.5g}" for key, value in document["ways"][name].items()}, flush=True)
    (arguments.out / "accuracy.json").write_text(json.dumps(document, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "judge", "ask"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--more", default="{}", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "ask":
        ask(arguments.folder, str(arguments.out), json.loads(arguments.more))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    {"train": train, "judge": judge}[arguments.what](arguments)


if __name__ == "__main__":
    main()

"""Measures every kernel beside what else could do the work, on this machine's GPU, and writes the table that decides.

    python images/runtime/bench/kernels.py --out DIRECTORY [--op NAME ...] [--quick]

Needs torch and triton; vLLM's own kernels and Liger's are measured where they can be imported. Writes kernels.json (the
table: fullbore_runtime/kernels/table.py reads it). Every candidate's result is first held against the reference's
bound. Times are medians of CUDA graph replays, per call: launch overhead is out of them, and beside them stands the
time of plain calls in a row, with it. Inputs of large layers rotate through more memory than the L2 cache has.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fullbore_runtime.kernels import activation, gemv, norm, reference, rope, table

EPSILON = 1e-6
TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 8192)
FEW = (1, 2, 4, 8, 16, 32, 64)
HIDDEN = (2048, 4096, 7168, 8192)
WIDTHS = (1408, 6144, 12288, 14336)
HEADS = ((32, 8, 128), (16, 4, 128))
LAYERS = ((6144, 4096), (4096, 4096), (24576, 4096), (4096, 12288), (151936, 4096))
HALF_LAYERS = ((3072, 4096), (4096, 2048), (12288, 4096), (4096, 6144), (75968, 4096))
"""Qwen3-8B on one GPU and on two: (out, in) of qkv, attention output, gate and up, down, and the head."""
FAILURES = (
    triton.TritonError,
    RuntimeError,
    ImportError,
    TypeError,
    AttributeError,
    ValueError,
    AssertionError,
    KeyError,
    NotImplementedError,
)


@dataclass
class Case:
    """One operator at one shape and batch. `make` draws inputs; `check` raises AssertionError beyond the bound."""

    op: str
    dtype: str
    shape: tuple[int, ...]
    batch: int
    moved_bytes: int
    make: Callable[[], tuple]
    ours: Callable[..., object]
    configs: list[dict[str, int]]
    others: dict[str, Callable[..., object]]
    rivals: tuple[str, ...]
    check: Callable[[tuple, object], None]
    extra: dict[str, Callable[[tuple], tuple]] = field(default_factory=dict)
    """By candidate: its own form of the inputs (packed weights)."""


def within(actual: Tensor, expected: Tensor, bound: Tensor) -> None:
    """Raises AssertionError where `actual` is further from `expected` than `bound`; NaN is."""
    error = (actual.double() - expected).abs()
    worst = (error / bound).max().item()
    assert bool((error <= bound).all()), f"off by {worst:.2f} times the bound"


# Timing


def graph_us(call: Callable[..., object], inputs: list[tuple], calls: int, replays: int = 9) -> float:
    """Median microseconds of one call inside a CUDA graph of `calls` calls that go round `inputs`."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for each in inputs[:2]:
            call(*each)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for i in range(calls):
                call(*inputs[i % len(inputs)])
    times = []
    for _ in range(replays + 2):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e3 / calls)
    return statistics.median(times[2:])


def launched_us(call: Callable[..., object], inputs: list[tuple], calls: int = 60) -> float:
    """Median microseconds of plain calls in a row, the host's work for each included."""
    times = []
    for _ in range(3):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for i in range(calls):
            call(*inputs[i % len(inputs)])
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) * 1e6 / calls)
    return statistics.median(times)


def copy_bytes_per_s() -> float:
    """Copy rate of the device memory, bytes read plus bytes written."""
    source = torch.empty(2**32, dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    times = []
    for _ in range(12):
        # Not in a graph: there a copy is a node of its own kind, which reached two thirds of this rate.
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        target.copy_(source)
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3)
    return 2 * source.numel() / statistics.median(times[2:])


def measure(case: Case, peak: float, quick: bool) -> dict:
    """The row of one case: the best configuration of ours, every candidate's times, its errors, its failures."""
    torch.manual_seed(case.batch)
    per_call = max(case.moved_bytes, 1)
    sets = 1 if per_call < 2**22 else min(24, max(2, -(-(300 * 2**20) // per_call)))
    inputs = [case.make() for _ in range(sets)]
    calls = max(sets, 20 if per_call < 2**27 else 4)
    row: dict = {
        "op": case.op, "dtype": case.dtype, "shape": case.shape, "batch": case.batch, "bytes": case.moved_bytes,
        "config": {}, "us": {}, "launched_us": {}, "rivals": case.rivals, "failed": {},
    }  # fmt: skip
    shaped = {name: [change(each) for each in inputs] for name, change in case.extra.items()}
    tried: list[tuple[float, dict[str, int]]] = []
    mine = shaped.get("fullbore", inputs)
    clean = fresh(inputs[0])  # what works in place changes the others while it is timed
    for config in case.configs[:1] if quick else case.configs:
        try:
            call = partial(case.ours, **config)
            case.check(clean, call(*fresh(mine[0] if shaped else clean)))
            tried.append((graph_us(call, mine, calls, 5), config))
        except FAILURES as error:  # noqa: PERF203
            row["failed"][f"fullbore {config}"] = f"{type(error).__name__}: {error}"[:200]
    candidates = dict(case.others)
    if tried:
        row["config"] = min(tried, key=lambda pair: pair[0])[1]
        candidates["fullbore"] = partial(case.ours, **row["config"])
    for name, call in candidates.items():
        try:
            given = shaped.get(name, inputs)
            if name != "fullbore":
                case.check(clean, call(*fresh(given[0] if name in shaped else clean)))
        except AssertionError as error:
            row.setdefault("beyond_bound", {})[name] = str(error)[:100]
        except FAILURES as error:
            row["failed"][name] = f"{type(error).__name__}: {error}"[:300]
            continue
        row["us"][name] = round(graph_us(call, given, calls), 3)
        row["launched_us"][name] = round(launched_us(call, given), 2)
    row["share"] = {name: round(case.moved_bytes / us * 1e6 / peak, 3) for name, us in row["us"].items()}
    if "fullbore" in row["us"]:
        best = min((row["us"][name] for name in case.rivals if name in row["us"]), default=None)
        row["won"] = best is not None and row["us"]["fullbore"] <= best * (1 - table.MARGIN)
    return row


def warm(case: Case) -> None:
    """Compiles what `measure` will time, into the caches on disk; what fails here fails there and is reported there."""
    inputs = case.make()
    given = case.extra.get("fullbore", lambda each: each)(inputs)
    for config in case.configs:
        with contextlib.suppress(*FAILURES):
            case.ours(*fresh(given), **config)
    for name in {"compile", "liger"} & set(case.others):
        with contextlib.suppress(*FAILURES):
            case.others[name](*fresh(inputs))
    torch.cuda.synchronize()


def fresh(values: tuple) -> tuple:
    """Copies of what a call may write to."""
    return tuple(value.clone() if isinstance(value, Tensor) and value.numel() < 2**27 else value for value in values)


# What else there is


def vllm_ops() -> object | None:
    """vLLM's compiled operators, or None."""
    try:
        from vllm.platforms import current_platform

        current_platform.import_kernels()
        from vllm import _custom_ops
    except ImportError as error:
        print(f"vLLM is not measured: {error}", file=sys.stderr)
        return None
    return _custom_ops


def liger(module: str, name: str) -> Callable | None:
    try:
        return getattr(__import__(f"liger_kernel.ops.{module}", fromlist=[name]), name)
    except (ImportError, AttributeError) as error:
        print(f"Liger's {name} is not measured: {error}", file=sys.stderr)
        return None


def compiled(call: Callable) -> Callable:
    """As vLLM compiles: one code for all batches, made at a large one. For a batch of 1 torch makes another, which is
    rather stronger than what runs in vLLM."""
    ready = torch.compile(call)
    seen: set = set()

    def run(*inputs: Tensor) -> object:
        key = tuple(value.shape[1:] for value in inputs if isinstance(value, Tensor))
        if key not in seen:
            seen.add(key)
            ready(*large(inputs))
        return ready(*inputs)

    return run


def large(inputs: tuple) -> list:
    """The inputs with 2,000 tokens, a number of any size to torch.compile."""
    tokens, found = inputs[0].shape[0], []
    for value in inputs:
        if isinstance(value, Tensor) and value.shape[0] == tokens:
            value = value.new_zeros((2000, *value.shape[1:]))
            torch._dynamo.mark_dynamic(value, 0)
        found.append(value)
    return found


# Eager, in the form in which vLLM's Python code has it


def eager_norm(x: Tensor, weight: Tensor) -> Tensor:
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + EPSILON)
    return wide.to(x.dtype) * weight


def eager_add_norm(x: Tensor, residual: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    wide = x.float() + residual.float()
    kept = wide.to(x.dtype)
    wide = wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + EPSILON)
    return wide.to(x.dtype) * weight, kept


def eager_norm_quantise(x: Tensor, weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    normed = eager_norm(x, weight).float()
    scale = (normed.abs().amax(-1, keepdim=True) / reference.LARGEST[dtype]).clamp(min=reference.SMALLEST_SCALE[dtype])
    values = (normed / scale).clamp(-reference.LARGEST[dtype], reference.LARGEST[dtype])
    return (values.round() if dtype == torch.int8 else values).to(dtype), scale


def eager_silu_mul(x: Tensor) -> Tensor:
    width = x.shape[-1] // 2
    return F.silu(x[..., :width]) * x[..., width:]


def eager_rope_write(q, k, v, positions, cos_sin, slots, k_cache, v_cache) -> None:
    q.copy_(reference.rope(q, positions, cos_sin))
    k.copy_(reference.rope(k, positions, cos_sin))
    k_cache.view(-1, *k_cache.shape[2:])[slots] = k
    v_cache.view(-1, *v_cache.shape[2:])[slots] = v


def rotated(q, k, positions, cos_sin) -> tuple[Tensor, Tensor]:
    return reference.rope(q, positions, cos_sin), reference.rope(k, positions, cos_sin)


# The cases


def norm_cases(ops, float_type=torch.float16) -> Iterator[Case]:
    warps = [{"warps": count} for count in (2, 4, 8, 16, 32)]
    liger_norm, liger_add = (
        liger("rms_norm", "rms_norm_forward"),
        liger("fused_add_rms_norm", "fused_add_rms_norm_forward"),
    )
    compiled_norm, compiled_add = compiled(eager_norm), compiled(eager_add_norm)
    for width in HIDDEN:
        gain = torch.randn(width, device="cuda", dtype=float_type)
        for tokens in TOKENS:

            def draw(tokens=tokens, width=width):
                return torch.randn(tokens, width, device="cuda", dtype=float_type)

            def check(inputs, out):
                expected = reference.rms_norm(inputs[0].double(), inputs[1].double(), EPSILON)
                within(
                    out[0] if isinstance(out, tuple) else out, expected, reference.rounding_bound(expected, float_type)
                )

            def check_add(inputs, out):
                expected, _ = reference.add_rms_norm(*(value.double() for value in inputs), EPSILON)
                out = out[0] if isinstance(out, tuple) else out
                within(out, expected, reference.rounding_bound(expected, float_type))

            def c_norm(x, weight):
                out = torch.empty_like(x)
                ops.rms_norm(out, x, weight, EPSILON)
                return out

            def c_add(x, residual, weight):
                ops.fused_add_rms_norm(x, residual, weight, EPSILON)
                return x

            others = {"eager": eager_norm, "compile": compiled_norm}
            add_others = {"eager": eager_add_norm, "compile": compiled_add}
            if ops:
                others["vllm_c"], add_others["vllm_c"] = c_norm, c_add
            if liger_norm:
                others["liger"] = lambda x, weight: liger_norm(x, weight, EPSILON, 0.0, "llama", None)[0]
            if liger_add:
                add_others["liger"] = lambda x, residual, weight: liger_add(x, residual, weight, EPSILON, 0.0, "llama")[
                    0
                ]
            yield Case(
                "rms_norm", "float16", (width,), tokens, 2 * 2 * tokens * width,
                lambda draw=draw, gain=gain: (draw(), gain),
                lambda x, weight, warps: norm.rms_norm(x, weight, EPSILON, warps),
                warps, others, ("compile", "vllm_c"), check,
            )  # fmt: skip
            yield Case(
                "add_rms_norm", "float16", (width,), tokens, 4 * 2 * tokens * width,
                lambda draw=draw, gain=gain: (draw(), draw(), gain),
                lambda x, residual, weight, warps: norm.add_rms_norm(x, residual, weight, EPSILON, warps),
                warps, add_others, ("compile", "vllm_c"), check_add,
            )  # fmt: skip


def quantise_cases(ops) -> Iterator[Case]:
    warps = [{"warps": count} for count in (2, 4, 8, 16, 32)]
    for dtype, name in ((torch.float8_e4m3fn, "float8_e4m3fn"), (torch.int8, "int8")):
        compiled_quantise = compiled(partial(eager_norm_quantise, dtype=dtype))
        for width in (4096, 7168):
            gain = torch.randn(width, device="cuda", dtype=torch.float16)
            for tokens in TOKENS:

                def check(inputs, out, dtype=dtype):
                    x, weight = inputs[0].double(), inputs[1].double()
                    _, scale = reference.rms_norm_quantise(x, weight, EPSILON, dtype)
                    normed = reference.rms_norm(x, weight, EPSILON)
                    within(
                        out[0].double() * out[1].double(), normed, reference.quantisation_bound(normed, scale, dtype)
                    )

                def make(tokens=tokens, width=width, gain=gain):
                    return torch.randn(tokens, width, device="cuda", dtype=torch.float16), gain

                others = {"eager": partial(eager_norm_quantise, dtype=dtype), "compile": compiled_quantise}
                if ops:
                    others["vllm_c"] = lambda x, weight, dtype=dtype: ops.rms_norm_dynamic_per_token_quant(
                        x, weight, EPSILON, dtype
                    )
                yield Case(
                    f"rms_norm_quantise_{name}", "float16", (width,), tokens, 3 * tokens * width + 4 * tokens, make,
                    lambda x, weight, warps, dtype=dtype: norm.rms_norm_quantise(x, weight, EPSILON, dtype, warps),
                    warps, others, ("compile", "vllm_c"), check,
                )  # fmt: skip


def silu_cases(ops) -> Iterator[Case]:
    configs = [{"block": block, "warps": count} for block, count in
               ((256, 2), (512, 4), (1024, 4), (2048, 4), (2048, 8), (4096, 8))]  # fmt: skip
    liger_silu = liger("swiglu", "swiglu_forward")
    compiled_silu = compiled(eager_silu_mul)
    for width in WIDTHS:
        for tokens in TOKENS:

            def check(inputs, out):
                expected = reference.silu_mul(inputs[0].double())
                within(out, expected, reference.rounding_bound(expected, torch.float16))

            def make(tokens=tokens, width=width):
                return (torch.randn(tokens, 2 * width, device="cuda", dtype=torch.float16),)

            def c_silu(x):
                out = x.new_empty((x.shape[0], x.shape[1] // 2))
                torch.ops._C.silu_and_mul(out, x)
                return out

            others = {"eager": eager_silu_mul, "compile": compiled_silu}
            if ops:
                others["vllm_c"] = c_silu
            if liger_silu:
                others["liger"] = lambda x: liger_silu(*(half.contiguous() for half in x.chunk(2, dim=-1)))[2]
            yield Case(
                "silu_mul", "float16", (width,), tokens, 3 * 2 * tokens * width, make, activation.silu_mul, configs,
                others,
                ("compile", "vllm_c"), check,
            )  # fmt: skip


def rope_cases(ops) -> Iterator[Case]:
    configs = [
        {"heads": heads, "warps": count} for heads, count in ((1, 1), (2, 1), (4, 1), (4, 2), (8, 2), (8, 4), (16, 4))
    ]
    compiled_rope = compiled(rotated)
    for q_heads, kv_heads, size in HEADS:
        angles = torch.outer(torch.arange(8192.0), 10000.0 ** (-torch.arange(0, size, 2) / size))
        cos_sin = torch.cat((angles.cos(), angles.sin()), dim=-1).to("cuda", torch.float16)
        for tokens in TOKENS:

            def make(tokens=tokens, q_heads=q_heads, kv_heads=kv_heads, size=size, cos_sin=cos_sin):
                qkv = torch.randn(tokens, q_heads + 2 * kv_heads, size, device="cuda", dtype=torch.float16)
                q, k, v = qkv.split((q_heads, kv_heads, kv_heads), dim=1)
                cache = torch.zeros(2, -(-tokens // 16) + 1, 16, kv_heads, size, device="cuda", dtype=torch.float16)
                positions = torch.randint(0, 8192, (tokens,), device="cuda")
                slots = torch.randperm(cache.shape[1] * 16, device="cuda")[:tokens]
                return q, k, v, positions, cos_sin, slots, cache[0], cache[1]

            def check(inputs, out):
                copies = [value.clone() for value in inputs]
                copies[:2] = out(*copies) or copies[:2]
                q, k, v, positions, cos_sin, slots, _, _ = inputs
                for got, given in ((copies[0], q), (copies[1], k)):
                    expected = reference.rope(given.double(), positions, cos_sin.double())
                    magnitudes = reference.rope(given.abs().double(), positions, cos_sin.abs().double()).abs() + 8
                    within(got, expected, reference.sum_bound(expected, magnitudes, torch.float16))
                for cache, kept in ((copies[6], copies[1]), (copies[7], v)):
                    assert torch.equal(cache.reshape(-1, *cache.shape[2:])[slots], kept), (
                        "the cache holds something else"
                    )

            def ours(*inputs, heads, warps):
                rope.rope_and_write(*inputs, heads, warps)
                return partial(rope.rope_and_write, heads=heads, warps=warps)

            def c_rope(q, k, v, positions, cos_sin, slots, k_cache, v_cache, one):
                torch.ops._C.rotary_embedding(positions, q.flatten(1), k.flatten(1), q.shape[2], cos_sin, True)
                ops.reshape_and_cache_flash(k, v, k_cache, v_cache, slots, "auto", one, one)

            def half_compiled(q, k, v, positions, cos_sin, slots, k_cache, v_cache, one):
                rotated_q, rotated_k = compiled_rope(q, k, positions, cos_sin)
                ops.reshape_and_cache_flash(rotated_k, v, k_cache, v_cache, slots, "auto", one, one)
                return rotated_q, rotated_k

            others = {"eager": as_check(eager_rope_write)}
            unit_scale = torch.ones((), device="cuda")
            if ops:
                others["vllm_c"] = as_check(partial(c_rope, one=unit_scale))
                others["compile"] = as_check(partial(half_compiled, one=unit_scale))
            moved = 2 * tokens * size * (2 * q_heads + 2 * kv_heads + 3 * kv_heads)
            yield Case(
                "rope_and_write", "float16", (q_heads, kv_heads, size), tokens, moved, make, ours, configs, others,
                ("compile", "vllm_c"), check,
            )  # fmt: skip


def as_check(call: Callable) -> Callable:
    """A call that works in place, returning itself for the check to repeat on its own inputs."""

    def run(*inputs):
        call(*inputs)
        return call

    return run


ONE_TOKEN = [{"rows": rows, "block": block, "warps": warps} for rows, block, warps in (
    (1, 2048, 4), (2, 1024, 4), (2, 2048, 4), (4, 512, 4), (4, 1024, 4), (4, 1024, 8), (2, 1024, 2), (1, 1024, 2),
    (1, 4096, 8),
    (2, 4096, 8), (8, 512, 4), (4, 512, 2), (1, 512, 1), (2, 512, 1), (2, 512, 2), (1, 4096, 4), (1, 2048, 2),
)]  # fmt: skip
FEW_TOKENS = [{"rows": rows, "block": block, "warps": warps, "stages": stages} for rows, block, warps, stages in (
    (16, 128, 2, 5), (16, 256, 4, 4), (16, 256, 2, 4), (32, 128, 4, 5), (32, 256, 4, 3), (64, 128, 4, 4),
    (64, 64, 4, 6),
    (128, 64, 4, 5), (16, 512, 4, 3),
)]  # fmt: skip
ONE_PACKED = [{"rows": rows, "block": block, "warps": warps} for rows, block, warps in (
    (4, 512, 4), (8, 512, 4), (2, 512, 4), (4, 256, 2), (8, 256, 2), (4, 128, 1), (8, 128, 1), (2, 256, 2),
    (16, 128, 2),
    (8, 256, 4), (16, 256, 4), (2, 128, 1),
)]  # fmt: skip


def linear_cases(_ops) -> Iterator[Case]:
    for rows, columns in (*LAYERS, *HALF_LAYERS):
        for tokens in FEW:

            def make(tokens=tokens, rows=rows, columns=columns):
                x = torch.randn(tokens, columns, device="cuda", dtype=torch.float16)
                return x, torch.empty(rows, columns, device="cuda", dtype=torch.float16).uniform_(-0.05, 0.05)

            def check(inputs, out):
                within_linear(inputs[0], inputs[1], out)

            moved = 2 * (rows * columns + tokens * (rows + columns))
            yield Case(
                "linear", "float16", (rows, columns), tokens, moved, make, gemv.linear,
                ONE_TOKEN if tokens == 1 else FEW_TOKENS, {"cublas": F.linear}, ("cublas",), check,
            )  # fmt: skip


def within_linear(x: Tensor, weight: Tensor, out: Tensor, rounded_weights: bool = False) -> None:
    """Against float64, a part of the rows at a time, for the memory's sake."""
    for at in range(0, weight.shape[0], 16384):
        part = weight[at : at + 16384].double()
        expected = reference.linear(x.double(), part)
        magnitudes = reference.linear(x.double().abs(), part.abs())
        bound = reference.sum_bound(expected, magnitudes, torch.float16)
        if rounded_weights:
            bound = bound + 4 * reference.unit(torch.float16) * magnitudes
        within(out[:, at : at + 16384], expected, bound)


def packed_cases(ops) -> Iterator[Case]:
    group = 128
    for bits in (4, 8):
        for rows, columns in (*LAYERS[:4], *HALF_LAYERS[:4]):
            for tokens in (*FEW, 256, 2048):

                def make(tokens=tokens, rows=rows, columns=columns, bits=bits):
                    x = torch.randn(tokens, columns, device="cuda", dtype=torch.float16)
                    weight = torch.empty(rows, columns, device="cuda", dtype=torch.float16).uniform_(-0.05, 0.05)
                    return x, *gemv.quantise(weight, bits, group)

                def check(inputs, out, bits=bits):
                    x, values, scale = inputs
                    zero = torch.full_like(scale, 2 ** (bits - 1)).double()
                    weight = reference.dequantise(values.double(), scale.double(), zero)
                    within_linear(x, weight, out, rounded_weights=True)

                others, extra = rivals_of_packed(ops, bits, group)
                extra["fullbore"] = lambda inputs, bits=bits: (inputs[0], gemv.pack(inputs[1], inputs[2], None, bits))
                moved = rows * columns * bits // 8 + 2 * rows * columns // group + 2 * tokens * (rows + columns)
                yield Case(
                    f"linear_int{bits}", "float16", (rows, columns), tokens, moved, make, gemv.linear_packed,
                    ONE_PACKED if tokens == 1 else [], others, ("machete", "marlin"), check, extra,
                )  # fmt: skip


def fp8_cases(ops) -> Iterator[Case]:
    """FP8 weights with one scale: our inputs keep 16 bits, CUTLASS' are quantised by token first, as vLLM has it."""
    largest = torch.finfo(torch.float8_e4m3fn).max

    def cutlass(x, weight, scale):
        values, scales = ops.scaled_fp8_quant(x, use_per_token_if_dynamic=True)
        return ops.cutlass_scaled_mm(values, weight.t(), out_dtype=x.dtype, scale_a=scales, scale_b=scale)

    for rows, columns in (*LAYERS[:4], *HALF_LAYERS[:4]):
        for tokens in FEW:

            def make(tokens=tokens, rows=rows, columns=columns):
                x = torch.randn(tokens, columns, device="cuda", dtype=torch.float16)
                wide = torch.empty(rows, columns, device="cuda", dtype=torch.float16).uniform_(-0.05, 0.05)
                scale = (wide.abs().max() / largest).float().view(1)
                return x, (wide / scale).to(torch.float8_e4m3fn), scale

            def check(inputs, out):
                within_linear(inputs[0], inputs[1].double() * inputs[2].double(), out)

            moved = rows * columns + 2 * tokens * (rows + columns)
            yield Case(
                "linear_fp8", "float16", (rows, columns), tokens, moved, make,
                lambda x, weight, scale, **config: gemv.linear(x, weight, scale=scale, **config),
                ONE_TOKEN if tokens == 1 else FEW_TOKENS, {"cutlass": cutlass} if ops else {}, ("cutlass",), check,
            )  # fmt: skip


def rivals_of_packed(ops, bits: int, group: int) -> tuple[dict, dict]:
    """vLLM's own kernels for weights of 4 and 8 bits, with the inputs in their form."""
    others: dict = {"cublas fp16": lambda x, weight: F.linear(x, weight)}
    extra: dict = {"cublas fp16": lambda inputs: (inputs[0], inputs[1].to(torch.float16).sub_(2 ** (bits - 1)).mul_(
        inputs[2].repeat_interleave(group, 1)))}  # fmt: skip
    if not ops:
        return others, extra
    from vllm.model_executor.layers.quantization.utils import marlin_utils
    from vllm.scalar_type import scalar_types

    kind = scalar_types.uint4b8 if bits == 4 else scalar_types.uint8b128
    each = 32 // bits

    def along_input(values: Tensor) -> Tensor:
        """[in / each, out], the form of GPTQ checkpoints: lowest bits first along the input."""
        parts = values.mT.to(torch.int64).reshape(values.shape[1] // each, each, values.shape[0])
        shifts = torch.arange(0, 32, bits, device=values.device).view(1, each, 1)
        words = (parts << shifts).sum(dim=1)
        return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)

    def to_machete(inputs):
        words = along_input(inputs[1])
        ready = ops.machete_prepack_B(
            words.t().contiguous().t(), a_type=torch.float16, b_type=kind, group_scales_type=torch.float16
        )
        return inputs[0], ready, inputs[2].mT.contiguous()

    def machete(x, words, scale):
        return ops.machete_mm(a=x, b_q=words, b_type=kind, b_group_scales=scale, b_group_size=group)

    def to_marlin(inputs):
        rows, columns = inputs[1].shape
        none = marlin_utils.marlin_make_empty_g_idx(inputs[0].device)
        words = ops.gptq_marlin_repack(along_input(inputs[1]), none, columns, rows, bits)
        scale = marlin_utils.marlin_permute_scales(inputs[2].mT.contiguous(), columns, rows, group)
        return inputs[0], words, scale, none, marlin_utils.marlin_make_workspace_new(inputs[0].device)

    def marlin(x, words, scale, none, workspace):
        return marlin_utils.apply_gptq_marlin_linear(
            input=x, weight=words, weight_scale=scale, weight_zp=none, g_idx=none, g_idx_sort_indices=none,
            workspace=workspace, wtype=kind, output_size_per_partition=scale.shape[1],
            input_size_per_partition=x.shape[1], is_k_full=True,
        )  # fmt: skip

    others |= {"machete": machete, "marlin": marlin}
    extra |= {"machete": to_machete, "marlin": to_marlin}
    return others, extra


GROUPS: dict[str, Callable] = {
    "norm": norm_cases, "quantise": quantise_cases, "silu": silu_cases, "rope": rope_cases, "linear": linear_cases,
    "packed": packed_cases, "fp8": fp8_cases,
}  # fmt: skip


def versions() -> dict[str, str]:
    found = {"torch": torch.__version__, "triton": triton.__version__}
    for name in ("vllm", "liger_kernel"):
        try:
            found[name] = str(getattr(__import__(name), "__version__", "unknown"))
        except ImportError:  # noqa: PERF203
            found[name] = "absent"
    return found


def lines(document: dict) -> str:
    """The table as JSON with one row a line, so that two tables can be compared by eye."""
    rest = {name: value for name, value in document.items() if name not in ("runs", "rows")}
    runs, rows = (",\n".join(json.dumps(row) for row in document[name]) for name in ("runs", "rows"))
    return f'{json.dumps(rest)[:-1]}, "runs": [\n{runs}\n], "rows": [\n{rows}\n]}}\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--op", action="append", choices=sorted(GROUPS))
    parser.add_argument("--name", default="kernels.json")
    parser.add_argument("--quick", action="store_true", help="one configuration of ours, a third of the batches")
    parser.add_argument(
        "--warm", metavar="PART/PARTS", help="compile this part of the cases into the caches, time none"
    )
    parser.add_argument("--seconds", type=float, default=1e9, help="stop beginning new cases after this long")
    arguments = parser.parse_args()
    torch._dynamo.config.recompile_limit = 64
    begun, ops = time.monotonic(), vllm_ops()
    if arguments.warm:
        part, parts = (int(number) for number in arguments.warm.split("/"))
        cases = (case for name in arguments.op or GROUPS for case in GROUPS[name](ops))
        for i, case in enumerate(cases):
            if i % parts == part:
                warm(case)
        return
    peak = copy_bytes_per_s()
    document = {
        "version": table.VERSION, "accelerator": torch.cuda.get_device_name(), "versions": versions(),
        "copy_bytes_per_s": peak, "margin": table.MARGIN, "runs": [], "rows": [],
    }  # fmt: skip
    for name in arguments.op or GROUPS:
        for i, case in enumerate(GROUPS[name](ops)):
            if time.monotonic() - begun > arguments.seconds or (arguments.quick and i % 4):
                continue
            row = measure(case, peak, arguments.quick)
            document["rows"].append(row)
            print(f"{time.monotonic() - begun:6.1f}", row["op"], row["shape"], row["batch"], row["us"], row.get("won"),
                  row["config"], next(iter(row["failed"].items()), ""), flush=True)  # fmt: skip
        (arguments.out / arguments.name).write_text(lines(document))


if __name__ == "__main__":
    main()

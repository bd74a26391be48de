"""Linear layers for a few tokens, where reading the weights takes the time: FP16, FP8, and INT8 or INT4 in groups.

One token is a sum of products in plain float32 arithmetic, because a matrix instruction would wait for data that it can
use only once. For 2 to 64 tokens the tokens are one side of a small matrix product. FP8 weights (E4M3) are numbers of
FP16, too, so they are widened and the inputs stay as they are: none of them is rounded to FP8. The scale of the weights
is one number, or one a row, and is applied to the sums.

Packed weights. A group of GROUP input columns of one output row is GROUP * bits / 32 words. Word i of a group holds the
columns i, i + PLANE, i + 2 * PLANE, ..., lowest bits first, where PLANE is the number of words: neighbouring words of
one plane meet neighbouring inputs.

From bits to numbers. Put b bits with value u at the top of the mantissa of 1.0 and the float is f = 1 + u / 2**b, one
instruction after the shift and no conversion. For the products of one group, with zero point z and scale s,
    s * sum((u - z) * x) = s * (2**b * sum(f * x) - (2**b + z) * sum(x)).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST_TOKENS = 64


@dataclass(frozen=True)
class Packed:
    """Weights [rows, columns] of 4 or 8 bits: words int32 [rows, columns * bits / 32], scale, zero [rows, groups]."""

    words: Tensor
    scale: Tensor
    zero: Tensor | None
    bits: int

    @property
    def columns(self) -> int:
        return self.words.shape[1] * 32 // self.bits

    @property
    def group(self) -> int:
        return self.columns // self.scale.shape[1]


def pack(values: Tensor, scale: Tensor, zero: Tensor | None, bits: int) -> Packed:
    """Packs whole numbers [rows, columns] in 0 .. 2**bits - 1. Without `zero` the zero point is 2**(bits - 1)."""
    rows, columns = values.shape
    groups, each = scale.shape[1], 32 // bits
    if columns % groups or (columns // groups) % each:
        raise ValueError(f"{columns} columns in {groups} groups are not whole words of {each} numbers")
    planes = values.to(torch.int64).view(rows, groups, each, columns // groups // each)
    shifts = torch.arange(0, 32, bits, device=values.device).view(1, 1, each, 1)
    words = (planes << shifts).sum(dim=2).view(rows, -1)
    words = torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)
    return Packed(words, scale.contiguous(), None if zero is None else zero.contiguous(), bits)


def quantise(weight: Tensor, bits: int, group: int) -> tuple[Tensor, Tensor]:
    """Round to nearest, symmetric: (whole numbers [rows, columns] around 2**(bits - 1), scale [rows, groups])."""
    rows, columns = weight.shape
    grouped = weight.float().view(rows, columns // group, group)
    half = 2 ** (bits - 1)
    scale = (grouped.abs().amax(dim=-1) / (half - 1)).clamp(min=1e-6).to(weight.dtype)
    values = torch.round(grouped / scale.float().unsqueeze(-1)).clamp(-half, half - 1) + half
    return values.view(rows, columns).to(torch.uint8), scale


@triton.jit
def _gemv_kernel(
    x,
    weight,
    scale,
    out,
    n_rows,
    COLUMNS: tl.constexpr,
    SCALES: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out [rows] = scale times weight [rows, COLUMNS] times x [COLUMNS], ROWS rows a program. SCALES of weights: 0, 1,
    or as many as rows (2)."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, BLOCK)
    at = weight + rows[:, None] * COLUMNS + columns[None, :]
    real = (rows < n_rows)[:, None]
    sums = tl.zeros((ROWS, BLOCK), dtype=tl.float32)
    for start in tl.static_range(0, COLUMNS, BLOCK):
        if start + BLOCK <= COLUMNS:
            tile = tl.load(at + start, mask=real, other=0.0, eviction_policy="evict_first").to(tl.float32)
            value = tl.load(x + start + columns).to(tl.float32)
        else:
            inside = start + columns < COLUMNS
            tile = tl.load(at + start, mask=real & inside[None, :], other=0.0).to(tl.float32)
            value = tl.load(x + start + columns, mask=inside, other=0.0).to(tl.float32)
        sums += tile * value[None, :]
    total = tl.sum(sums, axis=1)
    if SCALES == 1:
        total *= tl.load(scale).to(tl.float32)
    elif SCALES == 2:
        total *= tl.load(scale + rows, mask=rows < n_rows, other=0.0).to(tl.float32)
    tl.store(out + rows, total.to(out.dtype.element_ty), mask=rows < n_rows)


@triton.jit
def _skinny_kernel(
    x,
    weight,
    scale,
    out,
    n_tokens,
    n_rows,
    COLUMNS: tl.constexpr,
    SCALES: tl.constexpr,
    TOKENS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out [tokens, rows] = scale times x [tokens, COLUMNS] times the transpose of weight [rows, COLUMNS]."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    tokens = tl.arange(0, TOKENS)
    columns = tl.arange(0, BLOCK)
    at = weight + rows[:, None] * COLUMNS + columns[None, :]
    x_at = x + tokens[None, :] * COLUMNS + columns[:, None]
    real, filled = (rows < n_rows)[:, None], (tokens < n_tokens)[None, :]
    sums = tl.zeros((ROWS, TOKENS), dtype=tl.float32)
    for start in range(0, COLUMNS, BLOCK):
        inside = start + columns < COLUMNS
        tile = tl.load(at + start, mask=real & inside[None, :], other=0.0, eviction_policy="evict_first")
        value = tl.load(x_at + start, mask=filled & inside[:, None], other=0.0)
        sums = tl.dot(tile.to(value.dtype), value, sums)
    if SCALES == 1:
        sums *= tl.load(scale).to(tl.float32)
    elif SCALES == 2:
        sums *= tl.load(scale + rows, mask=rows < n_rows, other=0.0).to(tl.float32)[:, None]
    tl.store(
        out + tokens[None, :] * n_rows.to(tl.int64) + rows[:, None],
        sums.to(out.dtype.element_ty),
        mask=real & filled,
    )


@triton.jit
def _weight_gemv_kernel(
    x,
    words,
    scale,
    zero,
    out,
    n_rows,
    COLUMNS: tl.constexpr,
    GROUP: tl.constexpr,
    BITS: tl.constexpr,
    HAS_ZERO: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One token against packed weights; BLOCK words of each of ROWS rows at a time."""
    EACH: tl.constexpr = 32 // BITS
    PLANE: tl.constexpr = GROUP // EACH
    WORDS: tl.constexpr = COLUMNS // EACH
    GROUPS: tl.constexpr = COLUMNS // GROUP
    TOP: tl.constexpr = 23 - BITS  # a float32 has 23 bits of mantissa
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    real = (rows < n_rows)[:, None]
    sums = tl.zeros((ROWS, BLOCK), dtype=tl.float32)
    for start in tl.static_range(0, WORDS, BLOCK):
        word = start + tl.arange(0, BLOCK)
        inside = word < WORDS
        packed = tl.load(
            words + rows[:, None] * WORDS + word[None, :],
            mask=real & inside[None, :],
            other=0,
            eviction_policy="evict_first",
        )
        group = word // PLANE
        group_at = rows[:, None] * GROUPS + group[None, :]
        step = tl.load(scale + group_at, mask=real & inside[None, :], other=0.0).to(tl.float32)
        column = group * GROUP + word % PLANE
        products = tl.zeros((ROWS, BLOCK), dtype=tl.float32)
        inputs = tl.zeros((BLOCK,), dtype=tl.float32)
        for plane in tl.static_range(EACH):
            value = tl.load(x + column + plane * PLANE, mask=inside, other=0.0).to(tl.float32)
            if BITS * plane <= TOP:  # noqa: SIM108  Triton compiles one side
                moved = packed << (TOP - BITS * plane)
            else:
                moved = packed >> (BITS * plane - TOP)
            one_and = (moved & (((1 << BITS) - 1) << TOP)) | 0x3F800000  # 1.0
            products += one_and.to(tl.float32, bitcast=True) * value[None, :]
            inputs += value
        if HAS_ZERO:
            origin = tl.load(zero + group_at, mask=real & inside[None, :], other=0.0).to(tl.float32) + (1 << BITS)
        else:
            origin = (1 << BITS) + (1 << (BITS - 1)) + 0.0
        sums += step * ((1 << BITS) * products - origin * inputs[None, :])
    tl.store(out + rows, tl.sum(sums, axis=1).to(out.dtype.element_ty), mask=rows < n_rows)


def linear(
    x: Tensor, weight: Tensor, rows: int, block: int, warps: int, stages: int = 4, scale: Tensor | None = None
) -> Tensor:
    """x [tokens, in] times the transpose of weight [out, in], both contiguous, for 1 to MOST_TOKENS tokens. Weights of
    FP8 have a scale, of one element or of `out`."""
    tokens, columns = x.shape
    outputs = weight.shape[0]
    out = torch.empty((tokens, outputs), dtype=x.dtype, device=x.device)
    grid = (triton.cdiv(outputs, rows),)
    scales = 0 if scale is None else 1 if scale.numel() == 1 else 2
    given = x if scale is None else scale
    if tokens == 1:
        _gemv_kernel[grid](
            x, weight, given, out, outputs, COLUMNS=columns, SCALES=scales, ROWS=rows, BLOCK=block, num_warps=warps
        )
    else:
        _skinny_kernel[grid](
            x,
            weight,
            given,
            out,
            tokens,
            outputs,
            COLUMNS=columns,
            SCALES=scales,
            TOKENS=padded(tokens),
            ROWS=rows,
            BLOCK=block,
            num_warps=warps,
            num_stages=stages,
        )
    return out


def linear_packed(x: Tensor, weight: Packed, rows: int, block: int, warps: int) -> Tensor:
    """One token x [1, in] times the transpose of packed weights [out, in]."""
    outputs = weight.words.shape[0]
    out = torch.empty((1, outputs), dtype=x.dtype, device=x.device)
    _weight_gemv_kernel[(triton.cdiv(outputs, rows),)](
        x,
        weight.words,
        weight.scale,
        weight.scale if weight.zero is None else weight.zero,
        out,
        outputs,
        COLUMNS=x.shape[1],
        GROUP=weight.group,
        BITS=weight.bits,
        HAS_ZERO=weight.zero is not None,
        ROWS=rows,
        BLOCK=block,
        num_warps=warps,
    )
    return out


def padded(tokens: int) -> int:
    """Tokens of one small matrix product: at least 16, a power of two."""
    return max(16, triton.next_power_of_2(tokens))

"""RMSNorm in one pass over each row: alone, after adding a residual, and with the row quantised on the way out."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from fullbore_runtime.kernels.reference import LARGEST, SMALLEST_SCALE


@triton.jit
def _norm_kernel(
    x,
    residual,
    added,
    weight,
    out,
    scales,
    x_stride,
    width,
    epsilon,
    largest,
    smallest_scale,
    HAS_RESIDUAL: tl.constexpr,
    QUANTISE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program a row. `added` becomes x + residual; it may be `residual` itself."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    value = tl.load(x + row * x_stride + columns, mask=inside, other=0.0).to(tl.float32)
    gain = tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)
    if HAS_RESIDUAL:
        value += tl.load(residual + row * width + columns, mask=inside, other=0.0).to(tl.float32)
        tl.store(added + row * width + columns, value.to(added.dtype.element_ty), mask=inside)
    inverse = 1.0 / tl.sqrt_rn(tl.sum(value * value, axis=0) / width + epsilon)
    normed = value * inverse * gain
    if QUANTISE:
        scale = tl.maximum(tl.max(tl.abs(normed), axis=0) / largest, smallest_scale)
        tl.store(scales + row, scale)
        normed = tl.clamp(normed / scale, -largest, largest)
        if out.dtype.element_ty == tl.int8:
            # Adding and taking away 1.5 * 2**23 rounds a float32 to the nearest whole number, ties to even.
            normed = (normed + 12582912.0) - 12582912.0
    tl.store(out + row * width + columns, normed.to(out.dtype.element_ty), mask=inside)


def _launch(
    x: Tensor,
    residual: Tensor | None,
    added: Tensor | None,
    weight: Tensor,
    out: Tensor,
    scales: Tensor | None,
    epsilon: float,
    warps: int | None,
) -> None:
    rows, width = x.shape
    if rows == 0:
        return
    quantise = scales is not None
    _norm_kernel[(rows,)](
        x,
        x if residual is None else residual,
        x if added is None else added,
        weight,
        out,
        weight if scales is None else scales,
        x.stride(0),
        width,
        epsilon,
        LARGEST[out.dtype] if quantise else 0.0,
        SMALLEST_SCALE[out.dtype] if quantise else 0.0,
        HAS_RESIDUAL=residual is not None,
        QUANTISE=quantise,
        BLOCK=triton.next_power_of_2(width),
        num_warps=warps or default_warps(width),
    )


def default_warps(width: int) -> int:
    """One warp for each 512 columns, within what the hardware has."""
    return min(32, max(1, triton.next_power_of_2(width) // 512))


def rms_norm(x: Tensor, weight: Tensor, epsilon: float, warps: int | None = None) -> Tensor:
    """Norm of x [tokens, hidden], whose rows may lie apart. One rounding to x's type."""
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    _launch(x, None, None, weight, out, None, epsilon, warps)
    return out


def add_rms_norm(
    x: Tensor, residual: Tensor, weight: Tensor, epsilon: float, warps: int | None = None
) -> tuple[Tensor, Tensor]:
    """Norm of x + residual, taken before the sum is rounded, and the rounded sum. `residual` is contiguous."""
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    added = torch.empty_like(residual)
    _launch(x, residual, added, weight, out, None, epsilon, warps)
    return out, added


def rms_norm_quantise(
    x: Tensor, weight: Tensor, epsilon: float, dtype: torch.dtype, warps: int | None = None
) -> tuple[Tensor, Tensor]:
    """Norm of x as (values of `dtype` [tokens, hidden], scale float32 [tokens, 1])."""
    out = torch.empty(x.shape, dtype=dtype, device=x.device)
    scales = torch.empty((x.shape[0], 1), dtype=torch.float32, device=x.device)
    _launch(x, None, None, weight, out, scales, epsilon, warps)
    return out, scales


def add_rms_norm_quantise(
    x: Tensor, residual: Tensor, weight: Tensor, epsilon: float, dtype: torch.dtype, warps: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Norm of x + residual as (values of `dtype`, scale), and the rounded sum. `residual` is contiguous."""
    out = torch.empty(x.shape, dtype=dtype, device=x.device)
    scales = torch.empty((x.shape[0], 1), dtype=torch.float32, device=x.device)
    added = torch.empty_like(residual)
    _launch(x, residual, added, weight, out, scales, epsilon, warps)
    return out, scales, added

"""What each kernel computes, in plain PyTorch, and how far a kernel may be from it.

Every reference works in the precision that it is given, so tests call it on float64 copies of the inputs. A bound is an
absolute error for each element of the output. `unit` is the unit roundoff of the output's type (2**-11 for float16,
2**-8 for bfloat16): a kernel that works in float32 and rounds once stays within it, plus what float32 sums lose.
"""

from __future__ import annotations

import torch
from torch import Tensor

FLOAT32_UNIT = 2.0**-24
SMALLEST_SCALE = {torch.float8_e4m3fn: 1.0 / (448.0 * 512.0), torch.int8: 2.0**-23}
"""Scales never go below it, so that a row of zeros is divided by something: vLLM's csrc/quantization/utils.cuh."""
LARGEST = {torch.float8_e4m3fn: 448.0, torch.int8: 127.0}


def unit(dtype: torch.dtype) -> float:
    """Unit roundoff of a floating type."""
    return torch.finfo(dtype).eps / 2


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """x [tokens, hidden] over its root mean square, times weight [hidden]. Zhang and Sennrich, arXiv 1910.07467."""
    return x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + epsilon) * weight


def add_rms_norm(x: Tensor, residual: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """The norm of x + residual, and x + residual itself, both [tokens, hidden]."""
    added = x + residual
    return rms_norm(added, weight, epsilon), added


def rms_norm_quantise(x: Tensor, weight: Tensor, epsilon: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The norm of x as values [tokens, hidden], not yet rounded to `dtype`, times scale [tokens, 1]."""
    normed = rms_norm(x, weight, epsilon)
    scale = (normed.abs().amax(dim=-1, keepdim=True) / LARGEST[dtype]).clamp(min=SMALLEST_SCALE[dtype])
    return normed / scale, scale


def silu_mul(x: Tensor) -> Tensor:
    """silu(gate) * up for x [tokens, 2 * width] that holds gate, then up."""
    gate, up = x.chunk(2, dim=-1)
    return gate * torch.sigmoid(gate) * up


def rope(x: Tensor, positions: Tensor, cos_sin: Tensor) -> Tensor:
    """x [tokens, heads, size] with its halves rotated (NeoX pairing); cos_sin [positions, size] holds cosines, then
    sines. Su et al., arXiv 2104.09864."""
    cosine, sine = cos_sin[positions].unsqueeze(1).chunk(2, dim=-1)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


def write_cache(cache: Tensor, values: Tensor, slots: Tensor) -> None:
    """Writes values [tokens, heads, size] to cache [blocks, block, heads, size] at their slots, if not below 0."""
    kept = slots >= 0
    cache.view(-1, *cache.shape[2:])[slots[kept]] = values[kept].to(cache.dtype)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x [tokens, in] times the transpose of weight [out, in]."""
    return x @ weight.mT


def dequantise(quantised: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """Weights [out, in] from whole numbers [out, in] and a scale and a zero point [out, groups] for each group."""
    group = quantised.shape[1] // scale.shape[1]
    return (quantised.to(scale.dtype) - zero.repeat_interleave(group, 1)) * scale.repeat_interleave(group, 1)


def rounding_bound(expected: Tensor, dtype: torch.dtype) -> Tensor:
    """One rounding to `dtype`, a sixteenth of one for float32 on the way, and half of the smallest subnormal."""
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps / 2
    return expected.abs() * unit(dtype) * (1 + 1 / 16) + smallest


def sum_bound(expected: Tensor, magnitudes: Tensor, dtype: torch.dtype) -> Tensor:
    """A rounded sum of products whose magnitudes add up to `magnitudes`: one rounding, and 32 float32 roundings of the
    whole, which a blocked sum of 2**15 terms stays under with room (Higham, Accuracy and Stability, chapter 4)."""
    return rounding_bound(expected, dtype) + 32 * FLOAT32_UNIT * magnitudes


def quantisation_bound(normed: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """Of values * scale against the norm: half a step of the type, and 1/64 of one for float32 beside a tie."""
    if dtype == torch.int8:
        return scale * (0.5 + 1 / 64)
    return (normed.abs() * 2.0**-4 + scale * 2.0**-10) * (1 + 1 / 64)

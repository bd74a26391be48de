"""Weight-only quantisation of a dense Qwen3's linear layers, written in the layouts of AWQ and GPTQ checkpoints.

- round to nearest: each group of input columns of a row has a scale, from its largest magnitude;
- GPTQ (Frantar et al., arXiv 2210.17323, algorithm 1): columns are rounded one after the other, and what is lost is
  made up for by those that follow, by the inverse of the inputs' second moments;
- AWQ (Lin et al., arXiv 2306.00978, section 3.2): input columns that carry much are made larger before rounding, and
  what feeds them smaller; the exponent is searched by the error of the layer's output.

The error of an output is exact without keeping inputs: sum((W - Q) H (W - Q)') for H = sum(x x') over the calibration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

GROUP = 128
DAMP = 0.01
"""Share of the mean diagonal that is added to it (GPTQ, section 3.3)."""
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Place of each output column within a word of AWQ's layout (vLLM's awq_dequantize kernels)."""


class Quantised(NamedTuple):
    """values [out, in] from 0 to 2**bits - 1; scale and zero [out, in / GROUP]. A weight is (value - zero) * scale."""

    values: Tensor
    scale: Tensor
    zero: Tensor
    bits: int

    def weight(self) -> Tensor:
        wide = (self.values.view(*self.scale.shape, -1) - self.zero.unsqueeze(-1)) * self.scale.unsqueeze(-1)
        return wide.view_as(self.values)


def steps(weight: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """(scale, zero) of groups [..., GROUP], as FP16 holds the scale."""
    if symmetric:
        half = 2 ** (bits - 1)
        scale = weight.abs().amax(-1) / (half - 1)
        return scale.clamp(min=1e-6).half().float(), torch.full_like(scale, half)
    low, high = weight.amin(-1).clamp(max=0), weight.amax(-1).clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).clamp(min=1e-6).half().float()
    return scale, (-low / scale).round().clamp(0, 2**bits - 1)


def rounded(weight: Tensor, scale: Tensor, zero: Tensor, bits: int) -> Tensor:
    return (weight / scale + zero).round().clamp(0, 2**bits - 1)


def nearest(weight: Tensor, bits: int, symmetric: bool) -> Quantised:
    """Round to nearest. weight [out, in]."""
    groups = weight.float().view(weight.shape[0], -1, GROUP)
    scale, zero = steps(groups, bits, symmetric)
    values = rounded(groups, scale.unsqueeze(-1), zero.unsqueeze(-1), bits)
    return Quantised(values.view_as(weight), scale, zero, bits)


def gptq(weight: Tensor, moments: Tensor, bits: int) -> Quantised:
    """weight [out, in], moments [in, in]: sum of x x' over the calibration's inputs."""
    left, moments = weight.float().clone(), moments.double().clone()
    dead = moments.diagonal() == 0
    moments[dead, dead] = 1.0
    left[:, dead] = 0.0
    moments.diagonal().add_(DAMP * moments.diagonal().mean())
    upper = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(moments)), upper=True).float()
    values, scales, zeros = torch.empty_like(left), [], []
    for start in range(0, left.shape[1], GROUP):
        block, around = left[:, start : start + GROUP], upper[start : start + GROUP, start : start + GROUP]
        lost = torch.empty_like(block)
        scale, zero = steps(block, bits, symmetric=True)
        for column in range(GROUP):
            now = block[:, column]
            value = rounded(now, scale, zero, bits)
            values[:, start + column] = value
            lost[:, column] = (now - (value - zero) * scale) / around[column, column]
            block[:, column:] -= lost[:, column : column + 1] * around[column, column:]
        left[:, start + GROUP :] -= lost @ upper[start : start + GROUP, start + GROUP :]
        scales.append(scale)
        zeros.append(zero)
    return Quantised(values, torch.stack(scales, 1), torch.stack(zeros, 1), bits)


def output_error(weight: Tensor, kept: Tensor, moments: Tensor) -> float:
    lost = weight.float() - kept.float()
    return float(((lost @ moments.float()) * lost).sum())


def awq_scale(weights: Sequence[Tensor], magnitudes: Tensor, moments: Tensor, bits: int = 4) -> Tensor:
    """Factors [in] for the columns of layers that share an input: the exponent of the mean magnitudes with which their
    outputs, rounded to nearest, lose least."""
    best, found = float("inf"), torch.ones_like(magnitudes)
    for exponent in torch.linspace(0, 1, 21).tolist():
        factor = magnitudes.clamp(min=1e-4) ** exponent
        factor = factor / (factor.max() * factor.min()).sqrt()
        error = sum(
            output_error(weight, nearest(weight.float() * factor, bits, symmetric=False).weight() / factor, moments)
            for weight in weights
        )
        if error < best:
            best, found = error, factor
    return found


def packed(values: Tensor, bits: int, order: Sequence[int] | None = None) -> Tensor:
    """Whole numbers [rows, columns] as int32 words [rows, columns * bits / 32], lowest bits first."""
    each = 32 // bits
    parts = values.to(torch.int64).reshape(values.shape[0], -1, each)
    if order:
        parts = parts[:, :, list(order)]
    words = (parts << torch.arange(0, 32, bits, device=values.device)).sum(-1)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32).contiguous()


def awq_tensors(layer: Quantised) -> dict[str, Tensor]:
    """AWQ's layout: words along the outputs, [in, out / 8]."""
    return {"qweight": packed(layer.values.mT, 4, AWQ_ORDER), "qzeros": packed(layer.zero.mT, 4, AWQ_ORDER),
            "scales": layer.scale.mT.half().contiguous()}  # fmt: skip


def gptq_tensors(layer: Quantised) -> dict[str, Tensor]:
    """GPTQ's layout: words along the inputs, [in * bits / 32, out]; its zeros are kept less one."""
    columns = layer.values.shape[1]
    return {"qweight": packed(layer.values, layer.bits).mT.contiguous(),
            "qzeros": packed(layer.zero.mT - 1, layer.bits), "scales": layer.scale.mT.half().contiguous(),
            "g_idx": (torch.arange(columns, device=layer.values.device) // GROUP).int()}  # fmt: skip


def config(method: str, bits: int) -> Mapping[str, object]:
    """`quantization_config` of a checkpoint."""
    if method == "awq":
        return {"quant_method": "awq", "bits": bits, "group_size": GROUP, "zero_point": True, "version": "gemm"}
    return {"quant_method": "gptq", "bits": bits, "group_size": GROUP, "desc_act": False, "sym": True,
            "lm_head": False}  # fmt: skip

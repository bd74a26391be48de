"""Our norms with the signatures of vLLM's IR operators. vLLM compares the annotations themselves with its own, so they
are no strings here, and hashes this file into its compile cache."""

import torch
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> Tensor:
    """See reference.rms_norm; `variance_size` is None wherever vLLM chooses this one."""
    return torch.ops.fullbore.rms_norm(x, weight, epsilon)


def fused_add_rms_norm(
    x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """See reference.add_rms_norm; `variance_size` is None wherever vLLM chooses this one."""
    return torch.ops.fullbore.add_rms_norm(x, x_residual, weight, epsilon)

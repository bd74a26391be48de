"""Puts the kernels that won into vLLM, through its plugin entry point `vllm.general_plugins`.

`register` does nothing unless FULLBORE_KERNELS, which the launcher sets, names a table of this accelerator. What it
then adds, for vLLM 0.24:

- a provider `fullbore` of vLLM's IR operators `rms_norm` and `fused_add_rms_norm`, for the widths at which it may stand
  for every batch; vLLM uses it when `--kernel-config` gives it priority (`tune/kernels.py`);
- `SiluAndMul` out of tree (`CustomOp.register_oot`), likewise;
- the linear layers of 16 bits, at the shapes and batches that won; the other batches go on to cuBLAS;
- the linear layers of FP8, likewise; the other batches are quantised and go on to CUTLASS, as vLLM has it.

Measured and not put in, for the reasons in docs/kernels.md: the norm that quantises, rotary embedding with the write to
the cache, and the layers of INT4 and INT8.

Each is an operator that torch.compile does not look into and that picks by the batch when it runs, because one compiled
graph serves all batches.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fullbore_runtime import check
from fullbore_runtime.kernels.table import DTYPE, ENVIRONMENT, LINEAR, PROVIDER, Table, TableError, load

if TYPE_CHECKING:
    from torch import Tensor


def register() -> None:
    """The entry point. Every vLLM process calls it, some more than once."""
    finding = os.environ.get(check.ENVIRONMENT)
    if finding:
        wait_for_shards(finding)
    path = os.environ.get(ENVIRONMENT)
    if path:
        install(path)


@cache
def wait_for_shards(finding: str) -> None:
    """Nothing is loaded before the shards were checked; a shard that is not what it should be ends the engine."""
    from vllm.model_executor.model_loader.base_loader import BaseModelLoader

    load = BaseModelLoader.load_model

    def load_model(*given: Any, **named: Any) -> Any:
        check.wait(Path(finding))
        return load(*given, **named)

    BaseModelLoader.load_model = load_model


@cache
def install(path: str) -> None:
    """Registers what the table at `path` allows. A table that cannot be used here is a warning: vLLM has kernels."""
    import torch
    from vllm.logger import init_logger
    from vllm.platforms import current_platform

    logger = init_logger("vllm.fullbore")
    try:
        table = load(Path(path), current_platform.get_device_name())
    except TableError as error:
        logger.warning("kernels of Fullbore stay out: %s", error)
        return
    library = torch.library.Library("fullbore", "FRAGMENT")
    _KEPT.append(library)
    replace_norms(library, table)
    replace_silu(library, table)
    replace_linear(library, table)
    replace_fp8_linear(library, table)
    logger.info("kernels of Fullbore: %s (%s)", path, table.digest[:12])


_KEPT: list[object] = []
"""An operator lives as long as its Library is referred to."""


def define(library: Any, schema: str, run: Callable[..., Any], fake: Callable[..., Any]) -> None:
    """An operator on GPUs. `fake` gives the shapes of its results."""
    name = schema.split("(", 1)[0]
    library.define(schema)
    library.impl(name, run, dispatch_key="CUDA")
    library._register_fake(name, fake)


def replace_norms(library: Any, table: Table) -> None:
    import torch
    import vllm.kernels  # noqa: F401  vLLM's own providers come first
    from vllm import ir

    from fullbore_runtime.kernels import norm, providers

    def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        config = table.config("rms_norm", DTYPE, (x.shape[-1],), rows.shape[0])
        return norm.rms_norm(rows, weight, epsilon, **config).view(x.shape)

    def add_rms_norm(x: Tensor, residual: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
        rows, before = x.reshape(-1, x.shape[-1]), residual.reshape(-1, x.shape[-1])
        config = table.config("add_rms_norm", DTYPE, (x.shape[-1],), rows.shape[0])
        out, added = norm.add_rms_norm(rows, before, weight, epsilon, **config)
        return out.view(x.shape), added.view(x.shape)

    def two_like(x: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        return x.new_empty(x.shape), x.new_empty(x.shape)

    one, two = "Tensor x, Tensor weight, float epsilon", "Tensor x, Tensor residual, Tensor weight, float epsilon"
    define(library, f"rms_norm({one}) -> Tensor", rms_norm, lambda x, *_: x.new_empty(x.shape))
    define(library, f"add_rms_norm({two}) -> (Tensor, Tensor)", add_rms_norm, two_like)

    def fits(op: str, x: Tensor, weight: Tensor | None, variance_size: int | None) -> bool:
        plain = variance_size is None and weight is not None and weight.dtype == x.dtype == torch.float16
        return plain and table.replaces(op, DTYPE, (int(x.shape[-1]),))

    ir.ops.rms_norm.register_impl(
        PROVIDER,
        supports_args=lambda x, weight, epsilon, variance_size=None: fits("rms_norm", x, weight, variance_size),
    )(providers.rms_norm)
    ir.ops.fused_add_rms_norm.register_impl(
        PROVIDER,
        supports_args=lambda x, x_residual, weight, epsilon, variance_size=None: fits(
            "add_rms_norm", x, weight, variance_size
        ),
    )(providers.fused_add_rms_norm)


def replace_silu(library: Any, table: Table) -> None:
    import torch
    from vllm.model_executor.layers.activation import SiluAndMul

    from fullbore_runtime.kernels import activation

    def silu_mul(x: Tensor) -> Tensor:
        rows, width = x.reshape(-1, x.shape[-1]).contiguous(), x.shape[-1] // 2
        out = activation.silu_mul(rows, **table.config("silu_mul", DTYPE, (width,), rows.shape[0]))
        return out.view(*x.shape[:-1], width)

    define(library, "silu_mul(Tensor x) -> Tensor", silu_mul, lambda x: x.new_empty((*x.shape[:-1], x.shape[-1] // 2)))
    widths = frozenset(
        shape[0] for shape in table.shapes("silu_mul", DTYPE) if table.replaces("silu_mul", DTYPE, shape)
    )
    stock = SiluAndMul.forward_native

    @SiluAndMul.register_oot
    class FullboreSiluAndMul(SiluAndMul):
        def forward_native(self, x: Tensor) -> Tensor:
            if x.shape[-1] // 2 in widths and x.dtype == torch.float16:
                return torch.ops.fullbore.silu_mul(x)
            return stock(x)

        forward_cuda = forward_native


def replace_linear(library: Any, table: Table) -> None:
    import torch
    from torch.nn.functional import linear as cublas
    from vllm.model_executor.layers import utils

    from fullbore_runtime.kernels import gemv

    shapes = frozenset(table.shapes("linear", DTYPE)) if table.linear_tokens else frozenset[tuple[int, ...]]()

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        tokens = x.numel() // x.shape[-1]
        config = table.choice("linear", DTYPE, tuple(weight.shape), tokens)
        if config is None:
            return cublas(x, weight, bias)
        out = gemv.linear(x.reshape(tokens, x.shape[-1]).contiguous(), weight, **config)
        return (out if bias is None else out + bias).view(*x.shape[:-1], weight.shape[0])

    define(
        library,
        "linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor",
        linear,
        lambda x, weight, bias: x.new_empty((*x.shape[:-1], weight.shape[0])),
    )
    stock = utils.default_unquantized_gemm

    def unquantised(layer: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if weight.dtype == x.dtype == torch.float16 and weight.is_contiguous() and tuple(weight.shape) in shapes:
            return torch.ops.fullbore.linear(x, weight, bias)
        return stock(layer, x, weight, bias)

    # vLLM has no hook for unquantised layers, but asks for this function by its name in this module at each call.
    utils.default_unquantized_gemm = unquantised


def replace_fp8_linear(library: Any, table: Table) -> None:
    import torch
    from vllm import _custom_ops as ops
    from vllm.model_executor.kernels.linear import CutlassFP8ScaledMMLinearKernel

    from fullbore_runtime.kernels import gemv

    op = "linear_fp8"
    reach = table.reach.get(LINEAR[op])
    shapes = frozenset(table.shapes(op, DTYPE)) if reach and reach.tokens else frozenset[tuple[int, ...]]()

    def linear(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
        """x [..., in] times weight [in, out], which lies column by column as vLLM keeps it for CUTLASS."""
        rows = x.reshape(-1, x.shape[-1])
        config = table.choice(op, DTYPE, (weight.shape[1], weight.shape[0]), rows.shape[0])
        if config is None:
            values, scales = ops.scaled_fp8_quant(rows, use_per_token_if_dynamic=True)
            out = ops.cutlass_scaled_mm(values, weight, out_dtype=x.dtype, scale_a=scales, scale_b=scale, bias=bias)
        else:
            out = gemv.linear(rows.contiguous(), weight.t(), scale=scale, **config)
            out = out if bias is None else out + bias
        return out.view(*x.shape[:-1], weight.shape[1])

    define(
        library,
        f"{op}(Tensor x, Tensor weight, Tensor scale, Tensor? bias) -> Tensor",
        linear,
        lambda x, weight, scale, bias: x.new_empty((*x.shape[:-1], weight.shape[1])),
    )
    stock = CutlassFP8ScaledMMLinearKernel.apply_weights

    def apply_weights(self: Any, layer: Any, x: Any, bias: Tensor | None = None) -> Tensor:
        weight, scale, input_scale, upper = self._get_layer_params(layer)
        plain = isinstance(x, torch.Tensor) and x.dtype == torch.float16 and input_scale is None and upper is None
        if plain and (weight.shape[1], weight.shape[0]) in shapes and weight.t().is_contiguous():
            return torch.ops.fullbore.linear_fp8(x, weight, scale, bias)
        return stock(self, layer, x, bias)

    # vLLM has no hook for one of its kernel classes; every FP8 layer on CUDA without FlashInfer asks this one.
    CutlassFP8ScaledMMLinearKernel.apply_weights = apply_weights

"""A decoder-only transformer in numpy: RMSNorm, rotary positions, grouped-query attention with a KV cache, SwiGLU.

Sequences are run one by one, never batched into one matrix product: the sum of a product depends on the shapes that
go into it, and the answer at temperature 0 must not depend on who else asks at that moment.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fullbore_runtime.manifest import Shape
from fullbore_runtime.tokenizer import SPEAKABLE
from fullbore_runtime.weights import Tensor

PREFILL_CHUNK = 128
"""Tokens of a prompt that one step takes in; fixed, so that a prompt always goes through the same products."""
EPSILON = 1e-5


class KvCache:
    """Keys and values of one sequence: (layers, kv_heads, capacity, head_width) each.

    The memory is reserved at once and becomes resident as tokens are written.
    """

    def __init__(self, shape: Shape, capacity: int) -> None:
        size = (shape.layers, shape.kv_heads, capacity, shape.head_width)
        self.keys = np.empty(size, np.float32)
        self.values = np.empty(size, np.float32)
        self.length = 0


class Model:
    """Weights ready to run."""

    def __init__(self, shape: Shape, tensors: Mapping[str, Tensor]) -> None:
        self.shape = shape
        self.tensors = tensors
        self.cosine, self.sine = rotary_tables(shape)

    def cache(self, capacity: int) -> KvCache:
        return KvCache(self.shape, capacity)

    def forward(self, tokens: list[int], cache: KvCache) -> Tensor:
        """Run (n,) tokens after those in the cache; returns the logits (vocabulary,) after the last of them."""
        start, stop = cache.length, cache.length + len(tokens)
        x = self.tensors["embedding"][tokens]
        for layer in range(self.shape.layers):
            x = x + self.attention(layer, x, cache, start, stop)
            x = x + self.mlp(layer, x)
        cache.length = stop
        return rms_norm(x[-1], self.tensors["norm"]) @ self.tensors["head"]

    def attention(self, layer: int, x: Tensor, cache: KvCache, start: int, stop: int) -> Tensor:
        """Causal attention of tokens start..stop over 0..stop; x is (n, width)."""
        shape, n = self.shape, stop - start
        group = shape.heads // shape.kv_heads
        qkv = rms_norm(x, self.tensors[f"layers.{layer}.attention_norm"]) @ self.tensors[f"layers.{layer}.qkv"]
        heads = qkv.reshape(n, shape.heads + 2 * shape.kv_heads, shape.head_width).transpose(1, 0, 2)
        queries = self.rotate(heads[: shape.heads], start, stop)
        cache.keys[layer, :, start:stop] = self.rotate(heads[shape.heads : -shape.kv_heads], start, stop)
        cache.values[layer, :, start:stop] = heads[-shape.kv_heads :]
        keys, values = cache.keys[layer, :, :stop], cache.values[layer, :, :stop]
        # Heads of one group share their keys: they become further rows of one product.
        grouped = queries.reshape(shape.kv_heads, group * n, shape.head_width)
        scores = grouped @ keys.transpose(0, 2, 1) * np.float32(shape.head_width**-0.5)
        if n > 1:
            hidden = np.arange(stop)[None, :] > np.arange(start, stop)[:, None]
            scores = np.where(np.tile(hidden, (group, 1))[None], np.float32(-np.inf), scores)
        mixed = softmax(scores) @ values
        joined = mixed.reshape(shape.heads, n, shape.head_width).transpose(1, 0, 2).reshape(n, shape.width)
        return joined @ self.tensors[f"layers.{layer}.attention_out"]

    def mlp(self, layer: int, x: Tensor) -> Tensor:
        both = rms_norm(x, self.tensors[f"layers.{layer}.mlp_norm"]) @ self.tensors[f"layers.{layer}.gate_up"]
        gate, up = both[:, : self.shape.hidden], both[:, self.shape.hidden :]
        return (gate / (1 + np.exp(-gate)) * up) @ self.tensors[f"layers.{layer}.down"]

    def rotate(self, heads: Tensor, start: int, stop: int) -> Tensor:
        """Rotary positions start..stop on (heads, n, head_width), halves as the two coordinates."""
        half = self.shape.head_width // 2
        a, b = heads[..., :half], heads[..., half:]
        cosine, sine = self.cosine[start:stop], self.sine[start:stop]
        return np.concatenate((a * cosine - b * sine, a * sine + b * cosine), axis=-1)


def rotary_tables(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines (positions, head_width / 2)."""
    rates = shape.rope_base ** (-np.arange(0, shape.head_width, 2) / shape.head_width)
    angles = np.arange(shape.positions)[:, None] * rates[None, :]
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(EPSILON)) * weight


def softmax(x: Tensor) -> Tensor:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


_SILENT = np.ones(Shape().vocabulary, bool)
_SILENT[list(SPEAKABLE)] = False


def sample(logits: Tensor, temperature: float, top_p: float, source: np.random.Generator) -> int:
    """One token: the likeliest at temperature 0, else drawn from the smallest set that holds `top_p` of the mass."""
    logits = np.where(_SILENT, np.float32(-np.inf), logits)
    if temperature == 0:
        return int(logits.argmax())
    odds = softmax(logits.astype(np.float64) / temperature)
    order = np.argsort(-odds)
    mass = np.cumsum(odds[order])
    kept = order[: int(np.searchsorted(mass, top_p * mass[-1])) + 1]
    return int(source.choice(kept, p=odds[kept] / odds[kept].sum()))

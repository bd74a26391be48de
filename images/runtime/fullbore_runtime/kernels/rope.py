"""Rotary embedding of queries and keys, and the write of keys and values to the paged KV cache, in one launch."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _rope_kernel(
    q,
    k,
    v,
    positions,
    cos_sin,
    slots,
    k_cache,
    v_cache,
    q_stride,
    k_stride,
    v_stride,
    block_stride,
    slot_stride,
    block_size,
    Q_HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    HALF: tl.constexpr,
    HEADS: tl.constexpr,
):
    """One program takes HEADS heads of one token: of the queries first, then of the keys with their values."""
    token = tl.program_id(0).to(tl.int64)
    heads = tl.program_id(1) * HEADS + tl.arange(0, HEADS)[:, None]
    pairs = tl.arange(0, HALF)[None, :]
    position = tl.load(positions + token)
    cosine = tl.load(cos_sin + position * 2 * HALF + pairs).to(tl.float32)
    sine = tl.load(cos_sin + position * 2 * HALF + HALF + pairs).to(tl.float32)

    is_key = heads >= Q_HEADS
    key_head = heads - Q_HEADS
    inside = heads < Q_HEADS + KV_HEADS
    query_at = q + token * q_stride + heads * 2 * HALF + pairs
    key_at = k + token * k_stride + key_head * 2 * HALF + pairs
    at = tl.where(is_key, key_at, query_at)
    first = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(at + HALF, mask=inside, other=0.0).to(tl.float32)
    kind = q.dtype.element_ty
    rotated_first = (first * cosine - second * sine).to(kind)
    rotated_second = (second * cosine + first * sine).to(kind)
    tl.store(at, rotated_first, mask=inside)
    tl.store(at + HALF, rotated_second, mask=inside)

    slot = tl.load(slots + token)
    written = is_key & inside & (slot >= 0)
    into = (slot // block_size) * block_stride + (slot % block_size) * slot_stride + key_head * 2 * HALF + pairs
    tl.store(k_cache + into, rotated_first, mask=written)
    tl.store(k_cache + into + HALF, rotated_second, mask=written)
    value_at = v + token * v_stride + key_head * 2 * HALF + pairs
    tl.store(v_cache + into, tl.load(value_at, mask=written), mask=written)
    tl.store(v_cache + into + HALF, tl.load(value_at + HALF, mask=written), mask=written)


def rope_and_write(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    positions: Tensor,
    cos_sin: Tensor,
    slots: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    heads: int = 8,
    warps: int = 4,
) -> None:
    """Rotates q [tokens, q_heads, size] and k [tokens, kv_heads, size] in place (NeoX pairing, the whole head) and
    writes k and v to the caches [blocks, block, kv_heads, size], which share their strides. Tokens of q, k and v may
    lie apart; a slot below 0 is not written. `size` is a power of two, and the caches have the type of q."""
    tokens, q_heads, size = q.shape
    kv_heads = k.shape[1]
    if tokens == 0:
        return
    _rope_kernel[(tokens, triton.cdiv(q_heads + kv_heads, heads))](
        q,
        k,
        v,
        positions,
        cos_sin,
        slots,
        k_cache,
        v_cache,
        q.stride(0),
        k.stride(0),
        v.stride(0),
        k_cache.stride(0),
        k_cache.stride(1),
        k_cache.shape[1],
        Q_HEADS=q_heads,
        KV_HEADS=kv_heads,
        HALF=size // 2,
        HEADS=heads,
        num_warps=warps,
    )

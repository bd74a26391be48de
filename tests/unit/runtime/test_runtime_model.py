"""The model: the cached forward pass against a plain one, written apart from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore_runtime import weights
from fullbore_runtime.manifest import Shape
from fullbore_runtime.model import PREFILL_CHUNK, Model, sample
from fullbore_runtime.tokenizer import SPEAKABLE, chat, plain


def reference_logits(model: Model, tokens: list[int]) -> np.ndarray:
    """Logits after the last token: float64, no cache, no chunks, one head at a time, rotation as complex numbers."""
    shape, t = model.shape, {name: value.astype(np.float64) for name, value in model.tensors.items()}
    x, n, d = t["embedding"][tokens], len(tokens), model.shape.head_width
    rates = shape.rope_base ** (-2 * np.arange(d // 2) / d)
    turn = np.exp(1j * np.arange(n)[:, None] * rates[None, :])
    norm = lambda v, w: v / np.sqrt((v**2).mean(-1, keepdims=True) + 1e-5) * w  # noqa: E731

    def rotated(head: np.ndarray) -> np.ndarray:
        z = (head[:, : d // 2] + 1j * head[:, d // 2 :]) * turn
        return np.concatenate([z.real, z.imag], axis=1)

    for i in range(shape.layers):
        qkv = norm(x, t[f"layers.{i}.attention_norm"]) @ t[f"layers.{i}.qkv"]
        parts = [qkv[:, j * d : (j + 1) * d] for j in range(shape.heads + 2 * shape.kv_heads)]
        outs = []
        for h in range(shape.heads):
            kv = h // (shape.heads // shape.kv_heads)
            q, k = rotated(parts[h]), rotated(parts[shape.heads + kv])
            scores = q @ k.T / np.sqrt(d) + np.triu(np.full((n, n), -np.inf), 1)
            odds = np.exp(scores - scores.max(-1, keepdims=True))
            outs.append(odds / odds.sum(-1, keepdims=True) @ parts[shape.heads + shape.kv_heads + kv])
        x = x + np.concatenate(outs, axis=1) @ t[f"layers.{i}.attention_out"]
        both = norm(x, t[f"layers.{i}.mlp_norm"]) @ t[f"layers.{i}.gate_up"]
        gate, up = both[:, : shape.hidden], both[:, shape.hidden :]
        x = x + (gate / (1 + np.exp(-gate)) * up) @ t[f"layers.{i}.down"]
    return norm(x, t["norm"])[-1] @ t["head"]


def greedy_reference(model: Model, prompt: list[int], count: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(count):
        logits = reference_logits(model, tokens)
        tokens.append(max(SPEAKABLE, key=lambda token: logits[token]))
    return tokens[len(prompt) :]


def greedy_cached(model: Model, prompt: list[int], count: int) -> list[int]:
    cache, out, logits = model.cache(len(prompt) + count), [], np.empty(0)
    for start in range(0, len(prompt), PREFILL_CHUNK):
        logits = model.forward(prompt[start : start + PREFILL_CHUNK], cache)
    for _ in range(count):
        out.append(sample(logits, 0, 1, np.random.default_rng(0)))
        logits = model.forward([out[-1]], cache)
    return out


@pytest.mark.parametrize("text", ["", "hello", "größer als 1\n", "x" * (PREFILL_CHUNK - 1), "a long prompt " * 20])
def test_greedy_generation_equals_the_uncached_reference(model: Model, text: str) -> None:
    assert greedy_cached(model, plain(text).last(512), 12) == greedy_reference(model, plain(text).last(512), 12)


def test_logits_do_not_depend_on_how_a_prompt_is_cut(model: Model) -> None:
    tokens = plain("the same prompt, in one piece or token by token").last(512)
    whole, single = model.cache(len(tokens)), model.cache(len(tokens))
    at_once = model.forward(tokens, whole)
    *_, one_by_one = [model.forward([token], single) for token in tokens]
    np.testing.assert_allclose(at_once, one_by_one, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(at_once, reference_logits(model, tokens), rtol=1e-3, atol=1e-3)


def test_every_position_counts(model: Model) -> None:
    first, second = plain("ab").last(3), plain("ba").last(3)
    assert not np.allclose(model.forward(first, model.cache(3)), model.forward(second, model.cache(3)), atol=1e-3)


@given(
    logits=st.integers(0, 2**32 - 1),
    spread=st.floats(0, 100),
    temperature=st.floats(1e-5, 2),
    top_p=st.floats(0, 1, exclude_min=True),
    seed=st.integers(0, 2**32),
)
def test_a_sampled_token_is_speakable_and_repeats_with_its_seed(
    logits: int, spread: float, temperature: float, top_p: float, seed: int
) -> None:
    values = (np.random.RandomState(logits).standard_normal(264) * spread).astype(np.float32)
    token = sample(values, temperature, top_p, np.random.default_rng(seed))
    assert token in SPEAKABLE
    assert token == sample(values, temperature, top_p, np.random.default_rng(seed))


def test_a_small_top_p_leaves_the_likeliest_only() -> None:
    logits = np.zeros(264, np.float32)
    logits[65] = 3
    drawn = {sample(logits, 1.0, 1e-6, np.random.default_rng(seed)) for seed in range(50)}
    assert drawn == {65}
    assert len({sample(logits, 1.0, 1.0, np.random.default_rng(seed)) for seed in range(50)}) > 5


def test_the_same_seed_makes_the_same_weights_and_another_seed_others() -> None:
    shape = Shape(width=16, layers=1, heads=2, kv_heads=1, hidden=16)
    a, b, c = (weights.random_tensors(shape, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(a["head"], c["head"])


def test_a_conversation_ends_where_the_assistant_speaks() -> None:
    tokens = chat([("system", "be brief"), ("user", "hé")]).last(512)
    assert tokens == [256, 258, *b"be brief", 257, 259, *"hé".encode(), 257, 260]


@pytest.mark.parametrize("count", [1, 2, 5, 9, 100])
def test_the_end_of_a_prompt_is_that_of_all_its_tokens(count: int) -> None:
    prompt = chat([("user", "hé"), ("assistant", "")])
    whole = prompt.last(100)
    assert len(whole) == len(prompt) == 9
    assert prompt.last(count) == whole[-count:]

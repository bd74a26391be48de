"""Which weights a quantised checkpoint keeps in 16 bits: from names of modules and patterns to parts of a layer.

Names are those of transformers' modules. Patterns (`re:`) come in a file that anyone may have written, so they are not
run: their words are looked up, and what is not understood keeps everything. So no weight is counted as too small.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MARK = "re:"
"""What a pattern of compressed-tensors and vLLM begins with; without it, it is the name of a module."""
MOST_ALTERNATIVES = 64
_ATTENTION = frozenset({"attention"})
_BLOCK = frozenset({"feed-forward", "experts", "shared experts"})
EVERYTHING = _ATTENTION | _BLOCK
"""Kinds of parts whose weights are quantised."""
_KINDS = {
    **dict.fromkeys(("self_attn", "attn", "attention", "q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj"), _ATTENTION),
    **dict.fromkeys(("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"), _ATTENTION),
    **dict.fromkeys(("mlp", "feed_forward", "block_sparse_moe", "gate_proj", "up_proj", "down_proj"), _BLOCK),
    **dict.fromkeys(("gate_up_proj", "w1", "w2", "w3"), _BLOCK),
    "experts": frozenset({"experts", "shared experts"}),  # a pattern finds it within `shared_experts`, too
    "shared_experts": frozenset({"shared experts"}),
}
_DENSE = re.compile(r"(?<!\w)mlp/(?:gate|up|gate_up|down)_proj")
"""A matrix of a dense block: those of experts lie at mlp/experts/N/, of shared ones at mlp/shared_experts/."""
_NEVER = re.compile(r"lm_head|embed|router|norm|gate(?:/|\$|$)")
"""Modules that are counted in 16 bits whatever a file says: ends of a model, its norms, and what picks experts."""
_GROUP = re.compile(r"\((?:\?:)?([^()]*)\)")
_WILD = re.compile(r"\.[*+]|\\d\+?|\[0-9\]\+?|\^")
_LAYER = re.compile(r"layers/(\d{1,6})(/|\$| |$)")
_PLAIN = re.compile(r"[\w/.$ -]*", re.ASCII)


def kept_layers(names: Iterable[str], layers: int, dense: int) -> tuple[tuple[str, ...], dict[str, int]]:
    """The names that keep weights which are quantised otherwise, and {kind: layers of it that they keep, at most}.

    The first `dense` of `layers` have one feed-forward block, the others experts.
    """
    own = {"feed-forward": range(dense), "experts": range(dense, layers), "shared experts": range(dense, layers)}
    sets, telling = dict[str, set[int]](), list[str]()
    for name in names:
        for kind, where in ((kind, where) for kinds, where in _kept(name, layers) for kind in sorted(kinds)):
            there = where.intersection(own.get(kind, range(layers)))
            sets.setdefault(kind, set()).update(there)
            telling += [name] if there and name not in telling[-1:] else []
    return tuple(telling), {kind: len(each) for kind, each in sorted(sets.items()) if each}


def _kept(name: str, layers: int) -> Iterator[tuple[frozenset[str], set[int]]]:
    """Kinds, and the layers that keep them, of each alternative of a name or pattern."""
    everywhere = set(range(layers))
    if not name.startswith(MARK):
        yield _module(name.replace(".", "/"), everywhere)
        return
    alternatives = _alternatives(name.removeprefix(MARK).replace("\\.", "/"))
    for text in alternatives or ("?",):
        plain = _WILD.sub(" ", text)
        yield _module(plain, everywhere) if _PLAIN.fullmatch(plain) else (EVERYTHING, everywhere)


def _alternatives(text: str) -> list[str]:
    """A pattern without its groups, one for each choice; none where there are too many, or where a group repeats."""
    todo, done = [text], list[str]()
    while todo and len(todo) + len(done) <= MOST_ALTERNATIVES:
        one = todo.pop()
        group = _GROUP.search(one)
        if group is None:
            done += one.split("|")
        elif one[group.end() : group.end() + 1] in ("?", "*", "+", "{"):
            return []
        else:
            todo += [one[: group.start()] + choice + one[group.end() :] for choice in group[1].split("|")]
    return [] if todo or len(done) > MOST_ALTERNATIVES else done


def _module(text: str, everywhere: set[int]) -> tuple[frozenset[str], set[int]]:
    """What a path of modules means, its parts apart by `/`; a word that is not known narrows nothing."""
    if _NEVER.search(text):
        return frozenset(), set()
    kinds = frozenset({"feed-forward"}) if _DENSE.search(text) else EVERYTHING
    for word in re.findall(r"\w+", text, re.ASCII):
        kinds &= _KINDS.get(word, EVERYTHING)
    layer = _LAYER.search(text)
    if layer is None:
        return kinds, everywhere
    whole = layer[2] in ("/", "$")
    return kinds, {at for at in everywhere if (str(at) == layer[1] if whole else str(at).startswith(layer[1]))}

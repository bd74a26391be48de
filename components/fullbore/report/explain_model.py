"""What an explanation tells of the model: what a GPU holds of it, its layouts, and the rules of thumb. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore.config.models import Environment
from fullbore.plan.fit import Aim, Candidate, Fit, active_parameters, parameters
from fullbore.plan.model import Plan
from fullbore.plan.pools import Pool, alternatives, fits, layout_of, model_of, planned_layouts, serving_pools
from fullbore.plan.thumb import rules_of_thumb
from fullbore.plan.tiers import Tier, tiers
from fullbore.report.section import Row, Section, Value


def model_section(env: Environment, plan: Plan) -> Section:
    serving, model, layout = env.serving, model_of(env.serving), layout_of(env)
    if serving is None or model is None or layout is None:
        return Section(title="model", rows=())
    row: Row = {
        "model": model.name,
        "parameters (10^9)": round(parameters(model) / 1e9, 2),
        "a token uses (10^9)": round(active_parameters(model) / 1e9, 2),
        "attention": model.attention,
        "precision": serving.precision,
        "layout": str(layout),
        "GPUs a replica": layout.gpus,
        "replicas": serving.replicas,
        "standby replicas": plan.standby.serving.replicas if plan.standby else 0,
    }
    chosen = _chosen(env) if serving.tensor_parallel else f"chosen for {serving.optimise}"
    return Section(title="model", rows=(row,), note=f"shapes from {model.source}; layout {chosen}")


def fit_section(env: Environment, plan: Plan) -> Section:
    rows = tuple(_fit_row(pool, fit) for pool, fit in fits(env))
    note = "of the fullest GPU; the engine's share of its memory less what it holds is KV cache; see docs/fit.md"
    return Section(title="fit of one GPU", rows=rows, note=note)


def _fit_row(pool: Pool, fit: Fit) -> Row:
    rank = fit.fullest
    return {
        "where": pool.path,
        "GPU": pool.accelerator.name,
        "HBM (GiB)": round(fit.hbm_gib, 1),
        "usable (GiB)": round(rank.budget_gib, 1),
        "weights (GiB)": round(rank.weights_gib, 1),
        "activations (GiB)": round(rank.activations_gib, 2),
        "NCCL (GiB)": round(rank.collectives_gib, 2),
        "libraries (GiB)": round(rank.libraries_gib, 2),
        "CUDA graphs (GiB)": round(rank.graphs_gib, 2),
        "KV cache (GiB)": round(rank.kv_gib, 1),
        "KV cache a token (KiB)": round(rank.kv_bytes_per_token / 1024, 1),
        "KV tokens of a replica": fit.kv_tokens,
        "KV tokens wanted": fit.wanted_tokens,
        "full sequences": fit.full_sequences,
        "fits": "yes" if fit.full else "in part" if fit.fits else "no",
    }


_SHOWN = 3
"""Layouts that are shown of a kind of GPU, by cost and by latency."""


def layouts_section(env: Environment, plan: Plan) -> Section:
    """The layout of the replicas on each kind of machine that it fits, and the best ones by cost and by latency."""
    kinds = {_kind(pool): pool for pool in serving_pools(env)}
    rows = tuple(
        {
            "machine": f"{pool.gpus_per_machine} x {pool.accelerator.name}",
            "choice": choice,
            "layout": str(candidate.layout),
            **_candidate(candidate),
            "waits for": candidate.speed.bound,
        }
        for pool in kinds.values()
        for choice, candidate in _choices(env, pool)
    )
    note = (
        f"{_chosen(env)}: {_CHOSEN[_chosen(env)]}\n"
        "cost: fewest GPU-hours of a million tokens; latency: least time to the next token; first those with room for "
        "every sequence; a roofline estimate to rank by (plan/fit/latency.py), no promise"
    )
    return Section(title="layouts", rows=rows, note=note)


def _kind(pool: Pool) -> tuple[str, int]:
    return pool.accelerator.name, pool.gpus_per_machine


def _choices(env: Environment, pool: Pool) -> Iterator[tuple[str, Candidate]]:
    for other, candidate in planned_layouts(env):
        if other == pool:
            yield _chosen(env), candidate
    aims: tuple[Aim, ...] = ("cost", "latency")
    for aim in aims:
        for rank, candidate in enumerate(alternatives(env, pool, aim)[:_SHOWN], start=1):
            yield f"{aim} {rank}", candidate


def _chosen(env: Environment) -> str:
    return "as given" if env.serving and env.serving.tensor_parallel else "as chosen"


_CHOSEN = {
    "as given": "what the replicas have",
    "as chosen": "what the replicas have, the best that every kind of machine holds and all replicas have room for",
}


def _candidate(candidate: Candidate) -> dict[str, Value]:
    """What a layout takes and gives; of the sequences asked for, those that have room at full length."""
    return {
        "GPUs": candidate.layout.gpus,
        "sequences": min(candidate.fit.full_sequences, candidate.layout.concurrency),
        "KV tokens": candidate.fit.kv_tokens,
        "ms a token": round(candidate.speed.step_s * 1e3, 1),
        "tokens/s": round(candidate.speed.tokens_per_s),
        "GPU-hours a million": round(candidate.speed.gpu_s_per_token * 1e6 / 3600, 1),
    }


def tiers_section(env: Environment, plan: Plan) -> Section:
    """The model on GPUs that the environment does not have."""
    rows = tuple(_tier(tier) for tier in tiers(env))
    note = "one machine; the planned precision, else one of fewer bits that runs and leaves room; the fewest GPUs"
    return Section(title="the model on every GPU of the catalog", rows=rows, note=note)


def _tier(tier: Tier) -> Row:
    best, machine = tier.best, f"{tier.machine_gpus} x {tier.accelerator}"
    figures = _candidate(best) if best else dict.fromkeys(_FIGURES, "")
    return {
        "machine": machine,
        "precision": best.layout.precision if best else "",
        "layout": str(best.layout) if best else "none fits",
        **{name: figures[name] for name in _FIGURES},
    }


_FIGURES = ("GPUs", "sequences", "KV tokens", "ms a token", "tokens/s")


def thumb_section(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {"rule": rule.text, "says": rule.says, "computed": rule.computed, "verdict": rule.verdict}
        for rule in rules_of_thumb(env)
    )
    return Section(title="rules of thumb", rows=rows, note="published rules against what was computed for this plan")

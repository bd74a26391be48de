"""The layout that every part of the plan goes by, and what the pods are told of it."""

from collections.abc import Callable
from cProfile import Profile
from pathlib import Path
from typing import Any

import pytest
import yaml

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.hub import HubConfigError, model_row
from fullbore.catalog.precisions import PRECISIONS, arithmetic
from fullbore.config import Environment, load_file, parse
from fullbore.config.models import Accelerator, Precision
from fullbore.plan import make_plan
from fullbore.plan.fit import illegal, runs
from fullbore.plan.pools import alternatives, fits, layout_of, model_of, serving_pools, site_pools
from fullbore.plan.thumb import rules_of_thumb
from fullbore.plan.tiers import tiers

ROOT = Path(__file__).parents[3]


def environment(name: str, **serving: object) -> Environment:
    env = load_file(ROOT / "stacks" / f"Pulumi.{name}.yaml")
    assert env.serving
    return env.model_copy(update={"serving": env.serving.model_copy(update=serving)})


@pytest.mark.parametrize("name", ["staging", "prod"])
@pytest.mark.parametrize("tensor", [None, "as given"])
def test_pods_are_told_the_layout_and_the_engine_that_were_planned(name: str, tensor: str | None) -> None:
    env = environment(name) if tensor else environment(name, tensor_parallel=None)
    plan, layout = make_plan(env), layout_of(env)
    assert plan.serving
    assert layout
    document = plan.serving.document
    assert plan.serving.gpus == layout.gpus
    for part in ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel", "kv_precision"):
        assert document[part] == getattr(layout, part)
    (pool,) = site_pools(env)
    assert document["batch_tokens"] == pool.accelerator.batch_tokens
    assert document["accelerator"] == pool.accelerator.name
    assert document["memory_fraction"] == 0.9


def test_pods_are_told_a_context_policy_that_is_not_the_usual_one() -> None:
    told = {policy: make_plan(environment("prod", context_policy=policy)) for policy in ("refuse", "truncate")}
    documents = {policy: plan.serving.document for policy, plan in told.items() if plan.serving}
    assert "context_policy" not in documents["refuse"]
    assert documents["truncate"] == {**documents["refuse"], "context_policy": "truncate"}


def test_a_standby_is_told_the_engine_settings_of_its_own_gpus() -> None:
    env = environment("prod")
    assert env.site
    groups = {
        name: group.model_copy(update={"accelerator": "a100-80"}) if group.kind == "gpu" else group
        for name, group in env.site.groups.items()
    }
    plan = make_plan(env.model_copy(update={"site": env.site.model_copy(update={"groups": groups})}))
    assert plan.serving
    assert plan.standby
    pools = (plan.serving, plan.standby.serving)
    told = [(pool.document["accelerator"], pool.document["batch_tokens"]) for pool in pools]
    assert told == [("a100-80", 2048), ("h200", 8192)]


def test_the_chosen_layout_leaves_room_for_every_replica() -> None:
    """Of two machines of eight GPUs, three replicas of a 70B model can have four GPUs each and not eight."""
    env = environment("staging", tensor_parallel=None, optimise="latency", replicas=3)
    layout = layout_of(env)
    assert layout
    assert layout.gpus <= 4
    assert not [problem for problem in make_plan(env).problems if problem.severity == "error"]


def test_a_part_of_the_layout_can_be_given() -> None:
    layout = layout_of(environment("prod", tensor_parallel=None, pipeline_parallel=2))
    assert layout
    assert (layout.pipeline_parallel, layout.gpus) == (2, 8)


def test_alternatives_are_ranked_by_what_is_asked_for() -> None:
    env = environment("prod")
    (pool,) = site_pools(env)
    cost, latency = alternatives(env, pool, "cost"), alternatives(env, pool, "latency")
    assert {str(candidate.layout) for candidate in cost} == {str(candidate.layout) for candidate in latency}
    assert latency[0].speed.step_s <= cost[0].speed.step_s
    assert len(cost) > 3


def test_equal_groups_are_one_pool() -> None:
    pools = serving_pools(environment("prod"))
    assert [(pool.machines, len(pool.paths), pool.at_site) for pool in pools] == [(8, 2, True), (4, 1, False)]
    assert pools[0].path == "site.groups.gpu-r01 and 1 more"


@pytest.mark.parametrize("tensor", [None, 8])
def test_nodes_that_are_too_small_for_a_replica_refuse_nothing(tensor: int | None) -> None:
    """A group of one L40S beside nodes of eight H200: no pod of eight GPUs lands there."""
    env = environment("prod", tensor_parallel=tensor)
    assert env.cloud
    small = next(iter(env.cloud.node_groups.values())).model_copy(update={"instance_type": "g6e.xlarge"})
    more = {"a-small": small, **env.cloud.node_groups}
    both = env.model_copy(update={"cloud": env.cloud.model_copy(update={"node_groups": more})})
    assert layout_of(both) == layout_of(env)
    assert serving_pools(both) == serving_pools(env)
    assert not [problem for problem in make_plan(both).problems if problem.rule == "model-does-not-fit"]
    alone = env.model_copy(update={"cloud": env.cloud.model_copy(update={"node_groups": {"a-small": small}})})
    assert {problem.rule for problem in make_plan(alone).problems if problem.severity == "error"} == {"standby-no-room"}


def test_every_gpu_and_precision_of_a_stack_file_has_a_row() -> None:
    assert set(Accelerator.__args__) == set(ACCELERATORS)
    assert set(Precision.__args__) == set(PRECISIONS)
    assert all(arithmetic(name, row.tflops) in row.tflops for name in PRECISIONS for row in ACCELERATORS.values())


def test_every_gpu_has_its_figures_and_their_sources() -> None:
    for row in ACCELERATORS.values():
        assert row.source
        assert row.hbm_source
        assert row.hbm_gib > 0
        assert row.nvlink == (row.link_domain > 1)
        assert row.tflops.get("fp16", 0) > row.tflops["fp32"]


def test_a_configuration_tells_every_reason_at_once() -> None:
    config = {"model_type": "deepseek_v3", "num_hidden_layers": 4, "hidden_size": True, "num_attention_heads": 6}
    with pytest.raises(HubConfigError) as error:
        model_row("m", "config.json", config | {"num_key_value_heads": 4, "first_k_dense_replace": 9})
    reasons = " ".join(error.value.reasons)
    for field in ("hidden_size", "kv_lora_rank", "n_routed_experts", "num_key_value_heads", "first_k_dense_replace"):
        assert field in reasons


def test_a_model_of_one_s_own_is_planned_like_one_of_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336,'
        ' "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192}'
    )
    case = ROOT / "tests" / "fixtures" / "plan" / "kv-cache-short"

    values = yaml.safe_load((case / "in.yaml").read_text())
    known = parse(values)
    own = parse(values | {"serving": values["serving"] | {"model": "mine", "hub_config": "config.json"}}, tmp_path)
    assert [result for _, result in fits(own)] == [result for _, result in fits(known)]


def test_the_model_adapts_to_the_gpus_of_each_tier() -> None:
    """A 7B model in bf16: as it is where there are bfloat16 units, in fp16 on V100 and T4, and on more of the small."""
    best = {tier.accelerator: tier.best for tier in tiers(environment("local"))}
    assert set(best) == set(ACCELERATORS)
    split = {name: (found.layout.precision, found.layout.gpus) for name, found in best.items() if found}
    assert split["a100-80"] == ("bf16", 1)
    assert split["v100-32"][0] == split["t4"][0] == "fp16"
    assert split["t4"][1] > split["v100-32"][1] > 1


def test_a_tier_is_told_in_fewer_bits_where_the_planned_do_not_fit() -> None:
    """DeepSeek-R1: fp8 on eight H200 and B200, 4 bits on eight H100 and A100 80 GB, no way on a T4 or V100 machine."""
    best = {tier.accelerator: tier.best for tier in tiers(environment("prod"))}
    precisions = {name: found.layout.precision if found else None for name, found in best.items()}
    assert precisions["h200"] == precisions["b200"] == "fp8"
    assert precisions["h100"] == precisions["a100-80"] == "int4"
    assert precisions["t4"] is precisions["v100-32"] is None


@pytest.mark.parametrize("name", ["local", "staging", "prod"])
def test_every_tier_is_legal_and_runs(name: str) -> None:
    env = environment(name)
    model = model_of(env.serving)
    assert model
    for tier in tiers(env):
        if tier.best:
            assert not illegal(model, tier.best.layout)
            assert tier.best.fit.fits
            assert runs(tier.best.layout.precision, ACCELERATORS[tier.accelerator])
            assert tier.best.layout.gpus <= tier.machine_gpus


def test_what_articles_say_of_speed_is_compared() -> None:
    """57 % less time a token and 2.3 x the tokens, against 82 % and 5.7 x; a millisecond of 15.9 is 6 %."""
    rules = {rule.text: rule for rule in rules_of_thumb(environment("prod"))}
    pipeline = rules["4 pipeline stages instead of 1"]
    assert pipeline.computed.startswith("2.3 x the tokens on 4 x the GPUs, 14.9 ms a token become 6.4")
    assert pipeline.verdict == "looser"
    millisecond = rules["one more millisecond of communication in a step"]
    assert (millisecond.computed, millisecond.verdict) == ("6%, of steps of 14.9 ms", "tighter")


def test_equal_groups_are_compared_once() -> None:
    env = environment("prod")
    assert env.site
    assert sum(group.kind == "gpu" for group in env.site.groups.values()) == 2
    assert [rule.text for rule in rules_of_thumb(env) if rule.text.startswith("CPUs")] == [
        "CPUs of a host, site.groups.gpu-r01 and 1 more"
    ]


def calls(groups: int) -> int:
    """Functions that are called to plan an environment with so many node groups."""
    env = environment("prod")
    assert env.cloud
    group = env.cloud.node_groups["standby"]
    cloud = env.cloud.model_copy(update={"node_groups": {f"standby-{n:03}": group for n in range(groups)}})
    alone = env.model_copy(update={"cloud": cloud, "site": None})
    return sum(entry.callcount for entry in profiled(lambda: make_plan(alone)))


def profiled(call: Callable[[], object]) -> list[Any]:
    profile = Profile()
    profile.runcall(call)
    return profile.getstats()


def test_each_further_node_group_is_the_same_work() -> None:
    calls(1)  # what is remembered is made once
    few, some, many = calls(16), calls(24), calls(32)
    assert many - some < 1.1 * (some - few)

"""Random changes of valid environments, and what must come of each.

A change is seen where it was made: its path is among the problems that came or went, or the plan is another one, or it
is told by what `fullbore explain` shows, or the environment is the same as before in meaning (a default written out, an
entry for what nothing uses). Whatever else happens is a defect, as is an exception.

A model that is given by path has its `config.json` beside the environment's fields, at the key FILE: each change writes
the file and reads it again. What of it decides a model's shape is told in `hub_fields`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from fullbore.config import KEY, ConfigError, Environment, parse
from fullbore.config.fabric import DscpPriority
from fullbore.config.models import Cloud, Quotas, Site
from fullbore.config.paths import dotted
from fullbore.config.yaml_text import read_mapping
from fullbore.plan import Plan, make_plan
from fullbore.plan.capacity import QuotaUse, quota_uses
from fullbore.plan.fabric import host_queues, landings, switch_queues
from fullbore.plan.rolling import needed_machines, spare_machines
from fullbore.problems import Problem
from fullbore.report.explain import Section, explain
from hub_fields import decides

ROOT = Path(__file__).parents[2]
PLAN_FIXTURES = ROOT / "tests/fixtures/plan"
HUB_FIXTURES = ROOT / "tests/fixtures/hub"
NOWHERE = HUB_FIXTURES / "none"
"""A folder that is not there, where environments without a file of their own look for one."""
PRECISIONS_OF = {"deepseek-fp8": "fp8", "qwen3-gptq": "int4", "llama-compressed": "int8"}
"""Of the files that say how their weights are stored."""
FILE = "config.json"
"""The key of a base at which the model's own file stands: as a mapping, or as the file's text where that is no JSON."""
Path_ = tuple[str | int, ...]
STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 64, 2**53, 2**53 + 1, 10**30, 0.5, -0.5, 1e308, float("inf"), float("nan")),
    *("", " ", "x", "0", "no", "1:30", "\0", "\u202e", "é" * 40, "x" * 1025, "[secret]", "../..", "10.0.0.0/8", "::1"),
    *({}, [], [{}], {"": None}, {"secure": "v1:A:B"}, {"a.b": {"c d": 1}}),
)
"""Values that any field may be given by mistake."""
ABOUT_FILES = 0.15
"""Share of the changes that are made in a model's own file."""


@dataclass(frozen=True)
class Change:
    """`kind` is set, remove or rename; `value` is the new value, or the new name of the last key of `path`."""

    base: str
    kind: str
    path: Path_
    value: Any = None

    def document(self) -> dict[str, Any]:
        return {"base": self.base, "kind": self.kind, "path": list(self.path), "value": self.value}


@dataclass(frozen=True)
class Outcome:
    """What an environment comes to; `environment` and `plan` are None where it is refused."""

    environment: Environment | None
    problems: frozenset[Problem]
    plan: Plan | None
    """Without its problems."""

    @cached_property
    def shown(self) -> tuple[Section, ...]:
        """What `fullbore explain` tells."""
        return explain(self.environment, self.plan) if self.environment and self.plan else ()


@cache
def bases() -> dict[str, dict[str, Any]]:
    """Environments without an error, by stack or fixture."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((ROOT / "stacks").glob("Pulumi.*.yaml")):
        found[path.name] = read_mapping(path)["config"][KEY]  # type: ignore[index]
    for folder in sorted(PLAN_FIXTURES.iterdir()):
        problems = yaml.load((folder / "out.yaml").read_text(), Loader=yaml.CSafeLoader)
        if not any(problem["severity"] == "error" for problem in problems):
            found[folder.name] = {**read_mapping(folder / "in.yaml"), **_file(folder / FILE)}
    for path in sorted(HUB_FIXTURES.glob("*.json")):
        found[path.name] = {**_hub_environment(path.stem), **_file(path)}
    return {name: env for name, env in found.items() if outcome_of(env).plan}


def _file(path: Path) -> dict[str, Any]:
    return {FILE: json.loads(path.read_text())} if path.exists() else {}


def _hub_environment(name: str) -> dict[str, Any]:
    """An environment with the model of a file of HUB_FIXTURES."""
    env = read_mapping(HUB_FIXTURES / "in.yaml")
    precision = PRECISIONS_OF.get(name, "bf16")
    serving = env["serving"]
    assert isinstance(serving, dict)
    return {**env, "serving": {**serving, "model": name, "hub_config": FILE, "precision": precision}}


@cache
def bases_with_files() -> tuple[str, ...]:
    return tuple(sorted(name for name, env in bases().items() if FILE in env))


@contextmanager
def laid_out(document: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Path]]:
    """The environment of a base's document, and a folder that holds the file beside it."""
    env = {key: value for key, value in document.items() if key != FILE}
    if FILE not in document:
        yield env, NOWHERE
        return
    with TemporaryDirectory() as folder:
        content = document[FILE]
        text = content if isinstance(content, str) else json.dumps(content)
        Path(folder, FILE).write_text(text, encoding="utf-8")
        yield env, Path(folder)


def parsed(document: Mapping[str, Any]) -> Environment:
    """The environment of a base's document. Raises ConfigError."""
    with laid_out(document) as (env, folder):
        return parse(env, folder)


def outcome_of(document: Mapping[str, Any]) -> Outcome:
    try:
        environment = parsed(document)
    except ConfigError as error:
        return Outcome(None, frozenset(error.problems), None)
    plan = make_plan(environment)
    return Outcome(environment, frozenset(plan.problems), replace(plan, problems=()))


@cache
def base_outcome(name: str) -> Outcome:
    return outcome_of(bases()[name])


@cache
def values_seen() -> dict[str, list[Any]]:
    """Values that each field's name has anywhere in the bases: what a person may write there."""
    seen: dict[str, list[Any]] = {}
    for env in bases().values():
        for path, value in places(env):
            values = seen.setdefault(str(path[-1]) if isinstance(path[-1], str) else "", [])
            if value not in values and len(values) < 40:
                values.append(value)
    return seen


@cache
def schema() -> dict[str, Any]:
    return Environment.model_json_schema(ref_template="{model}")


def fields_at(env_schema: Mapping[str, Any], path: Path_) -> Mapping[str, Any]:
    """Fields that the mapping at `path` may have; none where its keys are free."""
    node: Mapping[str, Any] = env_schema
    for part in path:
        node = _below(_resolved(node), part)
    return _resolved(node).get("properties", {})


def _below(node: Mapping[str, Any], part: str | int) -> Mapping[str, Any]:
    if isinstance(part, int):
        return node.get("items", {})
    patterns = node.get("patternProperties") or {"": node.get("additionalProperties") or {}}
    below = node.get("properties", {}).get(part) or next(iter(patterns.values()))
    return below if isinstance(below, dict) else {}


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    for option in node.get("anyOf", ()):
        if option.get("type") != "null":
            return _resolved(option)
    return schema()["$defs"][node["$ref"]] if "$ref" in node else node


def places(value: Any, before: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every place in a nested value, and what stands there."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*before, key), item
        yield from places(item, (*before, key))


def change_of(seed: int) -> Change:
    """The change that a seed stands for."""
    chance = random.Random(seed)
    if chance.random() < ABOUT_FILES:
        return _change_of_file(chance)
    base = chance.choice(sorted(bases()))
    env = bases()[base]
    if chance.random() < 0.25:
        added = _addition(chance, env)
        if added:
            return Change(base, "set", *added)
    places_here = [(path, value) for path, value in places(env) if path[0] != FILE]
    return _change_at(chance, base, *chance.choice(places_here))


def _change_of_file(chance: random.Random) -> Change:
    """A change in a model's own file: a field added, one that is there changed, or the text cut or replaced."""
    base = chance.choice(bases_with_files())
    content: dict[str, Any] = bases()[base][FILE]
    roll = chance.random()
    if roll < 0.05:
        text = json.dumps(content)
        return Change(base, "set", (FILE,), chance.choice((text[: chance.randrange(len(text))], *STRANGE)))
    if roll < 0.3:
        others = [bases()[name][FILE] for name in bases_with_files()]
        name = chance.choice(sorted({name for other in others for name in other} - set(content)))
        return Change(base, "set", (FILE, name), chance.choice((*values_seen()[name], *STRANGE)))
    return _change_at(chance, base, *chance.choice([((FILE, *path), value) for path, value in places(content)]))


def _change_at(chance: random.Random, base: str, path: Path_, value: Any) -> Change:
    """What stands at a place is taken away, misspelt or made another."""
    roll = chance.random()
    if roll < 0.12:
        return Change(base, "remove", path)
    if roll < 0.24 and isinstance(path[-1], str):
        return Change(base, "rename", path, _slip(chance, path[-1]))
    return Change(base, "set", path, _another(chance, path, value))


def _addition(chance: random.Random, env: Mapping[str, Any]) -> tuple[Path_, Any] | None:
    """A field that is not there yet, with a value that it has elsewhere or a strange one."""
    mappings = [(), *(path for path, value in places(env) if isinstance(value, dict))]
    path = chance.choice(mappings)
    absent = sorted(set(fields_at(schema(), path)) - set(_at(env, path)))
    if not absent:
        return None
    name = chance.choice(absent)
    choices = _resolved(fields_at(schema(), path)[name]).get("enum") or values_seen().get(name) or STRANGE
    return (*path, name), chance.choice(choices)


def _at(value: Any, path: Path_) -> Any:
    for part in path:
        value = value[part]
    return value


def _slip(chance: random.Random, word: str) -> str:
    """The word with a letter left out, doubled, swapped or in capitals."""
    index = chance.randrange(len(word)) if word else 0
    return chance.choice(
        (
            word[:index] + word[index + 1 :],
            word[:index] + word[index : index + 1] + word[index:],
            word[: max(0, index - 1)] + word[index : index + 1] + word[max(0, index - 1) : index] + word[index + 1 :],
            word.upper(),
            word + "_s",
        )
    )


def _another(chance: random.Random, path: Path_, value: Any) -> Any:
    """Another value of the same kind, one that stands elsewhere, or a strange one."""
    roll = chance.random()
    if roll < 0.3:
        return chance.choice(STRANGE)
    if roll < 0.6:
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        return chance.choice(values_seen().get(name) or STRANGE)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return chance.choice((value + 1, value - 1, value * 2, value // 2, -value, value * 1000, str(value)))
    if isinstance(value, str):
        return _slip(chance, value)
    if isinstance(value, list):
        return chance.choice((value[1:], [*value, *value[:1]], value[::-1], [*value, chance.choice(STRANGE)]))
    if isinstance(value, dict) and value:
        gone = chance.choice(sorted(value, key=str))
        return {key: item for key, item in value.items() if key != gone}
    return chance.choice(STRANGE)


def changed(value: Any, change: Change, path: Path_ | None = None) -> Any:
    """A copy of the environment with the change made."""
    path = change.path if path is None else path
    key = path[0]
    if len(path) > 1:
        inner = changed(value[key], change, path[1:])
        return _replaced(value, key, inner)
    if change.kind == "set":
        return _replaced(value, key, change.value)
    if isinstance(value, list):
        return [item for index, item in enumerate(value) if index != key]
    if change.kind == "rename":
        return {change.value if name == key else name: item for name, item in value.items()}
    return {name: item for name, item in value.items() if name != key}


def _replaced(value: Any, key: Any, new: Any) -> Any:
    if isinstance(value, list):
        return [new if index == key else item for index, item in enumerate(value)]
    return {**value, key: new}


def verdict(change: Change) -> str:
    """What came of a change: problem, plan, shown or meaning; anything else is a defect, said in words."""
    try:
        before = base_outcome(change.base)
        after = outcome_of(changed(bases()[change.base], change))
    except Exception as error:  # noqa: BLE001 (that nothing is raised is what is tested)
        return f"raised {type(error).__name__}: {error}"
    if any(_told(problem, change) for problem in after.problems ^ before.problems):
        return "problem"
    if any(_unused(problem, change) for problem in after.problems & before.problems):
        return "problem"
    if after.environment is None or before.environment is None:
        return f"refused elsewhere: {sorted(map(str, after.problems))[:2]}"
    if after.plan != before.plan:
        return "plan"
    if after.environment == before.environment or _means(after.environment) == _means(before.environment):
        return "meaning"
    if change.path[0] == FILE and not decides(bases()[change.base][FILE], change.path[1:]):
        return "meaning"
    if after.shown != before.shown:
        return "shown"
    return "meaning" if _alive(change) else "no effect, and no reason why"


def _means(env: Environment) -> Environment:
    """The environment without what nothing in it uses: quotas that are not reached, or of what is not bought, zones and
    offers of the like, the priorities of marks that no packet has, and BMCs."""
    uses = {use.name: use for use in quota_uses(env.cloud)} if env.cloud else {}
    given = dict(env.cloud.quotas) if env.cloud else {}
    reached = {name: limit for name, limit in given.items() if name in uses and _short(limit, uses[name])}
    cloud = _asked(env.cloud).model_copy(update={"quotas": Quotas(**reached)}) if env.cloud else None
    site = _unasked(_rolled(env, _marked(env.site))) if env.site else None
    return env.model_copy(update={"cloud": cloud, "site": site})


def _unasked(site: Site) -> Site:
    """The site without BMCs: nothing is planned of them, and `fullbore discover` and `power` alone read them."""
    groups = {
        name: group.model_copy(
            update={
                "bmc": None,
                "hosts": {each: host.model_copy(update={"bmc": None}) for each, host in group.hosts.items()},
            }
        )
        for name, group in site.groups.items()
    }
    return site.model_copy(update={"bmc": None, "groups": groups})


def _asked(cloud: Cloud) -> Cloud:
    """The cloud with ids of zones that have a subnet, and for types that are bought whether those offer them."""
    ids = {zone: zone_id for zone, zone_id in cloud.zone_ids.items() if zone in cloud.zones}
    bought = {group.instance_type for group in cloud.node_groups.values()}
    known = {name: cloud.offerings[name] for name in sorted(bought & set(cloud.offerings))}
    told = {name: tuple(sorted(set(zones) & set(ids.values()))) for name, zones in known.items()}
    return cloud.model_copy(update={"zone_ids": ids, "offerings": told})


def _short(limit: int | None, use: QuotaUse) -> bool:
    return limit is not None and limit < use.most


def _marked(site: Site) -> Site:
    """The site whose switch maps only marks that are in use and that it would not map so anyway."""
    hosts, queues, switch = host_queues(site), switch_queues(site), site.switch
    if hosts is None or queues is None or switch is None:
        return site
    used = sorted({landing.dscp for landing in landings(site)} | {hosts.dscp, hosts.cnp_dscp})
    kept = [DscpPriority(dscp=dscp, priority=queues.priority(dscp)) for dscp in used]
    return site.model_copy(update={"switch": switch.model_copy(update={"dscp_to_priority": tuple(kept)})})


def _rolled(env: Environment, site: Site) -> Site:
    """The site without the share of a wave where machines change one by one whatever it is."""
    machines = sum(len(group.hosts) for group in site.groups.values() if group.kind == "gpu")
    if spare_machines(machines, site.rolling, needed_machines(env, site)) > 1:
        return site
    return site.model_copy(update={"rolling": site.rolling.model_copy(update={"wave_share": 1.0})})


def _alive(change: Change) -> bool:
    """True where another value at the same place makes another plan or a problem there: then this one means the same
    as what it replaces (what a field is taken for when it is left out, or a setting that the profile has anyway)."""
    before = base_outcome(change.base)
    name = next((part for part in reversed(change.path) if isinstance(part, str)), "")
    seen = values_seen().get(name, [])
    items = [item for value in seen if isinstance(value, list) for item in value]
    samples = _samples(_node_at(change.path))
    values = [*_choices(change.path), *samples, *seen, *items, 1, 2, 3, 64, 0.5, "other", {"vm.other": 1}, [], {}]
    for value in values:
        other = Change(change.base, "set", change.path, value)
        after = outcome_of(changed(bases()[change.base], other))
        told = any(_told(problem, other) for problem in after.problems ^ before.problems)
        if after.environment and (told or after.plan != before.plan):
            return True
    return False


def _node_at(path: Path_) -> Mapping[str, Any]:
    """The schema of what stands at `path`."""
    node: Mapping[str, Any] = schema()
    for part in path:
        node = _resolved(_below(_resolved(node), part))
    return node


def _samples(node: Mapping[str, Any]) -> list[Any]:
    """Two values that the schema takes, where it is one of numbers, lists and mappings of them."""
    node = _resolved(node)
    if node.get("type") in ("integer", "number"):
        low = node.get("minimum", node.get("exclusiveMinimum", 0) + 1)
        return [low, min(node.get("maximum", 64), low + 5)]
    if node.get("type") == "array":
        return [[sample] for sample in _samples(node.get("items", {}))]
    fields = {name: _samples(node["properties"][name]) for name in node.get("required", ())}
    if fields and all(fields.values()):
        return [{name: samples[index] for name, samples in fields.items()} for index in range(2)]
    return []


def _choices(path: Path_) -> list[Any]:
    """The words that a field may be, where it may be one of a few."""
    return list(_node_at(path).get("enum", []))


def _told(problem: Problem, change: Change) -> bool:
    """True where the problem names the place of the change, one within it, or the mapping or list that it is in.

    A field of a model's own file is named after the file, at the field that names the file.
    """
    if change.path[0] == FILE:
        within = change.path[1:]
        names = {str(name) for name in within} | {dotted(within[:count]) for count in range(2, len(within) + 1)}
        names |= {str(change.value)} if change.kind == "rename" else set()
        told = not within or any(_mentions(problem.message, name) for name in names)
        return problem.path == "serving.hub_config" and told
    paths = [change.path]
    if change.kind == "rename":
        paths.append((*change.path[:-1], str(change.value)))
    named = [dotted(path) for path in paths]
    inside = any(_within(problem.path, path) or _mentions(problem.message, path, within=True) for path in named)
    around = {dotted(outer) for path in paths for outer in _around(path)}
    return inside or problem.path in around or any(_mentions(problem.message, outer) for outer in around if outer)


def _mentions(message: str, path: str, *, within: bool = False) -> bool:
    """Whether a message names the place; with `within`, one within it will do."""
    end = r"(?!\w)" if within else r"(?!\.?[\w\"]|\[)"
    return re.search(rf"(?<![\w.]){re.escape(path)}{end}", message) is not None


def _around(path: Path_) -> Iterator[Path_]:
    """The mapping or list that holds the place, and where that stands in a list, the list."""
    outer = path[:-1]
    yield outer
    while outer and isinstance(outer[-1], int):
        outer = outer[:-1]
        yield outer


def _unused(problem: Problem, change: Change) -> bool:
    """True where what is changed, or what it is in, was told to be of no use and still is."""
    return problem.rule.endswith("-unused") and _within(dotted(change.path), problem.path)


def _within(inner: str, outer: str) -> bool:
    return inner == outer or (inner.startswith(outer) and inner[len(outer)] in ".[")

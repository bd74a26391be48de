"""Import of a host group: machines that are set up already, looked at and left as they are.

An import has an id and no inputs. The id is RACK/GROUP, as that of a group that was made; the inputs are those that the
stack's program gives, computed from the same environment: the engine hands a stack's `fullbore:*` configuration to the
provider of that name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from fullbore.provider.base import Map, ProviderError
from fullbore.provider.events import Outcome
from fullbore.provider.facts import from_module, setting_changes
from fullbore.provider.hostinputs import DEFAULTS
from fullbore.provider.runner import ROOT
from fullbore.provider.values import from_json_strings, plain

OWNER: Final = ("host", "serial", "site")
"""What a machine's plan file tells of whose it is."""


def declared_inputs(config: Map, id: str) -> Map:
    """The inputs of the group that an id names, as the program gives them. Raises ProviderError."""
    # Not for every start of the plugin: these take longer to import than all else.
    from fullbore.config import ConfigError, load_endpoints, parse
    from fullbore.declared import content_digest, group_inputs, import_id
    from fullbore.plan import make_plan

    given = from_json_strings(plain(config)).get("env")
    if not isinstance(given, dict):
        raise ProviderError(
            f"{id}: the stack's configuration has no fullbore:env, which says what the group's hosts are"
        )
    try:
        environment = parse(cast("Map", given), ROOT / "stacks")
        endpoints = load_endpoints(ROOT / ".fullbore" / "sandbox" / "endpoints.json") if environment.sandbox else None
    except ConfigError as error:
        raise ProviderError(f"{id}: fullbore:env is refused: {error}") from error
    plan = make_plan(environment, endpoints)
    errors = [f"{problem.path}: {problem.message}" for problem in plan.problems if problem.severity == "error"]
    if errors:
        raise ProviderError(f"{id}: the environment cannot be provisioned: {'; '.join(errors)}")
    groups = {import_id(group): group for group in plan.site.groups} if plan.site else {}
    if plan.site is None or id not in groups:
        known = ", ".join(sorted(groups)) or "none, for it has no site"
        raise ProviderError(
            f"{id}: no host group of {plan.environment}; an id is RACK/GROUP, and its groups are {known}"
        )
    group = groups[id]
    inputs = group_inputs(plan.site, group, content_digest(ROOT))
    return {**DEFAULTS, **inputs, "maxFailures": group.max_failures}


def refuse(name: str, inputs: Map, outcomes: Mapping[str, Outcome]) -> None:
    """Raise ProviderError where machines are another plan's, or where more were not reached than may fail."""
    strangers = [line for host, outcome in sorted(outcomes.items()) for line in _stranger(inputs, host, outcome)]
    if strangers:
        raise ProviderError(
            f"{name}: not imported, and nothing was changed: {'; '.join(strangers)}; "
            "correct the address in the environment, or remove /etc/fullbore/plan.json there"
        )
    lost = {host: outcome.failed for host, outcome in sorted(outcomes.items()) if outcome.facts is None}
    limit = int(plain(inputs["maxFailures"]))
    if len(lost) > limit or len(lost) == len(outcomes):
        reasons = "; ".join(f"{host}: {reason}" for host, reason in lost.items())
        count = f"{len(lost)} of {len(outcomes)} hosts told nothing, and maxFailures is {limit}"
        raise ProviderError(f"{name}: not imported: {count}: {reasons}")


def _stranger(inputs: Map, host: str, outcome: Outcome) -> list[str]:
    """That a machine was converged as another one, as its plan file says."""
    owner: Any = (outcome.facts or {}).get("owner")
    if not owner:
        return []
    wanted = json.loads(plain(inputs["hosts"][host]["vars"])["fullbore_document_text"])
    if all(owner.get(key) == wanted[key] for key in OWNER):
        return []
    told, asked = ("{host} (serial {serial}) of site {site}".format_map(each) for each in (owner, wanted))
    return [f"{host}: the machine belongs to another environment: its plan file says {told}, not {asked}"]


def report(inputs: Map, outcomes: Mapping[str, Outcome]) -> list[str]:
    """What differs from the plan, a line a setting, and how much in all."""
    lines: list[str] = []
    differing = 0
    seen = {host: from_module(outcome.facts) for host, outcome in sorted(outcomes.items()) if outcome.facts}
    for host, facts in seen.items():
        changes = setting_changes(host, facts["settings"], inputs["hosts"][host]["settings"])
        differing += bool(changes)
        lines += [line for _, line in changes.values()]
    what = f"{len(lines)} settings on {differing} of them differ from the plan" if lines else "all hold the plan"
    after = "; the next up changes only these" if lines else ""
    return [*lines, f"{len(seen)} of {len(outcomes)} hosts read, none changed: {what}{after}"]

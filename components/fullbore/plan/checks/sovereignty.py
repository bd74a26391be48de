"""Rules about data that leaves the site."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from fullbore.catalog.countries import REGION_COUNTRY
from fullbore.config.paths import dotted
from fullbore.config.sovereignty import Sovereignty
from fullbore.plan.change import Change, put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.model import DataFlow
from fullbore.plan.recovery import copied_data
from fullbore.plan.sovereignty import data_flows, place_of


def _leaves(subject: Subject) -> Iterable[Finding]:
    given = subject.env.sovereignty
    for flow in data_flows(subject.env) if given else ():
        if given and not flow.allowed:
            where = f"{flow.to} ({flow.country or 'its country is not known'})"
            yield Finding(flow.path, f"carries {flow.data} to {where}, allowed {_allowed(given, flow)}")


def _allowed(given: Sovereignty, flow: DataFlow) -> str:
    """What the class may do, and what would allow this way."""
    rules = {str(name): rule for name, rule in given.classes.items()}
    rule = rules.get(flow.data)
    places = ", ".join((*rule.regions, *rule.countries)) if rule else ""
    if flow.country:
        way_out = f"add {flow.country} to sovereignty.classes.{flow.data}.countries"
    elif flow.to == "the second site":
        way_out = "give sovereignty.mirror_country"
    else:
        way_out = f"give the country of {flow.to} in sovereignty.places"
    return f"the site{f', {places}' if places else ' only'}; keep it there, or {way_out} if it may go"


def _regions(subject: Subject) -> Iterable[Finding]:
    given = subject.env.sovereignty
    for name, rule in given.classes.items() if given else ():
        for index, region in enumerate(rule.regions):
            if region not in REGION_COUNTRY:
                near = get_close_matches(region, REGION_COUNTRY, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                named = [*rule.regions[:index], *near, *rule.regions[index + 1 :]]
                yield Finding(
                    f"sovereignty.classes.{name}.regions[{index}]",
                    f"got {region[:60]}, which is no region of the catalog; correct its name{hint}",
                    (put(f"sovereignty.classes.{name}.regions", named),) if near else (),
                )


def _unused(subject: Subject) -> Iterable[Finding]:
    """Places that no data goes to. Classes may be declared before anything carries them."""
    given = subject.env.sovereignty
    if given is None:
        return
    used = {place_of(given, flow.to) for flow in data_flows(subject.env)}
    for name in given.places:
        if name not in used:
            where = ("sovereignty", "places", name)
            gone = Change(path=where, value=None)
            yield Finding(dotted(where), "no data goes there; correct the name or remove it", (gone,))
    mirrored = any(data.method == "block-sync" for data in copied_data(subject.env).values())
    if given.mirror_country and not mirrored:
        message = "given, but nothing is copied by block-sync; remove it"
        yield Finding("sovereignty.mirror_country", message, (remove("sovereignty.mirror_country"),))


RULES = (
    Rule(id="data-leaves", severity="error", summary="data of a class goes where it may not", find=_leaves),
    Rule(id="sovereignty-region", severity="error", summary="the catalog has no such region", find=_regions),
    Rule(id="place-unused", severity="warning", summary="a place that no data goes to", find=_unused),
)

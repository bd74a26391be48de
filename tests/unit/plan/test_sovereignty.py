"""Where data goes, and what it takes to allow it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.config import Environment, parse
from fullbore.config.yaml_text import read_mapping
from fullbore.plan.checks import check
from fullbore.plan.sovereignty import SITE, data_flows, inside_site

FIXTURES = Path(__file__).parents[2] / "fixtures/plan"
LEAVING = read_mapping(FIXTURES / "data-leaves/in.yaml")


def environment(**sovereignty: Any) -> Environment:
    given: Any = LEAVING["sovereignty"]
    return parse({**LEAVING, "sovereignty": {**given, **sovereignty}})


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("http://192.0.2.40:9000/alerts", "192.0.2.40"),
        ("https://gpu-01/hook", "gpu-01"),
        ("loki.hall.internal", "loki.hall.internal"),
        ("s3://state?endpoint=http://192.0.2.7:9000", "192.0.2.7"),
        ("https://hallway.example", ""),
        ("https://192.0.3.40", ""),
        ("https://[", ""),
    ],
)
def test_what_is_at_the_site(url: str, inside: str) -> None:
    site = environment().site
    assert site
    assert inside_site(site, url) == inside


def test_the_longest_name_says_the_country() -> None:
    env = environment(places={"example": "FR", "logs.example": "IE"})
    assert {flow.to: flow.country for flow in data_flows(env)} == {
        "alerts.example": "FR",
        "eu-north-1": "SE",
        "example-state": "",
        "logs.example": "IE",
    }


def test_a_name_that_only_ends_alike_is_another() -> None:
    countries = {flow.to: flow.country for flow in data_flows(environment(places={"ogs.example": "IE"}))}
    assert countries["logs.example"] == ""


def test_without_sovereignty_ways_are_told_and_nothing_is_refused() -> None:
    env = parse({name: part for name, part in LEAVING.items() if name != "sovereignty"})
    assert {flow.path for flow in data_flows(env)} >= {"replication", "standby", "monitoring.webhook_url"}
    assert not [problem for problem in check(env) if problem.rule == "data-leaves"]


def test_following_every_message_leaves_nothing_refused() -> None:
    """Countries of the places that have none, and each class may go where it is carried."""
    places = {"alerts.example": "FR", "logs.example": "IE", "example-state": "DE"}
    refused = [flow for flow in data_flows(environment(places=places)) if not flow.allowed]
    classes = {
        flow.data: {"countries": sorted({f.country for f in refused if f.data == flow.data})} for flow in refused
    }
    assert all(flow.allowed for flow in data_flows(environment(places=places, classes=classes)))


CLASSES = st.dictionaries(
    st.sampled_from(["weights", "prompts", "dialogue-logs", "logs", "metrics", "state"]),
    st.fixed_dictionaries(
        {
            "countries": st.lists(st.sampled_from(["DE", "FR", "SE", "US"]), max_size=2),
            "regions": st.lists(st.sampled_from(["eu-north-1", "us-east-1"]), max_size=2),
        }
    ),
)


@given(CLASSES, st.dictionaries(st.sampled_from(["example", "logs.example"]), st.sampled_from(["DE", "FR", "US"])))
def test_nothing_leaves_that_was_not_let(classes: dict[str, dict[str, list[str]]], places: dict[str, str]) -> None:
    for flow in data_flows(environment(classes=classes, places=places)):
        rule = classes.get(flow.data, {"countries": [], "regions": []})
        let = flow.to in rule["regions"] or flow.country in rule["countries"]
        assert flow.allowed == (let or flow.to == SITE)

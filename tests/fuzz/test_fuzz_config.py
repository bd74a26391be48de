"""A sample of the campaign, and every change that failed it once."""

from __future__ import annotations

import pytest

import hub_fields
from config_mutations import FILE, Change, bases, change_of, verdict
from fuzz_config import GOOD, failed

SAMPLE = range(10_000_000, 10_001_000)


def test_a_sample_of_changes_is_told_of() -> None:
    bad = {str(change): found for change in map(change_of, SAMPLE) if (found := verdict(change)) not in GOOD}
    assert bad == {}


@pytest.mark.parametrize("change", failed(), ids=str)
def test_what_failed_once_is_told_of(change: Change) -> None:
    assert change.base in bases(), "its environment is gone: move the change to another"
    assert verdict(change) in GOOD


def test_a_change_that_is_told_of_nowhere_would_be_found() -> None:
    """The oracle itself: a field that the plan forgot."""
    assert verdict(Change("Pulumi.prod.yaml", "set", ("standby", "rto_s"), 301)) == "plan"
    assert verdict(Change("Pulumi.prod.yaml", "set", ("standby", "rto_s"), 1)) == "problem"
    assert verdict(Change("Pulumi.prod.yaml", "set", ("standby", "replicas"), 1)) == "meaning"


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ((FILE,), '{"model_type": "llama", "hidd', "problem"),
        ((FILE, "num_hidden_layers"), "80", "problem"),
        ((FILE, "num_hidden_layers"), 81, "plan"),
        ((FILE, "rope_scaling", "rope_type"), "lama3", "problem"),
        ((FILE, "eos_token_id"), 2, "meaning"),
    ],
)
def test_a_model_s_own_file_is_changed_too(path: tuple[str, ...], value: object, what: str) -> None:
    assert verdict(Change("llama.json", "set", path, value)) == what


def test_a_field_of_the_file_that_the_catalog_forgot_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hub_fields.OF_TYPE, "llama", {"rope_theta"})
    assert verdict(Change("llama.json", "set", (FILE, "rope_theta"), 1)) == "no effect, and no reason why"

"""A sample of the campaign, and every change that failed it once."""

from __future__ import annotations

import pytest

from config_mutations import Change, bases, change_of, verdict
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

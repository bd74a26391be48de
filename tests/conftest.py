"""What holds for all tests: how many examples a property test tries, and that they leave the environment as it was."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("check", max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("check"), max_examples=150)
settings.load_profile("check")


def pytest_collection_finish() -> None:
    """What was imported stays to the end, so the collector of garbage need not walk through it for every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def environment_is_left_as_it_was() -> Iterator[None]:
    """Every program that a later test starts would inherit a variable that one test leaves behind."""
    before = _variables()
    yield
    assert _variables() == before


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

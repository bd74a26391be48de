"""A checkout of its own for the life-cycle tests, so that a sandbox of the developer's is left alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checkout import Checkout, scratch_checkout


@pytest.fixture(scope="session")
def checkout() -> Iterator[Checkout]:
    with scratch_checkout() as made:
        yield made

"""No test here makes a network, so none asks the container engine for those in use, which takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fullbore_sandbox import state


@pytest.fixture(scope="session", autouse=True)
def networks_of_this_machine_alone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "_in_use", state.routed_networks)
        yield

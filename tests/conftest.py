"""How many examples a property test tries: some in every run, many where `scripts/test` asks for `thorough`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("check", max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("check"), max_examples=150)
settings.load_profile("check")

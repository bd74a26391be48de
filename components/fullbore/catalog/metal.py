"""What owning machines costs. These are assumptions, named as such: a site replaces the price by `usd_per_host`."""

from __future__ import annotations

AMORTISATION_YEARS = 5
"""Straight line, no residual value: assumption of this project, October 2026 (hyperscalers report 5 to 6 years)."""
USD_PER_KWH = 0.12
"""Industrial electricity: assumption of this project, October 2026."""
POWER_USAGE_EFFECTIVENESS = 1.4
"""Power of the building over power of the machines: assumption of this project, October 2026."""
STORAGE_HOST_USD = 45_000
"""An NVMe server: assumption of this project, October 2026."""
STORAGE_HOST_KW = 0.9
"""An NVMe server under load: assumption of this project, October 2026."""
HOURS_PER_YEAR = 8766

"""What owning machines costs, where the environment does not say: averages that were published, and assumptions."""

from __future__ import annotations

AMORTISATION_YEARS = 5
"""Straight line, no residual value: what Amazon writes servers off in since 2025 (10-K of 2024, quoted in
https://deepquarry.substack.com/p/amazon-revises-server-lifespan-amid); others report 5.5 to 6 years."""
USD_PER_KWH = 0.12
"""Assumption of this project, between what industry (7.9 to 9.8 cents) and commerce (11.0 to 14.5) paid in Illinois,
Indiana, Michigan and Ohio in April 2025 (https://eia.gov/electricity/monthly, table 5.6.A)."""
POWER_USAGE_EFFECTIVENESS = 1.58
"""Power of the building over power of the machines: the industry's average in 2023 (Uptime Institute,
https://journal.uptimeinstitute.com/large-data-centers-are-mostly-more-efficient-analysis-confirms/)."""
STORAGE_HOST_USD = 45_000
"""An NVMe server: assumption of this project, no source was found; a site replaces it by `usd_per_host`."""
STORAGE_HOST_KW = 0.9
"""An NVMe server under load: assumption of this project; a site replaces it by `watts_per_host`."""
HOURS_PER_YEAR = 8766

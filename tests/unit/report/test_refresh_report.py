"""Machines by age: on the day before they are due, on the day, and where nothing is known of their purchase."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from typer.testing import CliRunner

from fullbore.cli import app
from fullbore.config import parse
from fullbore.plan import make_plan
from fullbore.report.refresh import refresh
from fullbore.report.section import Section

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"


def group(number: int, **more: Any) -> Mapping[str, Any]:
    host = {"serial": f"S{number}", "address": f"192.0.2.{number}", "host_key": KEY}
    return {
        "kind": "storage",
        "rack": "r01",
        "hosts": {f"nvme-{number:02}": host},
        "usd_per_host": 1000.0 * number,
        **more,
    }


def ages(on: str, groups: Mapping[str, Any]) -> Section:
    site = {"name": "hall", "cidr": "192.0.2.0/24", "fabric": "roce", "groups": groups}
    env = parse({"name": "test", "site": site, "cost": {"refresh_years": 3}})
    return refresh(env, make_plan(env), date.fromisoformat(on))


@pytest.mark.parametrize(
    ("on", "age", "left", "due"),
    [("2026-03-31", 0.0, 3.0, "no"), ("2029-03-30", 3.0, 0.0, "no"), ("2029-03-31", 3.0, 0.0, "yes")],
)
def test_three_years_end_on_the_day(on: str, age: float, left: float, due: str) -> None:
    (row,) = ages(on, {"old": group(1, bought="2026-03-31")}).rows
    assert (row["age (years)"], row["left (years)"], row["due"]) == (age, left, due)
    assert row["replace by"] == "2029-03-31"


def test_the_oldest_come_first_and_each_year_is_summed_up() -> None:
    groups = {"ga": group(1, bought="2026-06-01"), "gb": group(2), "gc": group(3, bought="2024-02-29")}
    found = ages("2026-11-22", {**groups, "gd": group(4, bought="2026-01-01")})
    assert [row["group"] for row in found.rows] == ["gc", "gd", "ga", "gb"]
    assert (found.rows[3]["bought"], found.rows[3]["replace by"]) == ("not given", "not known")
    assert found.note == "2027: 1 machines, 3,000 US dollars\n2029: 2 machines, 5,000 US dollars"


def test_the_command_counts_on_the_day_that_is_given() -> None:
    done = CliRunner().invoke(app, ["refresh", "prod", "--on", "2029-03-31", "--json"])
    assert done.exit_code == 0
    (rows,) = (value for value in json.loads(done.stdout).values() if isinstance(value, list))
    assert {row["group"]: row["due"] for row in rows} == {"gpu-r01": "yes", "gpu-r02": "yes", "storage": ""}

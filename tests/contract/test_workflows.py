"""The workflow that previews a pull request: what it may do, and by what it finds its comment again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from fullbore.report.pullrequest import MARKER

FILE = Path(__file__).parents[2] / ".github" / "workflows" / "preview.yml"
TEXT = FILE.read_text(encoding="utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, Any] = WORKFLOW["jobs"]


def posts(job: dict[str, Any]) -> bool:
    return any("gh api --method" in step.get("run", "") for step in job["steps"])


def test_it_runs_for_pull_requests_with_their_own_rights() -> None:
    assert set(WORKFLOW[True]) == {"pull_request"}, "YAML 1.1 reads the key `on` as true"


def test_the_comment_is_found_by_the_marker_that_the_report_writes() -> None:
    assert re.findall(r"<!-- .*? -->", TEXT) == [MARKER]


def test_nothing_is_writable_by_default() -> None:
    assert set(WORKFLOW["permissions"].values()) <= {"read", "none"}
    for job in JOBS.values():
        assert "permissions" in job


def test_only_the_job_that_posts_may_write_and_only_comments() -> None:
    writable = {
        name: {scope for scope, access in job["permissions"].items() if access == "write"} for name, job in JOBS.items()
    }
    assert writable == {name: {"pull-requests"} if posts(job) else set() for name, job in JOBS.items()}
    assert [name for name, job in JOBS.items() if posts(job)] == ["comment"]


def test_the_job_that_posts_runs_none_of_the_pull_request_s_code() -> None:
    for job in filter(posts, JOBS.values()):
        assert not [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout")]

"""The workflow that previews a pull request: what it may do, and by what it finds its comment again. What is cached."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fullbore.report.pullrequest import MARKER

ROOT = Path(__file__).parents[2]
FILE = ROOT / ".github" / "workflows" / "preview.yml"
TEXT = FILE.read_text(encoding="utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, Any] = WORKFLOW["jobs"]


SANDBOX = "components/fullbore_sandbox"


def hashed(workflow: str) -> set[str]:
    """The patterns of files that the key of a workflow's cache covers."""
    text = (ROOT / ".github" / "workflows" / workflow).read_text(encoding="utf-8")
    steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    (key,) = (step["with"]["key"] for step in steps if step.get("uses", "").startswith("actions/cache@"))
    (arguments,) = re.findall(r"hashFiles\((.*?)\)", key)
    return set(re.findall(r"'(.*?)'", arguments))


def test_the_key_of_a_cache_covers_what_its_contents_depend_on() -> None:
    """`seal` is what puts a result that takes minutes into the cache: the code that calls it says how it is made."""
    makers = {str(path.relative_to(ROOT)) for path in (ROOT / SANDBOX).rglob("*.py") if " seal(" in path.read_text()}
    assert hashed("ci.yml") == {f"{SANDBOX}/modules/**", *makers}
    assert hashed("preview.yml") == {f"{SANDBOX}/modules/pulumi*/go.*", f"{SANDBOX}/toolchain.py"}


@pytest.mark.parametrize("workflow", ["ci.yml", "preview.yml"])
def test_every_pattern_of_a_key_means_a_file(workflow: str) -> None:
    """A pattern that matches nothing changes no key, and says so to nobody."""
    patterns = {pattern: re.sub(r"\*\*$", "**/*", pattern) for pattern in hashed(workflow)}
    assert [each for each, files in patterns.items() if not any(path.is_file() for path in ROOT.glob(files))] == []


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

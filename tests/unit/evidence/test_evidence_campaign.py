"""The campaign: faults planted into healthy outputs are all caught and named, and nothing healthy fails."""

from __future__ import annotations

import re
from functools import cache
from random import Random

import pytest
from evidence_cases import SUBJECTS
from evidence_faults import FAULTS, HARMLESS

from fullbore.evidence.judge import failures
from fullbore.evidence.model import Verdict

SEEDS = 16
"""Mutations of each kind: with all kinds some 2,000."""
PLANTED = [(subject, fault) for subject, faults in FAULTS.items() for fault in faults]
CHANGED = [(subject, change) for subject, changes in HARMLESS.items() for change in changes]


@cache
def planted(name: str, fault: str, seed: int) -> tuple[tuple[Verdict, ...], str]:
    """(what fails with this fault, pattern of what shall); two tests look at it."""
    text, expected = FAULTS[name][fault](Random(f"{name}/{fault}/{seed}"), SUBJECTS[name].text)
    return failures(SUBJECTS[name].judge(text)), expected


def kind(path: str) -> str:
    """A verdict's path without which GPU, link, test's host or pair it is of."""
    return re.sub(r"(gpu-?|mlx5_|nvlink|rocep1s0f)\d+", r"\1", path)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_healthy_output_passes(name: str) -> None:
    subject = SUBJECTS[name]
    verdicts = subject.judge(subject.text)
    assert verdicts
    assert [str(verdict) for verdict in failures(verdicts)] == []


@pytest.mark.parametrize(("name", "fault"), PLANTED, ids=["/".join(item) for item in PLANTED])
def test_every_planted_fault_is_caught_and_named(name: str, fault: str) -> None:
    for seed in range(SEEDS):
        failed, expected = planted(name, fault, seed)
        assert failed, f"seed {seed}: nothing failed"
        wrong = [str(verdict) for verdict in failed if not re.search(expected, verdict.path)]
        assert wrong == [], f"seed {seed}: other things failed"
        assert all(verdict.fix and verdict.got and verdict.allowed for verdict in failed)


@pytest.mark.parametrize(("name", "change"), CHANGED, ids=["/".join(item) for item in CHANGED])
def test_no_healthy_run_fails(name: str, change: str) -> None:
    subject, make = SUBJECTS[name], HARMLESS[name][change]
    for seed in range(SEEDS):
        text = make(Random(f"{name}/{change}/{seed}"), subject.text)
        assert [str(verdict) for verdict in failures(subject.judge(text))] == [], f"seed {seed}"


def test_the_campaign_is_as_large_as_it_says() -> None:
    assert set(FAULTS) == set(HARMLESS) == set(SUBJECTS)
    assert len(PLANTED) * SEEDS >= 1_000
    assert (len(PLANTED) + len(CHANGED)) * SEEDS >= 2_000


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_gate_that_cannot_fail_is_a_defect(name: str) -> None:
    """Each kind of verdict that a healthy output passes is failed by some planted fault."""
    subject = SUBJECTS[name]
    passed = {(verdict.gate, kind(verdict.path), verdict.what) for verdict in subject.judge(subject.text)}
    failed = {
        (verdict.gate, kind(verdict.path), verdict.what)
        for fault in FAULTS[name]
        for seed in range(SEEDS)
        for verdict in planted(name, fault, seed)[0]
    }
    assert passed - failed == set()


def test_the_same_seed_plants_the_same_fault() -> None:
    for name, fault in PLANTED:
        first, again = (FAULTS[name][fault](Random("same"), SUBJECTS[name].text) for _ in range(2))
        assert first == again

"""A signed result: who made it, when it ends, and that it falls with the lock that it was made with."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from evidence_cases import LOCK, SUBJECTS

from fullbore.evidence.signed import Evidence, lock_digest, problems, sign, verdicts_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def openssh(key: Any) -> tuple[bytes, str]:
    """(private, public) in the forms that ssh-keygen writes."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


PRIVATE, PUBLIC = openssh(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
_, STRANGER = openssh(Ed25519PrivateKey.from_private_bytes(bytes(32)))
PASSED = SUBJECTS["smi"].judge(SUBJECTS["smi"].text)
EVIDENCE = Evidence(
    group="gpu-r01",
    lock=LOCK,
    tools={"dcgmi": "4.5.2", "nccl-tests": "2.17.9"},
    made_at=NOW - timedelta(hours=1),
    expires_at=NOW + timedelta(days=30),
    verdicts=PASSED,
)


def found(text: str, **changes: Any) -> tuple[str, ...]:
    return problems(text, **{"public_key": PUBLIC, "group": "gpu-r01", "lock": LOCK, "now": NOW, **changes})


def test_evidence_of_a_healthy_group_lets_it_serve() -> None:
    assert found(sign(EVIDENCE, PRIVATE)) == ()


def test_the_same_evidence_is_the_same_text() -> None:
    assert sign(EVIDENCE, PRIVATE) == sign(EVIDENCE, PRIVATE)


def test_it_carries_versions_and_the_digest_of_the_lock() -> None:
    body = json.loads(sign(EVIDENCE, PRIVATE))
    assert body["lockDigest"] == lock_digest(LOCK)
    assert body["tools"]["dcgmi"] == "4.5.2"
    assert body["expiresAt"] == "2026-12-22T12:00:00+00:00"
    assert verdicts_of(body) == [replace(verdict, fix="") for verdict in PASSED]
    assert all(verdict.source for verdict in verdicts_of(body))


def test_a_rack_s_evidence_stays_small_enough_for_state() -> None:
    """32 hosts of 8 GPUs: 16 times what two GPUs of one host give, 8 times over."""
    text = sign(replace(EVIDENCE, verdicts=list(PASSED) * 128), PRIVATE)
    assert len(text) < 1_000_000


def test_drift_of_the_lock_ends_it_and_says_which_part() -> None:
    text = sign(EVIDENCE, PRIVATE)
    newer = {**LOCK, "gpu_driver": "590.44.01"}
    assert found(text, lock=newer) == (
        "versions.gpu_driver: the evidence is of 580.159.04, but the lock has 590.44.01; run the acceptance again",
    )
    assert len(found(text, lock={**LOCK, "efa": "1.50.0"})) == 1
    assert len(found(text, lock={})) == len(LOCK)


def test_the_order_of_the_lock_means_nothing() -> None:
    assert lock_digest(dict(reversed(LOCK.items()))) == lock_digest(LOCK)


def test_it_expires() -> None:
    text = sign(EVIDENCE, PRIVATE)
    assert found(text, now=EVIDENCE.expires_at - timedelta(seconds=1)) == ()
    assert "expired" in found(text, now=EVIDENCE.expires_at)[0]
    assert "lies ahead" in found(text, now=EVIDENCE.made_at - timedelta(seconds=1))[0]


def test_a_time_zone_changes_no_moment() -> None:
    there = replace(EVIDENCE, expires_at=EVIDENCE.expires_at.astimezone(timezone(timedelta(hours=9))))
    assert sign(there, PRIVATE) == sign(EVIDENCE, PRIVATE)


def test_failed_checks_are_named() -> None:
    plan_says_four = replace(EVIDENCE, verdicts=[replace(PASSED[0], state="failed", got="575.57.08"), *PASSED[1:]])
    (problem,) = found(sign(plan_says_four, PRIVATE))
    assert problem.startswith(f"1 of {len(PASSED)} checks failed: gpu-01.gpu_driver: the GPU driver is 575.57.08, but ")


def test_evidence_without_a_verdict_proves_nothing() -> None:
    assert "no verdict" in found(sign(replace(EVIDENCE, verdicts=[]), PRIVATE))[0]


def test_evidence_of_another_group_does_not_count() -> None:
    assert found(sign(EVIDENCE, PRIVATE), group="gpu-r02") == ("the evidence is of gpu-r01, not of gpu-r02",)


def test_a_change_of_any_field_breaks_the_signature() -> None:
    body = json.loads(sign(EVIDENCE, PRIVATE))
    for key in body.keys() - {"signature"}:
        other = "2099-01-01T00:00:00+00:00" if key.endswith("At") else [] if key in ("verdicts", "sources") else "x"
        assert "signature is not of this key" in found(json.dumps({**body, key: other}))[0], key
    del body["tools"]
    assert "signature is not of this key" in found(json.dumps(body))[0]


def test_only_its_own_key_passes() -> None:
    assert "signature is not of this key" in found(sign(EVIDENCE, PRIVATE), public_key=STRANGER)[0]


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"signature": 1}', '{"signature": "?"}', "\ud800", "{" * 9])
def test_what_is_no_evidence_is_a_problem_and_no_crash(text: str) -> None:
    (problem,) = found(text)
    assert problem.startswith("the ")


def test_other_kinds_of_key_are_refused() -> None:
    private, public = openssh(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ValueError, match="Ed25519"):
        sign(EVIDENCE, private)
    assert found(sign(EVIDENCE, PRIVATE), public_key=public) == (
        "the key that evidence is checked with is not an Ed25519 key",
    )
    assert "cannot be read" in found(sign(EVIDENCE, PRIVATE), public_key="ssh-ed25519 no")[0]

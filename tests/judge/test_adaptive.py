"""When to write, and what it changes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.judge.adaptive import doubt, joined, lot
from cinereward.judge.labels import failed, verdict
from cinereward.types import LOCI, Critique, Verdict
from tests.judge.fakes import certain, read
from tests.judge.requests import settings

SURE, UNSURE = read(*certain(0.75)), read(0.2, 0.2, 0.2, 0.2, 0.2)
FOUND = Critique(dimension="a", shot=None, start=0.0, end=1.0, severity=0.9, finding="f", remedy="r", locus=LOCI[0])


def why(chances=SURE, expected: float | None = None, key: str = "k", **changes: object) -> str:  # type: ignore[no-untyped-def]
    return doubt(verdict("q", chances), chances, expected, settings(**changes), key)


def test_it_does_not_write_where_it_is_sure_and_nothing_speaks_against_it() -> None:
    assert why() == "" and why(expected=0.6) == ""


def test_it_writes_where_it_is_unsure() -> None:
    assert why(UNSURE) == "unsure (1.00)" and why(UNSURE, entropy=1.0) == ""


def test_it_writes_where_the_evidence_says_otherwise() -> None:
    assert why(expected=0.3) and why(expected=0.3, disagreement=0.5) == ""


def test_what_has_no_score_is_not_thought_about() -> None:
    assert why(read(0.0, 0.0, 0.0, 0.0, 0.0), audit=1.0) == ""


def test_the_audit_draws_its_share() -> None:
    drawn = [bool(why(key=f"clip {n}", audit=0.3)) for n in range(2_000)]
    assert abs(sum(drawn) / 2_000 - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2_000)


def test_another_seed_draws_another_sample() -> None:
    first, second = ([why(key=f"{n}", audit=0.5, seed=seed) for n in range(50)] for seed in (0, 1))
    assert first != second


def test_a_draw_is_the_same_in_every_process() -> None:
    # From hashlib.sha256(b"1\nkey\nquestion"), its first six bytes as a share of 2^48, by hand.
    assert lot(1, "key", "question") == pytest.approx(0x29FE24E41DFB / 2**48, abs=0)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_score_stays_and_the_doubt_never_shrinks(score: float, std: float, other: float) -> None:
    one = joined(Verdict(question="q", score=score, std=std), Verdict(question="q", score=other, std=0.0), "unsure")
    assert one.score == score and one.std >= std and one.std >= abs(score - other) / 2


def test_agreement_adds_no_doubt() -> None:
    same = Verdict(question="q", score=0.5, std=0.1, finding=FOUND, rationale="Why.", reflection="So.")
    one = joined(Verdict(question="q", score=0.5, std=0.2), same, "drawn for the audit")
    assert (one.std, one.rationale, one.reflection) == (0.2, "Why.", "So.")
    assert one.finding is not None and one.finding.severity == 0.5


def test_a_thought_that_failed_changes_nothing_but_the_reason() -> None:
    one = joined(Verdict(question="q", score=0.5, std=0.2), failed("q", "it was cut off"), "unsure")
    assert (one.score, one.std, one.finding) == (0.5, 0.2, None)
    assert one.reason == "unsure; no chain of thought: it was cut off"

"""Verdicts become a score, and join the evidence's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.fusion import Fused
from cinereward.opinion import settle, weigh
from cinereward.types import Status, Verdict

UNIT = st.floats(0, 1)


def said(name: str, score: float, std: float = 0.1) -> Verdict:
    return Verdict(question=f"a.b.c.{name}", score=score, std=std, mass=0.9)


def silent(name: str, status: Status, reason: str = "no reason") -> Verdict:
    return Verdict(question=f"a.b.c.{name}", score=math.nan, status=status, reason=reason)


def scored(value: float, std: float = 0.1, reason: str = "blur") -> Fused:
    return Fused(value=value, std=std, status=Status.SCORED, reason=reason)


def lost(status: Status, reason: str) -> Fused:
    return Fused(value=math.nan, std=math.nan, status=status, reason=reason)


# --- questions to a sub-dimension ---


def test_a_sub_dimension_is_the_mean_of_its_questions() -> None:
    found = settle([said("one", 0.2, 0.1), said("two", 0.6, 0.3)])
    assert (found.value, found.std) == (pytest.approx(0.4), pytest.approx(0.2))


def test_questions_weigh_what_they_are_given() -> None:
    found = settle([said("one", 0.0), said("two", 1.0)], {"a.b.c.two": 3.0})
    assert found.value == pytest.approx(0.75)


def test_a_failed_question_fails_its_sub_dimension() -> None:
    found = settle([said("one", 0.2), silent("two", Status.FAILED, "the server is down")])
    assert (found.status, found.reason) == (Status.FAILED, "two: the server is down")


def test_a_failed_question_of_no_weight_fails_nothing() -> None:
    found = settle([said("one", 0.2), silent("two", Status.FAILED)], {"a.b.c.two": 0.0})
    assert found.value == pytest.approx(0.2)


def test_what_is_not_asked_is_left_out() -> None:
    assert settle([said("one", 0.2), silent("two", Status.UNAVAILABLE)]).value == pytest.approx(0.2)


def test_where_nothing_is_asked_the_reason_is_kept() -> None:
    found = settle([silent("one", Status.UNAVAILABLE, "this judge does not hear")])
    assert (found.status, found.reason) == (Status.UNAVAILABLE, "this judge does not hear")


def test_without_verdicts_there_is_nothing_to_settle() -> None:
    with pytest.raises(ValueError, match="there are no verdicts"):
        settle([])


def test_the_reason_names_the_worst_question_first() -> None:
    assert settle([said("one", 1.0), said("two", 0.25)]).reason == "judge: two 2.0, one 5.0"


def test_a_verdict_that_tells_no_doubt_has_all_of_it() -> None:
    assert settle([Verdict(question="a.b.c.q", score=0.5)]).std == 0.5


@given(st.lists(st.tuples(UNIT, st.floats(0, 0.5), st.floats(0.01, 9)), min_size=1, max_size=6))
def test_a_score_lies_between_those_of_its_questions(parts: list[tuple[float, float, float]]) -> None:
    verdicts = [said(str(n), score, std) for n, (score, std, _) in enumerate(parts)]
    found = settle(verdicts, {f"a.b.c.{n}": weight for n, (_, _, weight) in enumerate(parts)})
    assert min(p[0] for p in parts) - 1e-9 <= found.value <= max(p[0] for p in parts) + 1e-9
    assert min(p[1] for p in parts) - 1e-9 <= found.std <= max(p[1] for p in parts) + 1e-9


# --- with the evidence ---


@given(UNIT, UNIT, UNIT)
def test_together_they_are_the_weighted_mean(evidence: float, judge: float, weight: float) -> None:
    found = weigh(scored(evidence), scored(judge), weight)
    assert found.value == pytest.approx((1 - weight) * evidence + weight * judge)


def test_their_doubts_are_added_as_independent_ones() -> None:
    assert weigh(scored(0.5, 0.3), scored(0.5, 0.4), 0.5).std == pytest.approx(0.25)


def test_both_reasons_are_told() -> None:
    assert weigh(scored(0.5, reason="blur"), scored(0.5, reason="judge: q 3.0"), 0.4).reason == (
        "judge: q 3.0 (weight 0.4); blur"
    )


@pytest.mark.parametrize("first", [True, False])
def test_where_one_is_unavailable_the_other_counts(first: bool) -> None:
    there, away = scored(0.3), lost(Status.UNAVAILABLE, "not run")
    assert (weigh(there, away, 0.5) if first else weigh(away, there, 0.5)) is there


@pytest.mark.parametrize("first", [True, False])
def test_where_one_failed_there_is_no_number(first: bool) -> None:
    there, broken = scored(0.3), lost(Status.FAILED, "broken")
    assert (weigh(there, broken, 0.5) if first else weigh(broken, there, 0.5)) is broken


def test_where_both_are_unavailable_both_reasons_are_told() -> None:
    found = weigh(lost(Status.UNAVAILABLE, "no evidence"), lost(Status.UNAVAILABLE, "it does not hear"), 0.5)
    assert (found.status, found.reason) == (Status.UNAVAILABLE, "no evidence; it does not hear")


def test_a_weight_beyond_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weight is 1.5; expected 0 to 1"):
        weigh(scored(0.5), scored(0.5), 1.5)

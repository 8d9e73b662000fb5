"""One verdict from those on the stretches of a long clip."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.judge.labels import failed
from cinereward.judge.stretches import noted, together
from cinereward.types import LOCI, Critique, Status, Verdict


def scored(score: float, std: float = 0.0, **more: object) -> Verdict:
    return Verdict(question="q", score=score, std=std, mass=0.9, **more)  # type: ignore[arg-type]


def found(text: str) -> Critique:
    return Critique(dimension="a", shot=None, start=0.0, end=1.0, severity=0.5, finding=text, remedy="", locus=LOCI[0])


def test_one_stretch_is_the_whole() -> None:
    one = scored(0.3, 0.1, rationale="Why.")
    assert together([(0.0, 5.0)], [one]) is one


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1), st.floats(0, 0.5)), min_size=2, max_size=8))
def test_mean_and_spread_are_those_of_the_mixture(parts: list[tuple[int, float, float]]) -> None:
    spans, start = [], 0.0
    for seconds, _, _ in parts:
        spans.append((start, start + seconds))
        start += seconds
    one = together(spans, [scored(score, std) for _, score, std in parts])
    each = np.repeat(np.array([[score, std] for _, score, std in parts]), [seconds for seconds, _, _ in parts], axis=0)
    second = float(np.mean(each[:, 1] ** 2 + each[:, 0] ** 2))  # E[x^2] of the mixture, second by second
    assert one.score == pytest.approx(float(each[:, 0].mean()), abs=1e-9)
    assert one.std**2 == pytest.approx(second - float(each[:, 0].mean()) ** 2, abs=1e-9)


def test_stretches_without_duration_weigh_the_same() -> None:
    assert together([(0.0, 0.0), (0.0, 0.0)], [scored(0.2), scored(0.6)]).score == pytest.approx(0.4)


def test_every_stretch_is_told_on_the_labels_scale() -> None:
    one = together([(0.0, 12.0), (12.0, 24.0)], [scored(0.7, rationale="Good."), scored(0.25, reason="unsure")])
    assert one.rationale == "0.0-12.0 s: 3.8. Good.\n12.0-24.0 s: 2.0." and one.reason == "12.0-24.0 s: unsure"


def test_the_finding_is_that_of_the_worst_stretch_that_has_one() -> None:
    verdicts = [scored(0.5, finding=found("worse")), scored(0.9, finding=found("better")), scored(0.1)]
    one = together([(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)], verdicts)
    assert one.finding is not None and one.finding.finding == "worse"


def test_a_failed_stretch_fails_the_whole() -> None:
    one = together([(0.0, 1.0), (1.0, 2.0)], [scored(0.5), failed("q", "timed out")])
    assert (one.status, one.reason) == (Status.FAILED, "1.0-2.0 s: timed out") and math.isnan(one.score)


@pytest.mark.parametrize("verdicts", [[], [scored(0.5)] * 3])
def test_as_many_verdicts_as_stretches(verdicts: list[Verdict]) -> None:
    with pytest.raises(ValueError, match="on 2 stretches"):
        together([(0.0, 1.0), (1.0, 2.0)], verdicts)


def test_a_further_note_stands_after_the_first() -> None:
    assert noted(scored(0.5, reason="a"), "b").reason == "a; b" and noted(scored(0.5), "").reason == ""

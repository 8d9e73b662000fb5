"""From probabilities of labels to verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.judge.backend import Read
from cinereward.judge.labels import entropy, moments, unavailable, verdict
from cinereward.types import Status

CHANCES = st.lists(st.floats(1e-6, 1), min_size=5, max_size=5)


def logs(*chances: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.array(chances, np.float64))


@pytest.mark.parametrize(("label", "score"), [(1, 0.0), (2, 0.25), (3, 0.5), (4, 0.75), (5, 1.0)])
def test_a_certain_label_is_its_place_on_the_scale(label: int, score: float) -> None:
    certain = [0.0] * 5
    certain[label - 1] = 1.0
    assert moments(logs(*certain)) == (score, 0.0, 1.0)


@given(CHANCES, st.floats(1.0, 50.0))
def test_score_and_std_are_those_of_the_labels_alone(chances: list[float], rest: float) -> None:
    total = sum(chances) * rest
    score, std, mass = moments(logs(*[chance / total for chance in chances]))
    shares = np.array(chances) / sum(chances)
    expected = sum(share * label for label, share in enumerate(shares, 1))
    assert score == pytest.approx((expected - 1) / 4, abs=1e-9)
    assert std == pytest.approx(math.sqrt(sum(s * (n - expected) ** 2 for n, s in enumerate(shares, 1))) / 4, abs=1e-7)
    assert mass == pytest.approx(1 / rest)


def test_labels_that_are_all_unlikely_keep_their_order() -> None:
    score, _, mass = moments(np.array([-740.0, -740.0, -740.0, -740.0, -700.0]))
    assert score == 1.0 and 0 < mass < 1e-300


def test_no_mass_is_no_score() -> None:
    score, std, mass = moments(logs(0, 0, 0, 0, 0))
    assert math.isnan(score) and math.isnan(std) and mass == 0.0


@pytest.mark.parametrize("wrong", [np.zeros(4), np.array([0.5, 0, 0, 0, 0]), np.array([math.nan] * 5)])
def test_what_are_no_logarithms_of_probabilities_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="logs"):
        moments(wrong)


def test_half_the_mass_is_enough() -> None:
    assert verdict("a.b.c.q", Read(logs=logs(0, 0, 0, 0, 0.5))).status is Status.SCORED


def test_less_than_half_the_mass_is_a_failure_with_its_reason() -> None:
    found = verdict("a.b.c.q", Read(logs=logs(0.1, 0.1, 0.1, 0.1, 0.09)))
    assert found.status is Status.FAILED and math.isnan(found.score)
    assert found.reason == "the judge does not answer with a label: 1 to 5 have 0.49 of the probability, at least 0.5"
    assert found.mass == pytest.approx(0.49)


def test_what_could_not_be_read_is_a_failure_with_its_reason() -> None:
    found = verdict("a.b.c.q", Read.failed("the server is down"), rationale="seen")
    assert (found.status, found.reason, found.rationale) == (Status.FAILED, "the server is down", "seen")


def test_what_is_not_asked_is_unavailable() -> None:
    found = unavailable("a.b.c.q", "this judge does not hear")
    assert (found.status, found.reason) == (Status.UNAVAILABLE, "this judge does not hear")


@pytest.mark.parametrize(("chances", "expected"), [((1, 0, 0, 0, 0), 0.0), ((0.2,) * 5, 1.0), ((0.1,) * 5, 1.0)])
def test_entropy_runs_from_certain_to_no_idea(chances: tuple[float, ...], expected: float) -> None:
    assert entropy(logs(*chances)) == pytest.approx(expected)


def test_without_mass_there_is_no_entropy() -> None:
    assert math.isnan(entropy(logs(0, 0, 0, 0, 0)))

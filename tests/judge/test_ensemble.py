"""Several judges: their median, and how far they lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.errors import JudgeError
from cinereward.judge.ensemble import Ensemble, OtherLook, fewer, settle
from cinereward.judge.film import FilmJudge
from cinereward.judge.labels import failed, unavailable
from cinereward.testing.judges import questions
from cinereward.types import LOCI, Critique, JudgeRequest, Status, Verdict
from tests.judge.fakes import FakeBackend, certain
from tests.judge.requests import TAXONOMY, request, settings, windows

HEARD = questions(1, sound=True)


def scored(score: float, std: float = 0.0, **more: object) -> Verdict:
    return Verdict(question="q", score=score, std=std, mass=0.9, **more)  # type: ignore[arg-type]


def film(score: float | None = None, **more: object) -> FilmJudge:
    chances = None if score is None else (lambda shown, ask: certain(score))
    return FilmJudge(FakeBackend(chances=chances, **more), settings(), TAXONOMY)  # type: ignore[arg-type]


class Broken:
    hears = False

    def __call__(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
        raise JudgeError("out of order")


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.5)), min_size=1, max_size=7))
def test_the_median_counts_and_the_spread_adds_to_the_doubt(parts: list[tuple[float, float]]) -> None:
    one = settle([scored(score, std) for score, std in parts])
    scores = sorted(score for score, _ in parts)
    middle = (scores[(len(scores) - 1) // 2] + scores[len(scores) // 2]) / 2
    assert one.score == pytest.approx(middle)
    spread = math.sqrt(sum((score - sum(scores) / len(scores)) ** 2 for score in scores) / len(scores))
    nearest = min(abs(score - one.score) for score in scores)
    own = [std for score, std in parts if abs(score - one.score) <= nearest]
    assert any(one.std == pytest.approx(math.hypot(std, spread)) for std in own)


def test_one_odd_judge_does_not_move_the_score() -> None:
    one = settle([scored(0.5), scored(1.0), scored(0.5)])
    assert one.score == 0.5 and one.reason == "median of judge 1 0.50, judge 2 1.00, judge 3 0.50"


def test_the_words_are_those_of_the_judge_nearest_to_the_median() -> None:
    found = Critique(dimension="a", shot=None, start=0, end=1, severity=0.1, finding="f", remedy="r", locus=LOCI[0])
    one = settle([scored(0.1, rationale="low"), scored(0.4, rationale="mid", finding=found), scored(0.9)])
    assert one.rationale == "mid" and one.finding is not None and one.finding.severity == pytest.approx(0.6)


def test_half_of_the_judges_are_enough_and_the_others_are_told() -> None:
    one = settle([scored(0.5), failed("q", "timed out")])
    assert one.score == 0.5 and "judge 2: timed out" in one.reason


def test_fewer_than_half_are_not() -> None:
    one = settle([scored(0.5), failed("q", "timed out"), failed("q", "no label")])
    assert one.status is Status.FAILED and "1 of 3" in one.reason
    assert "timed out" in one.reason and "no label" in one.reason


def test_who_does_not_hear_has_no_part_in_what_is_heard() -> None:
    assert settle([unavailable("q", "deaf"), scored(0.5), unavailable("q", "deaf")]).score == 0.5
    assert settle([unavailable("q", "deaf")] * 2).status is Status.UNAVAILABLE


def test_a_std_that_is_not_known_is_the_largest_there_can_be() -> None:
    assert settle([scored(0.5, math.nan), scored(0.5, math.nan)]).std == 0.5


def test_an_ensemble_asks_all_its_judges() -> None:
    ((first, _, _),) = Ensemble([film(0.25), film(0.5), film(1.0)])([request()])
    assert first.score == 0.5 and first.std == pytest.approx(np.std([0.25, 0.5, 1.0]))


def test_a_judge_that_breaks_down_fails_its_own_part_alone() -> None:
    ((one, *_), _) = Ensemble([film(0.5), Broken()])([request(), request(seed=1)])
    assert one.score == 0.5 and "judge 2: out of order" in one.reason


def test_a_judge_that_answers_something_else_fails_its_own_part_alone() -> None:
    class Other:
        hears = False

        def __call__(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
            return [[] for _ in requests]

    ((one, *_),) = Ensemble([Other(), film(0.5), film(0.75)])([request()])
    assert one.score == 0.625 and "judge 1: it answered other questions" in one.reason


def test_it_hears_if_one_of_its_judges_does() -> None:
    both = Ensemble([film(0.5), film(0.75, hears=True)])
    ((one,),) = both([request(names=HEARD, sound=True)])
    assert both.hears and one.score == 0.75 and not Ensemble([film(), film()]).hears


def test_its_identity_names_all_of_them() -> None:
    told = Ensemble([film(identity="a"), film(identity="b")]).identity
    assert told.startswith("median of: a; ") and " | b; " in told


def test_one_judge_is_no_ensemble() -> None:
    with pytest.raises(ValueError, match="2 or more"):
        Ensemble([film()])


# --- another look ---


def test_another_look_sees_fewer_frames_at_their_own_times() -> None:
    clip = windows(8.0, sound=True)
    seen = fewer(clip, 1)
    frames = {float(time): frame for window in clip for time, frame in zip(window.times, window.frames, strict=True)}
    kept = [(float(time), frame) for one in seen for time, frame in zip(one.times, one.frames, strict=True)]
    assert 0.5 * len(frames) < len(kept) < len(frames) and kept[0][0] == 0.0
    assert all(np.array_equal(frames[time], frame) for time, frame in kept)
    assert [one.sound for one in seen] == [one.sound for one in clip]


def test_a_clip_of_one_frame_keeps_it() -> None:
    assert all(len(fewer(windows(1 / 8), seed)[0].frames) == 1 for seed in range(20))


def test_looks_differ_by_seed_and_only_by_seed() -> None:
    times = [[float(t) for one in fewer(windows(4.0, seed=5), seed) for t in one.times] for seed in (1, 2, 1)]
    assert times[0] == times[2] != times[1]


def test_looks_of_one_judge_make_an_ensemble() -> None:
    judge = film()
    ((whole, *_),) = judge([request(4.0)])
    ((one, *_),) = Ensemble([judge, OtherLook(judge, 1), OtherLook(judge, 2)])([request(4.0)])
    assert one.std > 0 and one.score != whole.score and "look 2" in OtherLook(judge, 2).identity

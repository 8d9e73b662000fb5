"""From what was measured to a row of a batch, with a judge that is planted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from clips import Level, clip
from profiles import FOCUS, level_profile

from cinereward import JudgeRequest, RewardModel, Status, Verdict


class Planted:
    """A judge that answers 4 to every question, and remembers what it was shown."""

    hears = False

    def __init__(self) -> None:
        self.requests: list[JudgeRequest] = []

    def __call__(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
        self.requests += requests
        return [
            [Verdict(question=name, score=0.75, std=0.1, mass=1.0) for name in request.questions]
            for request in requests
        ]


@pytest.fixture
def judge() -> Planted:
    return Planted()


@pytest.fixture
def model(judge: Planted) -> RewardModel:
    return RewardModel(level_profile(), operators=[Level()], judge=judge, workers=1)


def test_a_judge_scores_beside_the_evidence(model: RewardModel) -> None:
    batch = model([clip(0)])
    alone = RewardModel(level_profile(), operators=[Level()], workers=1)([clip(0)])
    at = batch.dimensions.index(FOCUS)
    assert batch.values[0, at] == pytest.approx(0.5 * 0.75 + 0.5 * alone.values[0, at])


def test_a_judge_alone_scores_what_nothing_measures(model: RewardModel) -> None:
    batch = model([clip(0)])
    at = batch.dimensions.index("cinematography.lens.focal_length")
    assert (batch.status[0, at], batch.values[0, at]) == (Status.SCORED, 0.75)


def test_the_judge_is_shown_frames_of_the_clip(model: RewardModel, judge: Planted) -> None:
    model([clip(0, count=24)])
    shown = [window.frames for window in judge.requests[0].clip if len(window.frames)]
    assert sum(map(len, shown)) == 4  # of a second, four frames are kept


def test_what_was_kept_to_be_shown_is_let_go_once_it_is_judged(model: RewardModel) -> None:
    assert [row.measured.kept for row in model._rows([clip(0), clip(1)], 2)] == [(), ()]


def test_a_clip_that_cannot_be_read_is_not_shown(model: RewardModel, judge: Planted) -> None:
    batch = model([clip(0, fps=None), clip(1)])
    assert len(judge.requests) == 1
    assert batch.errors[0] is not None and batch.status[0, batch.dimensions.index(FOCUS)] == Status.FAILED
    assert batch.errors[1] is None and batch.status[1, batch.dimensions.index(FOCUS)] == Status.SCORED


def test_without_a_judge_there_are_no_verdicts() -> None:
    assert RewardModel(level_profile(), operators=[Level()], workers=1)([clip(0)]).verdicts == ({},)

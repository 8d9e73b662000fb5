"""Bars, groups and the radar hold what the batch holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cinereward.report.scores import MIDDLE, RADIUS, Score, grouped, missing, radar, scores_at
from cinereward.taxonomy import load
from cinereward.types import Status
from tests.report.faked import batch


def score(value: float, std: float = 0.0, name: str = "x") -> Score:
    status = Status.UNAVAILABLE if math.isnan(value) else Status.SCORED
    return Score(name=name, title=name.title(), value=value, std=std, status=status, reason="a 1 -> 0.5; b 2 -> 0.9")


@pytest.mark.parametrize(("value", "tone"), [(0.0, "low"), (0.49, "low"), (0.5, "fair"), (0.79, "fair"), (0.8, "good")])
def test_the_tone_changes_where_the_terminal_s_does(value: float, tone: str) -> None:
    assert score(value).tone == tone


@pytest.mark.parametrize(
    ("value", "tint"), [(0.0, "t0"), (0.3, "t1"), (0.5, "t2"), (0.7, "t3"), (0.85, "t4"), (1.0, "t4")]
)
def test_the_tint_changes_where_the_legend_says(value: float, tint: str) -> None:
    assert score(value).tint == tint


@pytest.mark.parametrize(
    ("value", "std", "ends"), [(0.5, 0.1, (0.4, 0.6)), (0.05, 0.1, (0, 0.15)), (0.95, 0.1, (0.85, 1))]
)
def test_a_whisker_stays_between_0_and_1(value: float, std: float, ends: tuple[float, float]) -> None:
    assert (score(value, std).low, score(value, std).high) == pytest.approx(ends)


def test_a_reason_falls_into_its_terms() -> None:
    assert score(0.5).reasons == ("a 1 -> 0.5", "b 2 -> 0.9")


def test_every_score_of_the_batch_is_there() -> None:
    made = batch()
    got = scores_at(made, 0, load(), "sub_dimension")
    assert np.array_equal([item.value for item in got.values()], made.values[0].astype(float), equal_nan=True)


def test_aspects_are_those_of_the_fold() -> None:
    made = batch()
    got = scores_at(made, 0, load(), "aspect")
    assert [item.value for item in got.values()] == made.fold("aspect").values[0].astype(float).tolist()


def test_a_batch_without_weights_has_no_aspects() -> None:
    from dataclasses import replace

    assert scores_at(replace(batch(), folder=None), 0, load(), "aspect") == {}


def test_groups_hold_what_was_scored_or_failed_and_nothing_else() -> None:
    made = batch(scored=20, failed=["sound_design.vocal.lip_sync"])
    shown = [item.name for stage in grouped(made, 0, load()) for aspect in stage.groups for item in aspect.scores]
    wanted = [n for n, s in zip(made.dimensions, made.status[0], strict=True) if s in (Status.SCORED, Status.FAILED)]
    assert sorted(shown) == sorted(wanted) and "sound_design.vocal.lip_sync" in shown


def test_what_is_missing_is_counted_by_reason() -> None:
    made = batch(scored=20)
    for status in (Status.GATED, Status.UNAVAILABLE):
        found = missing(made, 0, load(), status)
        assert len(found) == 1 and len(found[0].titles) == int((made.status == status).sum())


@pytest.mark.parametrize(("count", "there"), [(4, False), (5, True), (7, True)])
def test_a_radar_needs_five_aspects_with_a_score(count: int, there: bool) -> None:
    aspects = [score(0.5, name=f"a{at}") for at in range(count)] + [score(math.nan, name="none")]
    assert (radar(aspects) is not None) == there


def test_the_radar_s_corners_lie_as_far_out_as_the_values() -> None:
    values = [0.2, 0.4, 0.6, 0.8, 1.0]
    drawn = radar([score(value, name=f"a{at}") for at, value in enumerate(values)])
    assert drawn is not None
    ends = [tuple(map(float, pair.split(","))) for pair in drawn.values.split()]
    assert [math.dist(end, MIDDLE) / RADIUS for end in ends] == pytest.approx(values, abs=0.01)

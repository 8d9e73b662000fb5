from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.judge.moments import choose, divide

STARTS = st.lists(st.floats(0, 700), max_size=40).map(lambda values: [0.0, *sorted(values)])


@given(st.floats(0.04, 700), STARTS, st.floats(0.5, 90))
def test_stretches_cover_the_clip_and_none_is_too_long(duration: float, starts: list[float], longest: float) -> None:
    stretches = divide(duration, starts, longest)
    assert stretches[0].start == 0
    assert stretches[-1].end == duration
    assert all(one.end == two.start for one, two in itertools.pairwise(stretches))
    assert all(0 < one.end - one.start <= longest + 1e-5 for one in stretches)
    assert len(stretches) <= 2 * duration / longest + 1


def test_a_short_clip_is_one_stretch() -> None:
    assert [(one.start, one.end) for one in divide(60.0, [0, 10, 50], 60.0)] == [(0, 60)]


def test_a_stretch_ends_where_a_shot_begins() -> None:
    assert [one.end for one in divide(100.0, [0, 47.0, 80.0], 60.0)] == [47.0, 100.0]


def test_without_a_cut_stretches_are_even() -> None:
    assert [one.end for one in divide(90.0, [0.0], 40.0)] == [30.0, 60.0, 90.0]


@pytest.mark.parametrize(("duration", "longest"), [(0.0, 60.0), (10.0, 0.0), (float("nan"), 60.0)])
def test_there_is_no_stretch_of_nothing(duration: float, longest: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        divide(duration, [0.0], longest)


@given(st.integers(1, 120), st.integers(1, 40), STARTS, st.lists(st.floats(0, 40), max_size=12))
def test_as_many_frames_as_may_be_are_chosen_and_none_twice(
    there: int, count: int, starts: list[float], moments: list[float]
) -> None:
    rows = choose(np.arange(there) / 4, count, starts, moments)
    assert len(rows) == min(there, count)
    assert np.all(np.diff(rows) > 0)
    assert rows[0] >= 0
    assert rows[-1] < there


def test_the_first_frame_after_every_cut_is_shown() -> None:
    times = np.arange(240) / 4
    starts = [0.0, 7.3, 21.0, 44.9]
    rows = choose(times, 16, starts, [])
    assert {float(times[times >= start].min()) for start in starts} <= set(times[rows].tolist())


def test_the_middle_of_every_shot_is_shown() -> None:
    rows = choose(np.arange(40) / 4, 6, [0.0, 5.0], [])
    assert {10, 30} <= set(rows.tolist())


def test_the_moments_that_the_evidence_points_at_are_shown() -> None:
    times = np.arange(240) / 4
    rows = choose(times, 16, [0.0, 30.0], [13.3, 51.0])
    assert {53, 204} <= set(rows.tolist())


def test_a_moment_outside_the_stretch_is_not_looked_for_in_it() -> None:
    times = 60 + np.arange(40) / 4
    assert choose(times, 8, [60.0], [3.0]).tolist() == choose(times, 8, [60.0], []).tolist()


def test_moments_never_take_the_place_of_cuts() -> None:
    starts = [float(at) for at in range(0, 24, 3)]
    rows = choose(np.arange(96) / 4, 8, starts, [1.0, 1.5, 2.0, 2.25, 2.5, 4.0])
    assert len(set(starts) & set((rows / 4).tolist())) >= 6


def test_of_more_cuts_than_frames_an_even_part_is_shown() -> None:
    rows = choose(np.arange(120) / 4, 4, [float(at) for at in range(30)], [])
    assert rows[0] == 0
    assert rows[-1] == 116
    assert np.ptp(np.diff(rows)) <= 8


def test_one_shot_is_shown_evenly_from_its_first_frame_to_its_last() -> None:
    rows = choose(np.arange(241) / 4, 9, [0.0], [])
    assert rows.tolist() == list(range(0, 241, 30))


def test_there_is_no_frame_of_nothing() -> None:
    with pytest.raises(ValueError, match="0 frames"):
        choose(np.zeros(0), 4, [0.0], [])

"""Faces are followed by their place and across short gaps, never across a cut; turned heads are told as turned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.operators.faces_follow import Path, Seen, follow, identity_of, ramp, seen_in, shot_of_keys, turned
from cinereward.operators.identity import Identity
from cinereward.operators.tracks import join
from cinereward.testing import clip, windows_of
from cinereward.testing.tiny_faces import FIVE

from .planted_faces import FPS, HEIGHT, STEP, Actor, landmarks, networks, pictures, still


def followed(*actors: Actor, cuts: tuple[float, ...] = (), seconds: float = 5.0) -> tuple[Seen, list[Path]]:
    operator = Identity(networks=networks(*actors))
    tracks = join(operator.measure(windows_of(clip(pictures(cuts, seconds), FPS), 7)))
    seen = seen_in(tracks)
    return seen, follow(seen, shot_of_keys(seen, tracks))


def test_every_face_is_on_one_path() -> None:
    seen, paths = followed(Actor(), Actor(person=2, x=still(1.3)), Actor(person=3, x=still(0.3), side=still(0.1)))
    assert sorted(np.concatenate([path.rows for path in paths]).tolist()) == list(range(len(seen.at)))
    assert len(paths) == 3


def test_a_path_has_one_face_a_moment() -> None:
    seen, paths = followed(Actor(x=lambda t: 0.4 + 0.2 * t), Actor(person=2, x=lambda t: 1.4 - 0.2 * t))
    for path in paths:
        assert len(set(seen.at[path.rows].tolist())) == len(path.rows)


def test_a_fast_face_is_followed() -> None:
    _, paths = followed(Actor(x=lambda t: 0.8 + 0.25 * float(np.sin(4 * t)), side=still(0.2)))
    assert len(paths) == 1


@pytest.mark.parametrize(("gap", "count"), [(0.5, 1), (0.8, 1), (1.6, 2)])
def test_a_short_gap_is_bridged_and_a_long_one_is_not(gap: float, count: int) -> None:
    _, paths = followed(Actor(there=lambda t: not 1.5 <= t < 1.5 + gap))
    assert len(paths) == count


def test_no_path_runs_across_a_cut() -> None:
    seen, paths = followed(Actor(), cuts=(2.5,))
    assert [path.shot for path in paths] == [0, 1]
    assert seen.times[seen.at[paths[0].rows[-1]]] < 2.5 <= seen.times[seen.at[paths[1].rows[0]]]


def test_another_face_far_away_is_another_path() -> None:
    _, paths = followed(Actor(x=lambda t: 0.4 if t < 2 else 1.3))
    assert len(paths) == 2


def test_boxes_are_told_in_heights_of_the_frame() -> None:
    seen, _ = followed(Actor(side=still(0.25), x=still(0.7), y=still(0.4)))
    np.testing.assert_allclose(seen.box[0], [0.575, 0.275, 0.825, 0.525], atol=1e-6)
    assert seen.pixels[0] == pytest.approx(0.25 * HEIGHT, abs=1e-3)
    np.testing.assert_allclose(np.diff(seen.times), STEP, atol=1e-9)


@pytest.mark.parametrize(("degrees", "low", "high"), [(0, 0, 0.1), (30, 0.1, 0.5), (60, 0.6, 2), (85, 1.0, 9)])
def test_a_head_is_told_to_be_turned(degrees: float, low: float, high: float) -> None:
    _, points = landmarks(Actor(yaw=still(degrees), pitch=still()), 0.0, 0)
    assert low <= float(turned(points[None])[0]) <= high


@given(st.floats(-3.1, 3.1), st.floats(0.01, 100), st.floats(-50, 50))
def test_roll_size_and_place_do_not_turn_a_head(roll: float, size: float, place: float) -> None:
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    moved: Any = size * FIVE @ turn.T + place
    np.testing.assert_allclose(turned(moved[None]), turned(FIVE[None]), atol=1e-6)


def test_points_that_fall_together_are_turned_as_far_as_can_be() -> None:
    assert np.isfinite(turned(np.zeros((1, 5, 2)))).all()


@given(st.floats(-5, 5), st.floats(-1, 1), st.floats(0.01, 2))
def test_a_ramp_lies_between_0_and_1_and_rises(value: float, low: float, wide: float) -> None:
    first, second = ramp(np.array([value, value + 0.1]), low, low + wide)
    assert 0 <= first <= second <= 1


def test_an_identity_has_unit_length_and_who_cannot_be_read_has_none() -> None:
    seen, paths = followed(Actor())
    who = identity_of(seen, paths[0])
    assert who is not None
    assert np.linalg.norm(who) == pytest.approx(1)
    seen, paths = followed(Actor(side=still(3 / HEIGHT)))
    assert identity_of(seen, paths[0]) is None


def test_no_face_makes_no_path() -> None:
    seen, paths = followed()
    assert (len(seen.at), paths) == (0, [])
    assert len(seen.keys) == 30

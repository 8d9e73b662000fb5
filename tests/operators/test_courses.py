"""Courses of points: drift, jumps and matches, as pure functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.operators.courses import Allowance, Course, apart, best_matches, drift, jumps, middle, steps, unit

ALLOWED = Allowance(still=0.05, moving=0.1)


def arc(angles: list[float] | np.ndarray) -> np.ndarray:
    """Points of a circle, angles in degrees."""
    at = np.radians(np.asarray(angles, float))
    return np.stack([np.cos(at), np.sin(at)], axis=1)


def course(angles: list[float] | np.ndarray, speed: float = 0.5) -> Course:
    return Course(times=np.arange(len(angles)) / 6, points=arc(angles), speed=speed)


@given(st.lists(st.floats(-80, 80), min_size=3, max_size=30), st.floats(-180, 180))
def test_turning_all_points_changes_nothing(angles: list[float], by: float) -> None:
    turned = [angle + by for angle in angles]
    assert drift(course(turned), ALLOWED) == pytest.approx(drift(course(angles), ALLOWED), abs=1e-6)
    assert jumps(arc(turned)) == pytest.approx(jumps(arc(angles)), abs=1e-9)


@given(st.floats(0, 3))
def test_what_does_not_change_is_never_worse_than_usual_nor_better_where_it_rests(speed: float) -> None:
    found = drift(course(np.zeros(9), speed), ALLOWED)
    assert 0 <= found <= 1
    assert found == pytest.approx(0.1 / (speed + 0.1))  # half where a tenth of a height moves, all where nothing does


def test_drift_is_the_change_between_thirds_against_what_is_usual() -> None:
    found = drift(course([0, 0, 0, 30, 30, 30, 60, 60, 60]), ALLOWED)
    assert found == pytest.approx((1 - np.cos(np.pi / 3)) / ALLOWED.of(0.5))


def test_what_comes_and_goes_is_less_than_what_goes() -> None:
    swaying = drift(course([0, 60] * 6), ALLOWED)
    going = drift(course(np.linspace(0, 60, 12)), ALLOWED)
    assert swaying < 0.2 * going


@pytest.mark.parametrize("count", [0, 1])
def test_too_little_to_compare_is_as_usual(count: int) -> None:
    assert drift(course(np.zeros(count)), ALLOWED) == 1.0


@given(st.integers(3, 17))
def test_a_jump_stands_where_it_happens(at: int) -> None:
    found = jumps(arc([0.0] * at + [90.0] * (20 - at)))
    assert int(np.argmax(found)) + 1 == at
    assert found.max() == pytest.approx(1.0)


def test_an_even_turn_has_no_jump() -> None:
    assert jumps(arc(np.linspace(0, 90, 20))).max() < 0.01


def test_one_point_astray_is_no_lasting_change() -> None:
    astray = arc([0.0] * 6 + [90.0] + [0.0] * 6)
    assert jumps(astray).max() < 0.2 < jumps(arc([0.0] * 6 + [90.0] * 7)).max()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short_courses_have_as_many_steps_as_they_can(count: int) -> None:
    assert len(steps(arc(np.zeros(count)))) == max(count - 1, 0)


def test_the_middle_is_not_moved_by_what_lies_far_off() -> None:
    assert apart(middle(arc([0.0] * 7 + [120.0] * 3)), np.array([1.0, 0.0])) < 1e-9


@given(st.integers(0, 1000))
def test_the_middle_of_points_near_one_place_is_there(seed: int) -> None:
    angles = np.random.default_rng(seed).uniform(-5, 5, 9)
    assert apart(middle(arc(angles)), np.array([1.0, 0.0])) < 1 - np.cos(np.radians(5))


def test_a_match_is_of_its_kind_and_in_another_shot() -> None:
    points = arc([0, 1, 40, 0])
    best = best_matches(points, np.array([0, 0, 1, 2]), np.array([0, 0, 0, 7]))
    assert best[0] == pytest.approx(np.cos(np.radians(40)))
    assert best[2] == pytest.approx(np.cos(np.radians(39)))
    assert np.isnan(best[3])


def test_no_points_have_length_zero_divided() -> None:
    assert np.isfinite(unit(np.zeros((2, 3)))).all()

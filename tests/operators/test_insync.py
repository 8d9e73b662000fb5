"""What distances tell: beliefs that add up, offsets with their sign, and doubt that falls with what is heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.operators.insync import (
    NO_ROWS,
    OFFSETS,
    Piece,
    belief,
    contrast_error,
    lateness,
    rows_of,
)


def far(late: int, rows: int = 60, depth: float = 6.0, seed: int = 0) -> np.ndarray:
    """Distances with a valley where the sound is `late` pictures late."""
    rng = np.random.default_rng(seed)
    apart = np.abs(np.arange(-15, 16) - late)
    return (13 - depth * np.exp(-((apart / 2) ** 2)) + rng.normal(0, 1, (rows, 31))).astype(np.float32)


@given(st.integers(0, 80), st.integers(0, 50), st.floats(0, 10))
def test_a_belief_adds_up_to_one(rows: int, seed: int, depth: float) -> None:
    chance = belief(far(3, rows, depth, seed) if rows else NO_ROWS)
    assert chance.shape == (31,)
    assert (chance >= 0).all()
    assert chance.sum() == pytest.approx(1)


@pytest.mark.parametrize("late", [-9, -3, 0, 3, 9])
def test_a_valley_is_believed(late: int) -> None:
    told = lateness(belief(far(late)))
    assert told == pytest.approx((max(0, 40 * late), max(0, -40 * late)), abs=10)


def test_without_rows_what_is_usual_is_believed() -> None:
    chance = belief(NO_ROWS)
    late, early = lateness(chance)
    assert late == pytest.approx(early)
    assert 100 < late < 200
    assert int(np.argmax(chance)) == 15


def test_flat_distances_tell_hardly_more_than_what_is_usual() -> None:
    late, early = lateness(belief(far(0, depth=0.0)))
    assert min(late, early) > 40


def test_shifts_beyond_the_sound_are_left_out() -> None:
    told = far(3)
    told[-20:, 20:] = 0.1  # as near as nothing should be
    hidden = told.copy()
    hidden[-20:, 20:] = np.nan
    assert lateness(belief(hidden))[0] == pytest.approx(120, abs=10)
    assert lateness(belief(told))[0] != pytest.approx(120, abs=10)


@given(st.integers(10, 200), st.integers(0, 20))
def test_the_error_of_a_confidence_falls_with_the_number_of_moments(rows: int, seed: int) -> None:
    few, many = far(0, rows, seed=seed), np.tile(far(0, rows, seed=seed), (4, 1))
    assert contrast_error(many) <= contrast_error(few) * (0.5 if rows >= 5 else 1) + 1e-5


def test_a_piece_without_a_face_is_said_by_nobody() -> None:
    nobody = Piece(0.0, 2.0)
    assert nobody.confidence == nobody.covered == 0.0


def test_luck_is_taken_off() -> None:
    plain = Piece(0.0, 2.6, far(0), np.ones((60, 31), bool))
    assert plain._replace(luck=0.5).confidence == pytest.approx(plain.confidence - 0.5)
    assert plain._replace(luck=99.0).confidence == 0.0


def test_what_is_surely_said_is_covered_in_full_and_half_of_it_by_half() -> None:
    whole = Piece(0.0, 2.6, far(0), np.ones((60, 31), bool))
    assert whole.covered == pytest.approx(1.0, abs=0.05)
    assert whole._replace(end=5.2).covered == pytest.approx(0.5, abs=0.05)


@given(st.floats(0, 500), st.floats(0.5, 10))
def test_rows_of_a_stretch_are_as_many_as_its_pictures(start: float, seconds: float) -> None:
    first, last = rows_of(start, start + seconds)
    assert abs(last - first - 25 * seconds) <= 1
    assert (first + 2.5) / 25 >= start - 1e-9


def test_offsets_are_steps_of_a_picture() -> None:
    np.testing.assert_allclose(np.diff(OFFSETS), 40)
    assert OFFSETS[0] == -600

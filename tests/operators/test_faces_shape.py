"""Landmarks are taken apart: what moves, sizes or turns a head is not in its expression, and noise is told as noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cinereward.operators.faces_shape import (
    BROWS,
    EYES,
    MOUTH,
    NOSE,
    OUTLINE,
    group_spread,
    held_by,
    life,
    margin,
    slopes,
    states,
    stiff,
    strays,
    take_apart,
    unblinking,
)
from cinereward.testing.tiny_faces import plain_face

from .planted_faces import Actor, landmarks, photo, still, talk

COUNT = 24


def filmed(actor: Actor, count: int = COUNT) -> NDArray[Any]:
    return np.stack([landmarks(actor, n / 6, n)[0] for n in range(count)])


def pixels(count: int = COUNT) -> NDArray[Any]:
    return np.full(count, 150.0)


def spread(actor: Actor) -> dict[str, float]:
    acting = take_apart(filmed(actor), pixels())
    return group_spread(acting.state, acting.grain)


def test_the_groups_are_every_landmark_once() -> None:
    assert sorted(np.concatenate([OUTLINE, EYES, BROWS, MOUTH, NOSE]).tolist()) == list(range(106))


@settings(max_examples=25)
@given(st.floats(-3.1, 3.1), st.floats(0.05, 50), st.floats(-20, 20), st.floats(-20, 20))
def test_where_a_face_is_how_large_and_rolled_changes_nothing(roll: float, size: float, x: float, y: float) -> None:
    marks = filmed(Actor(), 8)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    before, after = (take_apart(one, pixels(8)) for one in (marks, size * marks @ turn.T + np.array([x, y])))
    np.testing.assert_allclose(after.state, before.state, atol=1e-4)
    np.testing.assert_allclose(after.posed, before.posed, atol=1e-4)


@pytest.mark.parametrize(
    ("part", "group", "play"),
    [
        ("mouth", "mouth", talk),
        ("smiles", "mouth", lambda t: float(t > 2)),
        ("brow", "brows", lambda t: float(np.sin(2 * t))),
        ("shut", "eyes", lambda t: float(np.sin(2 * t) > 0.8)),
    ],
)
def test_each_part_is_seen_in_its_own_numbers(part: str, group: str, play: Callable[[float], float]) -> None:
    found = spread(photo(**{part: play}))
    assert found[group] > 1
    assert all(value < 0.1 * found[group] for name, value in found.items() if name != group)


@pytest.mark.parametrize("angle", ["yaw", "pitch"])
def test_a_head_that_turns_lives_and_expresses_nothing(angle: str) -> None:
    acting = take_apart(filmed(photo(**{angle: lambda t: 15 * float(np.sin(2 * t))})), pixels())
    assert sum(group_spread(acting.state, acting.grain).values()) < 0.1 * life(acting)
    assert life(acting) > 2


def test_a_photograph_that_is_moved_turned_and_zoomed_does_not_live() -> None:
    moved = photo(x=lambda t: 0.1 * t, side=lambda t: 0.2 + 0.1 * t)
    assert life(take_apart(filmed(moved), pixels())) == 0


@pytest.mark.parametrize("jitter", [0.2, 1.0, 3.0])
def test_jitter_alone_does_not_live(jitter: float) -> None:
    assert life(take_apart(filmed(photo(jitter=jitter)), pixels())) < jitter


def test_strays_are_the_standard_deviation_of_white_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 2.0, (400, 15, 2))
    ramp = np.linspace(0, 100, 400)[:, None, None]
    assert float(np.sqrt(np.mean(strays(noise + ramp) ** 2))) == pytest.approx(2.0, rel=0.03)


def test_strays_of_fewer_than_three_moments_are_not_told() -> None:
    assert strays(np.ones((2, 4, 2))).tolist() == [0, 0]


def test_slopes_are_the_derivatives_of_the_states() -> None:
    mean = plain_face() / 0.65
    step = 1e-6 * np.random.default_rng(1).normal(size=(106, 2))
    change = states((mean + step)[None])[0] - states(mean[None])[0]
    axes = [1, 0, 0, 1, 1, 1, 1, 1]
    expected = [slopes(mean)[n] @ step[:, axis] for n, axis in enumerate(axes)]
    np.testing.assert_allclose(change, expected, rtol=1e-3, atol=1e-10)


def test_the_noise_of_the_states_is_what_noise_makes_of_them() -> None:
    acting = take_apart(filmed(photo(jitter=0.5), 200), pixels(200))
    np.testing.assert_allclose(acting.state.std(axis=0), acting.grain, rtol=0.35)
    np.testing.assert_allclose(acting.posed.std(axis=0), acting.grain_of_pose, rtol=0.5)


def test_the_jaw_holds_nothing_whatever_the_order_of_the_outline() -> None:
    face = plain_face()[None]
    for outline in (OUTLINE, OUTLINE[::-1], np.random.default_rng(0).permutation(33)):
        mixed = face.copy()
        mixed[:, OUTLINE] = face[:, outline]
        held = held_by(mixed)
        low = mixed[0, OUTLINE, 1] > 0.1
        assert (held[OUTLINE][low] == 0).all()
        assert set(stiff(held)) == set(NOSE) | set(OUTLINE[held[OUTLINE] > 0])
        assert (held[OUTLINE] > 0).sum() >= 6


def test_an_eye_that_shuts_keeps_its_middle() -> None:
    opened, shut = (filmed(photo(shut=still(much)), 1) for much in (0.0, 1.0))
    np.testing.assert_allclose(unblinking(opened), unblinking(shut), atol=1e-12)


@pytest.mark.parametrize("marks", [np.zeros((1, 106, 2)), np.zeros((5, 68, 2)), np.zeros((5, 106, 3))])
def test_other_shapes_are_refused(marks: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        take_apart(marks, pixels(len(marks)))


@pytest.mark.parametrize(
    "marks", [np.zeros((5, 106, 2)), np.ones((5, 106, 1)) * np.arange(106)[None, :, None] * [[1, 0]]]
)
def test_landmarks_on_a_point_or_a_line_give_numbers(marks: NDArray[Any]) -> None:
    acting = take_apart(marks, pixels(5))
    assert np.isfinite(acting.state).all()
    assert np.isfinite(acting.grain).all()


def test_two_states_are_enough_and_one_is_none() -> None:
    assert group_spread(np.ones((1, 8)), np.ones(8)) == {"mouth": 0, "eyes": 0, "brows": 0}
    assert margin(2) > margin(100) > 1

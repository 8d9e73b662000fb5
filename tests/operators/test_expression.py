"""What a face expresses: heads that move and landmarks that jitter are no acting, and a jump is found at its time."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from cinereward.errors import OperatorError
from cinereward.operators.expression import Expression
from cinereward.testing import OperatorConformance
from cinereward.types import Evidence, Operator

from .planted_faces import (
    CHEATS,
    FPS,
    HEIGHT,
    STEP,
    Actor,
    fused,
    glance,
    measured,
    nod,
    photo,
    raised,
    still,
    talk,
    tiny,
)

ACTING = (
    "acting.expression.facial_tension",
    "acting.expression.expression_diversity",
    "acting.expression.continuity",
)


class TestExpression(OperatorConformance):
    def operator(self) -> Operator:
        return Expression(networks=tiny())


@cache
def clean() -> Evidence:
    return measured(Expression, Actor())


def value(found: Evidence, name: str) -> float:
    return float(found[name].value)


# --- what is planted ---


def test_a_lively_face_is_lively() -> None:
    assert value(clean(), "activity") > 3
    assert value(clean(), "diversity") > 3
    assert value(clean(), "frozen") < 0.1
    assert value(clean(), "seen") > 0.95
    assert value(clean(), "jitter") < 0.5


def test_more_play_is_more_activity() -> None:
    course = []
    for much in (0.0, 0.1, 0.3, 0.6, 1.0):
        course.append(value(measured(Expression, photo(mouth=lambda t, m=much: 0.2 + m * (talk(t) - 0.5))), "activity"))
    assert course == sorted(course)
    assert course[0] == 0 < course[1]


def test_a_head_that_only_turns_expresses_nothing() -> None:
    turning = measured(Expression, photo(yaw=glance, pitch=nod))
    assert value(turning, "activity") < 0.15 * value(clean(), "activity")
    assert value(turning, "frozen") < 0.1  # but it is alive


@pytest.mark.parametrize("jitter", [0.3, 1.0, 2.0])
def test_jitter_is_no_activity(jitter: float) -> None:
    found = measured(Expression, photo(jitter=jitter))
    assert value(found, "activity") < 0.1 * value(clean(), "activity")
    assert value(found, "diversity") < 0.1 * value(clean(), "diversity")
    assert value(found, "frozen") > 0.9


def test_jitter_is_measured_as_it_was_planted() -> None:
    # 1 % of the box, in % of the face's size, which is about a third of the box
    course = [value(measured(Expression, photo(jitter=much)), "jitter") for much in (0.0, 0.5, 1.0, 2.0)]
    assert course[0] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(course[1:], [1.5, 3.0, 6.0], rtol=0.25)


@pytest.mark.parametrize("at", [1.5, 2.5, 3.2])
@pytest.mark.parametrize("part", ["mouth", "brow", "smiles"])
def test_an_expression_that_jumps_is_found_in_time(part: str, at: float) -> None:
    quiet: dict[str, Any] = {"mouth": lambda t: 0.3 + 0.1 * talk(t), "brow": still(), "smiles": still()}
    before = value(measured(Expression, Actor(**quiet)), "jump")
    jumping = quiet | {part: lambda t: quiet[part](t) + 0.8 * float(t >= at)}
    found = measured(Expression, Actor(**jumping))
    track = found["jump_track"]
    assert track.times is not None
    assert track.times[int(np.argmax(track.value))] == pytest.approx(at, abs=STEP + 1e-6)
    assert value(found, "jump") > 1.6 * before
    assert value(found, "jump") > 1.2 * value(clean(), "jump")


def test_a_blink_is_no_jump() -> None:
    open_eyed = measured(Expression, Actor(shut=still()))
    assert value(clean(), "jump") == pytest.approx(value(open_eyed, "jump"), rel=0.1)


def test_one_expression_held_and_another_held_are_diverse_and_hardly_active_between() -> None:
    two = measured(Expression, photo(smiles=lambda t: float(np.clip(2 * (t - 2.25), 0, 1)), brow=raised))
    one = measured(Expression, photo(brow=lambda t: 0.05 * raised(t)))
    assert value(two, "diversity") > 2
    assert value(one, "diversity") < 0.3 * value(two, "diversity")


def test_a_face_that_freezes_halfway_is_found() -> None:
    def until(course: Any) -> Any:
        return lambda t: course(min(t, 2.5))

    parts = {name: until(course) for name, course in (("yaw", glance), ("pitch", nod), ("mouth", talk))}
    found = measured(Expression, Actor(**parts, brow=still(), smiles=still(), shut=still()))
    assert 0.3 < value(found, "frozen") < 0.6
    track = found["frozen_track"]
    assert track.times is not None
    course = np.asarray(track.value)
    assert course[track.times < 2.4].max() == 0
    assert course[track.times > 3.5].min() == 1


def test_where_only_the_mouth_moves_it_is_noted() -> None:
    assert "only the mouth" in measured(Expression, photo(mouth=talk))["activity"].note
    assert clean()["activity"].note == ""


# --- what does not matter ---


@pytest.mark.parametrize(
    "moved",
    [
        {"x": lambda t: 0.5 + 0.15 * t},
        {"side": lambda t: 0.25 + 0.04 * t},
        {"y": lambda t: 0.5 + 0.02 * float(np.sin(9 * t))},
        {"side": still(0.5)},
    ],
)
def test_where_the_face_is_and_how_large_is_no_acting(moved: dict[str, Any]) -> None:
    found = measured(Expression, Actor(**moved))
    assert value(found, "activity") == pytest.approx(value(clean(), "activity"), rel=0.05)
    assert value(found, "jump") == pytest.approx(value(clean(), "jump"), rel=0.15)


def test_the_leading_face_is_read_and_not_the_ones_behind() -> None:
    behind = photo(person=2, x=still(1.3), side=still(0.15))
    assert value(measured(Expression, Actor(), behind), "activity") == value(clean(), "activity")


def test_the_larger_of_two_plain_faces_leads_whoever_comes_first() -> None:
    for order in (1, -1):
        both = (Actor(person=2, x=still(1.3), side=still(0.4)), photo(side=still(0.2)))[::order]
        assert value(measured(Expression, *both), "activity") > 3


def test_a_cut_is_no_jump() -> None:
    def other(t: float) -> float:
        return 0.9 if t >= 2.5 else 0.1

    found = measured(Expression, Actor(mouth=other, person=lambda t: {1 + int(t >= 2.5): 1.0}), cuts=(2.5,))
    track = found["jump_track"]
    assert track.times is not None
    assert np.asarray(track.value)[np.abs(track.times - 2.5) < 0.05].max() == 0


# --- cheats ---


@pytest.mark.parametrize("dimension", ACTING)
@pytest.mark.parametrize("cheat", CHEATS)
def test_no_cheat_scores_higher_than_a_performance(cheat: str, dimension: str) -> None:
    assert fused(dimension, measured(Expression, *CHEATS[cheat])) <= fused(dimension, clean()) + 1e-9


@pytest.mark.parametrize("dimension", ACTING)
@pytest.mark.parametrize("cheat", [cheat for cheat in CHEATS if not cheat.startswith("two")])
def test_a_performance_is_plainly_better_than_hiding_or_freezing(cheat: str, dimension: str) -> None:
    assert fused(dimension, measured(Expression, *CHEATS[cheat])) < fused(dimension, clean()) - 0.25


@pytest.mark.parametrize("dimension", ACTING)
def test_a_little_jitter_never_helps(dimension: str) -> None:
    course = [fused(dimension, measured(Expression, Actor(jitter=much))) for much in (0.0, 0.1, 0.3, 0.6, 1.2)]
    assert course == sorted(course, reverse=True)


def test_a_face_that_plays_and_then_hides_is_no_better() -> None:
    found = measured(Expression, Actor(there=lambda t: t < 2))
    for dimension in ACTING:
        assert fused(dimension, found) < fused(dimension, clean()) - 0.1


# --- bad input ---


def test_no_face_is_a_lack_that_is_measured() -> None:
    found = measured(Expression)
    assert (value(found, "activity"), value(found, "seen"), value(found, "frozen")) == (0, 0, 1)
    assert "no face" in found["activity"].note


@pytest.mark.parametrize("side", [3 / HEIGHT, 0.01])
def test_faces_of_3_pixels_tell_nothing(side: float) -> None:
    assert value(measured(Expression, Actor(side=still(side))), "seen") == 0


def test_200_faces_are_measured() -> None:
    crowd = [Actor(person=n, x=still(0.01 * n), side=still(0.1 + 0.002 * n)) for n in range(200)]
    assert value(measured(Expression, *crowd, seconds=2.0), "seen") > 0.5


def test_one_frame_expresses_nothing() -> None:
    found = measured(Expression, Actor(), seconds=1 / FPS)
    assert (value(found, "activity"), value(found, "frozen")) == (0, 1)


def test_no_window_is_an_error() -> None:
    with pytest.raises(OperatorError):
        Expression(networks=tiny()).merge([])


def test_small_faces_are_doubted_more() -> None:
    small = measured(Expression, Actor(side=still(0.12)))
    assert small["activity"].std > clean()["activity"].std

"""Who faces are: what is planted is found at its time, and no way to hide or freeze a face is better than to play."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from cinereward.errors import OperatorError
from cinereward.operators.identity import Identity, kept_identity
from cinereward.testing import OperatorConformance, clip, measure, windows_of
from cinereward.types import Evidence, Operator

from .planted_faces import (
    CHEATS,
    FPS,
    HEIGHT,
    SECONDS,
    STEP,
    Actor,
    fused,
    measured,
    networks,
    photo,
    pictures,
    still,
    tiny,
)

ACTING, CHARACTER = "acting.consistency.face_identity", "visual_concept_design.character.identifiability"


class TestIdentity(OperatorConformance):
    def operator(self) -> Operator:
        return Identity(networks=tiny())


@cache
def clean() -> Evidence:
    return measured(Identity, Actor())


def worst(found: Evidence, name: str) -> float:
    """When a course is at its worst, in s."""
    track = found[f"{name}_track"]
    assert track.times is not None
    return float(track.times[int(np.argmax(track.value))])


def turning(at: float, over: float = 0.0) -> Any:
    """One person who becomes another about a time, over so many seconds."""

    def who(t: float) -> dict[int, float]:
        share = float(t >= at) if over == 0 else float(np.clip((t - at) / over + 0.5, 0, 1))
        return {1: 1 - share, 2: share}

    return who


def away(first: float, last: float) -> Any:
    return lambda t: not first <= t < last


# --- what is planted ---


def test_a_steady_face_is_steady() -> None:
    assert clean()["similarity"].value > 0.8
    assert clean()["morph"].value < 0.1
    assert clean()["presence"].value > 0.95
    assert (clean()["twins"].value, clean()["pops"].value, clean()["returns"].value) == (0, 0, 0)
    assert clean()["size"].value == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("over", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("at", [1.5, 2.5, 3.7])
def test_an_identity_that_is_swapped_or_cross_faded_is_found_in_time(at: float, over: float) -> None:
    found = measured(Identity, Actor(person=turning(at, over)))
    assert worst(found, "morph") == pytest.approx(at, abs=STEP + 1e-6)
    assert found["morph"].value > 0.3
    assert found["similarity"].value < 0.3


def test_a_slow_change_of_identity_is_seen_in_its_ends() -> None:
    found = measured(Identity, Actor(person=turning(SECONDS / 2, SECONDS)))
    assert found["similarity"].value < 0.5 < clean()["similarity"].value - 0.3


def test_two_faces_that_swap_who_they_are_are_found() -> None:
    left = Actor(person=lambda t: {1: float(t < 2), 2: float(t >= 2)}, x=still(0.5))
    right = Actor(person=lambda t: {2: float(t < 2), 1: float(t >= 2)}, x=still(1.2))
    found = measured(Identity, left, right)
    assert worst(found, "morph") == pytest.approx(2, abs=STEP + 1e-6)
    assert found["morph"].value > 0.5


def test_two_faces_that_cross_are_no_morph() -> None:
    right = Actor(x=lambda t: 0.5 + 0.14 * t)
    left = Actor(person=2, x=lambda t: 1.2 - 0.14 * t, y=still(0.48))
    found = measured(Identity, right, left)
    assert found["morph"].value < 0.1
    assert found["similarity"].value > 0.75


def test_the_worst_of_two_faces_tells() -> None:
    second = Actor(person=turning(2.5), x=still(1.3))
    assert measured(Identity, Actor(), second)["similarity"].value < 0.2


@pytest.mark.parametrize("side", [0.2, 0.3, 0.6])
def test_a_second_perfect_face_never_helps(side: float) -> None:
    poor = Actor(person=turning(2.5))
    perfect = photo(person=5, x=still(1.3), side=still(side))
    alone, both = measured(Identity, poor), measured(Identity, poor, perfect)
    assert both["similarity"].value <= alone["similarity"].value + 1e-9
    assert both["morph"].value >= alone["morph"].value - 1e-9


# --- turning away, leaving, coming back ---


def test_a_head_that_turns_away_and_back_is_no_morph() -> None:
    def turned(t: float) -> float:
        return float(np.interp(t, [1.5, 2.2, 3.0, 3.7], [0, 100, 100, 0]))

    found = measured(Identity, Actor(yaw=turned, there=lambda t: abs(turned(t)) < 80))
    assert found["morph"].value < 0.2
    assert found["pops"].value == 0
    assert 0.4 < found["presence"].value < 0.85


def test_a_face_that_returns_as_itself_is_well() -> None:
    found = measured(Identity, Actor(there=away(1.5, 3.0)))
    assert found["returns"].value == 0


def test_a_face_that_returns_as_somebody_else_is_found_when_it_does() -> None:
    found = measured(Identity, Actor(person=turning(2.2), there=away(1.5, 3.0)))
    assert found["returns"].value > 0.3
    assert worst(found, "returns") == pytest.approx(3.0, abs=STEP + 1e-6)


def test_a_short_absence_hides_no_swap() -> None:
    found = measured(Identity, Actor(person=turning(2.2), there=away(2.0, 2.6)))
    assert found["morph"].value > 0.5


def test_a_face_that_vanishes_from_the_middle_pops_and_one_that_walks_out_does_not() -> None:
    gone = measured(Identity, Actor(there=lambda t: t < 2))
    assert gone["pops"].value == pytest.approx(1, abs=0.05)
    assert worst(gone, "pops") == pytest.approx(2, abs=STEP + 1e-6)
    out = measured(Identity, Actor(x=lambda t: 0.8 + 0.35 * t, there=lambda t: t < 2.2))
    assert out["pops"].value == 0


def test_the_number_of_people_is_counted_over_time() -> None:
    found = measured(Identity, Actor(), Actor(person=2, x=still(1.3), there=lambda t: t >= 1))
    track = found["people_track"]
    assert found["people"].value == 2
    assert track.times is not None
    assert np.asarray(track.value)[track.times < 1].max() == 1


# --- across cuts ---

CUTS = (1.25, 2.5, 3.75)


def person_of_shot(*people: int) -> Any:
    return lambda t: {people[sum(t >= cut - 1e-6 for cut in CUTS)]: 1.0}


@pytest.mark.parametrize(
    ("people", "low", "high"),
    [((1, 1, 1, 1), 0.8, 1.0), ((1, 2, 1, 2), 0.8, 1.0), ((1, 1, 1, 2), 0.5, 0.8), ((1, 2, 3, 4), 0.0, 0.2)],
)
def test_faces_are_known_again_across_cuts(people: tuple[int, ...], low: float, high: float) -> None:
    found = measured(Identity, Actor(person=person_of_shot(*people)), cuts=CUTS)
    assert low <= float(found["across"].value) <= high
    assert found["morph"].value < 0.1  # a cut is no morph
    assert (found["across"].std > 0.2) == (people == (1, 2, 3, 4))


def test_hiding_the_face_of_the_other_shots_is_no_help() -> None:
    hidden = measured(Identity, Actor(there=lambda t: t < 1.25), cuts=CUTS)
    shown = measured(Identity, Actor(), cuts=CUTS)
    assert hidden["across"].value < shown["across"].value - 0.3
    assert hidden["across"].std > 0.3


# --- cheats ---


@pytest.mark.parametrize("cheat", CHEATS)
def test_no_cheat_scores_higher_than_a_performance(cheat: str) -> None:
    assert fused(ACTING, measured(Identity, *CHEATS[cheat])) <= fused(ACTING, clean()) + 1e-9


@pytest.mark.parametrize("cheat", [cheat for cheat in CHEATS if "photograph" not in cheat])
def test_who_hides_the_face_is_not_known_better(cheat: str) -> None:
    assert fused(CHARACTER, measured(Identity, *CHEATS[cheat])) <= fused(CHARACTER, clean()) + 1e-9


@pytest.mark.parametrize("cheat", [cheat for cheat in CHEATS if cheat != "a face that jitters"])
def test_a_performance_is_plainly_better_than_most_cheats(cheat: str) -> None:
    assert fused(ACTING, measured(Identity, *CHEATS[cheat])) < fused(ACTING, clean()) - 0.3


def test_a_little_jitter_never_helps() -> None:
    course = [fused(ACTING, measured(Identity, Actor(jitter=much))) for much in (0.0, 0.1, 0.3, 0.6, 1.2, 2.4)]
    assert max(course[1:]) <= course[0] + 1e-4  # one draw of it may move a landmark the right way
    assert course[-1] < course[0] - 0.01


@pytest.mark.parametrize("moved", [photo(), photo(x=lambda t: 0.5 + 0.1 * t), photo(side=lambda t: 0.2 + 0.05 * t)])
def test_a_photograph_does_not_live_however_it_is_moved(moved: Actor) -> None:
    assert measured(Identity, moved)["liveliness"].value == pytest.approx(0, abs=1e-6)
    assert clean()["liveliness"].value > 3


# --- bad input ---


def test_no_face_is_a_lack_that_is_measured() -> None:
    found = measured(Identity)
    for name in ("similarity", "across", "presence", "size", "liveliness"):
        assert found[name].value == 0
        assert found[name].note == "no face is seen"
    assert found["similarity"].std > 0.2


def test_faces_of_3_pixels_tell_nothing() -> None:
    found = measured(Identity, Actor(side=still(3 / HEIGHT)))
    assert (found["similarity"].value, found["presence"].value) == (0, 0)
    assert "too small" in found["similarity"].note


def test_200_faces_are_measured() -> None:
    crowd = [Actor(person=n, x=still(0.01 * n), side=still(0.1 + 0.001 * n)) for n in range(200)]
    found = measured(Identity, *crowd, seconds=2.0)
    assert np.isfinite([float(found[name].value) for name in found if not name.endswith("_track")]).all()


def test_a_full_frame_of_faces_is_noted() -> None:
    crowd = [Actor(person=n, x=still(0.1 * n)) for n in range(16)]
    seen = windows_of(clip(pictures((), 1.0), FPS))
    assert "16 faces or more" in Identity(networks=networks(*crowd)).measure(seen)[0].notes[0]


def test_one_frame_tells_no_identity() -> None:
    found = measured(Identity, Actor(), seconds=1 / FPS)
    assert found["similarity"].value == 0
    assert "too shortly" in found["similarity"].note
    assert found["presence"].value == 1


def test_no_window_is_an_error() -> None:
    with pytest.raises(OperatorError):
        Identity(networks=tiny()).merge([])


# --- pure ---


def test_an_outlier_does_not_bend_the_mean() -> None:
    draw = np.random.default_rng(0).normal(size=(12, 512))
    draw[:11] = draw[0] + 0.3 * draw[:11]
    unit = draw / np.linalg.norm(draw, axis=1, keepdims=True)
    _, like = kept_identity(unit, np.ones(12))
    assert like[:11].min() > 0.9
    assert like[11] < 0.2


def test_small_and_unsure_faces_are_doubted_more() -> None:
    small = measured(Identity, Actor(side=still(0.1)))
    assert small["similarity"].std > 2 * clean()["similarity"].std


def test_the_true_networks_are_used_as_the_planted_ones() -> None:
    found = measure(Identity(networks=tiny()), clip(pictures(), FPS))
    assert found.operator == "identity"
    assert np.isfinite(float(found["similarity"].value))

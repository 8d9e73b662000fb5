from __future__ import annotations

import numpy as np
import pytest

from cinereward.testing import dropped, frozen, noisy, repeated, shots

from .planted import SEEDS, moved, one, take, worth

MOVES = ("static", "pan", "push", "roll", "handheld")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("move", MOVES)
def test_a_film_like_scene_is_stable(seed: int, move: str) -> None:
    found = worth("temporal", take(seed, move))
    assert found["instability"] < 0.03
    assert found["detail_flicker"] < 0.1
    assert found["collapse"] < 0.2
    assert (found["repeated"], found["dropped"], found["frozen"]) == (0, 0, 0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_share_of_repeated_frames_is_near_the_truth(seed: int, move: str, share: float) -> None:
    frames = repeated(take(seed, move), share, seed=seed)
    truth = float((np.diff(frames.astype(int), axis=0) == 0).all(axis=(1, 2, 3)).mean())
    assert one("temporal.repeated", frames) == pytest.approx(truth, abs=0.03)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0.05, 0.1, 0.15])
@pytest.mark.parametrize("speed", [0.08, 0.3])
def test_the_share_of_gaps_is_near_the_truth(seed: int, share: float, speed: float) -> None:
    frames = dropped(take(seed, speed=speed), share, seed=seed)
    gaps = 36 - len(frames)
    assert one("temporal.dropped", frames) == pytest.approx(gaps / (len(frames) - 1), abs=0.03)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_share_that_is_frozen_is_near_the_truth(seed: int, share: float) -> None:
    frames = frozen(take(seed), share)
    assert one("temporal.frozen", frames) == pytest.approx(share, abs=0.04)
    assert one("temporal.repeated", frames) < 0.05
    assert one("temporal.frozen", noisy(frames, 1, seed=seed)) == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("grain", [0.0, 2.0])
def test_a_photograph_is_frozen(seed: int, grain: float) -> None:
    assert one("temporal.frozen", take(seed, "static", subject=0.0, grain=grain)) == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("speed", [0.005, 0.02])
def test_slow_motion_is_not_frozen(seed: int, speed: float) -> None:
    found = worth("temporal", take(seed, speed=speed, subject=speed, grain=0.0))
    assert (found["frozen"], found["repeated"]) == (0, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hard_cut_is_no_collapse(seed: int) -> None:
    frames, _ = shots([take(10 + seed, "static", 0.75), take(20 + seed, "pan", 0.75)])
    found = worth("temporal", frames)
    assert found["collapse"] < 0.2
    assert found["instability"] < 0.03
    assert found["dropped"] == 0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("grain", [2.0, 4.0, 8.0])
def test_film_grain_is_hardly_instability(seed: int, grain: float) -> None:
    found = worth("temporal", take(seed, grain=grain))
    assert found["instability"] < 0.04
    assert found["detail_flicker"] < 0.06 * grain
    assert found["collapse"] < 0.12


@pytest.mark.parametrize("seed", SEEDS)
def test_a_moving_subject_before_a_still_camera_is_stable(seed: int) -> None:
    found = worth("temporal", take(seed, "static", subject=0.3))
    assert found["instability"] < 0.02
    assert found["collapse"] < 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_collapse_is_found_where_it_is(seed: int) -> None:
    from cinereward.operators import load
    from cinereward.testing import clip, collapsed, measure

    found = measure(load("temporal"), clip(collapsed(take(seed), 0.1, seed=seed)))
    track = np.asarray(found["collapse_track"].value)
    assert track.max() > 0.4
    assert 18 <= int(track.argmax()) <= 21  # it lasts from frame 18 to frame 20; the frame after comes back


@pytest.mark.parametrize(
    ("fault", "name", "most"),
    [
        ("blurred", "instability", 0.02),
        ("blurred", "detail_flicker", 0.05),
        ("noisy", "instability", 0.03),
        ("noisy", "collapse", 0.1),
        ("noisy", "frozen", 0),
        ("colour_noisy", "instability", 0.02),
        ("underexposed", "instability", 0.02),
        ("underexposed", "repeated", 0),
        ("flattened", "instability", 0.02),
        ("banded", "instability", 0.02),
        ("flickering", "dropped", 0.03),
        ("flickering", "frozen", 0),
        ("shaken", "instability", 0.03),
        ("shaken", "collapse", 0.15),
        ("jolted", "instability", 0.02),
        ("jolted", "repeated", 0),
        ("focus_jump", "dropped", 0.03),
        ("boiling", "repeated", 0),
        ("boiling", "frozen", 0),
        ("repeated", "collapse", 0.1),
        ("repeated", "frozen", 0),
        ("dropped", "collapse", 0.1),
        ("dropped", "repeated", 0),
        ("frozen", "collapse", 0.1),
        ("frozen", "dropped", 0),
        ("collapsed", "instability", 0.02),
        ("collapsed", "repeated", 0),
    ],
)
def test_what_other_faults_must_not_touch(fault: str, name: str, most: float) -> None:
    assert moved(fault, f"temporal.{name}") <= most

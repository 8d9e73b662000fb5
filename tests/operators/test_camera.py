from __future__ import annotations

import numpy as np
import pytest

from cinereward.testing import scene, shaken, shots

from .planted import FPS, SEEDS, moved, one, take, worth


def eased(seconds: float, speed: float, ease: float) -> np.ndarray:
    """The path of a pan that starts and stops over `ease` seconds, or dead where that is 0."""
    time = np.arange(round(seconds * FPS)) / FPS
    edge = np.minimum(time - 0.3, time[-1] - 0.3 - time)
    share = np.clip(edge / ease, 0, 1) if ease else (edge > 0).astype(float)
    path = np.zeros((len(time), 4))
    path[:, 0] = np.cumsum(share * share * (3 - 2 * share)) * speed / FPS
    path[:, 0] -= path[:, 0].mean()
    return path


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("speed", "slack"), [(0.05, 0.12), (0.1, 0.12), (0.2, 0.05), (0.4, 0.05), (0.8, 0.05)])
def test_a_pan_is_measured_in_widths_a_second(seed: int, speed: float, slack: float) -> None:
    # below 2 pixels a frame the flow, worked out on a quarter of the picture's size, overshoots
    assert one("camera.speed", take(seed, speed=speed, subject=0.0)) == pytest.approx(speed, rel=slack)


def test_a_pan_of_a_larger_picture_is_measured_within_five_percent() -> None:
    frames = take(0, seconds=0.5, speed=0.1, subject=0.0, size=(480, 832))
    assert one("camera.speed", frames) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("move", ["push", "roll"])
@pytest.mark.parametrize("speed", [0.3, 0.6])
def test_a_zoom_and_a_roll_count_by_what_they_move_at_a_third_of_the_width(seed: int, move: str, speed: float) -> None:
    assert one("camera.speed", take(seed, move, speed=speed, subject=0.0)) == pytest.approx(speed / 3, rel=0.16)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("subject", [0.0, 0.1, 0.8])
def test_a_moving_subject_is_no_camera_movement(seed: int, subject: float) -> None:
    found = worth("camera", take(seed, "static", subject=subject))
    assert found["speed"] < 0.01
    assert found["shake"] < 0.02
    assert found["jerk"] < 0.1
    assert (found["motion"] > 0.003) == (subject > 0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("speed", [0.05, 0.1, 0.4])
def test_a_smooth_pan_is_no_shake(seed: int, speed: float) -> None:
    found = worth("camera", take(seed, speed=speed))
    assert found["shake"] < 0.04
    assert found["jerk"] < 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_sway_is_hardly_shake(seed: int) -> None:
    assert one("camera.shake", take(seed, "handheld")) < 0.1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("move", ["static", "pan"])
@pytest.mark.parametrize("amount", [0.3, 0.6, 1.2])
def test_shake_is_measured_in_percent_of_the_width(seed: int, move: str, amount: float) -> None:
    # the slow course follows white jitter a little: about a tenth is lost
    assert one("camera.shake", shaken(take(seed, move), amount, seed=seed)) == pytest.approx(0.92 * amount, rel=0.15)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_eased_pan_has_less_jerk_than_one_that_stops_dead(seed: int) -> None:
    soft = worth("camera", scene(2.0, seed=seed, grain=0.6, path=eased(2.0, 0.4, 0.5)))
    hard = worth("camera", scene(2.0, seed=seed, grain=0.6, path=eased(2.0, 0.4, 0.0)))
    assert soft["jerk"] < 0.3 * hard["jerk"]
    assert soft["shake"] < hard["shake"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cut_is_no_movement(seed: int) -> None:
    frames, _ = shots([take(10 + seed, "static", 0.75), take(20 + seed, "static", 0.75)])
    found = worth("camera", frames)
    assert found["top_speed"] < 0.01
    assert found["shake"] < 0.02
    assert found["jerk"] < 0.1


@pytest.mark.parametrize(
    ("fault", "name", "most"),
    [
        ("blurred", "shake", 0.03),
        ("blurred", "speed", 0.01),
        ("noisy", "shake", 0.05),
        ("noisy", "speed", 0.01),
        ("flickering", "shake", 0.05),
        ("flickering", "speed", 0.01),
        ("underexposed", "shake", 0.05),
        ("flattened", "shake", 0.03),
        ("compressed", "speed", 0.01),
        ("compressed", "shake", 0.05),
        ("banded", "shake", 0.03),
        ("boiling", "speed", 0.02),
        ("boiling", "shake", 0.3),
        ("repainted", "speed", 0.01),
        ("collapsed", "shake", 0.05),
        ("shaken", "speed", 0.02),
    ],
)
def test_what_other_faults_must_not_touch(fault: str, name: str, most: float) -> None:
    assert moved(fault, f"camera.{name}") <= most

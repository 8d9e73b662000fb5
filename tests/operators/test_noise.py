from __future__ import annotations

import cv2
import numpy as np
import pytest

from cinereward.testing import banded, blurred, colour_noisy, compressed, noisy, scene

from .planted import SEEDS, moved, one, take, worth


def plain(seed: int) -> np.ndarray:
    """A scene without grain of its own."""
    return take(seed, "static", 0.5, grain=0.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_clean_scene_has_none_of_the_four(seed: int) -> None:
    found = worth("noise", plain(seed))
    assert found["grain"] < 0.5
    assert found["colour_noise"] < 1.7  # the scenes' colours change with their light
    assert found["blocking"] < 0.3
    assert found["banding"] < 0.01


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0, 20.0])
def test_grain_is_measured_in_levels(seed: int, sigma: float) -> None:
    assert one("noise.grain", noisy(plain(seed), sigma, seed=seed)) == pytest.approx(sigma, rel=0.2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sigma", [5.0, 10.0, 20.0])
def test_colour_noise_is_measured_in_levels(seed: int, sigma: float) -> None:
    found = worth("noise", colour_noisy(plain(seed), sigma, seed=seed))
    assert found["colour_noise"] == pytest.approx(sigma, rel=0.2)
    assert found["grain"] < 1.0


@pytest.mark.parametrize("seed", SEEDS)
def test_texture_is_not_grain(seed: int) -> None:
    assert abs(one("noise.grain", plain(seed)) - one("noise.grain", blurred(plain(seed), 1.5))) < 0.5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cut", [0, 3])
def test_a_grid_of_blocks_is_found_wherever_it_begins(seed: int, cut: int) -> None:
    frames = compressed(plain(seed), 40)[:, cut:, cut:]
    assert one("noise.blocking", frames) > 1.0
    assert one("noise.blocking", frames) > 5 * one("noise.blocking", plain(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grid_is_found_through_a_zoom(seed: int) -> None:
    frames = scene(0.05, size=(360, 640), seed=seed, move="static")
    matrix = np.array([[1.1, 0, -32], [0, 1.1, -18]])
    zoomed = [
        np.stack([cv2.warpAffine(frame, matrix, (640, 360)) for frame in some])
        for some in (frames, compressed(frames, 15))
    ]
    assert one("noise.blocking", zoomed[0]) < 0.4
    assert one("noise.blocking", zoomed[1]) > 0.8


def test_a_slight_blur_does_not_hide_bands() -> None:
    ramp = np.rint(np.tile(np.linspace(60, 120, 192)[None, None, :, None], (4, 128, 1, 3))).astype(np.uint8)
    steps = banded(ramp, 6)
    assert one("noise.banding", blurred(steps, 0.8)) > 0.3 * one("noise.banding", steps)


def test_a_gradient_in_few_steps_is_banded_and_a_fine_one_is_not() -> None:
    ramp = np.tile(np.linspace(60, 120, 192)[None, :, None], (128, 1, 3))
    fine = np.stack([np.rint(cv2.GaussianBlur(ramp, (0, 0), 1))] * 4).astype(np.uint8)
    assert one("noise.banding", fine) < 0.01
    assert one("noise.banding", banded(fine, 6)) > 0.3
    assert one("noise.banding", banded(noisy(fine, 3), 2)) < 0.05  # dither hides steps


def test_size_does_not_change_the_grain() -> None:
    frames = noisy(scene(0.15, size=(480, 832), seed=0, move="static"), 5)
    assert one("noise.grain", frames) == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize("value", [0, 255, 90])
def test_one_colour_has_no_noise(value: int) -> None:
    found = worth("noise", np.full((6, 64, 96, 3), value, np.uint8))
    assert found == {"grain": 0.0, "colour_noise": 0.0, "blocking": 0.0, "banding": 0.0}


@pytest.mark.parametrize(
    ("fault", "name", "most"),
    [
        ("noisy", "colour_noise", 0.5),
        ("noisy", "blocking", 0.15),
        ("noisy", "banding", 0.01),
        ("colour_noisy", "grain", 0.2),
        ("colour_noisy", "blocking", 0.1),
        ("colour_noisy", "banding", 0.01),
        ("flickering", "grain", 0.1),
        ("flickering", "blocking", 0.1),
        ("flickering", "banding", 0.01),
        ("blurred", "banding", 0.02),
        ("banded", "blocking", 0.15),
        ("shaken", "blocking", 0.15),
        ("shaken", "banding", 0.01),
        ("boiling", "blocking", 0.15),
        ("repeated", "grain", 0.1),
        ("frozen", "grain", 0.1),
        ("dropped", "grain", 0.1),
        ("underexposed", "blocking", 0.2),
    ],
)
def test_what_other_faults_must_not_touch(fault: str, name: str, most: float) -> None:
    assert moved(fault, f"noise.{name}") <= most

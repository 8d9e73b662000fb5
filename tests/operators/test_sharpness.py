from __future__ import annotations

import cv2
import numpy as np
import pytest

from cinereward.testing import blurred, flattened, noisy, shots, underexposed

from .planted import FPS, SEEDS, moved, one, take, worth


def racked(frames: np.ndarray, sigma: float, seconds: float) -> np.ndarray:
    """Focus lost evenly over so many seconds about the middle."""
    time = np.arange(len(frames)) / FPS
    share = np.clip((time - time[-1] / 2) / seconds + 0.5, 0, 1)
    soft = [
        cv2.GaussianBlur(frame, (0, 0), s) if s > 0.05 else frame
        for frame, s in zip(frames, sigma * share, strict=True)
    ]
    return np.stack(soft)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_film_like_scene_is_sharp(seed: int) -> None:
    found = worth("sharpness", take(seed))
    assert found["blur"] < 1.2
    assert found["subject_blur"] < 1.4
    assert found["jump"] < 0.25


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("sigma", [2.0, 3.0, 4.0])
def test_blur_is_measured_in_pixels(seed: int, sigma: float) -> None:
    assert one("sharpness.blur", blurred(take(seed, "static", 0.5), sigma)) == pytest.approx(sigma, rel=0.25)


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_does_not_pass_for_sharpness(seed: int) -> None:
    frames = blurred(take(seed, "static", 0.5), 2)
    assert one("sharpness.blur", noisy(frames, 5)) == pytest.approx(one("sharpness.blur", frames), rel=0.1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("gain", [0.5, 0.2])
def test_darkness_and_flatness_do_not_pass_for_blur(seed: int, gain: float) -> None:
    frames = take(seed, "static", 0.5)
    expected = one("sharpness.blur", frames)
    assert one("sharpness.blur", underexposed(frames, gain)) == pytest.approx(expected, abs=0.25)
    assert one("sharpness.blur", flattened(frames, gain)) == pytest.approx(expected, abs=0.25)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_subject_may_be_sharp_before_a_soft_background(seed: int) -> None:
    frames = take(seed, "static", 0.5)
    soft = blurred(frames, 4)
    height, width = frames.shape[1:3]
    y, x = np.mgrid[:height, :width]
    middle = (np.hypot(x - width / 2, y - height / 2) < 0.3 * width)[..., None]
    assert one("sharpness.subject_blur", np.where(middle, frames, soft)) < 0.6 * one("sharpness.subject_blur", soft)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rack_of_focus_is_no_jump(seed: int) -> None:
    frames = take(seed, "static", 2.0)
    rack = one("sharpness.jump", racked(frames, 4.0, 1.0))
    jump = one("sharpness.jump", np.concatenate([frames[:24], blurred(frames[24:], 4.0)]))
    assert rack < 0.25
    assert jump > 1.2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fade_is_no_jump(seed: int) -> None:
    frames = take(seed)
    gains = np.linspace(0, 1, len(frames))[:, None, None, None]
    assert one("sharpness.jump", np.rint(frames * gains).astype(np.uint8)) < 0.4


def test_a_cut_from_soft_to_sharp_is_no_jump() -> None:
    frames, _ = shots([blurred(take(0, "static", 0.75), 3), take(5, "static", 0.75)])
    assert one("sharpness.jump", frames) < 0.25


@pytest.mark.parametrize(
    ("fault", "name", "most"),
    [
        ("noisy", "blur", 0.1),
        ("noisy", "jump", 0.15),
        ("colour_noisy", "blur", 0.05),
        ("flickering", "blur", 0.05),
        ("flickering", "jump", 0.2),
        ("underexposed", "blur", 0.1),
        ("crushed", "blur", 0.15),
        ("flattened", "subject_blur", 0.1),
        ("banded", "blur", 0.1),
        ("shaken", "blur", 0.15),
        ("shaken", "jump", 0.2),
        ("jolted", "jump", 0.2),
        ("boiling", "jump", 0.2),
        ("repeated", "jump", 0.1),
        ("dropped", "jump", 0.15),
        ("frozen", "jump", 0.2),
        ("collapsed", "jump", 0.15),
    ],
)
def test_what_other_faults_must_not_touch(fault: str, name: str, most: float) -> None:
    assert moved(fault, f"sharpness.{name}") <= most

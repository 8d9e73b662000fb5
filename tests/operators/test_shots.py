from __future__ import annotations

import cv2
import numpy as np
import pytest

from cinereward.operators import load
from cinereward.testing import clip, jolted, measure, scene, shots
from cinereward.testing.editing import evened, overcut

from .planted import FPS, SEEDS, moved, one, take, worth

MOVES = ("static", "pan", "push", "roll", "handheld")


@pytest.mark.parametrize("seed", range(8))
def test_cuts_are_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    takes = [
        scene(float(rng.uniform(0.4, 1.2)), seed=100 * seed + n, move=MOVES[int(rng.integers(5))], grain=0.6)
        for n in range(5)
    ]
    frames, cuts = shots(takes)
    lengths = measure(load("shots"), clip(frames))["duration_track"]
    assert np.allclose(np.cumsum(lengths.value)[:-1], cuts)
    assert np.allclose(lengths.times, [0, *cuts])


def test_statistics_of_known_lengths() -> None:
    takes = [take(seed, "static", seconds) for seed, seconds in ((11, 0.375), (12, 0.75), (13, 1.5))]
    found = worth("shots", shots(takes)[0])
    assert found["count"] == 3
    assert found["duration"] == pytest.approx(0.75)
    assert found["short"] == pytest.approx(0.375 / 2.625)
    assert found["variety"] == pytest.approx(float(np.std(np.log([1, 2, 4]))))


def test_a_still_and_a_moving_shot_are_layers() -> None:
    level = worth("shots", shots([take(11, "static", 0.75), take(12, "static", 0.75)])[0])["layering"]
    layered = worth("shots", shots([take(11, "static", 0.75), take(12, "pan", 0.75, speed=0.5)])[0])["layering"]
    assert layered > level + 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("speed", [0.1, 0.4, 1.2])
def test_a_pan_is_one_shot(seed: int, speed: float) -> None:
    assert one("shots.count", take(seed, speed=speed)) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_fade_flash_and_dissolve_are_no_cuts(seed: int) -> None:
    frames, other = take(seed, "static"), take(seed + 30, "static")
    share = np.linspace(0, 1, len(frames))[:, None, None, None]
    flash = frames.copy()
    flash[18] = np.clip(flash[18].astype(int) + 120, 0, 255)
    mixed = np.clip(3 * share - 1, 0, 1)
    assert one("shots.count", np.rint(frames * share).astype(np.uint8)) == 1
    assert one("shots.count", flash) == 1
    assert one("shots.count", np.rint(frames * (1 - mixed) + other * mixed).astype(np.uint8)) == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("jump", [2.0, 5.0])
def test_a_kick_of_the_tripod_is_no_cut(seed: int, jump: float) -> None:
    assert one("shots.count", jolted(take(seed), jump, seed=seed)) == 1


def test_frame_rates_do_not_matter() -> None:
    frames, _ = shots([take(11, "static", 0.75), take(12, "pan", 0.75)])
    assert one("shots.duration", frames, fps=2 * FPS) == pytest.approx(0.375)


@pytest.mark.parametrize("fault", ["noisy", "flickering", "shaken", "boiling", "collapsed", "repeated", "compressed"])
def test_other_faults_are_no_cuts(fault: str) -> None:
    assert moved(fault, "shots.count") == 0


def _faked(frames: np.ndarray, kind: str) -> np.ndarray:
    """Every second stretch of 18 frames mirrored, or zoomed in on."""
    height, width = frames.shape[1:3]
    out = frames.copy()
    for t in np.flatnonzero(np.arange(len(frames)) // 18 % 2):
        middle = frames[t, height // 7 : -(height // 7), width // 7 : -(width // 7)]
        out[t] = frames[t][:, ::-1] if kind == "mirrored" else cv2.resize(middle, (width, height))
    return out


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["mirrored", "zoomed"])
def test_a_take_that_is_mirrored_or_zoomed_by_turns_is_one_shot(seed: int, kind: str) -> None:
    assert one("shots.count", _faked(take(seed, "pan", 3.0), kind)) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shot_shown_once_more_is_not_another(seed: int) -> None:
    looped = np.concatenate([take(seed, "pan", 1.5, speed=0.3)] * 2)
    assert one("shots.count", looped) == 1
    there = take(seed + 20, "static", 1.0)
    assert one("shots.count", np.concatenate([take(seed), there, take(seed)])) == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_overcutting_shortens_shots_and_evening_takes_their_variety(seed: int) -> None:
    takes = [take(seed + 10 * n, "pan", seconds) for n, seconds in enumerate((1.5, 0.75, 2.0, 1.0))]
    frames = shots(takes)[0]
    assert one("shots.duration", overcut(frames, 2, fps=FPS, seed=seed)) == pytest.approx(0.5)
    assert one("shots.variety", evened(frames, 1, fps=FPS)) < 0.1 < one("shots.variety", frames)

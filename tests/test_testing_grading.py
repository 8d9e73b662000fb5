"""The faults of light, colour and style do what their severities say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from cinereward.testing import FAULTS, grading, scene

NAMES = (
    "light_jumped",
    "lamp_pulsing",
    "unmodelled",
    "tinted",
    "oversaturated",
    "clashing",
    "desaturated",
    "colour_jumped",
    "restyled",
)
CLEAN = scene(0.5, 24, (64, 96), seed=2, move="static", subject=0)
GREY = np.full((8, 48, 64, 3), 128, np.uint8)


def lab(frames: np.ndarray) -> np.ndarray:
    return np.stack([cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for frame in frames])


def stops(frames: np.ndarray) -> np.ndarray:
    return np.log2(np.maximum(frames, 1) / 255) * 2.2


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_keeps_shape_and_type_and_its_input(name: str) -> None:
    frames = CLEAN.copy()
    frames.flags.writeable = False
    out = FAULTS[name](frames, FAULTS[name].severities[2], fps=24, seed=1)
    assert (out.shape, out.dtype) == (frames.shape, np.uint8)
    assert np.array_equal(frames, CLEAN)
    assert not np.shares_memory(out, frames)
    assert not np.array_equal(out, frames)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_fault_again(name: str) -> None:
    at = FAULTS[name].severities[1]
    assert np.array_equal(FAULTS[name](CLEAN, at, seed=5), FAULTS[name](CLEAN, at, seed=5))


@pytest.mark.parametrize("name", NAMES)
def test_worse_is_further_from_the_clean_clip(name: str) -> None:
    away = [np.abs(FAULTS[name](CLEAN, at, seed=1).astype(float) - CLEAN).mean() for at in FAULTS[name].severities]
    assert away == sorted(away)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 33, 57), (5, 57, 33)])
def test_any_size_and_length_will_do(name: str, shape: tuple[int, int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert FAULTS[name](frames, FAULTS[name].severities[4]).shape == frames.shape


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("severity", [0.3, 0.8])
def test_the_light_jumps_by_its_stops(severity: float, seed: int) -> None:
    out = grading.light_jumped(GREY, severity, seed=seed)
    assert np.array_equal(out[:4], GREY[:4])
    assert np.abs(stops(out[4:]) - stops(GREY[4:])).max() == pytest.approx(severity, abs=0.03)


def test_a_lamp_swings_by_its_stops_and_leaves_the_rest() -> None:
    out = grading.lamp_pulsing(np.repeat(GREY, 6, axis=0), 0.5, fps=24, seed=1)
    swing = stops(out) - stops(GREY[:1])
    assert swing.max() == pytest.approx(0.5, abs=0.05)
    assert swing.min() == pytest.approx(-0.5, abs=0.05)
    assert np.median(np.abs(swing).max(axis=(0, 3))) < 0.05


def test_modelling_goes_and_the_level_stays() -> None:
    out = grading.unmodelled(CLEAN, 1.0)
    assert np.median(out) == pytest.approx(np.median(CLEAN), abs=12)
    near = [cv2.GaussianBlur(frames[0], (0, 0), 4).std() for frames in (CLEAN, out)]
    assert near[1] < 0.8 * near[0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("severity", [8, 22])
def test_a_tint_shifts_greys_by_its_units(severity: float, seed: int) -> None:
    shift = (lab(grading.tinted(GREY, severity, seed=seed)) - lab(GREY))[..., 1:]
    assert np.hypot(shift[..., 0], shift[..., 1]).mean() == pytest.approx(severity, abs=0.6)


@pytest.mark.parametrize("seed", range(8))
def test_a_tint_never_takes_a_cast_away(seed: int) -> None:
    warm = grading.tinted(GREY, 12, seed=3)
    mean = lab(grading.tinted(warm, 12, seed=seed))[..., 1:].mean(axis=(0, 1, 2))
    assert np.hypot(*mean) > 12


def test_chroma_is_multiplied() -> None:
    mild = grading.desaturated(CLEAN, 0.5)
    before, after = (np.hypot(*np.moveaxis(lab(frames)[..., 1:], -1, 0)) for frames in (CLEAN, mild))
    assert after.mean() == pytest.approx(0.5 * before.mean(), rel=0.03)
    assert np.ptp(grading.desaturated(CLEAN, 0), axis=-1).max() <= 1


@pytest.mark.parametrize("share", [0.1, 0.35])
def test_strangers_take_their_share_of_the_picture(share: float) -> None:
    out = grading.clashing(GREY, share, seed=1)
    changed = np.hypot(*np.moveaxis(lab(out)[..., 1:], -1, 0)) > 19
    assert changed.mean() == pytest.approx(share, abs=0.05)


def test_the_balance_changes_halfway() -> None:
    out = grading.colour_jumped(GREY, 10)
    assert np.array_equal(out[:4], GREY[:4])
    assert np.array_equal(out[4:], grading.tinted(GREY[4:], 10))


def test_a_style_comes_little_by_little() -> None:
    away = np.abs(grading.restyled(CLEAN, 1.0, seed=1).astype(float) - CLEAN).mean(axis=(1, 2, 3))
    assert away[0] == 0
    assert (np.diff(away) > 0).all()

from __future__ import annotations

import numpy as np
import pytest

from cinereward.operators.style import SCALE, Style, change, describe
from cinereward.testing import FAULTS, clip, grading, measure, scene, shots

from .planted import FPS, SEEDS, rank_correlation, take


def drift(frames: np.ndarray, fps: float = FPS) -> float:
    return float(measure(Style(), clip(frames, fps))["drift"].value)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("move", ["static", "pan"])
def test_a_picture_that_turns_into_a_painting_drifts(seed: int, move: str) -> None:
    clean = take(seed, move)
    values = [drift(clean)]
    values += [drift(grading.restyled(clean, at, seed=seed)) for at in FAULTS["restyled"].severities]
    assert values[-1] > values[0] + 0.5
    assert rank_correlation(values) >= 0.94


@pytest.mark.parametrize("move", ["static", "pan", "push", "handheld"])
def test_a_moving_camera_is_no_drift(move: str) -> None:
    assert drift(take(1, move)) < 0.6


def test_washing_out_is_a_drift() -> None:
    clean = take(0, "static")
    shares = np.linspace(1, 0.2, len(clean))
    washed = np.stack([grading.desaturated(clean[t : t + 1], share)[0] for t, share in enumerate(shares)])
    assert drift(washed) > drift(clean) + 0.8


def test_a_fade_of_light_is_hardly_a_drift() -> None:
    clean = take(0, "static")
    gains = np.linspace(1, 0.75, len(clean))[:, None, None, None]
    assert drift(np.rint(clean * gains).astype(np.uint8)) < 0.8


def test_a_cut_is_no_drift() -> None:
    takes = [take(seed, "static") for seed in (0, 1)]
    cut, _ = shots(takes)
    assert drift(cut) == pytest.approx(max(drift(one) for one in takes), abs=0.15)


@pytest.mark.parametrize("gain", [0.7, 0.9, 1.25])
def test_a_gain_of_chroma_is_found_as_its_logarithm(gain: float) -> None:
    before = take(1, "static", 0.1)[:1]
    after = grading.oversaturated(before, gain)
    grey = [frames[0].mean(axis=2).astype(np.uint8) for frames in (before, after)]
    cells = [describe(frames[0], plane) for frames, plane in zip((before, after), grey, strict=True)]
    found = change(cells[0], cells[1], np.zeros((15, 26, 2), np.float32))
    assert found[2] == pytest.approx(np.log(gain), rel=0.25)
    assert found.shape == SCALE.shape


@pytest.mark.parametrize("fault", ["blurred", "noisy", "compressed", "tinted", "underexposed", "frozen", "repeated"])
def test_a_fault_that_lasts_is_no_drift(fault: str) -> None:
    kind, clean = FAULTS[fault], take(0)
    assert drift(kind(clean, kind.severities[2], fps=FPS, seed=0)) < drift(clean) + 0.25


def test_a_letterbox_is_no_drift() -> None:
    barred = take(1).copy()
    barred[:, :16] = barred[:, -16:] = 0
    assert drift(barred) < 0.4


@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_tone_does_not_drift(value: int) -> None:
    assert drift(np.full((12, 64, 96, 3), value, np.uint8)) == 0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_clip_of_one_sampled_frame_tells_no_drift(count: int) -> None:
    found = measure(Style(), clip(scene(count / 24, size=(48, 64)), FPS))["drift"]
    assert np.isnan(found.value)
    assert found.note


def test_a_tiny_picture_is_measured() -> None:
    assert np.isfinite(drift(scene(0.5, size=(16, 16))))

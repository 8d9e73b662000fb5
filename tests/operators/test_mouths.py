"""What SyncNet is shown: pictures by the clock, sound in the same stretches, and crops like the original's."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.operators import mouths
from cinereward.operators.mouths import (
    MARGIN,
    Pictures,
    Track,
    crop,
    decoded,
    encoded,
    kept_rows,
    kept_size,
    kept_sound,
    looked,
    places,
    sounds_of,
)
from cinereward.testing import clip, scene, windows_of
from cinereward.types import Partial, Sound, Window

from .mouth_inputs import film

# What the original's crop_video made of the same film: its repository and commit stand in the file
REFERENCE = json.loads((Path(__file__).parent / "mouth_reference.json").read_text(encoding="utf-8"))
HOURS = 4 * 3600.0


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches as short as a test: 2 s, then 0.4 s from 4 s, 8 s, 16 s, ... on."""
    for name, value in {"WHOLE": 50, "LOOK": 10, "GROWTH": 2.0, "MARGIN": 5}.items():
        monkeypatch.setattr(mouths, name, value)


# --- crops ---


@pytest.mark.parametrize("at", [8, 15, 21])
def test_a_crop_is_the_originals(at: int) -> None:
    pictures, boxes = film()
    face = crop(pictures[at], places(boxes)[at])
    squares = face.reshape(4, 56, 4, 56, 3).mean(axis=(1, 3)).ravel()
    np.testing.assert_allclose(squares, REFERENCE["faces"][str(at)], atol=1e-3)


def test_the_ends_of_a_track_stay_on_the_face() -> None:
    boxes = np.tile([40.0, 30.0, 80.0, 90.0], (20, 1))
    np.testing.assert_allclose(places(boxes), np.tile([60.0, 60.0, 30.0], (20, 1)))


@pytest.mark.parametrize("place", [(5, 5, 1.4), (5, 5, 0.0), (-900, 20, 40), (30, 9000, 40), (30, 20, 1e7)])
def test_odd_boxes_give_a_picture(place: tuple[float, float, float]) -> None:
    assert crop(np.zeros((60, 80, 3), np.uint8), np.array(place)).shape == (224, 224, 3)


# --- pictures ---


def test_a_kept_picture_looks_like_the_frame() -> None:
    frame = scene(0.1, size=(360, 640), seed=1)[0]
    back = decoded(encoded(frame))
    assert back.shape == frame.shape
    assert np.abs(back[..., ::-1].astype(float) - frame).mean() < 2


def test_noise_is_kept_more_coarsely(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    coarse = encoded(noise)
    monkeypatch.setattr(mouths, "MOST", 10_000_000)
    assert len(coarse) < 0.5 * len(encoded(noise))
    assert decoded(coarse).shape == noise.shape


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_kept_pictures_are_small_and_never_enlarged(height: int, width: int) -> None:
    small = kept_size(height, width)
    assert small[0] <= width and small[1] <= height
    assert small[0] * small[1] <= mouths.AREA * 1.01 + height + width


def window(times: Any, fps: float) -> Window:
    frames = np.zeros((len(times), 8, 8, 3), np.uint8)
    at = np.asarray(times, np.float64)
    return Window(frames=frames, times=at, start_frame=0, overlap=0, fps=fps, sound=None, features={})


@pytest.mark.parametrize("fps", [8.0, 12.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0])
def test_the_nearest_frame_of_every_picture_is_kept(fps: float) -> None:
    times = np.arange(round(10 * fps)) / fps
    kept = kept_rows(window(times, fps))
    assert len(kept) <= 10 * 25 + 10
    for picture in range(int((10 - 1 / fps) * 25)):
        assert np.abs(times[kept] - picture / 25).min() == pytest.approx(np.abs(times - picture / 25).min(), abs=1e-9)


def test_pictures_are_taken_from_the_nearest_frame() -> None:
    levels = [10, 60, 110, 160, 210]
    codes = [encoded(np.full((40, 40, 3), level, np.uint8)) for level in levels]
    times = np.arange(5) / 12.5
    part = Partial(
        times=times,
        fps=12.5,
        tracks={},
        sounds={"pictures": np.concatenate(codes), "sizes": np.array([len(c) for c in codes]), "picture_times": times},
    )
    pictures = Pictures([part])
    face = Track(1, np.tile([0.2, 0.2, 0.8, 0.8], (9, 1)), 20.0)
    (shown,) = pictures.crops(0, 10, [face])
    assert pictures.count == 10
    assert shown[0].max() == 0  # before the track begins
    middle = shown[1:, 80, 112, 0].astype(int)
    np.testing.assert_allclose(middle[1::2], levels[1:], atol=3)
    assert all(min(abs(level - other) for other in levels) <= 3 for level in middle)


# --- long films ---


def test_four_hours_are_looked_at_in_six_minutes() -> None:
    parts = looked(HOURS)
    assert sum(part.last - part.first for part in parts) < 6 * 60 * 25
    assert max(b.first - a.last for a, b in itertools.pairwise(parts)) < 0.15 * HOURS * 25
    assert all(b.first - MARGIN > a.last + MARGIN for a, b in itertools.pairwise(parts))


def test_a_clip_of_two_minutes_is_looked_at_whole() -> None:
    assert looked(120.0) == [mouths.Stretch(0, 3000)]


@pytest.mark.usefixtures("short")
def test_only_stretches_of_a_long_film_are_kept() -> None:
    times = np.arange(500) / 25
    kept = kept_rows(window(times, 25.0))
    expected = [n for n in range(500) if n <= 50 or any(a <= n <= a + 10 for a in (100, 200, 400))]
    assert kept.tolist() == expected


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("seconds", [1.0, 3.97, 9.0, 20.0])
@pytest.mark.parametrize("length", [0.04, 0.31, 7.0])
def test_sound_comes_back_in_its_stretches_whatever_the_windows(seconds: float, length: float) -> None:
    samples = np.random.default_rng(0).uniform(-1.1, 1.1, round(16_000 * seconds)).astype(np.float32)
    cuts = [*range(0, len(samples), round(16_000 * length)), len(samples)]
    kept = [kept_sound(sound(samples, a, b)) for a, b in itertools.pairwise(cuts)]
    parts = sounds_of(np.concatenate(kept))
    whole = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    expected = [0, *(at for at in (100, 200, 400) if (at - 5) * 640 < len(samples))]
    assert [stretch.first for stretch, _ in parts] == expected
    for stretch, heard in parts:
        first, last = max(0, stretch.first - 5) * 640, (stretch.last + 5) * 640
        np.testing.assert_array_equal(heard, whole[first:last])


def sound(samples: np.ndarray, first: int, last: int) -> Sound:
    padded = np.concatenate([np.zeros(2048, np.float32), samples])[first : last + 2048]
    return Sound(samples=padded, original=padded[None], original_rate=16_000, start=first / 16_000, lead=2048)


def test_the_sound_of_a_clip_begins_with_its_first_frame() -> None:
    tone = np.linspace(-0.9, 0.9, 16_000).astype(np.float32)
    windows = windows_of(clip(scene(1.0, size=(16, 16)), audio=tone, sample_rate=16_000), 7)
    kept = np.concatenate([kept_sound(part.sound) for part in windows if part.sound is not None])
    np.testing.assert_allclose(kept[:16_000] / 32768, tone, atol=1e-4)

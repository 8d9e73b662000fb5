from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from cinereward.media.features import THUMB
from cinereward.media.likeness import alike, pretended, real_shots
from cinereward.media.shots import Shot, find_shots
from cinereward.testing import scene

SEEDS = (0, 1, 2, 3)


@cache
def wide(seed: int) -> np.ndarray:
    """One picture, 192 x 108."""
    return scene(0.05, size=(108, 192), seed=seed, move="static", subject=0)[0]


def small(picture: np.ndarray, size: tuple[int, int] = THUMB) -> np.ndarray:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def nearer(picture: np.ndarray, zoom: float, aside: float = 0.0) -> np.ndarray:
    height, width = picture.shape[:2]
    h, w = round(height / zoom), round(width / zoom)
    top, left = (height - h) // 2, round((width - w) / 2 * (1 + aside))
    return np.asarray(cv2.resize(picture[top : top + h, left : left + w], (width, height)))


def thumbs(frames: np.ndarray) -> np.ndarray:
    return np.stack([small(frame) for frame in frames])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("zoom", [1.0, 1.2, 1.45])
def test_a_part_is_found_again_where_it_is(seed: int, zoom: float) -> None:
    a, b = small(wide(seed), (64, 36)), small(nearer(wide(seed), zoom, 0.8), (64, 36))
    score, (top, left, height, width), (top_b, left_b, height_b, width_b) = alike(a, b)
    assert score > 0.9
    # the middle of the box in b, told in a, is the middle of the box in a
    shown = 64 / zoom
    expected = (64 - shown) / 2 * 1.8 + (left_b + width_b / 2) / zoom
    assert left + width / 2 == pytest.approx(expected, abs=2.5)
    assert height * zoom == pytest.approx(height_b, rel=0.25)
    assert 0 <= top <= 36 - height
    assert 0 <= top_b <= 36 - height_b


@pytest.mark.parametrize("seed", SEEDS)
def test_other_places_are_less_alike(seed: int) -> None:
    one, other = (small(wide(s), (64, 36)).mean(axis=-1) for s in (seed, seed + 10))
    fine, strange = (view - cv2.GaussianBlur(view, (0, 0), 3) for view in (one, other))
    assert alike(fine, fine)[0] > 0.99
    assert alike(fine, strange)[0] < 0.8


def test_a_plain_picture_is_like_nothing() -> None:
    grey = np.full((18, 32, 3), 90, np.uint8)
    assert alike(grey, grey)[0] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mirrored_or_zoomed_take_is_no_cut(seed: int) -> None:
    here = small(wide(seed))
    assert pretended(here, np.ascontiguousarray(here[:, ::-1]))
    assert pretended(here, small(nearer(wide(seed), 1.4)))
    assert not pretended(here, small(nearer(wide(seed), 1.5, 0.9)))
    assert not pretended(here, small(wide(seed + 10)))


@pytest.mark.parametrize("seed", SEEDS)
def test_only_shots_that_show_something_new_are_real(seed: int) -> None:
    frames = scene(3.0, size=(72, 128), seed=seed, move="pan", speed=0.08)
    other = scene(1.0, size=(72, 128), seed=seed + 20, move="pan", speed=0.08)
    fake = frames.copy()
    fake[24:48] = frames[24:48, :, ::-1]
    looped = np.concatenate([frames[:24], other, frames[:24]])
    for clip, expected in ((fake, 1), (looped, 2), (np.concatenate([frames, other]), 2)):
        small_ones = thumbs(clip)
        times = np.arange(len(clip)) / 24
        kept = real_shots(find_shots(times, small_ones, 24.0), small_ones)
        assert len(kept) == expected


def test_shots_that_differ_stay_as_they_are() -> None:
    small_ones = np.random.default_rng(0).integers(0, 256, (20, 18, 32, 3), np.uint8)
    shots = (Shot(first=0, last=9, start=0.0, end=0.4), Shot(first=9, last=20, start=0.4, end=0.8))
    assert real_shots(shots, small_ones) == shots

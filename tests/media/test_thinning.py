"""What is kept of a clip for a judge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.media.thinning import every, thin
from cinereward.testing import clip, scene, windows_of

VIDEO = clip(scene(1.0, size=(64, 96), seed=1), audio=np.ones(16_000), sample_rate=16_000)


@given(st.floats(1, 120), st.integers(1, 100_000), st.floats(0.5, 10), st.integers(1, 1000))
def test_no_more_frames_are_kept_than_may_be(fps: float, count: int, rate: float, most: int) -> None:
    assert len(range(0, count, every(fps, count, rate, most))) <= most


def test_a_short_clip_keeps_its_rate() -> None:
    assert every(24.0, 120, 4.0, 768) == 6


@pytest.mark.parametrize("length", [1, 5, 16, 100])
def test_windows_of_any_length_keep_the_same_frames(length: int) -> None:
    kept = [thin(window, 5, 10_000, sound=False) for window in windows_of(VIDEO, length)]
    times = np.concatenate([window.times for window in kept])
    assert np.allclose(times, np.arange(0, 24, 5) / 24)


def test_frames_are_made_small_and_keep_their_shape() -> None:
    kept = thin(windows_of(VIDEO, 16)[0], 4, 32 * 48, sound=False)
    assert kept.frames.shape == (4, 32, 48, 3)


def test_small_frames_stay_as_they_are() -> None:
    window = windows_of(VIDEO, 16)[0]
    assert np.array_equal(thin(window, 4, 1_000_000, sound=False).frames, window.frames[::4])


def test_a_window_without_a_kept_frame_keeps_its_sound() -> None:
    window = windows_of(VIDEO, 4)[1]
    kept = thin(window, 100, 10_000, sound=True)
    assert len(kept.frames) == 0 and kept.sound is window.sound


def test_sound_that_nobody_hears_is_let_go() -> None:
    assert thin(windows_of(VIDEO, 16)[0], 4, 10_000, sound=False).sound is None

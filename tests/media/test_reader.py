"""Windows: every frame once, one frame of overlap, decoded once."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinereward.media import open_clip, pictures
from cinereward.media.pictures import FileFrames
from cinereward.types import Clip

from .conftest import frames_of, windows_of
from .making import H264, LOSSLESS, moving, write

FRAMES = moving(24, 32, 32)


@given(count=st.integers(1, 24), length=st.integers(1, 30))
@settings(deadline=None, max_examples=60)
def test_windows_own_every_frame_once_and_overlap_by_one(count: int, length: int) -> None:
    windows = windows_of(FRAMES[:count], length, fps=24)
    np.testing.assert_array_equal(np.concatenate([w.frames[w.overlap :] for w in windows]), FRAMES[:count])
    assert [w.overlap for w in windows] == [0] + [1] * (len(windows) - 1)
    for before, after in itertools.pairwise(windows):
        np.testing.assert_array_equal(after.frames[0], before.frames[-1])
        assert after.times[0] == before.times[-1]
        assert after.start_frame == before.start_frame + len(before.frames) - 1


@given(count=st.integers(1, 24), length=st.integers(1, 30))
@settings(deadline=None, max_examples=30)
def test_all_windows_but_the_last_own_the_same_number(count: int, length: int) -> None:
    owned = [len(w.frames) - w.overlap for w in windows_of(FRAMES[:count], length, fps=24)]
    assert set(owned[:-1]) <= {length} and 1 <= owned[-1] <= length


@pytest.mark.parametrize("length", [1, 2, 5, 24, 100])
def test_a_files_windows_hold_its_frames_and_times(length: int, out: Path) -> None:
    path = write(out / "a.mkv", FRAMES, **LOSSLESS)
    windows = windows_of(path, length)
    np.testing.assert_array_equal(np.concatenate([w.frames[w.overlap :] for w in windows]), FRAMES)
    np.testing.assert_array_equal(np.concatenate([w.times[w.overlap :] for w in windows]), np.arange(24) / 24)


def test_what_is_known_before_decoding_is_true(out: Path) -> None:
    reader = open_clip(Clip(write(out / "a.mp4", moving(7, 34, 58), fps=25, **H264)))
    assert (reader.fps, reader.count, reader.size) == (25, 7, (34, 58))


def test_frames_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        windows_of(FRAMES, fps=24)[0].frames[0] = 0


def test_windows_carry_what_was_asked_of_the_clip() -> None:
    window = windows_of(FRAMES, fps=24, prompt="a pan", task="i2v", reference="an image")[1]
    assert (window.prompt, window.task, window.reference) == ("a pan", "i2v", "an image")


@pytest.mark.parametrize("length", [0, -3])
def test_a_window_without_frames_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        next(open_clip(Clip(FRAMES, fps=24)).windows(length))


def test_earlier_windows_stay_as_they_were(out: Path) -> None:
    """No buffer is used twice: an operator may keep a window."""
    reader = open_clip(Clip(write(out / "a.mkv", FRAMES, **LOSSLESS)))
    kept = [(window, window.frames.copy()) for window in reader.windows(5)]
    assert all(np.array_equal(window.frames, copy) for window, copy in kept)


@pytest.mark.usefixtures("only_pyav")
def test_pyav_decodes_each_frame_once(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the first, which `probe` decodes to learn the rotation."""
    delivered: list[int] = []
    decoded = pictures._decoded

    def counting(container: Any, stream: Any) -> Any:
        for frame in decoded(container, stream):
            delivered.append(frame.pts)
            yield frame

    monkeypatch.setattr(pictures, "_decoded", counting)
    windows = windows_of(write(out / "a.mp4", FRAMES, **H264))
    for window in windows:
        list(window.features["thumbs"]), list(window.features["flow"]), list(window.features["luma"])
    assert len(delivered) == len(set(delivered)) == len(FRAMES)


def test_decord_decodes_each_frame_once(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decord = pytest.importorskip("decord")
    asked: list[int] = []

    class Counting(decord.VideoReader):  # type: ignore[misc]
        def next(self) -> Any:
            asked.append(1)
            return super().next()

    monkeypatch.setattr(decord, "VideoReader", Counting)
    monkeypatch.setattr(FileFrames, "_by_pyav", lambda *_: pytest.fail("decoded a second time"))
    path = write(out / "a.mp4", FRAMES, **H264)
    for window in open_clip(Clip(path), decoder="decord").windows(5):
        list(window.features["thumbs"]), list(window.features["flow"]), list(window.features["luma"])
    assert len(asked) == len(FRAMES)


def test_a_lossless_file_is_the_tensor_it_was_made_from(out: Path) -> None:
    path = write(out / "a.mkv", FRAMES, **LOSSLESS)
    from_file, from_array = windows_of(path, 7), windows_of(FRAMES, 7, fps=24)
    for a, b in zip(from_file, from_array, strict=True):
        np.testing.assert_array_equal(a.frames, b.frames)
        np.testing.assert_allclose(a.times, b.times, rtol=0, atol=1e-12)
        assert a.fps == b.fps


def test_one_reader_may_be_read_again(out: Path) -> None:
    reader = open_clip(Clip(write(out / "a.mp4", FRAMES, **H264)))
    first, second = ([w.frames for w in reader.windows(7)] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert len(frames_of(reader.clip.video)) == len(FRAMES)

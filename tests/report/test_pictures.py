"""Keyframes are the frames they are said to be; a clip is put in where every browser plays it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cinereward.errors import ClipError
from cinereward.report.pictures import SMALL, STILLS, Allowance, playable, see
from cinereward.types import Clip
from tests.report.conftest import FPS, FRAMES, level


def opened(uri: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))), np.float64)


@pytest.mark.parametrize("frame", [0, 1, 15, 16, 17, 31, FRAMES - 1])
def test_a_keyframe_is_the_frame_shown_at_its_time(mp4: Path, frame: int) -> None:
    seen = see(Clip(mp4), [frame / FPS], Allowance())
    assert opened(seen.keyframes[frame / FPS])[:, 100:].mean() == pytest.approx(level(frame), abs=1.9)


def test_the_strip_runs_from_the_beginning_to_the_end(mp4: Path) -> None:
    strip = see(Clip(mp4), [], Allowance()).strip
    wanted = [level(int(FRAMES * (at + 0.5) / STILLS)) for at in range(STILLS)]
    assert [opened(still)[:, 40:].mean() for still in strip] == pytest.approx(wanted, abs=2.5)


def test_a_clip_without_findings_has_its_middle_as_its_picture(mp4: Path) -> None:
    assert list(see(Clip(mp4), [], Allowance()).keyframes) == [pytest.approx(1.0)]


def test_it_tells_duration_rate_and_size(mp4: Path) -> None:
    seen = see(Clip(mp4), [], Allowance())
    assert (seen.duration, seen.fps, seen.size) == (pytest.approx(FRAMES / FPS), FPS, (180, 320))


@pytest.mark.parametrize(
    ("width", "height", "shape"), [(960, 540, (270, 480)), (320, 180, (180, 320)), (90, 640, (600, 84))]
)
def test_keyframes_are_at_most_480_pixels_wide_and_not_overly_high(
    width: int, height: int, shape: tuple[int, int]
) -> None:
    frames = np.zeros((3, height, width, 3), np.uint8)
    seen = see(Clip(frames, fps=24, layout="THWC"), [0.0], Allowance())
    assert opened(seen.keyframes[0.0]).shape[:2] == shape


def test_a_moment_past_the_end_is_the_last_frame(mp4: Path) -> None:
    seen = see(Clip(mp4), [9.0], Allowance())
    assert opened(seen.keyframes[9.0])[:, 100:].mean() == pytest.approx(level(FRAMES - 1), abs=1.9)


def test_frames_of_a_tensor_have_keyframes_and_no_player() -> None:
    seen = see(Clip(np.zeros((5, 32, 32, 3), np.uint8), fps=24, layout="THWC"), [0.1], Allowance())
    assert seen.keyframes and seen.video == ""


def test_a_file_of_bytes_can_be_played(mp4: Path) -> None:
    assert see(Clip(mp4.read_bytes()), [], Allowance()).video.startswith("data:video/mp4;base64,")


def test_what_is_put_in_is_the_file_itself(mp4: Path) -> None:
    assert base64.b64decode(see(Clip(mp4), [], Allowance()).video.partition(",")[2]) == mp4.read_bytes()


FILES = [
    ("a.mp4", "libx264", "yuv420p", "video/mp4"),
    ("a.webm", "libvpx", "yuv420p", "video/webm"),
    ("b.webm", "libvpx-vp9", "yuv420p", "video/webm"),
    ("a.mkv", "libx264", "yuv420p", ""),
    ("a.mov", "libx264", "yuv420p", ""),
    ("c.mp4", "mpeg4", "yuv420p", ""),
    ("d.mp4", "libx264", "yuv444p", ""),
    ("a.avi", "mpeg4", "yuv420p", ""),
]


@pytest.mark.parametrize(("name", "codec", "pixels", "kind"), FILES, ids=lambda item: str(item))
def test_only_what_every_browser_plays_is_played(
    made: Callable[..., Path], name: str, codec: str, pixels: str, kind: str
) -> None:
    assert playable(made(name, codec, pixels=pixels).read_bytes()) == kind


def test_a_clip_that_no_browser_plays_is_named(made: Callable[..., Path]) -> None:
    allowance = Allowance()
    assert see(Clip(made("a.mkv")), [], allowance).video == "" and allowance.unplayed == ["a.mkv"]


def test_a_large_clip_is_not_put_in(mp4: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"
    data = mp4.read_bytes()
    large.write_bytes(data + (SMALL + 8 - len(data)).to_bytes(4, "big") + b"free" + bytes(SMALL - len(data)))
    allowance = Allowance()
    assert see(Clip(large), [], allowance).video == "" and allowance.unplayed == ["large.mp4"]


def test_other_times_or_another_sound_than_the_files_are_not_played(mp4: Path) -> None:
    assert see(Clip(mp4, fps=12), [], Allowance()).video == ""
    assert see(Clip(mp4, audio=np.zeros(16_000, np.float32), sample_rate=16_000), [], Allowance()).video == ""


def test_clips_stop_being_put_in_when_the_report_is_full(mp4: Path) -> None:
    allowance = Allowance(videos=len(mp4.read_bytes()) * 2)
    videos = [bool(see(Clip(mp4, clip_id=str(at)), [], allowance).video) for at in range(3)]
    assert videos == [True, False, False] and allowance.crowded == ["1", "2"]


def test_keyframes_stop_being_put_in_when_the_report_is_full(mp4: Path) -> None:
    whole = see(Clip(mp4), [0.0, 1.0], Allowance())
    room = sum(map(len, (*whole.strip, *whole.keyframes.values()))) - 1
    seen = see(Clip(mp4), [0.0, 1.0], allowance := Allowance(pictures=room))
    assert list(seen.keyframes) == [0.0] and allowance.unseen == ["plain.mp4"]


def test_a_clip_that_is_gone_is_a_clip_error() -> None:
    with pytest.raises(ClipError, match="cannot be opened"):
        see(Clip("/nope.mp4"), [], Allowance())

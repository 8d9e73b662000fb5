"""The pictures of files: the same frames whatever decodes, true times, upright, and refused with a reason."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cinereward.errors import ClipError
from cinereward.media import open_clip, pictures
from cinereward.media.pictures import FileFrames
from cinereward.types import Clip

from .conftest import frames_of, refusal, windows_of
from .making import (
    ALPHA,
    GIF,
    H264,
    H264_10BIT,
    LOSSLESS,
    MPEG4,
    PRORES,
    RGB_H264,
    VP8,
    VP9,
    Kind,
    moving,
    tone,
    write,
)

FRAMES = moving(12)
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
HEVC: Kind = {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": "log-level=none"}}
FAST_START: Kind = {**H264, "container_options": {"movflags": "faststart"}}
# name: file ending, how it is written, and by how many levels a pixel may differ from the source on average
FILES: dict[str, tuple[str, Kind, float]] = {
    "FFV1 in Matroska": ("mkv", LOSSLESS, 0),
    "FFV1 in AVI": ("avi", LOSSLESS, 0),
    "H.264 RGB": ("mp4", RGB_H264, 0),
    "H.264": ("mp4", H264, 6),
    "H.264 in Matroska": ("mkv", H264, 6),
    "H.264 in a transport stream": ("ts", H264, 6),
    "H.264 in FLV": ("flv", H264, 6),
    "H.264 in fragments": ("mp4", {**H264, "container_options": {"movflags": "frag_keyframe+empty_moov"}}, 6),
    "H.264 with its index in front": ("mp4", FAST_START, 6),
    "H.264 4:4:4": ("mp4", {"codec": "libx264", "pix_fmt": "yuv444p"}, 6),
    "H.264 4:2:2": ("mp4", {"codec": "libx264", "pix_fmt": "yuv422p"}, 6),
    "H.264 10 bits": ("mp4", H264_10BIT, 6),
    "HEVC": ("mp4", HEVC, 6),
    "VP9": ("webm", VP9, 6),
    "VP8 with hidden frames": ("webm", VP8, 6),
    "VP9 with alpha": ("webm", ALPHA, 6),
    "ProRes 10 bits": ("mov", PRORES, 3),
    "MPEG-4 in AVI": ("avi", MPEG4, 10),
    "Motion JPEG": ("avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, 10),
    "GIF": ("gif", GIF, 30),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_its_frames(name: str, out: Path) -> None:
    ending, kind, most = FILES[name]
    error = np.abs(frames_of(write(out / f"a.{ending}", FRAMES, **kind)).astype(int) - FRAMES).mean()
    assert error <= most


ODD_ENOUGH = ("ffv1", "libvpx", "libvpx-vp9", "libx264rgb", "mpeg4")  # encoders that take odd sizes
SIZED = [(name, (64, 96)) for name in FILES]
SIZED += [(name, (33, 57)) for name, (_, kind, _) in FILES.items() if kind["codec"] in ODD_ENOUGH]


@pytest.mark.parametrize(("name", "size"), SIZED)
def test_decord_and_pyav_give_identical_frames(name: str, size: tuple[int, int], out: Path) -> None:
    ending, kind, _ = FILES[name]
    path = write(out / f"a.{ending}", moving(12, *size), **kind)
    reader = FileFrames(str(path), decoder="decord")
    either = np.concatenate([frames for frames, _ in reader.chunks(5)])
    np.testing.assert_array_equal(either, np.concatenate(list(reader._by_pyav(5, 0))))


def test_decord_decodes_ordinary_clips(out: Path) -> None:
    pytest.importorskip("decord")
    reader = FileFrames(str(write(out / "a.mp4", FRAMES, **H264)), decoder="decord")
    assert sum(len(frames) for frames in reader._by_decord(5)) == len(FRAMES)


def test_decord_is_spared_clips_that_would_fill_the_memory(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "DECORD_BYTES", FRAMES.nbytes - 1)
    assert not list(FileFrames(str(write(out / "a.mp4", FRAMES, **H264)), decoder="decord")._by_decord(5))


def test_decord_is_not_asked_unless_chosen(out: Path) -> None:
    assert not list(FileFrames(str(write(out / "a.mp4", FRAMES, **H264)))._by_decord(5))


def test_a_damaged_frame_is_told_and_not_filled_in(out: Path) -> None:
    data = bytearray((SAMPLES / "harbour_soft.mp4").read_bytes())
    for at in np.random.default_rng(0).integers(6000, 80000, 5):
        data[at] ^= 0x55
    (out / "a.mp4").write_bytes(data)
    for video in (bytes(data), out / "a.mp4"):
        with pytest.raises(
            ClipError, match=r"frame \d+ is damaged, and the decoder filled the gap; copy the file again"
        ):
            frames_of(video)


def test_pyav_takes_over_where_decord_gives_up(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        """Decodes six frames, then fails."""

        def __init__(self) -> None:
            self.left = list(FRAMES[:6])

        def next(self) -> Any:
            frame = self.left.pop(0)
            return type("Frame", (), {"asnumpy": lambda self: frame})()

    monkeypatch.setattr(FileFrames, "_decord", lambda self: Failing())
    np.testing.assert_array_equal(frames_of(write(out / "a.mkv", FRAMES, **LOSSLESS), 4), FRAMES)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("ending", ["mp4", "mkv", "webm", "gif"])
def test_one_and_two_frames_are_a_clip(count: int, ending: str, out: Path) -> None:
    kind = {"mp4": H264, "mkv": LOSSLESS, "webm": VP9, "gif": GIF}[ending]
    assert len(frames_of(write(out / f"a.{ending}", FRAMES[:count], **kind))) == count


@pytest.mark.parametrize("matrix", [1, 5], ids=["BT.709", "BT.601"])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_the_files_own_colour_matrix_and_range_are_honoured(matrix: int, full: bool, out: Path) -> None:
    red, green, blue = 200 / 255, 40 / 255, 60 / 255
    kr, kb = {1: (0.2126, 0.0722), 5: (0.299, 0.114)}[matrix]
    y = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = [(blue - y) / 2 / (1 - kb), (red - y) / 2 / (1 - kr)]
    levels = [255 * y, *(128 + 255 * c for c in chroma)] if full else [16 + 219 * y, *(128 + 224 * c for c in chroma)]
    planes = [np.full(64 * 96, levels[0]), np.full(32 * 48, levels[1]), np.full(32 * 48, levels[2])]
    frame = av.VideoFrame.from_ndarray(
        np.concatenate(planes).round().astype(np.uint8).reshape(96, 96), format="yuv420p"
    )
    with av.open(str(out / "a.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.colorspace = frame.colorspace = matrix
        stream.codec_context.color_range = frame.color_range = 2 if full else 1
        file.mux([*stream.encode(frame), *stream.encode(None)])
    assert np.abs(frames_of(out / "a.mp4")[0, 32, 48].astype(int) - (200, 40, 60)).max() <= 3


# --- turned pictures ---


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_the_display_matrix_is_honoured(degrees: int, out: Path) -> None:
    """The matrix is written from ISO/IEC 14496-12 (see `turned`), not by FFmpeg."""
    got = frames_of(write(out / "a.mp4", FRAMES, rotation=degrees, **RGB_H264))
    np.testing.assert_array_equal(got, np.rot90(FRAMES, degrees // 90, axes=(1, 2)))


def test_a_phone_held_upright_gives_an_upright_picture(out: Path) -> None:
    """A phone stores the scene turned counter-clockwise and asks to be turned back: tkhd 0, 1, -1, 0."""
    scene = moving(5, 96, 64)
    path = write(out / "a.mp4", np.rot90(scene, 1, axes=(1, 2)), rotation=270, **RGB_H264)
    data = path.read_bytes()
    at = data.index(b"tkhd") + 44
    numbers = [int.from_bytes(data[at + 4 * k : at + 4 * k + 4], "big", signed=True) / 65536 for k in range(5)]
    assert numbers == [0, 1, 0, -1, 0]
    np.testing.assert_array_equal(frames_of(path), scene)


# --- times ---

IRREGULAR = [0, 0.04, 0.1, 0.13, 0.2, 0.5, 0.55, 0.6, 1.0, 1.04, 2.5, 2.53]


@pytest.mark.parametrize(("ending", "kind"), [("mp4", H264), ("mkv", LOSSLESS), ("webm", VP9)])
def test_times_of_a_variable_rate_are_true_to_1_ms(ending: str, kind: Kind, out: Path) -> None:
    path = write(out / f"a.{ending}", FRAMES, stamps=IRREGULAR, **kind)
    windows = windows_of(path)
    times = np.concatenate([window.times[window.overlap :] for window in windows])
    np.testing.assert_allclose(times, IRREGULAR, atol=1e-3)


@pytest.mark.parametrize("fps", [8, 15, 16, 24, 25, 30, 50, *(Fraction(n * 1000, 1001) for n in (24, 30, 60))], ids=str)
@pytest.mark.parametrize(("ending", "kind"), [("mkv", H264), ("webm", VP9), ("mp4", H264), ("ts", H264)])
def test_rounded_times_are_put_back_on_the_exact_grid(fps: Any, ending: str, kind: Kind, out: Path) -> None:
    path = write(out / f"a.{ending}", moving(30, 32, 32), fps=fps, **kind)
    reader = FileFrames(str(path))
    np.testing.assert_allclose(reader.probe.times, np.arange(30) / float(fps), rtol=0, atol=1e-9)
    assert reader.fps == pytest.approx(float(fps), abs=1e-9)


def test_a_files_times_start_at_nought(out: Path) -> None:
    path = write(out / "a.mkv", FRAMES, stamps=[5 + stamp for stamp in IRREGULAR], **LOSSLESS)
    np.testing.assert_allclose(FileFrames(str(path)).probe.times, IRREGULAR, atol=1e-3)


def test_a_given_rate_overrides_the_files_times(out: Path) -> None:
    path = write(out / "a.mkv", FRAMES, stamps=IRREGULAR, **LOSSLESS)
    reader = open_clip(Clip(path, fps=12))
    assert reader.fps == 12
    assert next(reader.windows(24)).times[-1] == 11 / 12


# --- what is refused ---


def test_a_missing_file_is_named(out: Path) -> None:
    message = refusal(lambda: open_clip(Clip(out / "nothing.mp4")))
    assert "nothing.mp4" in message and "give the path" in message


NO_FILES = {
    "an empty file": (b"", "empty"),
    "a text": (b"hello world\n" * 99, "not a video"),
    "zeros": (bytes(9999), ""),
}


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_video_file_is_refused(name: str, out: Path) -> None:
    data, says = NO_FILES[name]
    (out / "a.mp4").write_bytes(data)
    assert says in refusal(lambda: open_clip(Clip(out / "a.mp4")))
    refusal(lambda: open_clip(Clip(data)))


def test_a_folder_is_refused(out: Path) -> None:
    assert "is a folder" in refusal(lambda: open_clip(Clip(out)))


@pytest.mark.parametrize("name", ["a\0b.mp4", "x" * 5000])
def test_a_path_that_no_file_can_have_is_refused(name: str) -> None:
    assert "cannot be opened" in refusal(lambda: open_clip(Clip(name)))


def test_a_file_without_pictures_is_refused(out: Path) -> None:
    path = write(out / "a.mkv", FRAMES, sound=tone(1, 48_000), sound_codec="flac", **LOSSLESS)
    with av.open(str(path)) as file, av.open(str(out / "b.mka"), "w", format="matroska") as copy:
        stream = copy.add_stream_from_template(file.streams.audio[0])
        for packet in file.demux(audio=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    assert "no video stream" in refusal(lambda: open_clip(Clip(out / "b.mka")))


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\nother.ts\n#EXT-X-ENDLIST\n",
    "a.mp4": "ffconcat version 1.0\nfile other.ts\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_cannot_open_other_files(name: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(out)
    write(out / "other.ts", FRAMES, **H264)
    (out / name).write_text(PLAYLISTS[name])
    with av.open(str(out / name)) as container:  # FFmpeg, left to itself, follows it
        assert container.streams.video
    assert "not a video file" in refusal(lambda: open_clip(Clip(out / name)))
    assert "not a video file" in refusal(lambda: open_clip(Clip((out / name).read_bytes())))


def test_a_name_that_is_a_protocol_is_a_file(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(out)
    write(out / "a.mkv", FRAMES, **LOSSLESS).rename(out / "concat:b.mkv|c.mkv")
    assert len(frames_of("concat:b.mkv|c.mkv")) == len(FRAMES)


@pytest.mark.parametrize("part", [0.02, 0.2, 0.5, 0.8, 0.9])
@pytest.mark.parametrize(
    ("ending", "kind"), [("mp4", H264), ("mp4", FAST_START), ("mkv", LOSSLESS), ("webm", VP9)], ids=str
)
def test_a_file_cut_off_anywhere_is_refused(ending: str, kind: Kind, part: float, out: Path) -> None:
    data = write(out / f"a.{ending}", moving(60), **kind).read_bytes()
    (out / f"b.{ending}").write_bytes(data[: round(part * len(data))])
    message = refusal(lambda: frames_of(out / f"b.{ending}"))
    assert any(words in message for words in ("whole", "cut off", "damaged", "written to"))


@pytest.mark.usefixtures("only_pyav")
def test_a_picture_that_changes_its_size_is_refused_by_pyav(out: Path) -> None:
    assert "96 x 64 to 160 x 128" in refusal(lambda: frames_of(two_sizes(out)))


def test_a_picture_that_changes_its_size_is_refused(out: Path) -> None:
    assert "96 x 64 to 160 x 128" in refusal(lambda: frames_of(two_sizes(out)))


def two_sizes(out: Path) -> Path:
    parts = [write(out / f"{h}.ts", moving(10, h, w), **H264).read_bytes() for h, w in ((64, 96), (128, 160))]
    (out / "a.ts").write_bytes(b"".join(parts))
    return out / "a.ts"


def test_absurd_sizes_are_refused_before_they_are_decoded(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 64 * 96 - 1)
    assert "96 x 64" in refusal(lambda: open_clip(Clip(write(out / "a.mp4", FRAMES, **H264))))


@pytest.mark.parametrize("side", [1, 15])
def test_tiny_pictures_are_refused(side: int, out: Path) -> None:
    path = write(out / "a.mkv", np.zeros((3, side, 40, 3), np.uint8), **LOSSLESS)
    assert f"40 x {side} pixels" in refusal(lambda: open_clip(Clip(path)))

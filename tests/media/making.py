"""Clips made in code: pictures whose pixels are known, and files of many kinds written with PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


def texture(seed: int, height: int = 64, width: int = 96, cell: int = 16) -> Frames:
    """A picture of smooth random blobs: it survives encoding, and no two seeds look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // cell + 2, width // cell + 2, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def moving(count: int = 12, height: int = 64, width: int = 96, seed: int = 0, step: int = 2) -> Frames:
    """A pan over a texture: every frame differs from its neighbours."""
    wide = texture(seed, height, width + step * count)
    return np.stack([wide[:, step * t : step * t + width] for t in range(count)])


def tone(seconds: float, rate: int, hertz: float = 440.0, channels: int = 1, level: float = 0.5) -> NDArray[np.float32]:
    """A sine (channels, N)."""
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[None].astype(np.float32), channels, axis=0)


Kind = dict[str, Any]  # keywords of `write`

LOSSLESS: Kind = {"codec": "ffv1", "pix_fmt": "bgr0"}
RGB_H264: Kind = {"codec": "libx264rgb", "pix_fmt": "rgb24", "options": {"qp": "0", "preset": "ultrafast"}}
H264: Kind = {"codec": "libx264", "pix_fmt": "yuv420p", "options": {"preset": "veryfast", "crf": "20"}}
VP9: Kind = {"codec": "libvpx-vp9", "pix_fmt": "yuv420p", "options": {"cpu-used": "8", "deadline": "realtime"}}
VP8: Kind = {
    "codec": "libvpx",
    "pix_fmt": "yuv420p",
    "options": {"cpu-used": "8", "deadline": "good", "auto-alt-ref": "1"},
}
PRORES: Kind = {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}
H264_10BIT: Kind = {"codec": "libx264", "pix_fmt": "yuv420p10le", "options": {"preset": "veryfast"}}
ALPHA: Kind = {"codec": "libvpx-vp9", "pix_fmt": "yuva420p", "options": {"cpu-used": "8", "deadline": "realtime"}}
GIF: Kind = {"codec": "gif", "pix_fmt": "rgb8"}
MPEG4: Kind = {"codec": "mpeg4", "pix_fmt": "yuv420p"}


def write(
    path: Path,
    frames: Frames,
    *,
    fps: float | Fraction = 24,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    stamps: Sequence[float] | None = None,
    sound: NDArray[np.float32] | None = None,
    sound_rate: int = 48_000,
    sound_codec: str = "aac",
    sound_start: float = 0.0,
    rotation: int = 0,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write frames (T, H, W, 3), and sound (channels, N), to the kind of file that the name's ending says.

    Args:
        stamps: seconds of each frame where the rate varies.
        sound_start: seconds after the first frame at which the sound begins.
        rotation: the display matrix asks players to turn the picture by so many degrees counter-clockwise; MP4 only.
    """
    rate = Fraction(fps).limit_denominator(100_000)
    with av.open(str(path), "w", options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pix_fmt
        stream.options = options or {}
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 90_000)
        audio = _add_sound(out, sound, sound_codec, sound_rate) if sound is not None else None
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if stamps is None:
                frame.pts, frame.time_base = index, 1 / rate
            else:
                frame.pts, frame.time_base = round(stamps[index] * 90_000), Fraction(1, 90_000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if audio is not None and sound is not None:
            _write_sound(out, audio, sound, sound_rate, sound_start)
    if rotation:
        path.write_bytes(turned(path.read_bytes(), rotation))
    return path


def _add_sound(out: Any, sound: NDArray[np.float32], codec: str, rate: int) -> Any:
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[sound.shape[0]]
    return out.add_stream(codec, rate=rate, layout=layout)


def _write_sound(out: Any, stream: Any, sound: NDArray[np.float32], rate: int, start: float) -> None:
    layout = stream.codec_context.layout.name
    resampler = av.AudioResampler(stream.codec_context.format, layout, rate, stream.codec_context.frame_size or 1024)
    whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=layout)
    whole.sample_rate, whole.pts, whole.time_base = rate, round(start * rate), Fraction(1, rate)
    for part in [*resampler.resample(whole), *resampler.resample(None)]:
        out.mux(stream.encode(part))
    out.mux(stream.encode(None))


def turned(mp4: bytes, degrees: int) -> bytes:
    """The same MP4 with the track header's display matrix set, as a phone does; FFmpeg need not be asked.

    The matrix (ISO/IEC 14496-12, 8.3.2) turns clockwise by `degrees`' negative: a, b, c, d are cos, sin, -sin, cos
    of the clockwise angle in 16.16 fixed point.
    """
    at = mp4.index(b"tkhd") + 4 + 40  # version 0: the matrix starts 40 bytes into the box's body
    turn = -degrees % 360
    cos, sin = round(np.cos(np.radians(turn))), round(np.sin(np.radians(turn)))
    one = 1 << 16
    matrix = [cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30]
    return mp4[:at] + b"".join(int(v).to_bytes(4, "big", signed=True) for v in matrix) + mp4[at + 36 :]

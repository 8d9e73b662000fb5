"""What a report holds of a clip itself: keyframes, a strip of stills and, where it is small, the clip.

Everything becomes a data URI. The clip is decoded once more, since scoring keeps no frames.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.errors import ClipError
from cinereward.media import open_clip
from cinereward.media.pictures import Decoder, open_container, picture_streams, source_of
from cinereward.types import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UInt8 = NDArray[np.uint8]

KEYFRAME, KEYFRAME_QUALITY = 480, 80  # pixels wide; JPEG
STILL, STILL_QUALITY = 160, 72
STILLS = 10  # in a strip
TALLEST = 1.25  # an upright picture is this many times as high as a keyframe is wide, and no more
WINDOW = 16
MEGABYTE = 1 << 20
VIDEOS, PICTURES = 40 * MEGABYTE, 30 * MEGABYTE  # in all, as they stand in the file
SMALL = 4 * MEGABYTE  # a clip that may be played from inside the report
# What every browser of today plays: containers by how they begin, and codecs by FFmpeg's names.
PLAYABLE = {
    "video/mp4": ({"h264", "av1"}, {"aac", "mp3"}),
    "video/webm": ({"vp8", "vp9", "av1"}, {"opus", "vorbis"}),
}
EIGHT_BITS = frozenset({"yuv420p", "yuvj420p"})


@dataclass(kw_only=True)
class Allowance:
    """How many bytes a report may still take of each kind, and which clips went without.

    unplayed: not put in for what they are; crowded: for want of room. unseen: without their keyframes.
    """

    videos: int = VIDEOS
    pictures: int = PICTURES
    unplayed: list[str] = field(default_factory=list)
    crowded: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def take(self, pictures: Sequence[str]) -> bool:
        """Whether these still fit; if so they are counted."""
        size = sum(map(len, pictures))
        if size > self.pictures:
            return False
        self.pictures -= size
        return True


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A clip as it was seen again: duration in s, fps, (height, width), pictures by time in s, all as data URIs."""

    duration: float = 0.0
    fps: float = 0.0
    size: tuple[int, int] = (0, 0)
    keyframes: Mapping[float, str] = field(default_factory=dict)
    strip: tuple[str, ...] = ()
    video: str = ""


def see(clip: Clip, moments: Sequence[float], allowance: Allowance, decoder: Decoder = "pyav") -> Seen:
    """Decode a clip again for its pictures.

    Args:
        clip: what was scored. moments: s, of the keyframes, most wanted first; the middle if none.
        allowance: what may still be taken; lowered by what is. decoder: the profile's.

    Raises:
        ClipError: it cannot be read.
    """
    reader = open_clip(clip, decoder=decoder)
    about = reader.count / reader.fps
    moments = moments or [about / 2]
    slots = [about * (at + 0.5) / STILLS for at in range(STILLS)]
    wanted = sorted({*moments, *slots})
    frames: dict[float, UInt8] = {}
    end = 0.0
    for window in reader.windows(WINDOW):
        end = float(window.times[-1]) + 1 / window.fps
        while wanted and wanted[0] < end - 1e-9:  # the frame that is shown at that time
            at = max(0, int(np.searchsorted(window.times, wanted[0] + 1e-9, side="right")) - 1)
            time = wanted.pop(0)
            frames[time] = _shrunk(window.frames[at], KEYFRAME if time in moments else STILL)
    if wanted:  # past the end
        frames |= dict.fromkeys(wanted, _shrunk(window.frames[-1], KEYFRAME))
    strip = tuple(_jpeg(_shrunk(frames[time], STILL), STILL_QUALITY) for time in slots)
    if not allowance.take(strip):
        strip = ()
    keyframes = {}
    for time in dict.fromkeys(moments):
        picture = _jpeg(frames[time], KEYFRAME_QUALITY)
        if not allowance.take([picture]):
            allowance.unseen.append(clip.name)
            break
        keyframes[time] = picture
    return Seen(
        duration=end,
        fps=reader.fps,
        size=reader.size,
        keyframes=keyframes,
        strip=strip,
        video=_video(clip, allowance),
    )


def _shrunk(frame: UInt8, width: int) -> UInt8:
    """A frame, area-averaged to at most this width, and to a height in keeping."""
    scale = min(width / frame.shape[1], width * TALLEST / frame.shape[0], 1.0)
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(frame: UInt8, quality: int) -> str:
    good, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise ClipError(f"a frame of {frame.shape[1]} x {frame.shape[0]} pixels cannot be written as JPEG")
    return _uri("image/jpeg", data.tobytes())


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _video(clip: Clip, allowance: Allowance) -> str:
    """The clip as a data URI, or "" where it is no file, is large, or is none that a browser plays."""
    if clip.fps is not None or clip.audio is not None:  # the browser would play other times or another sound
        return ""
    data = _content(clip.video)
    if data is None:
        return ""
    kind = playable(data) if data else ""
    if not kind:
        allowance.unplayed.append(clip.name)
        return ""
    uri = _uri(kind, data)
    if len(uri) > allowance.videos:
        allowance.crowded.append(clip.name)
        return ""
    allowance.videos -= len(uri)
    return uri


def _content(video: Any) -> bytes | None:
    """The bytes of a file; b"" where it is not a small one; None where there is no file."""
    if not isinstance(video, str | bytes | bytearray | memoryview) and not hasattr(video, "__fspath__"):
        return None
    source = source_of(video)
    if isinstance(source, bytes):
        return source if len(source) <= SMALL else b""
    path = Path(source)
    return path.read_bytes() if path.is_file() and path.stat().st_size <= SMALL else b""


def playable(data: bytes) -> str:
    """The media type of a file that every browser plays, or ""."""
    if data[4:8] == b"ftyp" and data[8:10] != b"qt":
        kind = "video/mp4"
    elif data[:4] == b"\x1a\x45\xdf\xa3" and b"webm" in data[:64]:
        kind = "video/webm"
    else:
        return ""
    pictures, sounds = PLAYABLE[kind]
    with open_container(data) as container:
        shown = [stream.codec_context for stream in picture_streams(container)[:1]]
        heard = [stream.codec_context for stream in container.streams.audio]
        if not shown or None in shown or None in heard:
            return ""
        fits = shown[0].codec.canonical_name in pictures and shown[0].pix_fmt in EIGHT_BITS
        fits = fits and all(context.codec.canonical_name in sounds for context in heard)
    return kind if fits else ""

"""The pictures of a file: found, checked and decoded once, in order, in chunks.

decord decodes where it has wheels; PyAV decodes elsewhere, and wherever decord cannot: bytes, rotated files,
codecs newer than decord. Both give identical frames. PyAV reads every packet's time first, without decoding, so that
times and the number of frames have one source whatever decodes.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np

from cinereward.errors import ClipError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Chunk = tuple["NDArray[np.uint8]", "NDArray[np.float64]"]

# Playlists, device and network "formats" would let a file make us read other files or hosts: only containers are opened.
CONTAINERS = frozenset(
    [
        "mov",
        "mp4",
        "m4a",
        "3gp",
        "3g2",
        "mj2",
        "matroska",
        "webm",
        "avi",
        "mpegts",
        "mpeg",
        "mpegvideo",
        "m4v",
        "flv",
        "ogg",
        "gif",
        "apng",
        "asf",
        "mxf",
        "nut",
        "h264",
        "hevc",
        "ivf",
        "obu",
        "yuv4mpegpipe",
        "dv",
        "rm",
        "wav",
        "aac",
        "mp3",
        "flac",
    ]
)
MAX_PIXELS = 1 << 26  # 64 million a frame: 8K is 33 million
MAX_FRAMES = 10_000_000
RATES = [Fraction(n, d) for n, d in ((24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60000, 1001))]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a container says of its pictures before any is decoded, but for the first, which tells the rotation."""

    size: tuple[int, int]
    fps: float
    times: NDArray[np.float64]
    start: float
    rotation: int
    has_sound: bool


def source_of(video: Any) -> str | bytes:
    """The path as text, or the bytes.

    Raises:
        ClipError: there is no such file, or it is a folder, or empty.
    """
    if isinstance(video, bytes | bytearray | memoryview):
        if len(video) == 0:
            raise ClipError("the video is 0 bytes long; expected the bytes of a video file")
        return bytes(video)
    path = Path(video)
    try:
        if path.is_dir():
            raise ClipError(f"{path} is a folder; give the path of one video file")
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise ClipError(f"{str(path)[:300]!r} cannot be opened ({error}); give the path of a video file") from error
    if size == 0:
        raise ClipError(f"{path} is empty (0 bytes); was it written to the end?")
    return os.fspath(path)


def open_container(source: str | bytes) -> Any:
    """Open a container with PyAV, from the file itself and from nowhere else.

    Raises:
        ClipError: this is no video or sound file that FFmpeg knows, or it is a playlist.
    """
    try:
        container = av.open(io.BytesIO(source) if isinstance(source, bytes) else source, metadata_errors="replace")
    except Exception as error:
        raise ClipError(f"this is not a video file that can be read ({_short(error)}); is it whole?") from error
    names = set(container.format.name.split(","))
    if not names & CONTAINERS:
        container.close()
        raise ClipError(f"the file is of format {container.format.name!r}, which is not read; give an mp4, mkv or webm")
    return container


def probe(source: str | bytes, fps: float | None = None) -> Probe:
    """Read size, rotation and the time of every frame, decoding no more than the first.

    Args:
        source: a path or the bytes.
        fps: overrides the file's own times.

    Raises:
        ClipError: no picture can be read from it, or its size or frame rate makes no sense.
    """
    with open_container(source) as container:
        if not container.streams.video:
            raise ClipError("the file has no video stream; expected pictures")
        stream = container.streams.video[0]
        try:
            rate = stream.average_rate or stream.base_rate
            first = next(container.decode(stream))
            rotation = int(first.rotation) % 360
            size = (first.height, first.width)
        except StopIteration:
            raise ClipError("the file has a video stream and no frame in it; was it written to the end?") from None
        except Exception as error:
            raise ClipError(f"the first frame cannot be decoded ({_short(error)}); the file is damaged") from error
        if size[0] * size[1] > MAX_PIXELS:
            raise ClipError(f"frames of {size[1]} x {size[0]} pixels; {MAX_PIXELS} pixels a frame are the most")
        has_sound = bool(container.streams.audio)
    stamps, start = _stamps(source)
    times, measured = _regular(stamps, rate, fps)
    if rotation % 180:
        size = (size[1], size[0])
    return Probe(size=size, fps=measured, times=times, start=start, rotation=rotation, has_sound=has_sound)


def _stamps(source: str | bytes) -> tuple[list[float | None], float]:
    """The presentation time of every frame in seconds, by reading packets only; and the first of them."""
    stamps: list[float | None] = []
    end = -math.inf
    with open_container(source) as container:
        stream = container.streams.video[0]
        pictures = 0
        try:
            for packet in container.demux([*container.streams.video[:1], *container.streams.audio[:1]]):
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream is not stream and packet.stream_index != stream.index:
                    continue
                pictures += bool(packet.size)
                if packet.size and not packet.is_discard:
                    stamps.append(None if packet.pts is None else float(packet.pts * packet.time_base))
                if len(stamps) > MAX_FRAMES:
                    raise ClipError(f"over {MAX_FRAMES} frames; cut the film into reels")
        except (av.error.FFmpegError, MemoryError, ArithmeticError) as error:
            raise ClipError(f"the file breaks off after {len(stamps)} frames ({_short(error)})") from error
        if stream.frames > pictures:
            raise ClipError(f"only {pictures} of {stream.frames} frames are in the file; it is damaged or cut off")
        promised = (container.duration or 0) / av.time_base
        held = end - (container.start_time or 0) / av.time_base
        if pictures and math.isfinite(end) and promised - held > max(0.25, 0.05 * promised):
            raise ClipError(f"only {held:.2f} of {promised:.2f} s are in the file; it is damaged or cut off")
    if not stamps:
        raise ClipError("the file has a video stream and no frame in it; was it written to the end?")
    known = [stamp for stamp in stamps if stamp is not None]
    return stamps, min(known) if known else 0.0


def _regular(stamps: list[float | None], rate: Fraction | None, fps: float | None) -> tuple[NDArray[np.float64], float]:
    """Times from the first frame on, and frames per second.

    Containers round times (Matroska to 1 ms). Times that are those of a constant rate but for rounding are put back
    on that rate's exact grid, so that a file and the tensor it was made from have the same times.
    """
    count = len(stamps)
    grid = np.arange(count, dtype=np.float64)
    if fps is not None:
        if not 0.1 <= fps <= 1000:
            raise ClipError(f"fps is {fps}; expected 0.1 to 1000 frames per second")
        return grid / fps, float(fps)
    declared = float(rate) if rate else 0.0
    plausible = 0.1 <= declared <= 1000
    times = np.array([np.nan if stamp is None else stamp for stamp in stamps], np.float64)
    times = np.sort(times) - np.nanmin(times) if not np.isnan(times).all() else times
    steps = np.diff(times)
    if np.isnan(times).any() or bool(np.any(steps <= 0)) or bool(np.any(steps > 3600)):
        if not plausible:
            raise ClipError(f"the file's times do not rise and its frame rate is {rate}; remux it, or give fps=")
        return grid / declared, declared
    if count == 1:
        return times, declared if plausible else 24.0
    if float(np.median(steps)) < 1e-3:
        raise ClipError(f"the file's frames are {float(np.median(steps)):.2g} s apart; remux it, or give fps=")
    for candidate in ([declared] if plausible else []) + [float(known) for known in RATES]:
        if float(np.max(np.abs(times - grid / candidate))) <= 1.01e-3:
            return grid / candidate, candidate
    return times, float(1 / np.median(steps))


class FileFrames:
    """The frames of a file, decoded once and in order."""

    def __init__(self, source: str | bytes, fps: float | None = None) -> None:
        self.probe = probe(source, fps)
        self.fps, self.size, self.count = self.probe.fps, self.probe.size, len(self.probe.times)
        self._source = source

    def chunks(self, length: int) -> Iterator[Chunk]:
        """Yield uint8 (t, H, W, 3) and times (t,) for up to `length` frames at a time.

        Raises:
            ClipError: the pictures end before the container says, or change their size.
        """
        done = 0
        reader = self._decord()
        if reader is not None:
            while done < self.count:
                try:
                    stop = min(done + length, self.count)
                    frames = reader.get_batch(range(done, stop)).asnumpy()
                except Exception:  # decord gave up; PyAV takes over at this frame, and says what is wrong if it is
                    break
                if frames.shape[1:3] != self.size:
                    break
                yield frames, self.probe.times[done:stop]
                done = stop
        if done < self.count:
            yield from self._av(length, done)

    def _decord(self) -> Any:
        """Decord's reader, or None where PyAV has to decode."""
        if isinstance(self._source, bytes) or self.probe.rotation:
            return None
        try:
            import decord
        except ImportError:
            return None
        decord.logging.set_level(decord.logging.QUIET)
        try:
            reader = decord.VideoReader(self._source, num_threads=2)
        except Exception:  # a codec that decord does not know; PyAV opened it, and decides
            return None
        return reader if len(reader) == self.count else None

    def _av(self, length: int, skip: int) -> Iterator[Chunk]:
        waiting: list[NDArray[np.uint8]] = []
        seen = done = 0
        with open_container(self._source) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in _decoded(container, stream):
                seen += 1
                if seen <= skip or seen > self.count:
                    continue
                picture = _upright(frame.to_ndarray(format="rgb24"), self.probe.rotation)
                if picture.shape[:2] != self.size:
                    raise ClipError(
                        f"the picture changes from {self.size} to {picture.shape[:2]} (height, width) at frame {seen - 1}"
                    )
                waiting.append(picture)
                if len(waiting) == length:
                    yield np.stack(waiting), self.probe.times[skip + done : skip + done + length]
                    done, waiting = done + length, []
        if waiting:
            yield np.stack(waiting), self.probe.times[skip + done : skip + done + len(waiting)]
            done += len(waiting)
        if skip + done < self.count:
            raise ClipError(f"only {skip + done} of {self.count} frames can be decoded; the file is damaged or cut off")


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Frames in order of time; a decoder's error becomes a ClipError."""
    frames = container.decode(stream)
    while True:
        try:
            frame = next(frames)
        except StopIteration:
            return
        except Exception as error:
            raise ClipError(f"a frame cannot be decoded ({_short(error)}); the file is damaged") from error
        yield frame


def _upright(picture: NDArray[np.uint8], rotation: int) -> NDArray[np.uint8]:
    """Turn a picture by the file's display rotation (degrees, counter-clockwise)."""
    turns = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
    return np.asarray(cv2.rotate(picture, turns[rotation]), np.uint8) if rotation in turns else picture


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:160]}"

"""The pictures of a file: found, checked and decoded once, in order, in chunks.

PyAV decodes, because it tells a damaged frame from a whole one: decord conceals damage in silence, and what it fills in
differs from run to run. A profile for clips that are known to be whole may choose decord; PyAV still decodes whatever
decord cannot, or would give other frames of: long clips, bytes, rotated files, newer codecs, 10 bits. PyAV reads every
packet's time first, without decoding, so that times and the number of frames have one source whatever decodes.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import av
import cv2
import numpy as np

from cinereward.errors import ClipError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Decoder = Literal["pyav", "decord"]
Chunk = tuple["NDArray[np.uint8]", "NDArray[np.float64]"]

# Playlists, devices and network "formats" would let a file make us read other files or hosts: only these are opened.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,ogg,gif,apng,asf,mxf,nut,h264,hevc,ivf,obu,"
    "yuv4mpegpipe,dv,rm,wav,aac,mp3,flac"
)
# decord and PyAV give identical frames of these. Where chroma is halved in height and FFmpeg's fast path does not apply
# (10 bits, odd heights), their scalers place it differently: PyAV decodes those everywhere.
SAME_EVERYWHERE = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "bgr0", "gbrp", "rgb24"}
)
# These state their size once, in the container's header. Others may change it midway, where decord scales in silence.
FIXED_SIZE = frozenset({"h264", "hevc", "mpeg4", "ffv1"})
# decord decodes ahead of its reader without bound. Peak memory on 1080p: 720 frames by next() at 43 a second, 4.2 GB
# with one thread, 4.5 GB with two; 1440 frames by get_batch, 24 at a time, 2.7 and 3.9 GB. Our windows on PyAV: 0.57 GB
# at 1 minute and at 10. So decord reads only what may lie in memory whole.
DECORD_BYTES = 1 << 28
# Titles in another encoding are no reason to refuse a film: PyAV 19 and later never do, earlier ones have to be told.
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
MAX_PIXELS = 1 << 26  # 64 million a frame: 8K is 33 million
MAX_FRAMES = 10_000_000
MAX_GAP = 600.0  # seconds between two frames; more is a broken clock
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
    for_decord: bool


def checked_fps(fps: Any) -> float:
    """The frame rate that a user gave.

    Raises:
        ClipError: it is no number, or lies outside 0.1 to 1000.
    """
    try:
        rate = float(fps)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0.1 <= rate <= 1000:
        raise ClipError(f"fps is {fps!r}; expected a number from 0.1 to 1000 frames per second")
    return rate


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
        folder, size = path.is_dir(), path.stat().st_size
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise ClipError(f"{str(video)[:300]!r} cannot be opened ({told}); give the path of a video file") from error
    if folder:
        raise ClipError(f"{path} is a folder; give the path of one video file")
    if size == 0:
        raise ClipError(f"{path} is empty (0 bytes); was it written to the end?")
    return os.fspath(path.absolute())  # a name such as "concat:a|b" is a protocol to FFmpeg; "/dir/concat:a|b" is not


def open_container(source: str | bytes) -> Any:
    """Open a container with PyAV, from the file itself and from nowhere else.

    Raises:
        ClipError: this is no video or sound file that FFmpeg knows, or it is a playlist.
    """
    # FFmpeg holds a file against this list before it reads what the file asks it to open
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        return av.open(file, options=options, **LENIENT)
    except Exception as error:
        raise ClipError(
            f"this is not a video file that can be read ({_short(error)}); give a whole mp4, mkv or webm file"
        ) from error


def picture_streams(container: Any) -> list[Any]:
    """The streams of moving pictures; a sound file's cover is none."""
    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def probe(source: str | bytes, fps: float | None = None) -> Probe:
    """Read size, rotation and the time of every frame, decoding no more than the first.

    Args:
        source: a path or the bytes.
        fps: overrides the file's own times.

    Raises:
        ClipError: no picture can be read from it, or its size or frame rate makes no sense.
    """
    with open_container(source) as container:
        streams = picture_streams(container)
        if not streams:
            raise ClipError("the file has no video stream; give one with pictures, written to its end")
        stream = streams[0]
        if stream.codec_context is None:
            raise ClipError("the file's pictures are of a codec that FFmpeg does not know; encode them as H.264")
        rate = stream.average_rate or stream.base_rate
        _check_pixels(stream.height, stream.width)
        try:
            first = next(container.decode(stream))
        except StopIteration:
            raise ClipError("the file has a video stream and no frame in it; was it written to the end?") from None
        except Exception as error:
            raise ClipError(f"the first frame cannot be decoded ({_short(error)}); the file is damaged") from error
        size = (first.height, first.width)
        _check_pixels(*size)
        rotation = int(first.rotation) % 360
        for_decord = _for_decord(container, stream, first) and not isinstance(source, bytes)
        has_sound = bool(container.streams.audio)
    stamps, start = _stamps(source)
    times, measured = _regular(stamps, rate, fps)
    if rotation % 180:
        size = (size[1], size[0])
    return Probe(
        size=size,
        fps=measured,
        times=times,
        start=start,
        rotation=rotation,
        has_sound=has_sound,
        for_decord=for_decord,
    )


def _check_pixels(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise ClipError(f"frames of {width} x {height} pixels; {MAX_PIXELS} pixels are the most: scale the clip down")


def _for_decord(container: Any, stream: Any, first: Any) -> bool:
    """Whether decord is sure to give the frames that PyAV gives."""
    fixed = container.format.name.startswith(("mov,", "matroska,")) and stream.codec_context.name in FIXED_SIZE
    kind = first.format.name
    same = kind in SAME_EVERYWHERE and (first.height % 2 == 0 or "420" not in kind)
    return fixed and same and len(container.streams.video) == 1 and not first.rotation


def _stamps(source: str | bytes) -> tuple[list[float | None], float]:
    """The presentation time of every frame in seconds, by reading packets only; and the first of them."""
    stamps: list[float | None] = []
    end = -math.inf
    with open_container(source) as container:
        stream = picture_streams(container)[0]
        pictures = 0
        try:
            for packet in container.demux():
                if packet.pts is not None and packet.time_base:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index != stream.index:
                    continue
                pictures += bool(packet.size)
                if packet.size and not packet.is_discard:
                    known = packet.pts is not None and packet.time_base
                    stamps.append(float(packet.pts * packet.time_base) if known else None)
                if len(stamps) > MAX_FRAMES:
                    raise ClipError(f"over {MAX_FRAMES} frames; cut the film into reels")
        except (av.error.FFmpegError, MemoryError, ArithmeticError) as error:
            raise ClipError(
                f"the file breaks off after {len(stamps)} frames ({_short(error)}); was it written to the end?"
            ) from error
        if stream.frames > pictures:
            raise ClipError(f"only {pictures} of {stream.frames} frames are in the file; it is cut off: copy it again")
        promised = (container.duration or 0) / av.time_base
        held = end - min(
            0.0, (container.start_time or 0) / av.time_base
        )  # Matroska counts from 0, whatever comes first
        # of Matroska the duration is written; of some others it is guessed from the bit rate
        slack = 0.25 if container.format.name.startswith("matroska") else max(0.25, 0.05 * promised)
        if pictures and math.isfinite(end) and promised - held > slack:
            raise ClipError(f"only {held:.2f} of {promised:.2f} s are in the file; it is cut off: copy it again")
    if not stamps:
        raise ClipError("the file has a video stream and no frame in it; was it written to the end?")
    return stamps, min((stamp for stamp in stamps if stamp is not None), default=0.0)


def _regular(stamps: list[float | None], rate: Fraction | None, fps: float | None) -> tuple[NDArray[np.float64], float]:
    """Times from the first frame on, and frames per second.

    Containers round times (Matroska to 1 ms). Times that are those of a constant rate but for rounding are put back
    on that rate's exact grid, so that a file and the tensor it was made from have the same times.
    """
    count = len(stamps)
    grid = np.arange(count, dtype=np.float64)
    if fps is not None:
        return grid / fps, fps
    declared = float(rate) if rate else 0.0
    plausible = 0.1 <= declared <= 1000
    times = np.array([np.nan if stamp is None else stamp for stamp in stamps], np.float64)
    times = np.sort(times) - np.nanmin(times) if not np.isnan(times).all() else times
    steps = np.diff(times)
    if np.isnan(times).any() or bool(np.any(steps <= 0)) or bool(np.any(steps > MAX_GAP)):
        if not plausible:
            raise ClipError(f"the file's times do not rise and its frame rate is {rate}; remux it, or give fps=")
        return grid / declared, declared
    if count == 1:
        return times, declared if plausible else 24.0
    if float(np.median(steps)) < 1e-3:
        raise ClipError(f"the file's frames are {float(np.median(steps)):.2g} s apart; remux it, or give fps=")
    nearby = [float(known) for known in RATES if abs(declared - float(known)) < 1e-4 * declared]  # rounded ticks
    mean = (count - 1) / float(times[-1])
    for candidate in [*nearby, *([declared] if plausible else []), *map(float, RATES), float(round(mean))]:
        if candidate > 0 and float(np.max(np.abs(times - grid / candidate))) <= 1.01e-3:
            return grid / candidate, candidate
    return times, float(1 / np.median(steps))


class FileFrames:
    """The frames of a file, decoded once and in order."""

    def __init__(self, source: str | bytes, fps: float | None = None, decoder: Decoder = "pyav") -> None:
        self.probe = probe(source, None if fps is None else checked_fps(fps))
        self._decoder = decoder
        self.fps, self.size, self.count = self.probe.fps, self.probe.size, len(self.probe.times)
        self._source = source

    def chunks(self, length: int) -> Iterator[Chunk]:
        """Yield uint8 (t, H, W, 3) and times (t,) for up to `length` frames at a time.

        Raises:
            ClipError: the pictures end before the container says, or change their size.
        """
        done = 0
        for frames in self._by_decord(length):
            yield frames, self.probe.times[done : done + len(frames)]
            done += len(frames)
        if done < self.count:
            for frames in self._by_pyav(length, done):
                yield frames, self.probe.times[done : done + len(frames)]
                done += len(frames)

    def _empty(self, done: int, length: int) -> NDArray[np.uint8]:
        return np.empty((min(length, self.count - done), *self.size, 3), np.uint8)

    def _by_decord(self, length: int) -> Iterator[NDArray[np.uint8]]:
        """Chunks from the start, as far as decord gets; PyAV goes on from there, and says what is wrong if it is."""
        reader = self._decord()
        done = 0
        while reader is not None and done < self.count:
            frames = self._empty(done, length)
            try:
                for row in frames:
                    row[...] = reader.next().asnumpy()
            except Exception:  # StopIteration too: a stream shorter than its container says
                return
            yield frames
            done += len(frames)

    def _decord(self) -> Any:
        """Decord's reader, or None where PyAV has to decode."""
        if self._decoder != "decord" or not self.probe.for_decord:
            return None
        if self.count * math.prod(self.size) * 3 > DECORD_BYTES:
            return None
        try:
            import decord
        except ImportError:
            return None
        decord.logging.set_level(decord.logging.QUIET)
        try:
            reader = decord.VideoReader(self._source, num_threads=2)
        except Exception:  # a codec that decord does not know; PyAV opened it, and decodes
            return None
        return reader if len(reader) == self.count else None

    def _by_pyav(self, length: int, skip: int) -> Iterator[NDArray[np.uint8]]:
        done, seen = skip, 0
        frames = self._empty(done, length)
        with open_container(self._source) as container:
            stream = picture_streams(container)[0]
            stream.thread_type = "AUTO"
            for frame in _decoded(container, stream):
                seen += 1
                if frame.is_corrupt:
                    raise ClipError(f"frame {seen - 1} is damaged, and the decoder filled the gap; copy the file again")
                if seen <= skip:
                    continue
                picture = _upright(frame.to_ndarray(format="rgb24"), self.probe.rotation)
                if picture.shape[:2] != self.size:
                    was, now = (f"{width} x {height}" for height, width in (self.size, picture.shape[:2]))
                    raise ClipError(
                        f"the picture changes from {was} to {now} pixels at frame {seen - 1}; give one size"
                    )
                frames[seen - 1 - done] = picture
                if seen == done + len(frames):
                    yield frames
                    done += len(frames)
                    if done == self.count:
                        return
                    frames = self._empty(done, length)
            raise ClipError(f"only {seen} of {self.count} frames can be decoded; the file is damaged or cut off")


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

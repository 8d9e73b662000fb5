"""A clip opened for reading: its windows in order, each frame decoded once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import ClipError
from cinereward.media.features import Features
from cinereward.media.intake import ArrayFrames, is_array
from cinereward.media.pictures import Decoder, FileFrames, source_of
from cinereward.media.sound import SoundTrack, array_sound, file_sound
from cinereward.types import Clip, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.media.features import Flow

LEAST_SIDE = 16  # pixels; below, no measure of a picture means anything


class Reader:
    """An open clip. fps, count (frames) and size (height, width) are known before anything is decoded."""

    def __init__(self, clip: Clip, *, sound: bool = False, decoder: Decoder = "pyav", flow: Flow | None = None) -> None:
        self.clip, self._flow = clip, flow
        video = clip.video
        self._source: str | bytes | None = None
        self._frames: ArrayFrames | FileFrames
        if is_array(video) or isinstance(video, list | tuple):
            self._frames = ArrayFrames(clip)
        elif isinstance(video, str | bytes | bytearray | memoryview) or hasattr(video, "__fspath__"):
            self._source = source_of(video)
            self._frames = FileFrames(self._source, clip.fps, decoder)
        else:
            raise ClipError(
                f"video is a {type(video).__name__}; expected a path, bytes, a tensor, an array or a list of PIL images"
            )
        self.fps, self.size, self.count = self._frames.fps, self._frames.size, self._frames.count
        if min(self.size) < LEAST_SIDE:
            raise ClipError(
                f"frames of {self.size[1]} x {self.size[0]} pixels; at least {LEAST_SIDE} x {LEAST_SIDE} are needed"
            )
        if clip.audio is not None:
            array_sound(clip)  # sound that is no sound is told, whether or not anyone listens
        self._listens = sound

    def _open_sound(self) -> SoundTrack | None:
        if self.clip.audio is not None:
            return array_sound(self.clip)
        if isinstance(self._frames, FileFrames) and self._source is not None and self._frames.probe.has_sound:
            return file_sound(self._source, self._frames.probe.start)
        return None

    def windows(self, length: int) -> Iterator[Window]:
        """Yield the clip in windows that own `length` frames each, the last one perhaps fewer.

        All but the first begin with one frame more, the last of the window before.

        Raises:
            ClipError: the pictures or the sound cannot be decoded to their end.
        """
        if length < 1:
            raise ValueError(f"length is {length}; a window owns at least one frame")
        track = self._open_sound() if self._listens else None
        last: NDArray[np.uint8] | None = None
        last_time = 0.0
        seen = 0
        for frames, times in self._frames.chunks(length):
            overlap = int(last is not None)
            if last is not None:
                frames = np.concatenate([last[None], frames])
                times = np.concatenate([[last_time], times])
            seen += len(frames) - overlap
            last, last_time = frames[-1].copy(), float(times[-1])
            yield self._window(frames, times, seen, overlap, track)

    def _window(
        self,
        frames: NDArray[np.uint8],
        times: NDArray[np.float64],
        seen: int,
        overlap: int,
        track: SoundTrack | None,
    ) -> Window:
        sound = None
        if track is not None:
            sound = track.until(float(times[-1]) + 1 / self.fps, last=seen >= self.count)
        frames.flags.writeable = False
        start = seen - len(frames)
        clip: Any = self.clip
        return Window(
            frames=frames,
            times=times,
            start_frame=start,
            overlap=overlap,
            fps=self.fps,
            sound=sound,
            features=Features(frames, start, overlap, self.fps, sound, self._flow),
            prompt=clip.prompt,
            task=clip.task,
            reference=clip.reference,
        )


def open_clip(clip: Clip, *, sound: bool = False, decoder: Decoder = "pyav", flow: Flow | None = None) -> Reader:
    """Open a clip for reading.

    Args:
        clip: what to read.
        sound: whether any operator listens; sound that nobody listens to is not decoded.
        decoder: of files; "decord" is for clips known to be whole, since it conceals damage.
        flow: a network that sees movement, in the place of OpenCV's; see media/features.py.

    Raises:
        ClipError: it cannot be read; the message says what came, what was expected and what to do.
    """
    return Reader(clip, sound=sound, decoder=decoder, flow=flow)

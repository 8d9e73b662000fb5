"""The sound of a clip: mono 16 kHz float32 for measuring, beside the original, streamed in step with the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from cinereward.errors import ClipError
from cinereward.media.pictures import open_container
from cinereward.types import Clip, Sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
LEAD = 2_048  # samples before a stretch that come with it, so that spectra at its start need no guess
TAIL = 10.0  # seconds of sound kept after the last picture: what is longer belongs to no frame
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
Block = tuple["NDArray[np.float32]", "NDArray[np.float32]"]  # mono at RATE (N,), original (channels, M)


class SoundTrack:
    """Hands out sound in stretches that follow one another.

    Args:
        blocks: what a decoder yields, in order.
        original_rate: Hz of the original.
        offset: seconds by which the sound starts after the first picture; negative where it starts before.
    """

    def __init__(self, blocks: Iterator[Block], original_rate: int, offset: float = 0.0) -> None:
        self.original_rate = original_rate
        self._blocks = blocks
        self._mono = _Tape(RATE, offset, lead=LEAD)
        self._original = _Tape(original_rate, offset, lead=0)
        self._ended = False

    def until(self, start: float, end: float, *, last: bool = False) -> Sound:
        """The stretch [start, end) in seconds, shorter where the sound ends; the last one has the tail as well."""
        end = end + TAIL if last else end
        while not self._ended and not (self._mono.reaches(end) and self._original.reaches(end)):
            try:
                mono, original = next(self._blocks)
            except StopIteration:
                self._ended = True
            else:
                self._mono.write(mono[None])
                self._original.write(original)
        samples, began = self._mono.read(end)
        original, _ = self._original.read(end)
        return Sound(samples=samples[0], original=original, original_rate=self.original_rate, start=began, lead=LEAD)


class _Tape:
    """Samples (channels, n) on the clock of the pictures: sample k stands at k / rate seconds."""

    def __init__(self, rate: int, offset: float, lead: int) -> None:
        self._rate, self._lead = rate, lead
        self._skip = max(0, round(-offset * rate))  # heard before the first picture
        self._pad = max(0, round(min(offset, 3600.0) * rate))
        self._parts: list[NDArray[np.float32]] = []
        self._held = 0
        self._at = 0  # index of the next sample to hand out
        self._tail: NDArray[np.float32] | None = None

    def write(self, samples: NDArray[np.float32]) -> None:
        if self._pad:
            self._push(np.zeros((samples.shape[0], self._pad), np.float32))
            self._pad = 0
        if self._skip:
            cut = min(self._skip, samples.shape[1])
            self._skip, samples = self._skip - cut, samples[:, cut:]
        self._push(samples)

    def _push(self, samples: NDArray[np.float32]) -> None:
        self._parts.append(samples)
        self._held += samples.shape[1]

    def reaches(self, end: float) -> bool:
        return self._at + self._held >= round(end * self._rate)

    def read(self, end: float) -> tuple[NDArray[np.float32], float]:
        """Samples up to `end`, behind `lead` samples of what came before (zeros at the start); and their time."""
        began = self._at / self._rate
        held = np.concatenate(self._parts, axis=1) if self._parts else np.zeros((1, 0), np.float32)
        count = max(0, min(round(end * self._rate) - self._at, held.shape[1]))
        out, rest = held[:, :count], held[:, count:]
        self._parts, self._held, self._at = [rest] if rest.shape[1] else [], rest.shape[1], self._at + count
        if self._lead:
            before = np.zeros((out.shape[0], self._lead), np.float32) if self._tail is None else self._tail
            out = np.concatenate([before, out], axis=1)
            self._tail = out[:, -self._lead :]
        return np.ascontiguousarray(out), began


def array_sound(clip: Clip) -> SoundTrack:
    """The track of `Clip.audio`.

    Raises:
        ClipError: no sample rate, a shape that is not (N,) or (channels, N), or values that are not in [-1, 1].
    """
    if clip.sample_rate is None or not 1_000 <= int(clip.sample_rate) <= 768_000:
        raise ClipError(f"sample_rate is {clip.sample_rate}; give the sound's rate in Hz, 1000 to 768000")
    audio = clip.audio
    if hasattr(audio, "detach"):
        audio = audio.detach().cpu().float().numpy()
    samples = np.asarray(audio)
    samples = samples[None] if samples.ndim == 1 else samples
    if samples.ndim != 2 or not np.issubdtype(samples.dtype, np.floating):
        raise ClipError(f"audio is {samples.dtype} of shape {np.shape(audio)}; expected float (N,) or (channels, N)")
    if samples.shape[0] not in LAYOUTS:
        hint = "; it looks like (N, channels): transpose it" if samples.shape[1] in LAYOUTS else ""
        raise ClipError(f"audio has {samples.shape[0]} channels; expected 1 to 8{hint}")
    peak = float(np.max(np.abs(samples))) if samples.size else 0.0
    if not peak <= 8.0:  # NaN fails this too; float sound may pass full scale by a little, other scales by far more
        raise ClipError(f"audio reaches {peak:.3g} (NaN: not a number); floats must lie in [-1, 1]")
    return SoundTrack(_resampled(_frames_of(samples, int(clip.sample_rate))), int(clip.sample_rate))


def file_sound(source: str | bytes, picture_start: float) -> SoundTrack:
    """The first sound track of a file, on the clock of its pictures (`picture_start`: s, the first frame's stamp)."""
    with open_container(source) as container:
        stream = container.streams.audio[0]
        rate = int(stream.rate or 0)
        start = float(stream.start_time * stream.time_base) if stream.start_time is not None else picture_start
    if not 1_000 <= rate <= 768_000:
        raise ClipError(f"the sound has a rate of {rate} Hz; expected 1000 to 768000")
    return SoundTrack(_resampled(_decoded(source)), rate, start - picture_start)


def _decoded(source: str | bytes) -> Iterator[Any]:
    with open_container(source) as container:
        stream = container.streams.audio[0]
        frames = container.decode(stream)
        while True:
            try:
                frame = next(frames)
            except StopIteration:
                return
            except Exception as error:
                raise ClipError(f"the sound cannot be decoded ({type(error).__name__}: {str(error)[:160]})") from error
            yield frame


def _frames_of(samples: NDArray[Any], rate: int) -> Iterator[Any]:
    for at in range(0, samples.shape[1], 4096):
        part = np.ascontiguousarray(samples[:, at : at + 4096], np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=LAYOUTS[len(part)])
        frame.sample_rate = rate
        yield frame


def _resampled(frames: Iterator[Any]) -> Iterator[Block]:
    """Each decoded frame as mono at RATE and as planar float at its own rate."""
    mono = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    planar: av.AudioResampler | None = None
    channels = 1
    for frame in frames:
        frame.pts = None
        if planar is None:
            planar = av.AudioResampler(format="fltp", layout=frame.layout.name, rate=frame.sample_rate)
            channels = len(frame.layout.channels)
        try:
            low = [part.to_ndarray() for part in mono.resample(frame)]
            high = [part.to_ndarray() for part in planar.resample(frame)]
        except (av.error.FFmpegError, ValueError) as error:
            raise ClipError(f"the sound changes its format midway ({str(error)[:160]})") from error
        yield _joined(low, 1)[0], _joined(high, channels)
    rest = [part.to_ndarray() for part in mono.resample(None)] if planar is not None else []
    if rest:
        yield _joined(rest, 1)[0], np.zeros((channels, 0), np.float32)


def _joined(parts: list[NDArray[Any]], channels: int) -> NDArray[np.float32]:
    return np.concatenate([*parts, np.zeros((channels, 0), np.float32)], axis=1).astype(np.float32, copy=False)

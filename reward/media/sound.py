"""The sound of a clip: mono 16 kHz float32 for measuring, beside the original, streamed in step with the pictures."""

from __future__ import annotations

import itertools
import math
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
HOLE = 0.1  # seconds that a sound's clock may run ahead of its samples before silence fills the hole
MAX_HOLE = 600.0  # a longer one is a broken clock, and is left out
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
WEIGHTS = {"FL": 1.0, "FR": 1.0, "FC": 2**0.5, "LFE": 0.0}  # in the mono mix; all others 2**-0.5
BLOCK = 4096  # samples handled at a time
Block = tuple["NDArray[np.float32]", "NDArray[np.float32]"]  # mono at RATE (1, N), original (channels, M)


class SoundTrack:
    """Hands out sound in stretches that follow one another.

    Args:
        blocks: what a decoder yields, in order.
        original_rate, channels: Hz of the original, and how many channels it has.
        offset: seconds by which the sound starts after the first picture; negative where it starts before.
    """

    def __init__(self, blocks: Iterator[Block], original_rate: int, channels: int, offset: float = 0.0) -> None:
        self.original_rate = original_rate
        self._blocks = blocks
        self._mono = _Tape(RATE, 1, offset, lead=LEAD)
        self._lead = round(LEAD * original_rate / RATE)
        self._original = _Tape(original_rate, channels, offset, lead=self._lead)
        self._ended = False

    def until(self, end: float, *, last: bool = False) -> Sound:
        """The stretch that follows the one before, to `end` in seconds; the last has the tail as well."""
        end = end + TAIL if last else end
        while not self._ended and not (self._mono.reaches(end) and self._original.reaches(end)):
            try:
                mono, original = next(self._blocks)
            except StopIteration:
                self._ended = True
            else:
                self._mono.write(mono)
                self._original.write(original)
        samples, began = self._mono.read(end, self._ended)
        original, _ = self._original.read(end, self._ended)
        return Sound(
            samples=samples[0],
            original=original,
            original_rate=self.original_rate,
            start=began,
            lead=LEAD,
            original_lead=self._lead,
        )


class _Tape:
    """Samples (channels, n) on the clock of the pictures: sample k stands at k / rate seconds.

    Silence before a late sound is made as it is read, so that a broken clock costs no memory.
    """

    def __init__(self, rate: int, channels: int, offset: float, lead: int) -> None:
        self._rate, self._channels = rate, channels
        self._skip = max(0, round(-offset * rate))  # heard before the first picture
        self._silent = max(0, round(offset * rate))  # still to come before the first sample
        self._parts: list[NDArray[np.float32]] = []
        self._held = 0
        self._at = 0  # index of the next sample to hand out
        self._tail = np.zeros((channels, lead), np.float32)

    def write(self, samples: NDArray[np.float32]) -> None:
        cut = min(self._skip, samples.shape[1])
        self._skip -= cut
        self._parts.append(samples[:, cut:])
        self._held += samples.shape[1] - cut

    def reaches(self, end: float) -> bool:
        return self._at + self._silent + self._held >= round(end * self._rate)

    def read(self, end: float, ended: bool) -> tuple[NDArray[np.float32], float]:
        """Samples up to `end`, behind `lead` samples of what came before (zeros at the start); and their time."""
        began = self._at / self._rate
        wanted = max(0, round(end * self._rate) - self._at)
        silent = 0 if ended and not self._held else min(wanted, self._silent)
        held = np.concatenate([np.zeros((self._channels, 0), np.float32), *self._parts], axis=1)
        count = min(wanted - silent, held.shape[1])
        rest = held[:, count:].copy()
        out = np.concatenate([self._tail, np.zeros((self._channels, silent), np.float32), held[:, :count]], axis=1)
        self._parts, self._held = [rest], rest.shape[1]
        self._at, self._silent = self._at + silent + count, self._silent - silent
        self._tail = out[:, out.shape[1] - self._tail.shape[1] :].copy()
        return out, began


def array_sound(clip: Clip) -> SoundTrack:
    """The track of `Clip.audio`.

    Raises:
        ClipError: no sample rate, a shape that is not (N,) or (channels, N), or values that are not in [-1, 1].
    """
    try:
        rate = int(clip.sample_rate) if clip.sample_rate is not None else 0
    except (TypeError, ValueError, OverflowError):
        rate = 0
    if not 1_000 <= rate <= 768_000:
        raise ClipError(f"sample_rate is {clip.sample_rate!r}; give the sound's rate in Hz, 1000 to 768000")
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
    peak = max(float(samples.max()), -float(samples.min())) if samples.size else 0.0
    if not peak <= 8.0:  # NaN fails this too; float sound may pass full scale by a little, other scales by far more
        what = "NaN" if math.isnan(peak) else f"{peak:.3g}"
        raise ClipError(f"audio reaches {what}; floats must lie in [-1, 1]: divide by the full scale")
    channels = samples.shape[0]
    parts = (np.asarray(samples[:, at : at + BLOCK], np.float32) for at in range(0, samples.shape[1], BLOCK))
    weights = _weights(av.AudioLayout(LAYOUTS[channels]))
    return SoundTrack(_with_mono(parts, rate, weights), rate, channels)


def file_sound(source: str | bytes, picture_start: float) -> SoundTrack:
    """The first sound track of a file, on the clock of its pictures (`picture_start`: s, the first frame's stamp).

    Raises:
        ClipError: the sound's rate or number of channels makes no sense, or its first frame cannot be decoded.
    """
    frames = _decoded(source)
    first = next(frames, None)
    if first is None:  # a track without sound in it: silence of no length
        return SoundTrack(iter(()), RATE, 1)
    rate, channels = int(first.sample_rate or 0), len(first.layout.channels)
    if not 1_000 <= rate <= 768_000:
        raise ClipError(f"the sound has a rate of {rate} Hz; expected 1000 to 768000: encode it anew")
    if channels not in LAYOUTS:
        raise ClipError(f"the sound has {channels} channels; expected 1 to 8: mix it down")
    offset = 0.0 if first.time is None else float(first.time) - picture_start
    parts = _originals(itertools.chain([first], frames), rate, channels)
    named = all(channel.name not in ("NONE", "UNK") for channel in first.layout.channels)
    layout = first.layout if named else av.AudioLayout(LAYOUTS[channels])
    return SoundTrack(_with_mono(parts, rate, _weights(layout)), rate, channels, offset)


def _decoded(source: str | bytes) -> Iterator[Any]:
    with open_container(source) as container:
        frames = container.decode(container.streams.audio[0])
        while True:
            try:
                frame = next(frames)
            except StopIteration:
                return
            except Exception as error:
                raise ClipError(
                    f"the sound cannot be decoded ({type(error).__name__}: {str(error)[:160]}); the file is damaged"
                ) from error
            yield frame


def _originals(frames: Iterator[Any], rate: int, channels: int) -> Iterator[NDArray[np.float32]]:
    """Each frame as float (channels, n), with silence where the file's clock leaps: lost packets, a mute."""
    # packed, because PyAV reads past the end of eight planes
    packed: av.AudioResampler | None = None
    clock: float | None = None
    try:
        for frame in frames:
            time, frame.pts = frame.time, None
            if time is not None:
                hole = 0.0 if clock is None else float(time) - clock
                if HOLE < hole < MAX_HOLE:
                    missing = round(hole * rate)
                    for at in range(0, missing, BLOCK):
                        yield np.zeros((channels, min(BLOCK, missing - at)), np.float32)
                clock = float(time) if clock is None or hole > HOLE else clock
            clock = None if clock is None else clock + frame.samples / rate
            if packed is None:
                packed = av.AudioResampler(format="flt", layout=frame.layout.name, rate=rate)
            yield _joined(packed.resample(frame), channels)
        if packed is not None:
            yield _joined(packed.resample(None), channels)
    except ClipError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        raise ClipError(f"the sound changes its format midway ({str(error)[:160]}); encode it anew") from error


def _with_mono(parts: Iterator[NDArray[np.float32]], rate: int, weights: NDArray[np.float32]) -> Iterator[Block]:
    """Each part (channels, n) behind its mono mix at RATE (1, m)."""
    mono = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    for part in parts:
        frames = []
        if part.shape[1]:
            mixed = av.AudioFrame.from_ndarray(np.ascontiguousarray(weights @ part), format="flt", layout="mono")
            mixed.sample_rate = rate
            frames = mono.resample(mixed)
        yield _joined(frames, 1), part
    yield _joined(mono.resample(None), 1), np.zeros((weights.shape[1], 0), np.float32)


def _weights(layout: av.AudioLayout) -> NDArray[np.float32]:
    """How much of each channel the mono mix holds (1, channels), 1 in all: no mix is louder than its channels.

    Source: ITU-R BS.775-4, annex 4: the centre 3 dB above left and right, what stands behind 3 dB below, no bass
    channel. FFmpeg mixes the same way, but lets the sum of floats pass full scale: 5.1 comes out 11 dB louder.
    """
    gains = np.array([WEIGHTS.get(channel.name, 2**-0.5) for channel in layout.channels])
    gains = gains if gains.sum() > 0 else np.ones(len(gains))
    return np.asarray(gains[None] / gains.sum(), np.float32)


def _joined(frames: list[Any], channels: int) -> NDArray[np.float32]:
    parts = [frame.to_ndarray().reshape(-1, channels).T for frame in frames]
    return np.concatenate([np.zeros((channels, 0), np.float32), *parts], axis=1)

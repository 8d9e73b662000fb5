"""What operators that listen to words share: a clip's sound joined, where somebody speaks in it, pieces of speech.

Memory and time are bounded: of a film the first half hour is kept, in half precision; what is left out is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.media.speech import SPEECH_HOP, speech_probability
from cinereward.operators.tracks import Tracks
from cinereward.types import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Float16 = NDArray[np.float16]
    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

RATE = 16_000  # Hz
HOP = SPEECH_HOP / RATE  # s: the detector's step
KEPT = 1800.0  # s of a clip's sound that are listened to
SPEAKS = 0.5  # probability from which a hop is speech
LEAST_SPEECH = 8  # hops; less than a quarter of a second tells nothing of what is said
LEVEL = 0.1  # RMS to which the loudest twentieth is brought: faint speech is no worse to understand
QUIETEST = 1e-5  # RMS of the loudest twentieth under which sound is silence
PAUSE = 32  # hops, 1 s: a longer pause parts two stretches of speech
MARGIN = 10  # hops of sound that are kept about a stretch, 0.3 s
LEAST_STRETCH = 3  # hops of speech in a stretch: less is a click


@dataclass(frozen=True, kw_only=True, eq=False)
class Speech:
    """One clip's sound, at an ordinary level, and where somebody speaks in it.

    samples: float32 (N,), 16 kHz, from the first frame to the last, or to KEPT. probability: float32 (M,), a hop of
    32 ms each. lack: why there is no speech, or "". unheard: s of the clip that were left out.
    """

    samples: Float32
    probability: Float32
    lack: str
    unheard: float

    @property
    def speaks(self) -> Bools:
        """In which hops somebody speaks, bool (M,)."""
        return np.asarray(self.probability >= SPEAKS)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        return (f"the last {self.unheard:.0f} s are not listened to; the first {KEPT:.0f} s are",) * (self.unheard > 0)


def kept(window: Window) -> Float16:
    """The sound that this window owns, as far as it is listened to: float16 (N,), which keeps 66 dB under any level."""
    if window.sound is None:
        return np.zeros(0, np.float16)
    most = max(0, round(KEPT * RATE) - round(window.sound.start * RATE))
    return np.asarray(window.sound.samples[window.sound.lead :][:most], np.float16)


def listen(tracks: Tracks) -> Speech:
    """Find the speech in the track "samples", which `kept` gave.

    Raises:
        WeightsError: the speech detector's weights are not there.
    """
    end = float(tracks.times[-1]) + 1 / tracks.fps
    samples = tracks["samples"][: round(end * RATE)].astype(np.float32)
    unheard = max(0.0, end - KEPT) if len(samples) else 0.0
    whole = len(samples) // SPEECH_HOP * SPEECH_HOP
    hops = samples[:whole].reshape(-1, SPEECH_HOP)
    power = np.einsum("ij,ij->i", hops, hops) / SPEECH_HOP
    loud = float(np.sqrt(np.quantile(power, 0.95))) if whole else 0.0
    if loud <= QUIETEST:
        lack = "no sound" if not len(tracks["samples"]) else "silence"
        return Speech(samples=samples, probability=np.zeros(0, np.float32), lack=lack, unheard=unheard)
    samples *= np.float32(LEVEL / loud)
    probability = speech_probability(samples)
    lack = "no speech" if int((probability >= SPEAKS).sum()) < LEAST_SPEECH else ""
    return Speech(samples=samples, probability=probability, lack=lack, unheard=unheard)


def stretches(probability: Float32, longest: int) -> list[tuple[int, int]]:
    """Stretches of speech with a margin about them, no pause of more than PAUSE in any, in order, without overlap.

    Args:
        probability: float32 (M,), a hop each. longest: hops of a stretch; a longer one is cut where speech is least
            likely in its last third.

    Returns:
        First hop and the one after the last, of each.
    """
    if longest < 2:
        raise ValueError(f"longest is {longest} hops; expected 2 or more")
    at = np.flatnonzero(probability >= SPEAKS)
    if not len(at):
        return []
    ends = np.flatnonzero(np.diff(at) > PAUSE)
    firsts, lasts = at[np.concatenate([[0], ends + 1])], at[np.concatenate([ends, [len(at) - 1]])] + 1
    out: list[tuple[int, int]] = []
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        if int((probability[first:last] >= SPEAKS).sum()) < LEAST_STRETCH:
            continue
        first = max(first - MARGIN, out[-1][1] if out else 0)
        last = min(last + MARGIN, len(probability))
        while last - first > longest:
            late = first + 2 * longest // 3
            cut = late + int(np.argmin(probability[late : first + longest])) + 1
            out.append((first, cut))
            first = cut
        out.append((first, last))
    return out


def packed(parts: Sequence[tuple[int, int]], longest: int) -> list[list[tuple[int, int]]]:
    """Stretches put together, in order, into pieces of up to `longest` hops; each stretch is whole in one piece."""
    out: list[list[tuple[int, int]]] = []
    room = 0
    for first, last in parts:
        if last - first > room or not out:
            out.append([])
            room = longest
        out[-1].append((first, last))
        room -= last - first
    return out


def sound_of(speech: Speech, piece: Sequence[tuple[int, int]]) -> Float32:
    """The samples of a piece, its stretches end to end: float32 (N,), within [-1, 1]."""
    parts: list[NDArray[Any]] = [speech.samples[first * SPEECH_HOP : last * SPEECH_HOP] for first, last in piece]
    return np.asarray(np.clip(np.concatenate(parts), -1.0, 1.0), np.float32)


def clip_time(piece: Sequence[tuple[int, int]], at: float) -> float:
    """When it is in the clip, in s, where it is `at` s in a piece."""
    left = at
    for first, last in piece:
        if left <= (last - first) * HOP:
            break
        left -= (last - first) * HOP
    else:
        first, last = piece[-1]
        left = (last - first) * HOP
    return first * HOP + max(left, 0.0)

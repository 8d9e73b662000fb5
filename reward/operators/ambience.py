"""Ambience: is a place heard all the time, without holes, not one stretch of it over and over, and not a mere tone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cinereward.media.hops import pieces
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Sound, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.generic]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

RATE = 16_000
LEVEL = 80  # samples a level: 5 ms
FLOOR = -110.0  # dBFS; a level below it is this
BLOCK = 10  # levels a block of silence: 50 ms
MUTE, FAINT = -65.0, -55.0  # dBFS: from here down wholly silent, from here up not at all
BELOW = 50.0  # dB under the clip's own loud moments that are silence too; 10 less is none
PAUSE = 3  # blocks; a shorter silence is a pause or a hole, and no silence
EMPHASIS = 0.95  # rumble must not hide a hole, nor make one
LONGEST_HOLE = 400  # levels: 2 s
ISLAND = 10  # levels of sound (50 ms) between two holes that may be one
HOLE, DEEP = 18.0, 28.0  # dB that a hole's edges fall and rise within 10 ms: from none of a hole to all of one
SLOW = 4  # the sound is compared with itself at a quarter of its rate
TAPS = 64
SPAN, STEP = 16.0, 8.0  # seconds compared with themselves at a time
SHORTEST = 0.2  # seconds of loop
CHANCE = 0.12  # likeness that noise may have with itself by chance
FFT, HOP = 2048, 1280  # 128 ms every 80 ms
HELD, AROUND = 7, 17  # pieces (0.5 s) that a held pitch fills, bins (130 Hz) that it stands out of
STANDS_OUT = 16  # steps of half a dB
QUIET = 10**-2.5  # of the energy of loud moments; below it nothing lives, so that a gap is no event
LOUDNESS = 0.3  # power of the energy that is heard: Stevens's law; a bang must not cover a tone that fills the rest
CHUNK = 256  # pieces looked at at a time


class Ambience:
    """Levels every 5 ms, the sound at a quarter of its rate, and spectra every 80 ms."""

    spec = OperatorSpec(
        name="ambience",
        needs=frozenset({"sound"}),
        measurements=(
            MeasurementSpec(
                name="silence",
                unit="share",
                low=0,
                high=1,
                meaning="part of the running time in which nothing is heard",
            ),
            MeasurementSpec(
                name="dropouts",
                unit="share",
                low=0,
                high=1,
                meaning="part of the running time in holes that begin and end within 10 ms",
            ),
            MeasurementSpec(
                name="loop",
                unit="repeats / s",
                low=0,
                high=5,
                meaning="how often the very same stretch of sound comes again, times how alike it is",
            ),
            MeasurementSpec(
                name="tone", unit="share", low=0, high=1, meaning="part of what is heard that is held pitches"
            ),
            MeasurementSpec(
                name="liveliness", unit="dB", low=0, high=60, meaning="how much the levels of its bands come and go"
            ),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Levels, slow sound and spectra of each window's sound."""
        return [
            Partial(times=owned(window.times, window.overlap), fps=window.fps, tracks={}, sounds=heard(window.sound))
            for window in windows
        ]

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Silence, holes, loops, tones and liveliness over the running time."""
        tracks = join(partials)
        running = float(tracks.times[-1]) + 1 / tracks.fps
        silent = silences(tracks["level"], running)
        holes = dropouts(tracks["edge"], running)
        if not len(tracks["level"]):
            return self._nothing(silent)
        rates, weights = loops(tracks["slow"], running)
        held, loudness, lively = pitches(tracks["lines"], holes, running)
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {
                    "silence": np.mean(silent),
                    "dropouts": np.mean(holes) if len(holes) else 0.0,
                    "loop": np.sum(rates * weights),
                    "tone": np.sum(held * loudness) / max(float(np.sum(loudness)), 1e-12),
                    "liveliness": lively,
                },
                {
                    "silence_track": (_centres(len(silent), BLOCK * LEVEL / RATE), silent),
                    "dropouts_track": (_centres(len(holes), LEVEL / RATE), holes),
                    "loop_track": (_centres(len(rates), STEP) if len(rates) > 1 else np.full(1, running / 2), rates),
                    "tone_track": (_centres(len(held), HOP / RATE), held),
                },
            ),
        )

    def _nothing(self, silent: Float64) -> Evidence:
        none = {name: 0.0 for name in ("dropouts", "loop", "tone", "liveliness")}
        silence = Measurement(name="silence", value=1.0, unit="share", note="the clip has no sound")
        track = {"silence_track": (_centres(len(silent), BLOCK * LEVEL / RATE), silent)}
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, {"silence": silence, **none}, track),
        )


def heard(sound: Sound | None) -> dict[str, Array]:
    """What is kept of a stretch of sound.

    Returns:
        level: float32 (N,), dBFS of each 5 ms. edge: float32 (N,), the same of the sound with its bass held back.
        slow: float16 (M,), the sound below 1.8 kHz at 4 kHz. lines: uint8 (K, 1025), half dB above FLOOR of the
        spectra, in which a sine of full scale has 0 dB.
    """
    if sound is None:
        none = np.zeros(0, np.float32)
        return {"level": none, "edge": none, "slow": none.astype(np.float16), "lines": np.zeros((0, 1025), np.uint8)}
    short = pieces(sound, LEVEL, LEVEL + 1)
    bright = short[:, 1:] - np.float32(EMPHASIS) * short[:, :-1]
    at = pieces(sound, SLOW, TAPS)
    slow = np.zeros(len(at), np.float32)
    for tap, weight in enumerate(_lowpass()):
        slow += weight * at[:, tap]
    spectra = np.asarray(np.abs(np.fft.rfft(pieces(sound, HOP, FFT) * _hann(), axis=1)) ** 2, np.float32)
    lines = np.clip(np.round(2 * (_decibels(spectra / np.float32((FFT / 4) ** 2)) - FLOOR)), 0, 255)
    return {
        "level": _decibels(np.mean(short[:, 1:] ** 2, axis=1)),
        "edge": _decibels(np.mean(bright**2, axis=1)),
        "slow": slow.astype(np.float16),
        "lines": lines.astype(np.uint8),
    }


def silences(level: NDArray[np.float32], running: float) -> Float64:
    """How silent each 50 ms of the running time is, 0 to 1: no sound, hardly any, or far below the clip's own level.

    Args:
        level: float32 (N,), dBFS of each 5 ms. running: s.
    """
    blocks = max(1, round(running * RATE / (LEVEL * BLOCK)))
    power = 10 ** (level[: blocks * BLOCK].astype(np.float64) / 10)
    power = np.pad(power, (0, blocks * BLOCK - len(power)), constant_values=10 ** (FLOOR / 10))
    loud = 10 * np.log10(power.reshape(blocks, BLOCK).mean(axis=1))
    own = float(np.quantile(loud, 0.9)) - BELOW
    mute = max(MUTE, own)
    silent = np.clip((mute + FAINT - MUTE - loud) / (FAINT - MUTE), 0, 1)
    for first, last in _runs(silent > 0):
        if last - first < min(PAUSE, blocks):
            silent[first:last] = 0
    return np.asarray(silent)


def dropouts(edge: NDArray[np.float32], running: float) -> Float64:
    """How much of a hole each 5 ms lies in, from 0 to 1: the sound falls and returns within 10 ms, at a stroke.

    Speech and music die away; only the beginning of a sound is abrupt by nature, never its end.

    Args:
        edge: float32 (N,), dB. running: s.
    """
    level = edge[: round(running * RATE / LEVEL)].astype(np.float64)
    found = np.zeros(len(level))
    if len(level) < 4 * BLOCK:
        return found
    holes = [
        run for run in _runs(level < np.maximum(_usual(level) - HOLE, FLOOR + 15)) if run[1] - run[0] <= LONGEST_HOLE
    ]
    falls = np.array([_step_down(level[:last], first) for first, last in holes])
    rises = np.array([_step_down(level[first:][::-1], len(level) - last) for first, last in holes])
    beside = np.array([after[0] - before[1] <= ISLAND for before, after in itertools.pairwise(holes)], np.bool_)
    group = np.concatenate([[0], np.cumsum(~beside)])
    for index, (first, last) in enumerate(holes):
        together = np.flatnonzero(group == group[index])
        outer = min(falls[together[0]], rises[together[-1]])
        depth = max(min(falls[index], rises[index]), outer)
        found[first:last] = np.clip((depth - HOLE) / (DEEP - HOLE), 0, 1)
    return found


def _step_down(level: Float64, first: int) -> float:
    """By how many dB the level falls, within two steps, into the hole that begins at `first` and fills the rest."""
    if first < 6:
        return 0.0
    inside = level[first:] if len(level) - first <= 2 else level[first + 1 : first + 3]
    return float(level[first - 5 : first - 1].min() - inside.max())


def _usual(level: Float64) -> Float64:
    """The 75th percentile of the second around each level, found every 50 ms."""
    coarse = level[: len(level) // BLOCK * BLOCK].reshape(-1, BLOCK)
    reach = min(10, len(coarse) - 1)
    padded = np.pad(coarse, ((reach, reach), (0, 0)), mode="edge")
    around = sliding_window_view(padded, 2 * reach + 1, axis=0).reshape(len(coarse), -1)
    usual = np.quantile(around, 0.75, axis=1)
    return np.asarray(np.pad(np.repeat(usual, BLOCK), (0, len(level) - len(coarse) * BLOCK), mode="edge"))


def loops(slow: NDArray[np.float16], running: float) -> tuple[Float64, Float64]:
    """How often each span of the clip repeats itself, in repeats a second, and how much of the clip it stands for.

    Args:
        slow: float16 (N,), the sound at 4 kHz. running: s.
    """
    rate = RATE // SLOW
    slow = slow[: round(running * rate)]
    span, step = round(SPAN * rate), round(STEP * rate)
    starts = range(0, max(1, len(slow) - span + step), step)
    rates = [repetition(slow[start : start + span].astype(np.float64), rate) for start in starts]
    return np.array(rates), np.full(len(rates), 1 / len(rates))


def repetition(sound: Float64, rate: int) -> float:
    """Likeness of a sound to itself some time later, over that time: repeats a second.

    The sound is levelled in time and in frequency first. Noise is then unlike itself at any lag, and rhythm does not
    make it alike; a pitch is alike at many lags close together, and only a copy at one alone.

    Args:
        sound: (N,) at `rate` Hz.
    """
    count = len(sound)
    longest = max(count // 2, count - rate // 2)
    lags = np.arange(round(2 * SHORTEST * rate), 2 * longest)
    if not len(lags) or not np.any(sound):
        return 0.0
    level = _whitened(sound, rate)
    size = 1 << (2 * count - 1).bit_length()
    power = np.abs(np.fft.rfft(level, size)) ** 2
    # twice the rate: a copy may lie between two samples
    alike = 2 * np.fft.irfft(np.pad(power, (0, size // 2)), 2 * size)[lags]
    energy = np.concatenate([[0.0], np.cumsum(level**2)])
    own = np.sqrt((energy[count] - energy[lags // 2]) * energy[count - lags // 2])
    alike /= np.maximum(own, 1e-3 * energy[count])
    near, far = round(0.006 * rate), round(0.05 * rate)
    beside = _greatest(alike, far - near)
    left = np.concatenate([np.zeros(far), beside])[: len(alike)]
    right = np.concatenate([beside[near:], np.zeros(near)])[: len(alike)]
    copy = alike - np.maximum(np.maximum(left, right), 0)
    return float(np.max(np.clip((copy - CHANCE) / (1 - CHANCE), 0, 1) * (2 * rate / lags)))


def _whitened(sound: Float64, rate: int) -> Float64:
    """The sound levelled over 0.1 s, then over 25 Hz, between 60 Hz and 1.7 kHz."""
    loud = np.sqrt(_mean(sound**2, rate // 10))
    floor = max(1e-4, 0.03 * float(np.median(loud)))
    size = 1 << (2 * len(sound) - 1).bit_length()
    spectrum = np.fft.rfft(sound / np.maximum(loud, floor), size)
    power = _mean(np.abs(spectrum) ** 2, max(3, round(25 * size / rate)))
    hertz = np.arange(len(spectrum)) * rate / size
    spectrum = np.where((hertz > 60) & (hertz < 1700), spectrum / np.sqrt(power + 1e-9), 0)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(sound)])


def pitches(lines: UInt8, holes: Float64, running: float) -> tuple[Float64, Float64, float]:
    """The share of energy in held pitches and the loudness every 80 ms, and the liveliness of the bands in dB.

    Source: "Extending harmonic-percussive separation of audio signals", Driedger, Mueller & Disch, ISMIR 2014.

    Args:
        lines: uint8 (K, 1025), of `heard`. holes: (N,), of `dropouts`. running: s.
    """
    lines = lines[: max(1, round(running * RATE / HOP))]
    if not len(lines):
        return np.zeros(0), np.zeros(0), 0.0
    hertz = np.arange(lines.shape[1]) * RATE / FFT
    shown = np.flatnonzero((hertz > 80) & (hertz < 7500))
    weights = np.maximum(hertz[shown] / 1000 / (1 + (hertz[shown] / 4000) ** 2), 0.08)
    edges = np.unique(np.maximum(np.geomspace(10, len(shown), 21), np.arange(21) * 8)).astype(np.int64)
    held, energy, bands = [], [], []
    margin = HELD // 2
    padded = np.pad(lines[:, shown], ((margin, margin), (0, 0)), mode="edge")
    for start in range(0, len(lines), CHUNK):
        part = padded[start : start + CHUNK + 2 * margin]
        here = part[margin : len(part) - margin]
        power = 10 ** (here / 20 + FLOOR / 10) * weights
        steady = _median([part[shift : shift + len(here)] for shift in range(HELD)])
        wide = np.pad(here, ((0, 0), (AROUND // 2, AROUND // 2)), mode="edge")
        around = _median([wide[:, shift : shift + len(shown)] for shift in range(0, AROUND, 2)])
        pitch = steady.astype(np.int16) - around >= STANDS_OUT
        total = power.sum(axis=1)
        held.append((power * pitch).sum(axis=1) / np.maximum(total, 1e-20))
        energy.append(total)
        bands.append(10 * np.log10(np.add.reduceat(power, edges[:-1], axis=1) + 1e-11))
    loud = np.concatenate(energy)
    whole = (loud > QUIET * np.quantile(loud, 0.9)) & ~_holed(holes, len(loud))
    return np.concatenate(held), loud**LOUDNESS, _liveliness(np.concatenate(bands), whole)


def _holed(holes: Float64, count: int) -> NDArray[np.bool_]:
    """Whether a hole lies in each of `count` spectra."""
    total = np.concatenate([[0.0], np.cumsum(holes)])
    ends = np.arange(1, count + 1) * (HOP // LEVEL)
    begins = np.maximum(ends - FFT // LEVEL - 1, 0)
    return np.asarray(total[np.minimum(ends, len(holes))] > total[np.minimum(begins, len(holes))])


def _liveliness(levels: Float64, whole: NDArray[np.bool_]) -> float:
    """The deviation over time of each band's level (K, bands), smoothed over three spectra; dB.

    Only where the spectra and their neighbours are `whole`: a hole is no event, and neither is a gap.
    """
    if len(levels) < 3:
        return 0.0
    kept = np.all(sliding_window_view(np.pad(whole, 1, constant_values=True), 5), axis=1)
    smooth = np.mean(sliding_window_view(levels, 3, axis=0), axis=-1)[kept]
    return float(np.median(np.std(smooth, axis=0))) if len(smooth) else 0.0


def _median(parts: Sequence[UInt8]) -> UInt8:
    """The median of an odd number of arrays, element by element; quick where there are few."""
    rest = list(parts)
    for _ in range(len(rest) // 2 + 1):
        for at in range(len(rest) - 1):
            rest[at], rest[at + 1] = np.minimum(rest[at], rest[at + 1]), np.maximum(rest[at], rest[at + 1])
        greatest = rest.pop()
    return greatest


def _mean(values: Float64, width: int) -> Float64:
    """Moving mean (N,) over `width`, the ends filled with zeros."""
    total = np.cumsum(np.pad(values, (width // 2 + 1, width - width // 2 - 1)))
    return np.asarray((total[width:] - total[:-width]) / width)


def _greatest(values: Float64, width: int) -> Float64:
    """The greatest of values[i : i + width] (N,), by doubling."""
    out, done = values.copy(), 1
    while done < width:
        step = min(done, width - done)
        out[:-step] = np.maximum(out[:-step], out[step:])
        done += step
    return out


def _runs(marked: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[first, last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _centres(count: int, length: float) -> Float64:
    return np.asarray((np.arange(count) + 0.5) * length, np.float64)


def _decibels(power: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10))), np.float32)


def _hann() -> NDArray[np.float32]:
    return np.hanning(FFT).astype(np.float32)


def _lowpass() -> NDArray[np.float32]:
    at = np.arange(TAPS) - (TAPS - 1) / 2
    taps = np.sinc(2 * 1800 / RATE * at) * np.hamming(TAPS)
    return np.asarray(taps / taps.sum(), np.float32)

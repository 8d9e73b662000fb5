"""Loudness as broadcasters measure it: integrated, its range, and the true peak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cinereward.media.originals import grid
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

HOP = 0.01  # s: energies are kept in steps of it, on the clip's own grid
STEP = 10  # hops between one block and the next: 0.1 s
BLOCK, SHORT = 40, 300  # hops: 0.4 s of a gating block, 3 s of short-term loudness
SILENCE = -70.0  # LUFS: the absolute gate, and what silence is given
OFFSET = -0.691  # dB, so that a sine of 997 Hz and 0 dBFS in one front channel has -3.01 LUFS
GATE, RANGE_GATE = -10.0, -20.0  # LU, relative to what passes the absolute gate: for the loudness, for the range
FAINTEST_PEAK = -120.0  # dBTP
TAPS = 12  # samples on which each value between two samples rests
FRONT, SIDE, BASS = 1.0, 1.41, 0.0
WEIGHTS = {  # by channels, in the order in which the sound comes: see media/sound.py
    3: (FRONT, FRONT, BASS),
    4: (FRONT, FRONT, SIDE, SIDE),
    5: (FRONT, FRONT, FRONT, SIDE, SIDE),
    6: (FRONT, FRONT, FRONT, BASS, SIDE, SIDE),
    7: (FRONT, FRONT, FRONT, BASS, FRONT, SIDE, SIDE),
    8: (FRONT, FRONT, FRONT, BASS, FRONT, FRONT, SIDE, SIDE),
}


class Loudness:
    """ITU-R BS.1770-4 and EBU Tech 3341 and 3342, on the original sound while the picture runs.

    Source: "Algorithms to measure audio programme loudness and true-peak audio level", ITU-R BS.1770-4, 2015;
    "Loudness range", EBU Tech 3342, 2016.
    """

    spec = OperatorSpec(
        name="loudness",
        measurements=(
            MeasurementSpec(
                name="integrated", unit="LUFS", low=-70, high=20, meaning="gated loudness of the whole clip"
            ),
            MeasurementSpec(
                name="range",
                unit="LU",
                low=0,
                high=90,
                meaning="from the soft to the loud passages of 3 s, extremes aside",
            ),
            MeasurementSpec(
                name="peak",
                unit="dBTP",
                low=-120,
                high=30,
                meaning="highest level that the wave reaches between samples",
            ),
        ),
        needs=frozenset({"sound"}),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Weighted energy and peak of every 10 ms."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        rows = hops(window)
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={},
            sounds={"energy": rows[:, 0], "peaks": rows[:, 1]},
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Gate the blocks, and take the loudness of what is left."""
        tracks = join(partials)
        count = round((float(tracks.times[-1]) + 1 / tracks.fps) / HOP)
        energy, peaks = tracks["energy"][:count], tracks["peaks"][:count]
        short = block_powers(energy, SHORT)
        integrated = gated(block_powers(energy, BLOCK))
        why = "" if integrated > SILENCE else "silence" if len(energy) else "no sound"
        peak = 20 * np.log10(max(float(peaks.max(initial=0.0)), 10 ** (FAINTEST_PEAK / 20)))
        spread = loudness_range(short)
        values = {
            "integrated": Measurement(name="integrated", value=integrated, unit="LUFS", note=why),
            "range": Measurement(name="range", value=spread, unit="LU", note=why if np.isnan(spread) else ""),
            "peak": Measurement(name="peak", value=peak, unit="dBTP", note=why),
        }
        middle = min(SHORT, len(energy)) / 2
        at = np.asarray((np.arange(len(short)) * STEP + middle) * HOP, np.float64)
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec, values, {"integrated_track": (at, np.maximum(loudness(short), SILENCE))}
            ),
        )


def hops(window: Window) -> Float64:
    """K-weighted mean square, summed over the channels by their weights, and peak, in every 10 ms that ends here.

    The filter runs in on the lead.

    Returns:
        float64 (N, 2); the peak is that of the wave between the samples, and 1 is full scale.
    """
    edges = grid(window, HOP)
    if window.sound is None or not edges.size:
        return np.zeros((0, 2))
    rate, wave = window.sound.original_rate, window.sound.original.astype(np.float64)
    weights = np.array(WEIGHTS.get(len(wave), (FRONT,) * len(wave)))
    power = weights @ k_weighted(wave, rate) ** 2
    sums = np.add.reduceat(np.append(power, 0.0), edges.T.ravel())[::2]
    peaks = np.maximum.reduceat(np.append(between(wave, rate), 0.0), edges.T.ravel())[::2]
    return np.stack([sums / np.diff(edges, axis=0)[0], peaks], axis=1)


def k_weighted(wave: Float64, rate: int) -> Float64:
    """The wave (channels, N) as the ear weighs it: a shelf of +4 dB for the head, and a high-pass at 38 Hz.

    The two filters of BS.1770-4 are given at 48 kHz; here from their analogue models, by the bilinear transform.
    """
    from scipy.signal import sosfilt

    k, q = np.tan(np.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    shelf = np.array([high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k])
    shelf_poles = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
    k, q = np.tan(np.pi * 38.13547087602444 / rate), 0.5003270373238773
    poles = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
    first = np.concatenate([shelf, shelf_poles]) / shelf_poles[0]
    second = np.concatenate([[1.0, -2.0, 1.0], poles / poles[0]])
    return np.asarray(sosfilt(np.stack([first, second]), wave, axis=1), np.float64)


def between(wave: Float64, rate: int) -> Float64:
    """The highest absolute value, over the channels, at each sample and before the next (N,), 4 times oversampled.

    What lies before the last 6 samples is told only with those that come after them.
    """
    factor = 4 if rate < 96_000 else 2
    at = np.arange(1 - TAPS // 2, TAPS // 2 + 1)[:, None] - np.arange(1, factor) / factor
    kernel = np.sinc(at) * np.i0(5.0 * np.sqrt(1 - (at / (TAPS / 2)) ** 2))
    kernel /= kernel.sum(axis=0)
    out = np.abs(wave).max(axis=0)
    for channel in wave:
        padded = np.pad(channel, (TAPS - 1, 0)).astype(np.float32)
        taps = np.stack([padded[tap : tap + len(channel)] for tap in range(TAPS)])
        np.maximum(out, np.abs(kernel.T.astype(np.float32) @ taps).max(axis=0), out=out)
    return np.asarray(out, np.float64)


def block_powers(energy: Float64, length: int) -> Float64:
    """Mean square of every block of `length` hops, one each 0.1 s; sound shorter than a block is one block."""
    if not len(energy):
        return np.zeros(0)
    if len(energy) < length:
        return np.array([energy.mean()])
    return np.asarray(sliding_window_view(energy, length)[::STEP].mean(axis=1))


def loudness(power: Float64) -> Float64:
    """Mean square to LUFS."""
    return np.asarray(OFFSET + 10 * np.log10(np.maximum(power, 1e-15)))


def gated(power: Float64) -> float:
    """Integrated loudness of blocks (N,), LUFS; -70 where none passes the absolute gate."""
    heard = power[loudness(power) > SILENCE]
    if not len(heard):
        return SILENCE
    kept = heard[loudness(heard) > float(loudness(heard.mean())) + GATE]
    return max(SILENCE, float(loudness(kept.mean())))


def loudness_range(power: Float64) -> float:
    """From the 10th to the 95th percentile of short-term loudness that passes the gates, LU; NaN where none does."""
    heard = power[loudness(power) > SILENCE]
    if not len(heard):
        return np.nan
    levels = loudness(heard)
    low, high = np.quantile(levels[levels > float(loudness(heard.mean())) + RANGE_GATE], [0.1, 0.95])
    return float(high - low)

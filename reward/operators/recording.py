"""How speech was recorded: overdrive, noise, hum, bandwidth and room, from samples and where somebody speaks.

No filter, gate or microphone has to be known: each measure compares the speech with itself. All but the overdrive take
mono sound at 16 kHz whose loud moments have an RMS near 0.1; none depends on the level otherwise.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

RATE = 16_000  # Hz
CHUNK = 2_048  # spectra worked out at a time, which bounds memory
LEAST_POWER = 1e-12  # of a band, under which there is nothing: 100 dB under the speech

CEILING = 0.03  # how far under a piece's peak a sample may lie to lie at it
CROWD = 0.98  # quantile of the pieces' peaks near which the ceiling is looked for
LOUD = 0.7  # quantile of RMS from which pieces are loud

BANDS = 20  # mel bands from 100 Hz to 7.8 kHz
FLOOR = 0.1  # quantile in time that stands for what lies beneath the speech
MOST_SNR = 60.0  # dB; more cannot be heard

BOTTOM, FLANK = 55.0, 30.0  # dB under the strongest frequencies where speech ends, and over which it counts in part
NOISE = 6.0  # by how much the loudest moments of steady noise pass its quietest

WIDE = 12  # mel bands from 200 Hz to 6 kHz in which decays are followed
FALL = 12  # steps of 8 ms over which a decay is followed
NEAR = 15.0  # dB under its band's peak above which a decay must begin
DEEPEST = 45.0  # dB under its band's peak; decays are not followed further
STEEP = 0.1  # quantile of the slopes that stands for the steepest
SLOWEST = 20.0  # s

MAINS = (50, 60)  # Hz
TOP = 480  # Hz up to which harmonics of the mains are looked for
HUM_WINDOW, HUM_STEP = 8_000, 2_000  # samples: lines of 2 Hz, eight times a second
MOST_HUM = 80.0  # dB


def overdrive(peaks: Float64, speaks: Bools) -> tuple[float, float, Float64]:
    """Find the ceiling that overdriven speech shares, and how little its peaks stand out.

    Args:
        peaks: float64 (N, 5) a piece of 32 ms: RMS, highest and lowest peak (both >= 0), and the share of the samples
            that lies within 3 % of each. speaks: bool (N,), at least one of them.

    Returns:
        the share of the samples of speech at the ceiling, [0, 1], on the side where it is larger; the mean of peak over
        RMS in the loudest 30 % of the pieces, dB: coding smears a ceiling, but peaks do not come back; and the share
        at the ceiling in each piece, float64 (N,).
    """
    at_ceiling = np.zeros((2, len(peaks)))
    for side in (0, 1):
        peak, share = peaks[:, 1 + side], peaks[:, 3 + side]
        ceiling = float(np.quantile(peak[speaks], CROWD))
        near = speaks & (np.abs(peak - ceiling) <= CEILING * ceiling) & (ceiling > 0)
        at_ceiling[side, near] = share[near]
    worse = at_ceiling[int(np.argmax(at_ceiling.sum(axis=1)))]
    rms = np.maximum(peaks[:, 0], 1e-9)
    loud = speaks & (rms >= np.quantile(rms[speaks], LOUD))
    crest = 20 * np.log10(np.maximum(peaks[loud, 1:3].max(axis=1) / rms[loud], 1.0))
    return float(worse[speaks].mean()), float(crest.mean()), worse


def spectra(samples: Float32, size: int, hop: int) -> Float32:
    """Power spectra of Hann windows: float32 (N, size / 2 + 1); spectrum k begins at sample k * hop."""
    if len(samples) < size:
        samples = np.pad(samples, (0, size - len(samples)))
    window = np.hanning(size + 2)[1:-1].astype(np.float32)
    window /= np.sqrt(np.sum(window**2))
    views = sliding_window_view(samples, size)[::hop]
    out = np.empty((len(views), size // 2 + 1), np.float32)
    for at in range(0, len(views), CHUNK):
        spectrum = np.fft.rfft(views[at : at + CHUNK] * window, axis=1)
        out[at : at + CHUNK] = spectrum.real**2 + spectrum.imag**2
    return out


def snr(power: Float32, speaks: Bools) -> float:
    """The speech over the floor beneath it, dB, mean of 20 mel bands of [0, 60] each.

    The floor is what is left in a band between sounds, so that no pause is needed and a gate that mutes the pauses
    hides nothing. Source: "Noise power spectral density estimation based on optimal smoothing and minimum statistics",
    Martin, 2001.

    Args:
        power: float32 (N, 257), spectra of 512 samples. speaks: bool (N,), at least one of them.
    """
    bands = power[speaks] @ mel_bands(BANDS, 100.0, 7_800.0, 512) + LEAST_POWER
    floor = np.quantile(bands, FLOOR, axis=0)
    speech = np.maximum(bands.mean(axis=0) - floor, LEAST_POWER)
    return float(np.clip(10 * np.log10(speech / floor), 0, MOST_SNR).mean())


def bandwidth(power: Float32, speaks: Bools) -> float:
    """How much of the spectrum up to 8 kHz speech fills, Hz.

    A frequency counts in full where the loudest moments lie less than 25 dB under the strongest frequency, and not at
    all from 55 dB on: a soft filter takes away as surely as a steep one. What steady noise adds is taken off.

    Args:
        power: float32 (N, 257), spectra of 512 samples. speaks: bool (N,), at least one of them.
    """
    spoken = power[speaks].astype(np.float64)
    sums = np.cumsum(np.pad(spoken, ((0, 0), (3, 2)), mode="edge"), axis=1)
    smooth = (sums[:, 5:] - sums[:, :-5]) / 5
    loud, floor = np.quantile(smooth, [0.97, FLOOR], axis=0)
    level = 10 * np.log10(np.maximum(loud - NOISE * floor, LEAST_POWER))
    strongest = level[6:100].max()  # 190 Hz to 3.1 kHz, where all voices are
    filled = np.clip((level - (strongest - BOTTOM)) / FLANK, 0, 1)
    return float(filled[:256].mean() * RATE / 2)


def reverberation(power: Float32, speaks: Bools) -> float:
    """Time to fall by 60 dB at the slope of the steepest tenth of decays, s, mean slope of 12 mel bands.

    A room lets no sound end faster than it dies away itself. Dry speech falls as fast as the mouth shuts, 0.2 s or so.
    Source: "Blind estimation of reverberation time based on the distribution of signal decay rates", Wen, Habets &
    Naylor, 2008.

    Args:
        power: float32 (N, 129), spectra of 256 samples every 128. speaks: bool (N,), where decays may begin.
    """
    bands = power @ mel_bands(WIDE, 200.0, 6_000.0, 256) + LEAST_POWER
    level = 10 * np.log10(bands)
    if len(level) <= FALL:
        return np.nan
    steepest = []
    for band in level.T:
        peak = float(np.quantile(band[speaks], 0.95))
        followed = np.maximum(band, peak - DEEPEST)
        begins = (speaks & (band > peak - NEAR))[:-FALL]
        if begins.any():
            slopes = (followed[:-FALL] - followed[FALL:])[begins] / (FALL * 128 / RATE)
            steepest.append(float(np.quantile(slopes, 1 - STEEP)))
    slope = float(np.mean(steepest)) if steepest else np.nan
    return min(SLOWEST, 60.0 / slope) if slope > 0 else SLOWEST if slope <= 0 else np.nan


def hum(samples: Float32, speech_power: float) -> float:
    """The strongest steady line of the mains, 50 or 60 Hz and harmonics, over what lies beside it, dB.

    Steady: what is left of it in the softest fifth of the time; voices and music move. Lines deeper than 55 dB under
    the speech are lost beneath it. NaN where the sound is shorter than 0.5 s.

    Args:
        samples: float32 (N,), mono, 16 kHz. speech_power: mean square of the speech.
    """
    if len(samples) < HUM_WINDOW:
        return np.nan
    window = np.blackman(HUM_WINDOW + 2)[1:-1].astype(np.float32)
    window /= np.sqrt(HUM_WINDOW / 2 * np.sum(window**2))  # a line's bins add up to its mean square
    views = sliding_window_view(samples, HUM_WINDOW)[::HUM_STEP]
    lines = np.empty((len(views), TOP // 2 + 8), np.float32)
    for row, view in enumerate(views):
        spectrum = np.fft.rfft(view * window)[: lines.shape[1]]
        lines[row] = spectrum.real**2 + spectrum.imag**2
    steady = np.quantile(lines, 0.2, axis=0)
    least = speech_power * 10 ** (-BOTTOM / 10)
    found = 0.0
    for mains in MAINS:
        for at in range(mains // 2, TOP // 2 + 1, mains // 2):
            line = steady[at - 1 : at + 2].sum()
            beside = 3 * np.median(np.concatenate([steady[at - 6 : at - 3], steady[at + 4 : at + 7]]))
            found = max(found, 10 * np.log10((line + least) / (beside + least)))
    return float(min(found, MOST_HUM))


@cache
def mel_bands(count: int, low: float, high: float, size: int) -> Float32:
    """Triangles on the mel scale: float32 (size / 2 + 1, count) for spectra of `size` samples at 16 kHz."""
    first, last = (2595 * math.log10(1 + edge / 700) for edge in (low, high))
    edges = 700 * (10 ** (np.linspace(first, last, count + 2) / 2595) - 1)
    hertz = np.arange(size // 2 + 1)[:, None] * RATE / size
    rise = (hertz - edges[:-2]) / np.diff(edges)[:-1]
    fall = (edges[2:] - hertz) / np.diff(edges)[1:]
    bands = np.asarray(np.maximum(0, np.minimum(rise, fall)), np.float32)
    bands.flags.writeable = False
    return bands

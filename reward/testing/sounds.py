"""Faults put into finished sound, each with a severity in its own physical unit; none changes its input.

Every fault is `fault(samples, severity, *, rate=48000, seed=0)`: samples float32 (N,) or (channels, N), in [-1, 1], in
and out, of the same length. What a room, a hiss or a hum adds may pass full scale by a little: it is not cut off, since
that would be another fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cinereward.testing.scenes import Seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

MAINS = 50.0  # Hz
HARMONICS = 8  # of the mains, each with 1 / k of the amplitude
ORDER = 8  # of the Butterworth low-pass that muffles
DIRECT = 0.3  # s of RT60 at which a room returns as much energy as comes straight from the mouth
PREDELAY = 0.003  # s from the straight sound to the first of the room
FADE = 0.005  # s over which a hole or a joint fades, so that it does not click
HOLES = (0.04, 0.25)  # s; how short and how long one dropout is

# --- the voice ---


def clipped(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Overdrive, and cut off what passes the peak that there was. severity: dB of overdrive."""
    peak = float(np.abs(samples).max(initial=0.0))
    return _floats(np.clip(samples * 10 ** (severity / 20), -peak, peak))


def hissing(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Add white noise. severity: dB of the whole signal over the noise, so that less is worse."""
    noise = np.random.default_rng(seed).standard_normal(samples.shape)
    return _added(samples, noise, severity)


def humming(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Add 50 Hz and its harmonics up to 400 Hz. severity: dB of the whole signal over the hum: less is worse."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, HARMONICS)
    at = 2 * np.pi * MAINS * np.arange(samples.shape[-1]) / rate
    hum = np.sum([np.sin(k * at + phase) / k for k, phase in enumerate(phases, 1)], axis=0)
    return _added(samples, np.broadcast_to(hum, samples.shape), severity)


def muffled(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Take the highs away. severity: the edge of a Butterworth low-pass of order 8 without delay, in Hz."""
    return _convolved(samples, lambda hertz: 1 / np.sqrt(1 + (hertz / severity) ** (2 * ORDER)), rate, rate)


def reverberant(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Put the sound into a bare room, as loud as before. severity: RT60 in s; the longer it is, the more comes back.

    Noise that dies away exponentially stands for the room, with RT60 / 0.3 s times the energy of the straight sound.
    Source: "Modifying chambers to play billiards: the foundations of reverberation theory", Polack, 1992.
    """
    rng = np.random.default_rng(seed)
    sound = np.atleast_2d(samples).astype(np.float64)
    at = np.arange(max(1, round(1.2 * severity * rate)))
    wet = np.empty_like(sound)
    for into, channel in zip(wet, sound, strict=True):
        tail = rng.standard_normal(len(at)) * 10 ** (-3 * at / (severity * rate))
        tail *= np.sqrt(severity / DIRECT / np.sum(tail**2))
        tail = np.concatenate([np.zeros(round(PREDELAY * rate)), tail])
        into[:] = _filtered(channel, tail)[: len(channel)]
    out = sound + wet
    loud, before = np.sum(out**2), np.sum(sound**2)
    return _floats((out * np.sqrt(before / loud) if loud > 0 else out).reshape(samples.shape))


def faint(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Turn the sound down. severity: dB taken away."""
    return _floats(samples * 10 ** (-severity / 20))


# --- the clock ---


def sound_late(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Delay the sound, with silence before it. severity: ms."""
    return _shifted(samples, round(severity * rate / 1000))


def sound_early(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Bring the sound forward, with silence after it. severity: ms."""
    return _shifted(samples, -round(severity * rate / 1000))


def off_beat(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Delay music so that the cuts come before its beats; its end is heard at the start. severity: ms."""
    return _floats(np.roll(samples, round(severity * rate / 1000), axis=-1))


# --- the place ---


def dropping_out(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Punch holes of silence, 40 to 250 ms each, anywhere. severity: their share of the time."""
    rng = np.random.default_rng(seed)
    count = samples.shape[-1]
    silent = round(severity * count)
    holes: list[int] = []
    while sum(holes) < silent:
        holes.append(min(silent - sum(holes), round(rng.uniform(*HOLES) * rate)))
    gaps = rng.dirichlet(np.ones(len(holes) + 1)) * (count - silent)
    starts = np.rint(np.cumsum(gaps)[:-1]).astype(int) + np.cumsum([0, *holes])[:-1].astype(int)
    heard = np.ones(count)
    for start, length in zip(starts, holes, strict=True):
        heard[start : start + length] = 0.0
    return _floats(samples * _faded(heard, rate))


def sound_looping(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Play one piece, from a third of the way on, over and over. severity: its length in s."""
    count = samples.shape[-1]
    length = min(count, max(1, round(severity * rate)))
    fade = min(round(FADE * rate), length // 2)
    start = min(count // 3, count - length)
    piece = samples[..., start : start + length].astype(np.float64)
    ramp = np.linspace(0, 1, fade)
    piece[..., :fade] *= ramp
    piece[..., length - fade :] *= ramp[::-1]
    repeats = -(-count // length)
    return _floats(np.tile(piece, (1,) * (samples.ndim - 1) + (repeats,))[..., :count])


def falling_silent(samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
    """Let the sound end before the picture. severity: share of the time that is silent, at the end."""
    count = samples.shape[-1]
    heard = (np.arange(count) < count - round(severity * count)).astype(np.float64)
    return _floats(samples * _faded(heard, rate))


# --- how they are made ---


def _floats(samples: NDArray[np.floating]) -> Float32:
    return np.ascontiguousarray(samples, np.float32)


def _added(samples: Float32, noise: NDArray[np.floating], decibels: float) -> Float32:
    """The sound with a noise of its own shape that lies `decibels` under the whole of it."""
    signal, level = np.sqrt(np.mean(samples.astype(np.float64) ** 2)), np.sqrt(np.mean(noise**2))
    return _floats(samples + noise * (signal / max(level, 1e-12) * 10 ** (-decibels / 20)))


def _convolved(samples: Float32, gain: Callable[[Float64], Float64], rate: int, padding: int) -> Float32:
    """The sound with each frequency, in Hz, weighed by a gain without phase; zeros lie around it."""
    count = samples.shape[-1]
    size = 1 << int(count + padding).bit_length()
    spectrum = np.fft.rfft(samples.astype(np.float64), size, axis=-1) * gain(
        np.asarray(np.fft.rfftfreq(size, 1 / rate))
    )
    return _floats(np.fft.irfft(spectrum, size, axis=-1)[..., :count])


def _filtered(channel: Float64, response: Float64) -> Float64:
    size = 1 << int(len(channel) + len(response)).bit_length()
    return np.fft.irfft(np.fft.rfft(channel, size) * np.fft.rfft(response, size), size)[: len(channel)]


def _shifted(samples: Float32, by: int) -> Float32:
    count = samples.shape[-1]
    out = np.zeros_like(samples, np.float32)
    by = max(-count, min(count, by))
    if by >= 0:
        out[..., by:] = samples[..., : count - by]
    else:
        out[..., :by] = samples[..., -by:]
    return out


def _faded(heard: Float64, rate: int) -> Float64:
    """A gate of zeros and ones whose ones fade in and out; where it is 0, it stays 0."""
    reach = max(1, round(FADE * rate))
    sums = np.cumsum(np.concatenate([np.ones(reach), heard, np.ones(reach)]))
    window = 2 * reach - 1
    smooth = (sums[window:] - sums[:-window]) / window
    return np.asarray(np.clip(2 * smooth[: len(heard)] - 1, 0, 1) * heard)

"""Sound from noise and oscillators: rain, steps, drips, a pad; water, gulls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samples.stage import Array

RATE = 48000


def band(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    """Return noise (count,) of deviation 1 between two frequencies (Hz), with soft edges."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    f = np.fft.rfftfreq(count, 1 / RATE)
    shape = 1 / np.sqrt((1 + (low / np.maximum(f, 1)) ** 4) * (1 + (f / high) ** 4))
    noise = np.fft.irfft(spectrum * shape, count)
    return noise / noise.std()


def strike(time: np.ndarray, at: float, pitch: float, decay: float, bend: float = 0.0) -> np.ndarray:
    """Return a struck tone (N,): `pitch` in Hz, falling by `bend` Hz a second, dying within `decay` seconds."""
    since = np.maximum(time - at, 0)
    return np.sin(2 * np.pi * (pitch * since - bend * since**2 / 2)) * np.exp(-since / decay) * (since > 0)


def pad(time: np.ndarray, chord: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Return a slow chord (N,): every note three detuned voices with falling harmonics."""
    total = np.zeros_like(time)
    for pitch in chord:
        for detune in (-0.0022, 0.0, 0.0025):
            phase = rng.random() * 6.28
            wave = 2 * np.pi * pitch * (1 + detune) * time + phase + 0.12 * np.sin(2 * np.pi * 4.6 * time)
            total += np.sin(wave) + 0.38 * np.sin(2 * wave) + 0.16 * np.sin(3 * wave) + 0.06 * np.sin(4 * wave)
    return total / (3 * len(chord))


def master(channels: Sequence[np.ndarray], peak: float, fade: float = 0.12) -> Array:
    """Join channels into float32 (C, N) of the given peak, with short fades at both ends."""
    mix = np.stack(channels)
    edge = np.minimum(np.arange(mix.shape[1]), np.arange(mix.shape[1])[::-1]) / (fade * RATE)
    mix = np.tanh(mix) * np.clip(edge, 0, 1)
    return (mix * peak / np.abs(mix).max()).astype(np.float32)


def night_sound(seconds: float, cuts: Sequence[float], seed: int) -> tuple[Array, int]:
    """Return the night street's sound, stereo (2, N), and its rate in Hz.

    Rain and a mains hum run through; the pad swells over the cuts; steps are heard in the last shot.
    """
    rng = np.random.default_rng([seed, 1])
    count = round(seconds * RATE)
    time = np.arange(count) / RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * time) / k**1.4 for k in (1, 2, 3, 4)) * 0.05
    buzz = np.sin(2 * np.pi * 100 * time) * np.clip(np.sin(2 * np.pi * 50 * time), 0, 1) * 0.05
    in_sign = np.clip((time - cuts[0]) / 0.05, 0, 1) * np.clip((cuts[1] - time) / 0.05, 0, 1)
    swell = 0.65 + 0.35 * np.sin(np.pi * time / seconds) ** 2
    first, second = (73.42, 146.83, 174.61, 220.0, 329.63), (58.27, 116.54, 174.61, 220.0, 293.66)
    turn = 1 / (1 + np.exp(-(time - cuts[1]) * 9))
    music = (pad(time, first, rng) * (1 - turn) + pad(time, second, rng) * turn) * swell * np.clip(time / 0.8, 0, 1)
    steps = np.zeros(count)
    for k in range(4):
        at = cuts[1] + 0.25 + 0.52 * k
        click = band(rng, count, 900, 3200) * np.exp(-np.maximum(time - at, 0) / 0.012) * (time > at)
        steps += (strike(time, at, 95, 0.05, 300) * 0.5 + 0.12 * click) * (0.75 + 0.12 * k)
    drips = np.zeros(count)
    for at in np.sort(rng.random(9)) * seconds:
        drips += strike(time, float(at), 900 + 900 * rng.random(), 0.03, -9000) * (0.04 + 0.06 * rng.random())
    channels = []
    for _ in range(2):
        drift = 1 + 0.12 * np.sin(2 * np.pi * 0.31 * time + 6.28 * rng.random())
        rain = (band(rng, count, 700, 6000) * 0.045 + band(rng, count, 150, 900) * 0.020) * drift
        channels.append(rain + hum * 0.7 + buzz * in_sign + music * 0.30 + steps * 0.55 + drips)
    return master(channels, 0.6), RATE


def harbour_sound(seconds: float, seed: int) -> tuple[Array, int]:
    """Return the harbour's quiet sound, mono (1, N), and its rate in Hz: lapping water, gulls, a far bell."""
    rng = np.random.default_rng([seed, 2])
    count = round(seconds * RATE)
    time = np.arange(count) / RATE
    lap = 0.35 + 0.65 * np.sin(2 * np.pi * 0.45 * time + 0.6) ** 4 + 0.3 * np.sin(2 * np.pi * 0.73 * time) ** 6
    water = band(rng, count, 180, 1400) * 0.055 * lap + band(rng, count, 60, 260) * 0.02
    gulls = np.zeros(count)
    for at, pitch, loud in (
        (0.55, 1150, 0.5),
        (0.93, 1220, 0.7),
        (1.30, 1120, 0.45),
        (3.0, 980, 0.3),
        (3.4, 1010, 0.35),
    ):
        since = np.clip((time - at) / 0.30, 0, 1)
        glide = pitch * (1 + 0.45 * np.sin(np.pi * since) - 0.2 * since)
        phase = 2 * np.pi * np.cumsum(glide) / RATE
        call = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.25 * np.sin(3 * phase)
        gulls += call * np.sin(np.pi * since) ** 1.5 * loud * 0.10
    bell = sum(strike(time, 2.2, f, d) * a for f, d, a in ((523, 1.3, 0.03), (1307, 0.7, 0.012), (2093, 0.4, 0.006)))
    return master([water + gulls + bell], 0.35, 0.2), RATE

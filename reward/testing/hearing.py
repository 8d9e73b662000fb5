"""Sound with a known truth: a place that is heard, and a piece of music with known beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

CHORDS = ((0, 3, 7), (-4, 0, 3), (3, 7, 10), (-2, 2, 5))  # semitones above the key: i, VI, III, VII of a minor key
PARTIALS = 6
PEAK = 0.5


def place(seconds: float, rate: int = 48_000, seed: int = 0) -> Float32:
    """What is heard out of doors: wind that comes and goes, rain, a few birds, and steps.

    Args:
        seconds: how long, more than 0. rate: Hz. seed: another day in the same place.

    Returns:
        float32 (N,), peak 0.5; no silence, no hole, no loop, no held tone.
    """
    count = _count(seconds, rate)
    rng = np.random.default_rng([seed, 11])
    wind = _noise(rng, count, rate, 60, 500) * (0.5 + _wander(rng, count, rate, 0.4))
    rain = 0.4 * _noise(rng, count, rate, 900, 7000) * (0.7 + 0.5 * _wander(rng, count, rate, 1.5))
    rain += 0.25 * _noise(rng, count, rate, 200, 3000)
    sound = wind + rain
    at = rng.uniform(0.1, 0.4)
    while at < seconds:
        _add(sound, at, 1.2 * rng.uniform(0.6, 1.0) * _step(rng, rate), rate)
        at += rng.normal(0.62, 0.05)
    for _ in range(1 + round(seconds * 0.8)):
        _add(sound, rng.uniform(0, seconds), 0.8 * rng.uniform(0.4, 1.0) * _bird(rng, rate), rate)
    return _mastered(sound)


def beat(seconds: float, rate: int = 48_000, seed: int = 0, tempo: float = 120.0) -> tuple[Float32, Float64]:
    """A piece of music in four: drums, a bass, and a chord a bar.

    Args:
        seconds: how long, more than 0. rate: Hz. seed: another key, and other drums. tempo: beats a minute.

    Returns:
        The samples, float32 (N,), peak 0.5; and the times of the beats, float64 (K,), in s, the first within the first
        beat's length.

    Raises:
        ValueError: the tempo is not above 0.
    """
    if not tempo > 0:
        raise ValueError(f"tempo is {tempo}; expected beats a minute, above 0")
    count = _count(seconds, rate)
    rng = np.random.default_rng([seed, 12])
    length = 60 / tempo
    first = rng.uniform(0.1, 0.9) * length
    beats = np.arange(first, seconds, length)
    key = 110 * 2 ** (rng.integers(0, 12) / 12)
    sound = 0.006 * rng.standard_normal(count)
    for index, at in enumerate(beats):
        chord = key * 2 ** (np.array(CHORDS[(index // 4) % len(CHORDS)]) / 12)
        if index % 4 == 0:
            for pitch in chord:
                _add(sound, at, 0.16 * _note(2 * pitch, 4 * length, rate), rate)
        _add(sound, at, 0.3 * _note(chord[0] / 2, 0.9 * length, rate), rate)
        _add(sound, at, _snare(rng, rate) if index % 2 else _drum(rate), rate)
        for half in (0, 1):
            _add(sound, at + half * length / 2, (0.12 + 0.05 * half) * _cymbal(rng, rate), rate)
    return _mastered(sound), beats


def _count(seconds: float, rate: int) -> int:
    if not (seconds > 0 and rate > 0):
        raise ValueError(f"{seconds} s at {rate} Hz; both must be above 0")
    return max(1, round(seconds * rate))


def _mastered(sound: Float64) -> Float32:
    return np.asarray(sound * PEAK / max(float(np.abs(sound).max()), 1e-9), np.float32)


def _add(sound: Float64, at: float, event: Float64, rate: int) -> None:
    start = round(at * rate)
    end = min(len(sound), start + len(event))
    if 0 <= start < end:
        sound[start:end] += event[: end - start]


def _noise(rng: np.random.Generator, count: int, rate: int, low: float, high: float) -> Float64:
    """Noise (N,) of deviation 0.1 between two frequencies in Hz, with soft edges."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / rate)
    spectrum /= np.sqrt((1 + (low / np.maximum(hertz, 1)) ** 4) * (1 + (hertz / high) ** 4))
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(0.1 * noise / max(float(noise.std()), 1e-12))


def _wander(rng: np.random.Generator, count: int, rate: int, hertz: float) -> Float64:
    """A level (N,) that wanders between 0 and 1, about `hertz` times a second."""
    points = rng.random(max(4, round(count / rate * hertz * 2) + 2))
    return np.asarray(np.interp(np.linspace(0, len(points) - 1, count), np.arange(len(points)), points))


def _seconds(length: float, rate: int) -> Float64:
    return np.arange(max(1, round(length * rate))) / rate


def _step(rng: np.random.Generator, rate: int) -> Float64:
    at = _seconds(0.25, rate)
    thud = np.sin(2 * np.pi * rng.uniform(70, 110) * at) * np.exp(-at / 0.04)
    return np.asarray(0.5 * thud + 2.0 * _noise(rng, len(at), rate, 700, 4000) * np.exp(-at / 0.02))


def _bird(rng: np.random.Generator, rate: int) -> Float64:
    """Three to six short calls that glide."""
    song = np.zeros(round(0.9 * rate))
    for index in range(rng.integers(3, 7)):
        at = _seconds(rng.uniform(0.06, 0.11), rate)
        pitch = rng.uniform(2500, 4200) * (1 + rng.uniform(-4, 4) * at)
        call = np.sin(2 * np.pi * np.cumsum(pitch) / rate) * np.sin(np.pi * at / at[-1]) ** 2
        _add(song, 0.13 * index, 0.3 * call, rate)
    return song


def _note(pitch: float, length: float, rate: int) -> Float64:
    at = _seconds(length, rate)
    wave = sum(np.sin(2 * np.pi * pitch * k * at) / k**1.5 for k in range(1, PARTIALS + 1))
    return np.asarray(
        wave * np.minimum(at / 0.008, 1) * np.exp(-1.5 * at / length) * np.minimum((length - at) / 0.02, 1)
    )


def _drum(rate: int) -> Float64:
    at = _seconds(0.25, rate)
    return np.asarray(np.sin(2 * np.pi * (50 * at + 3.2 * (1 - np.exp(-25 * at)))) * np.exp(-at / 0.09))


def _snare(rng: np.random.Generator, rate: int) -> Float64:
    at = _seconds(0.2, rate)
    body = 0.4 * np.sin(2 * np.pi * 190 * at)
    return np.asarray((body + 4 * _noise(rng, len(at), rate, 300, 7000)) * np.exp(-at / 0.05))


def _cymbal(rng: np.random.Generator, rate: int) -> Float64:
    at = _seconds(0.08, rate)
    return np.asarray(10 * _noise(rng, len(at), rate, 6000, 14000) * np.exp(-at / 0.02))

"""Faces and sounds that were given to the original SyncNet too; NumPy makes the same ones everywhere."""

from __future__ import annotations

import numpy as np

SEED = 5  # of the weights
# pictures, seconds of sound, the stretch of it that is digital silence
CASES = {"sound that is longer": (40, 1.73, (0.0, 0.0)), "sound that is shorter": (26, 0.93, (0.3, 0.45))}


def inputs(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (T, 224, 224, 3), and samples int16 (N,), 16 kHz."""
    count, seconds, (first, last) = CASES[name]
    rng = np.random.Generator(np.random.PCG64(count))
    coarse = rng.integers(0, 256, (count, 14, 14, 3), np.uint8)
    pictures = coarse.repeat(16, axis=1).repeat(16, axis=2) // 2 + rng.integers(0, 128, (count, 224, 224, 3), np.uint8)
    swell = rng.uniform(0.02, 1.0, round(20 * seconds) + 2).repeat(800)[: round(16_000 * seconds)]
    samples = np.rint(9_000 * swell * rng.uniform(-1, 1, len(swell))).astype(np.int16)
    samples[round(16_000 * first) : round(16_000 * last)] = 0
    return pictures.astype(np.uint8), samples


def planted(late: int, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 (N, 24) of faces and of a sound that says the same `late` pictures later, each with noise."""
    rng = np.random.Generator(np.random.PCG64(100 + late))
    said = rng.standard_normal((count + 60, 24))
    lips, sounds = said[30 : 30 + count], said[30 - late : 30 - late + count]
    noise = 0.3 * rng.standard_normal((2, count, 24))
    return (lips + noise[0]).astype(np.float32), (sounds + noise[1]).astype(np.float32)

"""A film with a box that wanders about its edge, as it was given to the original SyncNet's cropping too."""

from __future__ import annotations

import numpy as np


def film() -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (30, 120, 160, 3), BGR, and a box for each, float64 (30, 4): x0, y0, x1, y1 in pixels."""
    rng = np.random.Generator(np.random.PCG64(3))
    pictures = rng.integers(0, 256, (30, 30, 40, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    at = np.arange(30.0)
    middle = np.stack([108 + 1.3 * at, 30 + 0.7 * at], axis=1) + rng.normal(0, 2, (30, 2))
    half = np.stack([24 + 0.2 * at, 30 + 0.3 * at], axis=1)
    return pictures, np.concatenate([middle - half, middle + half], axis=1)

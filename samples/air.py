"""The night air: sky, halos, lights out of focus, light on the ground."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from samples.masonry import AMBER, MOON, TEAL
from samples.stage import Array, Camera, Size, Vec, disc_blur, ramp
from samples.weather import GroundLight, Source

SHADOWS: Vec = (0.010, 0.030, 0.040)
FOG: Vec = (0.014, 0.034, 0.042)
# Seconds into a shot -> its picture in linear light (H, W, 3).
Look = Callable[[float], Array]


def night_sky(size: Size, camera: Camera) -> Array:
    """Return the air behind everything, lighter towards the horizon, (H, W, 3)."""
    rows = (np.arange(size[0]) + 0.5 - size[0] / 2) / size[0] / camera.focal - np.tan(camera.pitch)
    glow = 0.35 + 1.5 * np.exp(-np.abs(rows) / 0.10)
    return (np.float32(FOG) * glow[:, None, None] * np.ones((1, size[1], 1))).astype(np.float32)


def pools_of_light(lamps: Sequence[Source]) -> GroundLight:
    """Return what lamps (position, colour, power) throw on the ground."""

    def light(x: np.ndarray, z: np.ndarray) -> Array:
        total = np.ones((*x.shape, 3)) * np.float32(MOON) * 3
        for (lx, ly, lz), colour, power in lamps:
            far = (x - lx) ** 2 + (z - lz) ** 2 + ly**2
            total += (power * ly / far**1.5)[..., None] * np.float32(colour)
        return total.astype(np.float32)

    return light


def glow(shape: Size, tint: Vec, reach: float, cone: float = 0.0, mist: Array | None = None) -> Array:
    """Return a halo that only adds light (h, w, 4), brightest at the middle; `cone` adds a beam downwards."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    y, x = (y / shape[0] - 0.5) * 2, (x / shape[1] - 0.5) * 2
    far = np.hypot(x, y)
    light = np.exp(-far / reach) * 0.9
    if cone:
        beam = ramp(np.abs(x) / (0.08 + 0.62 * np.maximum(y, 0)), 1.0, 0.15) * ramp(y, -0.02, 0.05)
        light += cone * beam / (1 + 7 * np.maximum(y, 0))
    light *= ramp(far, 1.0, 0.55) * (1 if mist is None else 0.55 + 0.9 * mist)
    return np.dstack([light[..., None] * np.float32(tint), np.zeros(shape, np.float32)]).astype(np.float32)


def bokeh(rng: np.random.Generator, shape: Size, count: int, radius: float) -> Array:
    """Return far lights out of focus as added light (h, w, 4): amber and teal discs along a street."""
    points = np.zeros((*shape, 3), np.float32)
    for _ in range(count):
        x, spread = 0.06 + 0.88 * rng.random(), rng.normal()  # no disc is cut by the card's edge
        y = np.clip(0.66 - 0.16 * abs(spread) ** 1.3, 0.08, 0.9)
        tint = np.float32(AMBER if rng.random() < 0.62 else TEAL) * (0.12 + 0.9 * rng.random() ** 3)
        points[int(y * (shape[0] - 1)), int(x * (shape[1] - 1))] += tint * radius**2 * 0.9
    return np.dstack([disc_blur(points, radius), np.zeros(shape, np.float32)])

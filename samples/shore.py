"""What stands around the harbour: clouds, hills, houses, a lighthouse, boats, a jetty."""

from __future__ import annotations

import cv2
import numpy as np

from samples.props import Light, Tailor, limb
from samples.stage import Array, Vec, clouds, disc_blur, fill, ramp, rgba

SUN: Vec = (1.0, 0.90, 0.74)
DAY: list[Light] = [((-0.7, 0.75, 0.55), (0.95, 0.85, 0.70)), ((0.4, 0.6, 0.6), (0.16, 0.22, 0.30))]
AIR: Vec = (0.46, 0.56, 0.64)


def cloud_card(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Return morning clouds (h, w, 4), smaller towards the horizon at the bottom."""
    noise = clouds(rng, (shape[0] * 2, shape[1]), (shape[0] * 0.55, shape[1] * 0.17), 6)
    depth = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None] ** 1.7
    rows = (depth * (shape[0] * 2 - 1) * np.ones((1, shape[1]), np.float32)).astype(np.float32)
    columns = np.arange(shape[1], dtype=np.float32)[None, :] * np.ones((shape[0], 1), np.float32)
    noise = cv2.remap(noise, columns, rows, cv2.INTER_LINEAR)
    y = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    alpha = ramp(noise, 0.47, 0.72) * (0.92 - 0.35 * y) * ramp(y, 1.0, 0.86) * ramp(y, 0.0, 0.08)
    # Thick cloud towards the sun darkens what lies behind it: bright crowns, cool bellies.
    thick = cv2.GaussianBlur(noise, (0, 0), shape[0] / 60)
    lit = np.clip(0.72 + 3.2 * (thick - np.roll(thick, (shape[0] // 40, shape[1] // 120), (0, 1))), 0.0, 1.0)[..., None]
    colour = lit * np.float32([0.98, 0.92, 0.84]) + (1 - lit) * np.float32([0.50, 0.56, 0.64])
    return rgba(colour * 0.95, alpha.astype(np.float32))


def hill(rng: np.random.Generator, shape: tuple[int, int], low: float, high: float, tint: Vec) -> Array:
    """Return a wooded ridge (h, w, 4) whose crest wanders between `low` and `high` of the height."""
    crest = clouds(rng, (8, shape[1]), (8, shape[1] * 0.33), 5)[4]
    crest = (low + (high - low) * crest) * shape[0]
    crest = crest + clouds(rng, (4, shape[1]), (4, 9), 2)[2] * 2.5
    y = np.arange(shape[0], dtype=np.float32)[:, None]
    alpha = np.clip(crest[None, :] - (shape[0] - 1 - y) + 0.5, 0, 1).astype(np.float32)
    woods = clouds(rng, shape, (shape[0] * 0.16, shape[0] * 0.22), 6)
    relief = cv2.GaussianBlur(clouds(rng, shape, (shape[0] * 0.5, shape[0] * 0.7), 4), (0, 0), 2)
    slope = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=5) + 0.6 * cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=5)
    light = np.clip(0.62 + 0.55 * (woods - 0.5) + 0.35 * slope, 0.15, 1.3)[..., None]
    meadow = ramp(clouds(rng, shape, (shape[0] * 0.4, shape[0] * 0.9), 3), 0.60, 0.68)[..., None]
    colour = np.float32(tint) * (1 - meadow) + np.float32([0.34, 0.38, 0.14]) * meadow
    return rgba((colour * light * np.float32(SUN)).astype(np.float32), alpha)


def village(rng: np.random.Generator, width: float, density: float) -> Array:
    """Return a row of painted houses, trees and a quay, `width` x 14 m, water line at the bottom, (h, w, 4)."""
    t = Tailor(width, 14.0, density, DAY)
    for _ in range(int(width / 5)):
        x, r = (rng.random() - 0.5) * width, 1.6 + 1.8 * rng.random()
        angles = np.linspace(0, 2 * np.pi, 13)[:-1]
        blob = [(x + r * float(np.cos(a)) * (0.9 + 0.25 * rng.random()), 4.0 + r * float(np.sin(a))) for a in angles]
        leaves = (clouds(rng, t.shape, (7, 7), 2) * 2.5).astype(np.float32)
        t.add([*blob], (0.13, 0.22, 0.08), r * 0.8, leaves)
    paints: list[Vec] = [
        (0.86, 0.80, 0.68),
        (0.80, 0.46, 0.28),
        (0.88, 0.72, 0.42),
        (0.50, 0.62, 0.66),
        (0.84, 0.60, 0.50),
    ]
    x = -width / 2 + 1.0
    while x < width / 2 - 9:
        wide, high = 5.0 + 3.5 * rng.random(), 4.2 + 3.2 * rng.random()
        _house(t, x, wide, high, paints[int(rng.integers(len(paints)))], bool(rng.random() < 0.5))
        x += wide + (0.1 if rng.random() < 0.6 else 1.5 + 3.0 * rng.random())
    stone = clouds(rng, t.shape, (density * 0.5, density * 1.1), 3)
    quay = t.cut([(-width / 2, 0), (width / 2, 0), (width / 2, 1.5), (-width / 2, 1.5)], False)
    y = np.linspace(14, 0, t.shape[0], dtype=np.float32)[:, None]
    tone = ((0.20 + 0.28 * stone) * (0.35 + 0.65 * ramp(y * np.ones_like(stone), 0.15, 0.55)))[..., None]
    t.canvas = t.canvas * (1 - quay[..., None]) + rgba(tone * np.float32([1.0, 0.93, 0.80]), quay)
    return t.canvas


def _house(t: Tailor, x: float, wide: float, high: float, paint: Vec, gable: bool) -> None:
    base, top = 1.4, 1.4 + high
    roof = (0.50, 0.22, 0.14)
    if gable:
        peak = (x + wide / 2, top + 0.42 * wide)
        t.add([(x, base), (x + wide, base), (x + wide, top), peak, (x, top)], paint, 0.1, smooth=False)
        for side in (x - 0.35, x + wide + 0.35):
            t.add(limb((side, top - 0.25), peak, 0.5, 0.5), roof, 0.2, smooth=False)
    else:
        t.add([(x, base), (x + wide, base), (x + wide, top), (x, top)], paint, 0.1, smooth=False)
        eaves = [(x - 0.3, top - 0.1), (x + wide + 0.3, top - 0.1), (x + wide - 0.6, top + 1.9), (x + 0.6, top + 1.9)]
        t.add(eaves, roof, 0.5, smooth=False)
        t.add(
            [(x + 1.0, top + 1.2), (x + 1.6, top + 1.2), (x + 1.6, top + 2.6), (x + 1.0, top + 2.6)],
            paint,
            0.1,
            smooth=False,
        )
    for row in range(int(high / 2.2)):
        for column in range(int(wide / 1.9)):
            left, low = x + 0.7 + 1.75 * column, base + 0.8 + 2.2 * row
            pane = [(left, low), (left + 0.75, low), (left + 0.75, low + 1.15), (left, low + 1.15)]
            t.add(pane, (0.07, 0.10, 0.13), 0.05, smooth=False)
    t.shade(t.cut([(x + wide - 0.5, base), (x + wide, base), (x + wide, top), (x + wide - 0.5, top)], False), 0.7)


def lighthouse(density: float) -> Array:
    """Return a white lighthouse with a red band on a stone mole, 40 x 15 m, (h, w, 4)."""
    t = Tailor(40.0, 15.0, density, DAY)
    rough = (clouds(np.random.default_rng(5), t.shape, (6, 8), 2) * 3).astype(np.float32)
    t.add([(-8, 0), (20, 0), (20, 1.9), (-5.5, 2.0)], (0.36, 0.33, 0.28), 0.9, rough, smooth=False)
    t.add([(-1.4, 1.9), (1.4, 1.9), (0.95, 10.5), (-0.95, 10.5)], (0.92, 0.90, 0.86), 1.1, smooth=False)
    t.add([(-1.22, 5.2), (1.22, 5.2), (1.10, 7.6), (-1.10, 7.6)], (0.72, 0.12, 0.08), 1.1, smooth=False)
    t.add([(-1.3, 10.4), (1.3, 10.4), (1.3, 10.8), (-1.3, 10.8)], (0.25, 0.25, 0.27), 0.2, smooth=False)
    t.add([(-0.7, 10.8), (0.7, 10.8), (0.7, 12.3), (-0.7, 12.3)], (0.30, 0.42, 0.48), 0.5, smooth=False)
    t.add([(-0.95, 12.2), (0.95, 12.2), (0.0, 13.5)], (0.72, 0.12, 0.08), 0.5, smooth=False)
    return t.canvas


def sailing_boat(density: float, hull: Vec, stripe: Vec) -> Array:
    """Return a moored sailing boat with its sail furled, 8 x 10 m, (h, w, 4)."""
    t = Tailor(8.0, 10.0, density, DAY)
    t.add([(-0.05, 1.0), (0.06, 1.0), (0.04, 9.7), (-0.03, 9.7)], (0.72, 0.66, 0.55), 0.05, smooth=False)
    for a, b in (((0.0, 9.6), (3.4, 1.1)), ((0.0, 9.6), (-3.2, 1.0)), ((-0.7, 6.2), (0.7, 6.2))):
        t.add(limb(a, b, 0.035, 0.035), (0.35, 0.35, 0.36), 0.02, smooth=False)
    t.add(limb((0.0, 1.75), (-2.7, 1.85), 0.34, 0.22), (0.78, 0.74, 0.64), 0.12)
    t.add([(-1.9, 0.9), (1.3, 0.95), (0.9, 1.5), (-1.6, 1.48)], (0.86, 0.84, 0.80), 0.2, smooth=False)
    t.add([(-1.4, 1.12), (0.7, 1.12), (0.6, 1.34), (-1.35, 1.34)], (0.05, 0.07, 0.09), 0.03, smooth=False)
    t.add([(-3.3, 0.98), (-3.0, 0.0), (2.5, 0.0), (3.75, 1.22), (0.5, 0.98)], hull, 0.45, smooth=False)
    t.add([(-3.22, 0.74), (-3.19, 0.62), (3.20, 0.70), (3.38, 0.86)], stripe, 0.05, smooth=False)
    t.add([(-3.05, 0.16), (-3.0, 0.0), (2.5, 0.0), (2.68, 0.16)], (0.30, 0.08, 0.06), 0.05, smooth=False)
    return t.canvas


def fishing_boat(density: float) -> Array:
    """Return a small fishing boat with a wheelhouse, 7 x 5 m, (h, w, 4)."""
    t = Tailor(7.0, 5.0, density, DAY)
    t.add(limb((0.9, 1.0), (0.9, 4.7), 0.09, 0.07), (0.55, 0.42, 0.26), 0.04, smooth=False)
    t.add(limb((0.9, 2.2), (-2.4, 3.6), 0.06, 0.05), (0.55, 0.42, 0.26), 0.03, smooth=False)
    t.add([(0.1, 0.9), (1.7, 0.95), (1.6, 2.55), (0.2, 2.55)], (0.90, 0.87, 0.80), 0.25, smooth=False)
    t.add([(0.0, 2.5), (1.85, 2.5), (1.75, 2.72), (0.1, 2.72)], (0.75, 0.30, 0.14), 0.12, smooth=False)
    for left in (0.35, 1.0):
        glass = [(left, 1.7), (left + 0.48, 1.7), (left + 0.48, 2.25), (left, 2.25)]
        t.add(glass, (0.10, 0.15, 0.18), 0.04, smooth=False)
    t.add(
        [(-3.1, 1.0), (-2.85, 0.0), (2.3, 0.0), (3.3, 1.45), (1.2, 1.0), (-1.0, 0.92)],
        (0.06, 0.34, 0.40),
        0.4,
        smooth=False,
    )
    t.add(
        [(-3.12, 1.04), (-3.08, 0.9), (-1.0, 0.82), (1.2, 0.9), (3.25, 1.33), (3.3, 1.5), (1.2, 1.03), (-1.0, 0.95)],
        (0.92, 0.88, 0.78),
        0.06,
        smooth=False,
    )
    t.add([(-2.9, 0.17), (-2.85, 0.0), (2.3, 0.0), (2.45, 0.17)], (0.62, 0.16, 0.08), 0.05, smooth=False)
    return t.canvas


def jetty(height: int) -> Array:
    """Return two mooring posts with a slack rope close to the lens, a little out of focus, 5 x 2.4 m, (h, w, 4)."""
    density = height / 2.4
    t = Tailor(5.0, 2.4, density, DAY)
    grain = clouds(np.random.default_rng(3), t.shape, (density * 0.7, density * 0.035), 3)
    for x, top in ((-1.55, 1.75), (1.35, 1.45)):
        post = [(x - 0.13, -0.2), (x + 0.13, -0.2), (x + 0.12, top), (x - 0.12, top)]
        t.add(post, (0.30, 0.21, 0.14), 0.12, (grain * 5).astype(np.float32), smooth=False)
        t.add(
            [(x - 0.14, top - 0.04), (x + 0.14, top - 0.04), (x + 0.12, top + 0.05), (x - 0.12, top + 0.05)],
            (0.55, 0.48, 0.38),
            0.05,
            smooth=False,
        )
    u = np.linspace(-1.55, 1.35, 30)
    sag = 1.25 - 0.10 * (u + 1.55) / 2.9 - 0.42 * (1 - ((u + 0.1) / 1.45) ** 2)
    rope = np.concatenate([np.stack([u, sag + 0.03], -1), np.stack([u, sag - 0.03], -1)[::-1]])
    mask = fill(t.shape, t.pixels([(float(a), float(b)) for a, b in rope]))
    t.canvas = t.canvas * (1 - mask[..., None]) + rgba(
        np.ones((*t.shape, 3), np.float32) * np.float32([0.50, 0.40, 0.26]), mask
    )
    return disc_blur(t.canvas, density / 75)

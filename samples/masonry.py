"""Walls: bricks with relief, windows, and the light that street lamps and neon throw on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from samples.stage import Array, Size, Vec, clouds, ramp

MOON: Vec = (0.016, 0.036, 0.046)
AMBER: Vec = (1.0, 0.56, 0.22)
TEAL: Vec = (0.16, 0.72, 0.80)


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """A light before a wall: metres from the wall's left, top and face; `power` in arbitrary linear units."""

    x: float
    y: float
    out: float
    colour: Vec = AMBER
    power: float = 1.0


def bricks(rng: np.random.Generator, width: float, height: float, density: float) -> tuple[Array, Array]:
    """Return colour (h, w, 3) and relief (h, w, metres) of a brick wall of `width` x `height` metres."""
    shape: Size = (round(height * density), round(width * density))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / density
    course = np.floor(y / 0.09)
    shifted = x + (course % 2) * 0.13 + 10
    column = np.floor(shifted / 0.26)
    edge = np.minimum(
        np.minimum(shifted - column * 0.26, (column + 1) * 0.26 - shifted),
        np.minimum(y - course * 0.09, (course + 1) * 0.09 - y),
    )
    face = ramp(edge, 0.004, 0.004 + max(0.010, 1.0 / density))
    table = rng.random((97, 89)).astype(np.float32)
    tone = table[course.astype(int) % 97, column.astype(int) % 89]
    stain = clouds(rng, shape, (density * 1.6, density * 0.9), 5)
    pits = clouds(rng, shape, (density * 0.05, density * 0.07), 2)
    value = (0.10 + 0.16 * tone) * (0.45 + 0.8 * stain) * (0.8 + 0.4 * pits)
    warm = np.stack([value * (1.12 + 0.2 * tone), value * 0.86, value * (0.80 - 0.12 * tone)], -1)
    mortar = np.float32([0.10, 0.10, 0.095]) * (0.5 + 0.6 * stain)[..., None]
    colour = mortar + (warm - mortar) * face[..., None]
    relief = 0.012 * face + 0.008 * pits * face + 0.004 * (tone - 0.5)
    return colour.astype(np.float32), relief.astype(np.float32)


def lit(colour: Array, relief: Array, density: float, lamps: Sequence[Lamp], wet: float = 0.5) -> Array:
    """Light a wall's colour (h, w, 3) by its relief (h, w): dim sky, lamps, and a wet sheen."""
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=density / 8)
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=density / 8)
    y, x = np.mgrid[0 : relief.shape[0], 0 : relief.shape[1]].astype(np.float32) / density
    length = np.sqrt(1 + slope_x**2 + slope_y**2)
    sky = (0.8 - 0.45 * slope_y / length)[..., None]
    result = colour * sky * np.float32(MOON) * 5
    for lamp in lamps:
        to_x, to_y = lamp.x - x, lamp.y - y
        far = np.sqrt(to_x**2 + to_y**2 + lamp.out**2)
        facing = np.maximum((-slope_x * to_x - slope_y * to_y + lamp.out) / (far * length), 0)
        arriving = lamp.power / (far**2 + 0.05)
        # The half vector of a viewer straight ahead: wet brick throws back a narrow, whitish part of the lamp.
        half_z = lamp.out / far + 1
        half = np.sqrt((to_x / far) ** 2 + (to_y / far) ** 2 + half_z**2)
        shine = np.maximum((-slope_x * to_x / far - slope_y * to_y / far + half_z) / (half * length), 0) ** 40
        result += (colour * (facing * arriving)[..., None] + (0.10 * wet * shine * arriving)[..., None]) * np.float32(
            lamp.colour
        )
    return result.astype(np.float32)


def window(picture: Array, box: tuple[float, float, float, float], density: float, glow: Vec, blinds: bool) -> None:
    """Set a window into a lit wall in place; `box` is left, top, width, height in metres."""
    left, top, wide, high = (round(v * density) for v in box)
    rows, columns = picture.shape[:2]
    if left < 2 or top < 2 or left + wide + 2 > columns or top + high + 4 > rows or min(wide, high) < 4:
        return
    surround = picture[top - 2 : top + high + 2, left - 2 : left + wide + 2]
    surround[:] = surround * 0.35
    y = np.linspace(0, 1, high, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, wide, dtype=np.float32)[None, :]
    inside = (0.35 + 0.65 * np.exp(-(((x - 0.55) / 0.5) ** 2) - ((y - 0.35) / 0.6) ** 2))[..., None] * np.float32(glow)
    if blinds:
        slats = 0.35 + 0.65 * ramp(np.abs(((y * high / max(high / 14, 3.0)) % 1) - 0.5), 0.12, 0.3)
        inside = inside * (slats * np.ones_like(x))[..., None]
    pane = np.maximum(
        np.exp(-((x - 0.5) ** 2) / (2 * (1.1 / wide) ** 2)), np.exp(-((y - 0.45) ** 2) / (2 * (1.1 / high) ** 2))
    )
    reflected = np.float32(MOON) * (1.3 - y)[..., None] * np.ones_like(x)[..., None] * 0.6
    picture[top : top + high, left : left + wide] = (inside + reflected) * (1 - 0.8 * pane)[..., None]
    sill = picture[top + high : top + high + max(2, round(0.08 * density)), left - 2 : left + wide + 2]
    sill[:] = sill * 0.6 + np.float32(MOON) * 0.9


def facade(
    rng: np.random.Generator, width: float, height: float, density: float, lamps: Sequence[Lamp], awake: float = 0.3
) -> Array:
    """Return a house front as a texture (h, w, 4): bricks, rows of windows of which a part is lit, ledges."""
    picture = lit(*bricks(rng, width, height, density), density, lamps)
    storeys, bays = int((height - 0.5) / 3.0), int(width / 2.2)
    for storey in range(storeys):
        for bay in range(bays):
            lamplight = rng.random() < awake
            level = 0.35 + 0.5 * rng.random()
            tint = (1.0, 0.58, 0.24) if rng.random() < 0.75 else (0.35, 0.75, 0.8)
            glow = tuple(level * c for c in tint) if lamplight else (0.004, 0.007, 0.008)
            top = height - 3.0 * (storey + 1) + 0.5
            box = (bay * 2.2 + 0.65, top, 0.95, 1.5)
            window(picture, box, density, (glow[0], glow[1], glow[2]), bool(rng.random() < 0.5))
        row = round((height - 3.0 * (storey + 1)) * density)
        ledge = picture[max(row, 0) : max(row, 0) + max(2, round(0.14 * density))]
        ledge[:] = ledge * 1.5 + np.float32(MOON) * 0.5
    return np.dstack([picture, np.ones(picture.shape[:2], np.float32)])

"""Rain, wet asphalt and smoke."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from samples.stage import Array, Camera, Size, Vec, tile

# World x and z (h, w) in metres -> light arriving on the ground (h, w, 3).
GroundLight = Callable[[np.ndarray, np.ndarray], Array]
# Where a light stands, its colour and its power.
Source = tuple[Vec, Vec, float]


class WetStreet:
    """Asphalt with puddles, which mirrors what stands on it."""

    def __init__(self, rng: np.random.Generator, puddle_level: float = 0.15) -> None:
        """Grow the ground's noise; a lower `puddle_level` (in deviations) means more standing water."""
        self.grit = tile(rng, 1024, 2.0, 60.0, 0.6)
        self.pools = tile(rng, 1024, 6.0, 300.0, 1.9)
        self.level = puddle_level

    def _sample(self, noise: Array, x: np.ndarray, z: np.ndarray, density: float) -> Array:
        columns, rows = (x * density % 1024).astype(np.float32), (z * density % 1024).astype(np.float32)
        return cv2.remap(noise, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

    def _glints(
        self, x: np.ndarray, z: np.ndarray, rough: np.ndarray, camera: Camera, lamps: Sequence[Source]
    ) -> Array:
        """Return lamps' broken highlights on damp ground (h, w, 3)."""
        total = np.zeros((*x.shape, 3), np.float32)
        to_eye = np.stack([camera.position[0] - x, np.full_like(x, camera.position[1]), camera.position[2] - z], -1)
        to_eye /= np.linalg.norm(to_eye, axis=-1, keepdims=True)
        for (lx, ly, lz), colour, power in lamps:
            to_lamp = np.stack([lx - x, np.full_like(x, ly), lz - z], -1)
            far = np.linalg.norm(to_lamp, axis=-1, keepdims=True)
            half = to_eye + to_lamp / far
            half /= np.linalg.norm(half, axis=-1, keepdims=True)
            facing = half[..., 1] + 0.10 * rough * half[..., 2]
            shine = np.clip(facing, 0, 1) ** 50 * power / (far[..., 0] ** 2 + 1)
            total += shine[..., None].astype(np.float32) * np.float32(colour)
        return total

    def lay(
        self, picture: Array, mirror: Array, camera: Camera, light: GroundLight, t: float, lamps: Sequence[Source] = ()
    ) -> Array:
        """Lay the ground under the horizon of a picture (H, W, 3).

        Args:
            picture: linear light, the sky already in it.
            mirror: linear light (H, W, 3), the world seen upside down in the ground.
            camera: where it is seen from.
            light: what falls on the ground.
            t: seconds, for the ripples.
            lamps: lights whose highlights lie on the ground.
        """
        size = (picture.shape[0], picture.shape[1])
        first, x, z, slope = camera.ground(size)
        # One pixel covers this much of the street along z; grit finer than that would only shimmer.
        footprint = np.hypot(x - camera.position[0], z - camera.position[2]) / (camera.focal * size[0]) / slope
        near = np.exp(-footprint / 0.05)
        grit = self._sample(self.grit, x, z, 110.0) * near
        coarse = self._sample(self.grit, x, z, 18.0) * np.exp(-footprint / 0.3)
        pool = self._sample(self.pools, x * 1.0, z * 0.8, 60.0)
        water = 1 / (1 + np.exp(-(pool - self.level) * 9))
        ripple = self._sample(self.grit, x + 0.13 * t, z + 0.9 * t, 60.0) * np.exp(-footprint / 0.12)
        rough = (1 - water) * (0.8 * grit + 0.5 * coarse) + water * 0.3 * ripple
        rows, columns = np.mgrid[first : size[0], 0 : size[1]].astype(np.float32)
        spread = size[0] / 360 * (4 + 90 * slope)
        shift_y = (rows + rough * spread * 0.8).astype(np.float32)
        shift_x = (columns + rough * spread * 0.16).astype(np.float32)
        # Damp grit smears lamps into tall streaks; standing water keeps them whole.
        streak = cv2.GaussianBlur(mirror, (0, 0), sigmaX=size[0] / 220, sigmaY=size[0] / 26)
        sharp = cv2.GaussianBlur(mirror, (0, 0), sigmaX=size[0] / 500, sigmaY=size[0] / 240)
        seen = [
            cv2.remap(m, shift_x, shift_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for m in (streak, sharp)
        ]
        fresnel = 0.16 + 0.84 * (1 - slope) ** 4
        albedo = (0.045 + 0.011 * grit + 0.007 * coarse) * (1 - 0.75 * water)
        colour = np.maximum(albedo, 0.004)[..., None] * light(x, z)
        wet = water[..., None]
        colour += fresnel[..., None] * (seen[1] * 0.95 * wet + seen[0] * 0.62 * (1 - wet))
        colour += 0.55 * self._glints(x, z, rough, camera, lamps)
        laid = picture.copy()
        laid[first:] = colour
        return laid


class Rain:
    """Streaks in three depths, and splashes on the ground."""

    def __init__(self, rng: np.random.Generator, size: Size, drops: int = 420, splashes: int = 260) -> None:
        """Seed the drops; speeds and lengths follow the frame's height."""
        self.size = size
        self.depths = []
        for share, speed, bright, thick in ((0.62, 1.7, 0.30, 0.7), (0.30, 2.6, 0.55, 1.0), (0.08, 4.2, 0.75, 1.8)):
            self.depths.append((rng.random((int(drops * share), 3)), speed, bright, thick))
        self.splashes = rng.random((splashes, 3))

    def streaks(self, t: float) -> Array:
        """Return how much each pixel catches rain, (H, W) in [0, 1], at `t` seconds."""
        height, width = self.size
        total = np.zeros(self.size, np.float32)
        for drops, speed, bright, thick in self.depths:
            layer = np.zeros(self.size, np.uint8)
            fallen = drops[:, 1] * 1.3 + t * speed * (0.9 + 0.2 * drops[:, 2])
            cycle, y = np.floor(fallen / 1.3), fallen % 1.3 - 0.2
            x = (drops[:, 0] + cycle * 0.618 + 0.02 * y) % 1.0
            long = speed / 48 * 1.1
            ends = np.stack([x * width, y * height, (x + 0.05 * long) * width, (y + long) * height], -1)
            for x0, y0, x1, y1 in np.round(ends * 16).astype(int).tolist():
                cv2.line(layer, (x0, y0), (x1, y1), 255, 1, cv2.LINE_AA, 4)
            soft = cv2.GaussianBlur(layer, (0, 0), 0.4 * thick * height / 360 + 0.15)
            total += soft.astype(np.float32) / 255 * bright
        return np.minimum(total, 1.0)

    def fall(self, picture: Array, t: float, strength: float = 1.0) -> Array:
        """Let rain pass before a picture (H, W, 3): it is lit by the light around it."""
        around = cv2.GaussianBlur(cv2.resize(picture, None, fx=0.25, fy=0.25), (0, 0), self.size[0] / 40)
        around = cv2.resize(np.minimum(around, 1.2), self.size[::-1])
        return picture + (self.streaks(t) * strength)[..., None] * (around * 0.9 + np.float32([0.008, 0.014, 0.016]))

    def splash(self, picture: Array, camera: Camera, t: float, near: float, far: float) -> Array:
        """Draw small rings where drops meet the ground between `near` and `far` metres."""
        height, width = self.size
        layer = np.zeros(self.size, np.uint8)
        for u, v, phase in self.splashes.tolist():
            age = (t * 2.6 + phase) % 1.0
            hop = np.floor(t * 2.6 + phase)
            z = near * (far / near) ** ((v + hop * 0.377) % 1.0)
            x = camera.position[0] + ((u + hop * 0.618) % 1.0 - 0.5) * z * 1.6 + np.tan(camera.yaw) * z
            column, row, depth = camera.project((float(x), 0.0, camera.position[2] + float(z)), self.size)
            if depth < 0.5 or not (0 <= column < width and 0 <= row < height):
                continue
            reach = 0.03 + 0.11 * age
            wide = camera.focal * height * reach / depth
            axes = (round(wide * 16), max(8, round(wide * camera.position[1] / depth * 16)))
            cv2.ellipse(
                layer, (round(column * 16), round(row * 16)), axes, 0, 0, 360, int(200 * (1 - age)), 1, cv2.LINE_AA, 4
            )
        light = cv2.GaussianBlur(picture, (0, 0), height / 60)
        return picture + (layer.astype(np.float32) / 255)[..., None] * (light * 0.55 + 0.004)


def smoke(shape: Size, t: float, seeds: np.ndarray, density: float) -> Array:
    """Return a thread of smoke as added light (h, w), rising from the middle of the bottom edge.

    Args:
        shape: pixels.
        t: seconds.
        seeds: (N, 3) in [0, 1], one row a puff.
        density: pixels a metre.
    """
    total = np.zeros(shape, np.float32)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / density
    for phase, side, pace in seeds.tolist():
        age = (t * (0.30 + 0.1 * pace) + phase) % 1.0
        cx = shape[1] / density / 2 + 0.05 * np.sin(5.0 * age + 2.2 * t + side) * age + (side - 0.4) * 0.22 * age**1.5
        cy = shape[0] / density * (1 - age)
        wide = 0.008 + 0.06 * age
        total += np.exp(-(((x - cx) / wide) ** 2) - ((y - cy) / (1.5 * wide)) ** 2) * (1 - age) ** 1.6 * 0.02 / wide
    return np.minimum(total * 0.35, 1.0)

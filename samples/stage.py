"""A small stage: textured cards in three dimensions, a camera, noise, light on walls and a film print.

All light is linear until `develop` turns it into display values. World units are metres: x right, y up, z away
from the viewer; the ground is y = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)  # one thread, one order of summation: the same pixels on every run

Array = NDArray[np.float32]
Vec = tuple[float, float, float]
Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Hold a rendered clip.

    Attributes:
        frames: uint8 (T, H, W, 3), RGB.
        fps: frames per second.
        sound: float32 (channels, N) in [-1, 1].
        sample_rate: Hz.
        cuts: seconds at which a new shot starts, without 0.
    """

    frames: NDArray[np.uint8]
    fps: int
    sound: Array
    sample_rate: int
    cuts: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Look along z from `position`; angles in radians (yaw to the right, pitch up), focal length in frame heights."""

    position: Vec
    yaw: float = 0.0
    pitch: float = 0.0
    focal: float = 1.4

    @classmethod
    def aimed(cls, position: Vec, target: Vec, focal: float) -> Camera:
        """Stand at `position` and look at `target`."""
        x, y, z = (b - a for a, b in zip(position, target, strict=True))
        yaw, pitch = float(np.arctan2(x, z)), float(np.arctan2(y, np.hypot(x, z)))
        return cls(position=position, yaw=yaw, pitch=pitch, focal=focal)

    def matrix(self, size: Size) -> NDArray[np.float64]:
        """Return the (3, 3) matrix from world directions to homogeneous pixels of a frame of `size` (H, W)."""
        height, width = size
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        turn = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        scale = self.focal * height
        lens = np.array([[scale, 0, width / 2], [0, -scale, height / 2], [0, 0, 1]])
        return lens @ tilt @ turn

    def project(self, point: Vec, size: Size) -> tuple[float, float, float]:
        """Return column, row (pixels) and depth (metres) of a world point."""
        x, y, z = self.matrix(size) @ (np.array(point) - np.array(self.position))
        return float(x / z), float(y / z), float(z)

    def ground(self, size: Size) -> tuple[int, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the first ground row and, for the rows below it, world x, world z and the ray's slope in [0, 1]."""
        height, width = size
        inverse = np.linalg.inv(self.matrix(size))
        first = int(np.clip(np.ceil(height / 2 + np.tan(self.pitch) * self.focal * height + 0.6), 0, height - 1))
        columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(first, height) + 0.5)
        rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ inverse.T
        reach = self.position[1] / np.maximum(-rays[..., 1], 1e-4)
        slope = -rays[..., 1] / np.linalg.norm(rays, axis=-1)
        return first, self.position[0] + reach * rays[..., 0], self.position[2] + reach * rays[..., 2], slope


@dataclass(frozen=True, kw_only=True)
class Card:
    """A flat picture standing in the world.

    Attributes:
        texture: float32 (h, w, 4), linear light, premultiplied; alpha 0 with colour only adds light.
        corner: world position of the texture's top left.
        across: world vector along the texture's full width.
        down: world vector along the texture's full height.
        gloss: height of its mirror image in the ground; 1 in still water, less on rough wet ground.
    """

    texture: Array
    corner: Vec
    across: Vec
    down: Vec
    gloss: float = 0.5

    @classmethod
    def facing(
        cls, texture: Array, *, left: float, bottom: float, z: float, width: float, height: float, gloss: float = 0.5
    ) -> Card:
        """Stand a picture of `width` x `height` metres upright at depth `z`, facing the viewer."""
        corner, across, down = (left, bottom + height, z), (width, 0.0, 0.0), (0.0, -height, 0.0)
        return cls(texture=texture, corner=corner, across=across, down=down, gloss=gloss)

    def seen(self, camera: Camera, size: Size, mirrored: bool = False) -> Array:
        """Return the card as the camera sees it, float32 (H, W, 4); mirrored in the ground on request."""
        # Damp asphalt at a low angle draws its mirror image towards the foot of things; half height stands for that.
        flip = np.array([1.0, -self.gloss if mirrored else 1.0, 1.0])
        texture, corner = self.texture, np.array(self.corner) * flip
        middle = corner + (np.array(self.across) + np.array(self.down)) * flip / 2
        depth = max(camera.project(tuple(middle), size)[2], 0.1)
        reduction = texture.shape[0] / np.linalg.norm(self.down) * depth / (camera.focal * size[0])
        for _ in range(int(np.clip(np.floor(np.log2(max(reduction, 1.0)) + 0.35), 0, 4))):
            texture = cv2.pyrDown(texture)  # a linear tap on a far larger picture would shimmer
        rows, columns = texture.shape[:2]
        axes = [np.array(self.across) * flip / columns, np.array(self.down) * flip / rows]
        plane = np.stack([*axes, corner - np.array(camera.position)], axis=1)
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        matrix = np.linalg.inv(half) @ camera.matrix(size) @ plane @ half
        return cv2.warpPerspective(texture, matrix, size[::-1], flags=cv2.INTER_LINEAR)


def over(picture: Array, layer: Array) -> Array:
    """Lay a premultiplied (H, W, 4) layer over a (H, W, 3) picture."""
    return picture * (1 - layer[..., 3:]) + layer[..., :3]


def shoot(picture: Array, cards: Sequence[Card], camera: Camera, mirrored: bool = False) -> Array:
    """Lay the cards over a (H, W, 3) picture, farthest first, as the camera sees them."""
    size = (picture.shape[0], picture.shape[1])
    for card in cards:
        picture = over(picture, card.seen(camera, size, mirrored))
    return picture


def ease(x: float) -> float:
    """Move from 0 to 1 with a soft start and a soft stop."""
    x = min(max(x, 0.0), 1.0)
    return x * x * x * (x * (6 * x - 15) + 10)


def ramp(x: Array, low: float, high: float) -> Array:
    """Return a smooth step of `x` from 0 at `low` to 1 at `high`; `low` may be the larger."""
    x = np.clip((x - low) / (high - low), 0, 1)
    return (x * x * (3 - 2 * x)).astype(np.float32)


def clouds(rng: np.random.Generator, shape: Size, cell: tuple[float, float], octaves: int = 4) -> Array:
    """Return smooth noise (h, w) in [0, 1]; `cell` is the largest feature's height and width in pixels."""
    total, weight = np.zeros(shape, np.float32), 1.0
    for octave in range(octaves):
        high, wide = max(cell[0] / 2**octave, 1.0), max(cell[1] / 2**octave, 1.0)
        grid = rng.random((int(shape[0] / high) + 4, int(shape[1] / wide) + 4)).astype(np.float32)
        big = cv2.resize(grid, (int(grid.shape[1] * wide), int(grid.shape[0] * high)), interpolation=cv2.INTER_CUBIC)
        total += weight * big[int(high) : int(high) + shape[0], int(wide) : int(wide) + shape[1]]
        weight *= 0.5
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def tile(rng: np.random.Generator, side: int, finest: float, coarsest: float, slope: float = 1.0) -> Array:
    """Return noise (side, side) of mean 0 and deviation 1 that repeats without a seam; features in pixels."""
    spectrum = np.fft.fft2(rng.standard_normal((side, side)))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    band = np.exp(-((frequency * finest) ** 2)) * (1 - np.exp(-((frequency * coarsest) ** 2)))
    noise = np.fft.ifft2(spectrum * band / np.maximum(frequency, 1 / side) ** slope).real
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def outline(points: Sequence[tuple[float, float]], steps: int = 6) -> NDArray[np.float64]:
    """Return a smooth closed curve (N, 2) through the points (Catmull-Rom)."""
    p = np.array(points, np.float64)
    a, b, c, d = np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (q[:, None] for q in (a, b, c, d))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve.reshape(-1, 2)


def fill(shape: Size, points: NDArray[np.float64]) -> Array:
    """Return a mask (h, w) in [0, 1] of a polygon given in pixels (column, row), with soft edges."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def rgba(colour: Array, alpha: Array) -> Array:
    """Join colour (h, w, 3) and coverage (h, w) into a premultiplied texture."""
    return np.dstack([colour * alpha[..., None], alpha]).astype(np.float32)


def disc_blur(image: Array, radius: float) -> Array:
    """Blur with a disc, as a lens out of focus does; `radius` in pixels."""
    if radius < 0.7:
        return image
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_CONSTANT)


def haze(texture: Array, amount: float | Array, colour: Vec) -> Array:
    """Mix a premultiplied texture with the colour of the air; `amount` in [0, 1], one number or one a column."""
    amount = np.float32(amount).reshape(1, -1, 1)
    mixed = texture[..., :3] * (1 - amount) + np.array(colour, np.float32) * amount * texture[..., 3:]
    return np.dstack([mixed, texture[..., 3]]).astype(np.float32)


def bloom(picture: Array, strength: float) -> Array:
    """Spread bright light over its surroundings, as a wet lens and thin mist do."""
    height, width = picture.shape[:2]
    bright = cv2.resize(np.maximum(picture - 0.55, 0), (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    bright = np.minimum(bright, 6.0)
    spread = sum(cv2.GaussianBlur(bright, (0, 0), height / k) / n for k, n in ((180, 2), (60, 3), (20, 4)))
    return picture + strength * cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)


def develop(
    picture: Array,
    rng: np.random.Generator,
    *,
    exposure: float = 1.0,
    shadows: Vec = (0.0, 0.0, 0.0),
    grain: float = 0.01,
    vignette: float = 0.25,
) -> NDArray[np.uint8]:
    """Print linear light (H, W, 3) as uint8 RGB: filmic curve, tinted shadows, vignette and grain."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    fall = np.hypot((x - width / 2) / width, (y - height / 2) / height) * 1.41
    light = np.maximum(picture, 0) * exposure * (1 - vignette * ramp(fall, 0.45, 1.05))[..., None]
    # The rational fit to the ACES curve: a toe that keeps blacks soft, a shoulder that keeps lamps coloured.
    printed = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    printed = np.clip(printed, 0, 1) ** (1 / 2.2)
    luma = printed @ np.array([0.299, 0.587, 0.114], np.float32)
    printed += np.array(shadows, np.float32) * ((1 - luma) ** 3)[..., None]
    speck = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 0.7) * 1.9
    printed += (speck * grain * (0.4 + 2.4 * luma * (1 - luma)))[..., None]
    return np.round(np.clip(printed, 0, 1) * 255).astype(np.uint8)

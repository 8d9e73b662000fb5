"""Harbour morning: one slow pan over calm water in daylight."""

from __future__ import annotations

import cv2
import numpy as np

from samples.air import Look
from samples.shore import AIR, cloud_card, fishing_boat, hill, jetty, lighthouse, sailing_boat, village
from samples.sound import harbour_sound
from samples.stage import Array, Camera, Card, Scene, Size, Vec, develop, ease, haze, shoot

PROMPT = "A calm harbour in the morning light, boats rocking at their moorings, gulls over the water, one slow pan"
SECONDS = 4.0
SHADOWS: Vec = (0.012, 0.016, 0.022)


class Sea:
    """Calm water: a sum of small waves which mirrors what stands around it."""

    def __init__(self, rng: np.random.Generator, waves: int = 18) -> None:
        """Seed the waves: lengths of 0.25 to 5 m, running mostly towards the viewer."""
        length = 0.25 * 20 ** rng.random(waves)
        angle = -np.pi / 2 + rng.normal(0, 0.75, waves)
        number = 2 * np.pi / length
        self.waves = np.stack([number * np.cos(angle), number * np.sin(angle), np.sqrt(9.81 * number), number], -1)
        self.phase = rng.random(waves) * 2 * np.pi
        self.slope = 0.0105 * (0.7 + 0.6 * rng.random(waves))

    def lay(self, picture: Array, mirror: Array, camera: Camera, t: float) -> Array:
        """Lay the water under the horizon; `picture` and `mirror` are linear light (H, W, 3), `t` seconds."""
        size = (picture.shape[0], picture.shape[1])
        first, x, z, graze = camera.ground(size)
        reach = np.hypot(x - camera.position[0], z - camera.position[2])
        footprint = (reach / (camera.focal * size[0]) / graze).astype(np.float32)
        x, z = x.astype(np.float32), z.astype(np.float32)
        tilt_x, tilt_z = np.zeros_like(x), np.zeros_like(x)
        for (kx, kz, speed, number), phase, slope in zip(
            self.waves.astype(np.float32), self.phase, self.slope, strict=True
        ):
            # Waves shorter than a pixel's footprint would only flicker; they fade into the mean.
            height = np.float32(slope) * np.exp(-((footprint * number / 2.2) ** 2))
            crest = height * np.cos(kx * x + kz * z - np.float32(speed * t - phase))
            tilt_x += crest * (kx / number)
            tilt_z += crest * (kz / number)
        scale = camera.focal * size[0]
        rows, columns = np.mgrid[first : size[0], 0 : size[1]].astype(np.float32)
        rise = np.abs((rows - first) + 2.0 * tilt_z * scale)
        seen = cv2.remap(
            mirror, columns + 0.5 * tilt_x * scale, first + rise, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        facing = np.clip(graze.astype(np.float32) - tilt_z, 0.01, 1)
        fresnel = (0.03 + 0.97 * (1 - facing) ** 4)[..., None]
        depth = (
            np.float32([0.018, 0.105, 0.120])
            + np.float32([0.02, 0.05, 0.045]) * np.clip(tilt_z * 18 + 0.5, 0, 1)[..., None]
        )
        spark = np.exp(-((tilt_x + 0.022) ** 2 + (tilt_z + 0.040) ** 2) / 0.00016) * np.exp(-footprint / 0.10)
        laid = picture.copy()
        laid[first:] = seen * fresnel + depth * (1 - fresnel) + 0.9 * spark[..., None] * np.float32([1.0, 0.94, 0.8])
        return laid


def day_sky(size: Size, camera: Camera) -> Array:
    """Return the clear sky, warm and pale at the horizon, (H, W, 3)."""
    rows = (size[0] / 2 - np.arange(size[0]) - 0.5) / size[0] / camera.focal + np.tan(camera.pitch)
    up = np.clip(np.abs(rows), 0, 1)[:, None, None].astype(np.float32)
    zenith, low = np.float32([0.13, 0.30, 0.58]), np.float32([0.74, 0.70, 0.62])
    return low + (zenith - low) * (1 - np.exp(-up / 0.16)) * np.ones((1, size[1], 1), np.float32)


def _rocking(texture: Array, left: float, z: float, width: float, height: float, t: float, phase: float) -> Card:
    """Stand a boat on the water, heaving and rolling a little."""
    roll = 0.020 * float(np.sin(1.5 * t + phase))
    heave = 0.03 * float(np.sin(1.9 * t + 2 * phase))
    across = (width * float(np.cos(roll)), width * float(np.sin(roll)), 0.0)
    down = (height * float(np.sin(roll)), -height * float(np.cos(roll)), 0.0)
    foot = np.array([left + width / 2, heave, z])
    corner = foot - np.array(across) / 2 - np.array(down)
    return Card(texture=texture, corner=(corner[0], corner[1], corner[2]), across=across, down=down, gloss=1.0)


def _gulls(picture: Array, camera: Camera, flights: np.ndarray, t: float) -> Array:
    """Let gulls (N, 5: x, y, z, speed, phase) glide and flap across the sky."""
    size = (picture.shape[0], picture.shape[1])
    layer = np.zeros(size, np.uint8)
    for x, y, z, speed, phase in flights.tolist():
        flap = np.sin(2 * np.pi * 1.7 * t + phase) * (0.45 + 0.55 * np.sin(0.9 * t + phase) ** 2)
        centre = np.array([x + speed * t, y + 0.25 * np.sin(0.8 * t + phase), z])
        points = []
        inner, outer = 0.16 + 0.10 * flap, 0.10 + 0.22 * flap
        for side, lift in ((-0.62, outer), (-0.28, inner), (0, 0), (0.28, inner), (0.62, outer)):
            column, row, _ = camera.project((centre[0] + side, centre[1] + lift, centre[2]), size)
            points.append((column, row))
        curve = [np.round(np.array(points) * 16).astype(np.int32)]
        cv2.polylines(layer, curve, False, 255, max(1, round(size[0] / 200)), cv2.LINE_AA, 4)
        beak = (points[2][0] + 0.18 * speed * size[0] / z, points[2][1] + 1)
        body = [np.round(np.array([points[2], beak]) * 16).astype(np.int32)]
        cv2.polylines(layer, body, False, 255, max(2, round(size[0] / 130)), cv2.LINE_AA, 4)
    alpha = (layer.astype(np.float32) / 255)[..., None]
    return picture * (1 - alpha) + alpha * np.float32([0.16, 0.18, 0.21])


def harbour_shot(size: Size, rng: np.random.Generator) -> Look:
    """Build the harbour and return its picture at any second of the pan."""
    sky_clouds = cloud_card(rng, (300, 1500))
    set_cards = []
    for z, wide, high, low, top, tint, air in (
        (300.0, 700.0, 62.0, 0.30, 0.95, (0.17, 0.24, 0.15), 0.62),
        (210.0, 500.0, 34.0, 0.22, 0.95, (0.15, 0.24, 0.10), 0.42),
        (135.0, 330.0, 17.0, 0.20, 0.95, (0.15, 0.24, 0.07), 0.26),
    ):
        ridge = haze(hill(rng, (round(high * 600 / z), round(wide * 600 / z)), low, top, tint), air, AIR)
        left = -wide / 2 + float(rng.normal(0, 12))
        set_cards.append(Card.facing(ridge, left=left, bottom=0, z=z, width=wide, height=high, gloss=1.0))
    houses = haze(village(rng, 80.0, 9.0), 0.16, AIR)
    set_cards.append(Card.facing(houses, left=-62.0, bottom=0, z=88.0, width=80.0, height=14.0, gloss=1.0))
    tower = haze(lighthouse(12.0), 0.10, AIR)
    set_cards.append(Card.facing(tower, left=7.0, bottom=0, z=64.0, width=40.0, height=15.0, gloss=1.0))
    white, blue = (0.88, 0.86, 0.82), (0.07, 0.16, 0.30)
    boats = [
        (haze(sailing_boat(22, blue, (0.8, 0.6, 0.2)), 0.07, AIR), -17.0, 40.0, 8.0, 10.0, 0.3),
        (haze(sailing_boat(26, white, (0.65, 0.10, 0.07)), 0.04, AIR), -6.2, 29.0, 8.0, 10.0, 1.7),
        (haze(sailing_boat(20, white, blue), 0.08, AIR), 4.2, 45.0, 8.0, 10.0, 4.1),
        (fishing_boat(46), 0.9, 17.5, 7.0, 5.0, 2.9),
    ]
    near = Card.facing(jetty(size[0]), left=-2.9, bottom=-0.1, z=4.6, width=5.0, height=2.4, gloss=1.0)
    sea = Sea(rng)
    flights = np.array(
        [(-6.0, 7.6, 26, 1.5, 0.0), (-3.6, 8.6, 31, 1.4, 1.9), (5.5, 6.4, 24, -1.3, 4.0), (9.0, 10.0, 44, -1.6, 2.5)]
    )

    def look(t: float) -> Array:
        go = ease((t - 0.15) / (SECONDS - 0.3))
        camera = Camera(position=(-0.7 + 1.4 * go, 2.3, 0.0), yaw=-0.14 + 0.25 * go, pitch=0.055, focal=1.4)
        sky = Card.facing(sky_clouds, left=-640 + 3.5 * t, bottom=8, z=400.0, width=1300, height=215, gloss=1.0)
        cards = [sky, *set_cards, *(_rocking(b, left, z, w, h, t, p) for b, left, z, w, h, p in boats)]
        air = day_sky(size, camera)
        horizon = round(size[0] / 2 + np.tan(camera.pitch) * camera.focal * size[0])
        below = np.clip(2 * horizon - np.arange(size[0]), 0, size[0] - 1)
        mirror = shoot(air[below], [*cards, near], camera, mirrored=True)
        picture = shoot(sea.lay(air, mirror, camera, t), cards, camera)
        return shoot(_gulls(picture, camera, flights, t), [near], camera)

    return look


def harbour_morning(size: Size = (288, 512), fps: int = 24, seed: int = 11) -> Scene:
    """Render the one shot, 4.0 s, with its sound.

    Args:
        size: frame height and width in pixels.
        fps: frames per second.
        seed: of every texture, wave and speck of grain.
    """
    look, grain = harbour_shot(size, np.random.default_rng(seed)), np.random.default_rng([seed, 99])
    count = round(SECONDS * fps)
    frames = [
        develop(look(i / fps), grain, exposure=0.70, shadows=SHADOWS, grain=0.003, vignette=0.12) for i in range(count)
    ]
    sound, rate = harbour_sound(count / fps, seed)
    return Scene(frames=np.stack(frames), fps=fps, sound=sound, sample_rate=rate)

"""A slow push-in on a neon sign in the rain."""

from __future__ import annotations

import cv2
import numpy as np

from samples import masonry, props
from samples.air import Look, bokeh, night_sky
from samples.masonry import AMBER, TEAL, Lamp
from samples.stage import Array, Camera, Card, Size, Vec, clouds, disc_blur, ease, ramp, shoot
from samples.weather import Rain

PUSH = 1.75  # seconds
RED: Vec = (1.0, 0.30, 0.07)
CYAN: Vec = (0.05, 0.75, 0.85)
SIGN, DENSITY = (3.7, 1.5), 150  # metres, pixels a metre


def _tubes() -> tuple[Array, Array]:
    """Return the light of the warm and of the cold tubes, (h, w, 3) each."""
    moon = (3.28, 0.52)
    sweep = [[(0.25 + 2.5 * float(u), 1.14 + 0.07 * float(np.sin(3.1 * u))) for u in np.linspace(0, 1, 20)]]
    angles = np.linspace(0.6, 2 * np.pi - 0.6, 24)
    crescent = [(moon[0] + 0.24 * float(np.cos(a)), moon[1] + 0.24 * float(np.sin(a))) for a in angles]
    crescent += [(moon[0] + 0.06 + 0.15 * float(np.cos(a)), moon[1] + 0.15 * float(np.sin(a))) for a in angles[::-1]]
    shape = (round(SIGN[1] * DENSITY), round(SIGN[0] * DENSITY))
    warm = props.neon(props.word("HOTEL", 0.28, 0.34, 0.62), shape, DENSITY, RED, 0.042)
    return warm, props.neon([*sweep, [*crescent, crescent[0]]], shape, DENSITY, CYAN, 0.032)


def _board(rng: np.random.Generator, light: Array) -> Array:
    """Return the sign's painted metal (h, w, 3), lit by its own tubes."""
    shape = (light.shape[0], light.shape[1])
    board = clouds(rng, shape, (60, 90), 4)[..., None] * np.float32([0.020, 0.022, 0.024]) + 0.006
    spill = cv2.GaussianBlur(light, (0, 0), DENSITY * 0.12)
    board = board * (1 + 26 * spill) + 0.03 * spill
    edge = np.zeros(shape, np.float32)
    cv2.rectangle(edge, (2, 2), (shape[1] - 3, shape[0] - 3), 1.0, 3)
    return board * (1 - edge[..., None]) + edge[..., None] * (0.05 + 0.35 * spill)


def neon_shot(size: Size, rng: np.random.Generator) -> Look:
    """Push slowly in on a neon sign on a wet brick wall."""
    sign = SIGN
    warm, cold = _tubes()
    board = _board(rng, warm + cold)
    wall = _neon_wall(rng, 110)
    street_end = Card.facing(bokeh(rng, (150, 260), 70, 8.0), left=2.2, bottom=-2.5, z=26.0, width=22.0, height=12.0)
    turn = np.array([np.cos(0.42), 0.0, np.sin(0.42)])
    origin = np.array([-3.5, 7.4, 3.4])
    out = np.array([turn[2], 0.0, -turn[0]])
    place = origin + turn * 2.05 + np.array([0, -2.25, 0]) + out * 0.32
    centre = place + turn * sign[0] / 2 - np.array([0, sign[1] / 2, 0])
    set_cards = [
        street_end,
        Card(texture=wall, corner=_vec(origin), across=_vec(turn * 8.0), down=(0, -7.0, 0)),
        Card(texture=_brackets(), corner=_vec(place - out * 0.14), across=_vec(turn * sign[0]), down=(0, -sign[1], 0)),
    ]
    rain = Rain(rng, size, drops=520)
    pipe = disc_blur(_fire_escape(size), size[0] / 40)
    drops = rng.random((10, 2))

    def look(t: float) -> Array:
        go = ease(t / PUSH * 0.86 + 0.07)
        eye = np.array([-0.35, 4.05, -0.75]) + go * np.array([0.45, 0.35, 1.25])
        camera = Camera.aimed(
            _vec(eye), _vec(centre + turn * (0.75 - 0.6 * go) + np.array([0, 0.28 * (1 - go), 0])), 1.35
        )
        hum = 1 + 0.03 * float(np.sin(2 * np.pi * 3.1 * t))  # the tubes breathe, too little to call it flicker
        lit = board + warm * hum + cold
        face = np.dstack([lit, np.ones(lit.shape[:2], np.float32)]).astype(np.float32)
        signs = Card(texture=face, corner=_vec(place), across=_vec(turn * sign[0]), down=(0, -sign[1], 0))
        picture = shoot(night_sky(size, camera), [*set_cards, signs], camera)
        picture = _drips(picture, camera, drops, place, turn, sign, t)
        near = Camera(position=(0.55 * go, 0.18 * go, 1.0 * go), focal=1.35)
        lifted = Card.facing(pipe, left=-2.4, bottom=-1.35, z=3.0, width=4.8, height=2.7).seen(near, size)
        picture = picture * (1 - lifted[..., 3:]) + lifted[..., :3]
        return rain.fall(picture, t, 1.1)

    return look


def _vec(v: np.ndarray) -> Vec:
    return float(v[0]), float(v[1]), float(v[2])


def _neon_wall(rng: np.random.Generator, density: int) -> Array:
    """Return the wet wall behind the sign, 8 x 7 m, lit by its tubes, (h, w, 4)."""
    lamps = [Lamp(x=2.35 + 0.55 * k, y=2.9, out=0.42, colour=RED, power=0.30) for k in range(5)]
    lamps += [Lamp(x=4.9, y=2.55, out=0.42, colour=CYAN, power=0.42)]
    lamps += [Lamp(x=2.4 + k, y=3.45, out=0.42, colour=CYAN, power=0.22) for k in range(3)]
    lamps += [Lamp(x=7.6, y=6.0, out=2.4, colour=AMBER, power=0.9), Lamp(x=0.5, y=7.5, out=3.0, colour=TEAL, power=0.8)]
    picture = masonry.lit(*masonry.bricks(rng, 8.0, 7.0, density), density, lamps, wet=1.0)
    masonry.window(picture, (6.25, 1.5, 1.0, 1.7), density, (0.50, 0.28, 0.11), True)
    masonry.window(picture, (0.35, 1.5, 1.0, 1.7), density, (0.006, 0.011, 0.012), False)
    runs = clouds(rng, picture.shape[:2], (density * 5.0, density * 0.12), 3)
    picture *= (0.62 + 0.75 * ramp(runs, 0.3, 0.8))[..., None]
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32) / density
    # The sign's own soft shadow, thrown down the wall by the street light above.
    shadow = ramp(np.abs(x - 3.85), 2.1, 1.4) * ramp(np.abs(y - 3.15), 1.1, 0.5)
    picture *= (1 - 0.35 * shadow)[..., None]
    return np.dstack([picture, np.ones(picture.shape[:2], np.float32)]).astype(np.float32)


def _brackets() -> Array:
    """Return the irons that hold the sign off the wall, (h, w, 4)."""
    texture = np.zeros((75, 170, 4), np.float32)
    for x in (24, 85, 146):
        texture[:, x - 2 : x + 3] = (0.010, 0.010, 0.010, 1.0)
    return texture


def _fire_escape(size: Size) -> Array:
    """Return the ironwork close to the lens, dark against the light, (H, W, 4)."""
    height, width = size
    mask = np.zeros(size, np.uint8)
    cv2.line(mask, (round(0.85 * width), 0), (round(0.88 * width), height), 255, round(0.035 * height))
    cv2.line(mask, (0, round(0.84 * height)), (width, round(0.78 * height)), 255, round(0.022 * height))
    for k in range(9):
        x = round((0.10 + 0.11 * k) * width)
        cv2.line(mask, (x, round((0.835 - 0.007 * k) * height)), (x, height), 255, round(0.012 * height))
    alpha = mask.astype(np.float32) / 255
    return np.dstack([alpha[..., None] * np.float32([0.006, 0.009, 0.010]), alpha]).astype(np.float32)


def _drips(
    picture: Array,
    camera: Camera,
    seeds: np.ndarray,
    place: np.ndarray,
    turn: np.ndarray,
    sign: tuple[float, float],
    t: float,
) -> Array:
    """Let drops fall from the sign's lower edge, lit by its tubes."""
    size = (picture.shape[0], picture.shape[1])
    layer = np.zeros(size, np.uint8)
    for where, phase in seeds.tolist():
        age = (t * 0.9 + phase) % 1.0
        drop = (
            place
            + turn * sign[0] * (0.06 + 0.88 * where)
            + np.array([0, -sign[1] - 4.0 * max(age - 0.35, 0) ** 2 - 0.02, 0])
        )
        column, row, _ = camera.project(_vec(drop), size)
        long = 1.5 + 26 * max(age - 0.35, 0) * size[0] / 360
        ends = [(round(column * 16), round(y * 16)) for y in (row, row + long)]
        cv2.line(layer, ends[0], ends[1], 255, max(1, size[0] // 300), cv2.LINE_AA, 4)
    return picture + (layer.astype(np.float32) / 255)[..., None] * np.float32([0.7, 0.45, 0.30])

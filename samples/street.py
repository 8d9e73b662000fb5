"""Two shots on the night street: the man under the lamp, and the pan that finds him again."""

from __future__ import annotations

import cv2
import numpy as np

from samples import masonry, props
from samples.air import FOG, Look, bokeh, glow, night_sky, pools_of_light
from samples.masonry import AMBER, TEAL, Lamp
from samples.stage import Array, Camera, Card, Size, Vec, clouds, disc_blur, ease, haze, shoot
from samples.weather import Rain, Source, WetStreet, smoke

WAIT, PAN = 2.0, 2.25  # seconds


def _corner(rng: np.random.Generator, lamp: Vec) -> list[Card]:
    """Return what stands still around the man: wall, side street, lamp and its halo, farthest first."""
    wall_lamps = [Lamp(x=7.25, y=3.2, out=2.2, power=5.0), Lamp(x=1.2, y=3.4, out=1.5, colour=TEAL, power=0.35)]
    wall = masonry.lit(*masonry.bricks(rng, 8.2, 6.0, 70), 70, wall_lamps)
    masonry.window(wall, (4.2, 2.35, 1.15, 1.8), 70, (0.62, 0.34, 0.13), True)
    masonry.window(wall, (1.7, 2.35, 1.15, 1.8), 70, (0.004, 0.008, 0.009), False)
    wall = np.dstack([disc_blur(wall.astype(np.float32), 1.6), np.ones(wall.shape[:2], np.float32)])
    side = masonry.facade(rng, 16.0, 9.0, 40, [Lamp(x=5, y=6.0, out=3.0, power=4.0), Lamp(x=12, y=6, out=3, power=4)])
    end = masonry.facade(rng, 16.0, 11.0, 16, [Lamp(x=6, y=8, out=4, power=3.0)], 0.4)
    mist = clouds(rng, (300, 300), (80, 110), 4)
    far = glow((160, 240), (0.05, 0.105, 0.12), 0.45)
    return [
        Card.facing(haze(end, 0.55, FOG), left=4.0, bottom=0, z=46.0, width=16.0, height=11.0),
        Card.facing(far, left=-4.0, bottom=-3.0, z=44.0, width=32.0, height=16.0),
        Card.facing(bokeh(rng, (150, 130), 44, 4.6), left=3.0, bottom=-0.4, z=28.0, width=9.0, height=8.0),
        Card(texture=haze(side, 0.25, FOG), corner=(4.1, 9.0, 5.6), across=(3.9, 0, 19.0), down=(0, -9.0, 0)),
        Card.facing(wall, left=-6.9, bottom=0, z=7.6, width=8.2, height=6.0),
        Card.facing(props.street_lamp(180), left=lamp[0] - 0.5, bottom=0, z=lamp[2], width=1.0, height=3.2),
        Card.facing(
            glow((300, 300), (0.42, 0.235, 0.09), 0.16, 0.55, mist),
            left=lamp[0] - 3.4,
            bottom=lamp[1] - 3.4,
            z=lamp[2] - 0.02,
            width=6.8,
            height=6.8,
        ),
    ]


def detective_shot(size: Size, rng: np.random.Generator) -> Look:
    """A man waits under a street lamp: static camera, soft background, smoke."""
    camera = Camera(position=(0.0, 1.12, 0.0), pitch=0.045, focal=1.42)
    lamp: Vec = (0.25, 2.80, 5.35)
    man_x, man_z, density = -0.52, 4.7, size[0] * 0.52
    set_cards = _corner(rng, lamp)
    folds = clouds(rng, (round(2.0 * density), round(1.4 * density)), (density * 0.55, density * 0.13), 2)
    folds = (folds * density * 0.075).astype(np.float32)
    lights = [
        ((0.75, 0.75, -0.55), (4.2, 2.45, 1.0)),
        ((0.6, 0.7, 0.25), (0.20, 0.115, 0.045)),
        ((-1.0, 0.3, -0.45), (0.09, 0.24, 0.28)),
        ((-0.3, 0.5, 1.0), (0.030, 0.052, 0.060)),
    ]
    street, rain = WetStreet(rng, -0.1), Rain(rng, size)
    lamps: list[Source] = [(lamp, AMBER, 9.0), ((-5.5, 2.5, 6.5), TEAL, 1.0), ((5.2, 3.4, 17.0), AMBER, 14.0)]
    light = pools_of_light(lamps)
    seeds = rng.random((26, 3))
    rail = disc_blur(_railing(size[0]), size[0] / 55)

    def look(t: float) -> Array:
        pull = ease(min(t / 0.8, 1.0)) - ease((t - 0.75) / 0.9)
        man = props.detective(
            density,
            lights,
            folds,
            breath=float(np.sin(2.4 * t)),
            lean=0.035 * ease(t / 1.8) - 0.01,
            draw=1 - ease((t - 0.85) / 1.0),
            ember=0.35 + 0.8 * max(pull, 0),
        )
        puff = smoke((round(0.9 * density), round(0.5 * density)), t + 3, seeds, density)[..., None]
        puff = np.dstack([puff * np.float32([0.16, 0.12, 0.08]), np.zeros(puff.shape[:2], np.float32)])
        cards = [
            *set_cards,
            Card.facing(man, left=man_x - 0.7, bottom=0, z=man_z, width=1.4, height=2.0),
            Card.facing(puff, left=man_x - 0.04, bottom=1.60, z=man_z - 0.02, width=0.5, height=0.9),
        ]
        sky = night_sky(size, camera)
        mirror = shoot(sky[::-1].copy(), cards, camera, mirrored=True)
        picture = street.lay(sky, mirror, camera, light, t, lamps)
        picture = _shadow(picture, man[..., 3], camera, lamp, (man_x, man_z))
        picture = shoot(rain.splash(picture, camera, t, 2.6, 9.0), cards, camera)
        picture = rain.fall(picture, t)
        return _front(picture, rail)

    return look


def _railing(height: int) -> Array:
    """Return the dark edge of a doorway at the left of the frame, (H, h, 4)."""
    texture = np.zeros((height, round(height * 0.30), 4), np.float32)
    texture[:, : round(height * 0.13)] = (0.004, 0.008, 0.010, 1.0)
    texture[:, round(height * 0.10) : round(height * 0.125), :3] = (0.010, 0.024, 0.028)
    return texture


def _front(picture: Array, texture: Array) -> Array:
    """Lay a texture (H, h, 4) over the picture's left edge."""
    laid, wide = picture.copy(), texture.shape[1]
    laid[:, :wide] = laid[:, :wide] * (1 - texture[..., 3:]) + texture[..., :3]
    return laid


def _shadow(picture: Array, body: Array, camera: Camera, lamp: Vec, feet: tuple[float, float]) -> Array:
    """Darken the ground where a standing body (h, w) keeps the lamp's light off."""
    corners, ground = [], []
    rows, columns = body.shape
    for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
        point = np.array([feet[0] - 0.7 + 1.4 * u, 2.0 * (1 - v), feet[1]])
        fallen = np.array(lamp) + (point - np.array(lamp)) * lamp[1] / (lamp[1] - point[1])
        column, row, _ = camera.project((float(fallen[0]), 0.0, float(fallen[2])), (picture.shape[0], picture.shape[1]))
        ground.append((column, row))
        corners.append((u * columns, v * rows))
    matrix = cv2.getPerspectiveTransform(np.float32(corners), np.float32(ground))
    cast = cv2.warpPerspective(body, matrix, picture.shape[1::-1])
    cast = cv2.GaussianBlur(cast, (0, 0), picture.shape[0] / 120)
    return picture * (1 - 0.72 * cast[..., None])


def _long_street(rng: np.random.Generator, posts: list[Vec]) -> list[Card]:
    """Return two rows of houses, the street's end, lamps at `posts`, a hotel's sign and a car, farthest first."""
    sky_blue: Vec = (0.020, 0.046, 0.056)
    fog = 1 - np.exp(-np.linspace(2.0, 44.0, 42 * 34, dtype=np.float32) / 42)
    left, right = (
        masonry.facade(
            rng,
            42.0,
            11.0,
            34,
            [Lamp(x=z - 2, y=8.2, out=6.2 - abs(x), power=2.6) for x, _, z in posts if np.sign(x) == side]
            + ([Lamp(x=8.5, y=7.2, out=0.8, colour=(0.9, 0.25, 0.08), power=0.7)] if side < 0 else []),
        )
        for side in (-1, 1)
    )
    end = masonry.facade(rng, 26.0, 15.0, 14, [Lamp(x=13, y=11, out=5, power=3.0)], 0.35)
    halo = glow((200, 200), (0.40, 0.225, 0.09), 0.17, 0.35, clouds(rng, (200, 200), (60, 80), 3))
    lantern = props.street_lamp(110)
    tubes = props.neon(props.word("HOTEL", 0.16, 0.16, 0.38), (90, 300), 125, (1.0, 0.30, 0.07), 0.045)
    blade = np.dstack([0.02 + tubes, np.ones((90, 300), np.float32)])
    cards = [
        Card.facing(haze(end, 0.62, sky_blue), left=-13.0, bottom=0, z=47.0, width=26.0, height=15.0),
        Card.facing(
            glow((160, 240), (0.06, 0.12, 0.135), 0.42), left=-22.0, bottom=-8.0, z=45.0, width=44.0, height=20.0
        ),
        Card.facing(bokeh(rng, (150, 260), 54, 3.0), left=-6.5, bottom=-0.2, z=42.0, width=13.0, height=7.0),
        Card(texture=haze(left, fog, sky_blue), corner=(-6.2, 11.0, 2.0), across=(0, 0, 42.0), down=(0, -11.0, 0)),
        Card(texture=haze(right, fog, sky_blue), corner=(6.2, 11.0, 2.0), across=(0, 0, 42.0), down=(0, -11.0, 0)),
    ]
    for x, y, z in sorted(posts, key=lambda post: -post[2]):
        far = 1 - float(np.exp(-z / 60))
        cards.append(Card.facing(haze(lantern, far, sky_blue), left=x - 0.5, bottom=0, z=z, width=1.0, height=3.2))
        cards.append(Card.facing(halo, left=x - 2.6, bottom=y - 2.6, z=z - 0.05, width=5.2, height=5.2))
    cards.append(Card.facing(blade, left=-6.1, bottom=3.5, z=10.5, width=1.9, height=0.57))
    car_lights = [((0.35, 1.0, -0.55), (1.5, 0.62, 0.22)), ((-0.4, 0.8, 0.5), (0.10, 0.24, 0.28))]
    car = props.saloon_car(95, car_lights)
    cards.append(Card(texture=car, corner=(-4.9, 1.7, 4.6), across=(0.9, 0, 4.7), down=(0, -1.7, 0)))
    return cards


def pan_shot(size: Size, rng: np.random.Generator) -> Look:
    """Pan over the wet street from a parked car to the man under his lamp."""
    posts: list[Vec] = [(-4.7, 2.8, 15.5), (4.75, 2.8, 9.2), (-4.7, 2.8, 27.0), (4.9, 2.8, 19.5), (4.9, 2.8, 31.0)]
    lamps: list[Source] = [(post, AMBER, 9.0) for post in posts]
    lamps.append(((-4.9, 3.9, 10.5), (0.9, 0.25, 0.08), 3.0))
    cards, density = _long_street(rng, posts), size[0] * 0.30
    folds = np.zeros((round(2.0 * density), round(1.4 * density)), np.float32)
    lights = [
        ((0.7, 0.8, -0.5), (4.2, 2.4, 1.0)),
        ((-1.0, 0.3, -0.4), (0.08, 0.20, 0.24)),
        ((-0.3, 0.5, 1.0), (0.035, 0.055, 0.060)),
    ]
    street, rain = WetStreet(rng, -0.25), Rain(rng, size)
    light, post = pools_of_light(lamps), _near_post(size[0])

    def look(t: float) -> Array:
        go = ease((t - 0.12) / (PAN - 0.35))
        camera = Camera(position=(-0.55 + 1.1 * go, 1.45, 0.0), yaw=-0.36 + 0.72 * go, pitch=-0.03, focal=1.2)
        man = props.detective(density, lights, folds, breath=float(np.sin(2.4 * t)), lean=0.02, draw=0.0, ember=0.9)
        full = [*cards, Card.facing(man, left=3.45, bottom=0, z=8.6, width=1.4, height=2.0)]
        sky = night_sky(size, camera)
        mirror = shoot(sky[::-1].copy(), full, camera, mirrored=True)
        picture = street.lay(sky, mirror, camera, light, t, lamps)
        picture = shoot(rain.splash(picture, camera, t, 2.6, 10.0), full, camera)
        picture = shoot(picture, [post], camera)
        return rain.fall(picture, t)

    return look


def _near_post(height: int) -> Card:
    """Return an iron post close to the lens, out of focus, which sweeps past as the camera pans."""
    texture = np.zeros((height, height // 3, 4), np.float32)
    third = height // 9
    texture[:, third : 2 * third] = (0.006, 0.009, 0.010, 1.0)
    texture[:, 2 * third - max(2, third // 6) : 2 * third, :3] = (0.10, 0.055, 0.022)
    soft = cv2.GaussianBlur(texture, (0, 0), height / 50)
    return Card.facing(soft, left=-0.35, bottom=-0.2, z=1.55, width=0.5, height=3.4)

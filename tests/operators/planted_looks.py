"""A DINO whose points are planted: a picture is told by its colour, as an angle; and films of a thing in a place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cinereward.networks.clip import ImageText
from cinereward.networks.dino import Dino
from cinereward.networks.yolo import Boxes
from cinereward.testing.scenes import clip, scene
from cinereward.types import Clip

from .boxed import FPS, SIZE, Planted

GRID = 8
BOX = (0.25, 0.2, 0.5, 0.9)  # left, top, right, bottom in shares


def points(pictures: np.ndarray) -> np.ndarray:
    """Mean colour above black, (..., 3), as points of length 1: red, green and blue are at right angles."""
    colour = pictures.astype(np.float64) + 1e-3
    return np.asarray(colour / np.linalg.norm(colour, axis=-1, keepdims=True), np.float32)


def see(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The colour in the middle of each picture, and the mean colour of each cell."""
    _, height, width, _ = rows.shape
    middle = rows[:, height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1].mean(axis=(1, 2))
    y, x = (np.linspace(0, side, GRID + 1).astype(int) for side in (height, width))
    cells = np.add.reduceat(np.add.reduceat(rows.astype(np.float64), y[:-1], axis=1), x[:-1], axis=2)
    return points(middle), points(cells)


def dino() -> Dino:
    return Dino(see, width=3, name="planted")


def image_text() -> ImageText:
    return ImageText(lambda rows: see(rows)[0])


class Detector(Planted):
    """A planted detector that can also be asked of pictures: it sees nothing there."""

    def pictures(self, frames: Sequence[np.ndarray]) -> list[Boxes]:
        return [
            Boxes(xyxy=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32), classes=np.zeros(0, np.int64))
            for _ in frames
        ]


def detector(box: tuple[float, float, float, float] | None = BOX, kind: str = "person") -> Detector:
    return Detector(lambda frame: [] if box is None else [(kind, box, 0.9)])


Colours = Callable[[int], tuple[float, float, float]]


def film(
    thing: Colours,
    place: Colours,
    seconds: float = 4.0,
    *,
    drift: float = 0.0,
    box: tuple[float, float, float, float] = BOX,
    seed: int = 0,
) -> Any:
    """A box of one colour before another; light and shade lie over both and move by `drift` pixels a frame.

    thing, place: from the index of a frame to a colour. seed: of the light and shade, which change no colour.
    """
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.uniform(0.5, 1.3, (6, 8, 1)), np.ones((15, 20, 1)))
    shade = coarse * (1 + rng.uniform(-0.2, 0.2, (*SIZE, 1)))
    left, top, right, bottom = (round(share * side) for share, side in zip(box, (SIZE[1], SIZE[0]) * 2, strict=True))
    frames = []
    for at in range(round(seconds * FPS)):
        picture = np.empty((*SIZE, 3))
        picture[:] = place(at)
        picture[top:bottom, left:right] = thing(at)
        frames.append(np.clip(picture * np.roll(shade, round(drift * at), axis=1), 0, 255))
    return np.stack(frames).astype(np.uint8)


def short_clips() -> list[Clip]:
    """Three clips of a few sampled frames each, one of them with a cut: true networks are asked many times."""
    takes = [scene(0.4 + 0.2 * n, size=(48, 64), seed=n) for n in range(3)]
    takes[2] = np.concatenate([takes[2], scene(0.4, size=(48, 64), seed=9)])
    return [clip(take, clip_id=f"clip {n}") for n, take in enumerate(takes)]

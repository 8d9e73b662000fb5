"""What a colour would be called: the eleven basic terms, told by the nearest of a few typical colours of each.

Nearest in CIELAB, lightness counting a little less than hue. A table of all colours in steps of eight levels is made
once, so that the same pixel always has the same name.
Source of the terms: "Basic color terms", Berlin & Kay, 1969; of telling them by typical colours: "Learning color names
for real-world applications", van de Weijer et al., IEEE Transactions on Image Processing, 2009.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cinereward.wants import COLOURS

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 32  # levels of the table on each axis
LIGHTNESS = 0.6  # of a step of lightness against one of hue
TYPICAL: dict[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((0, 0, 0), (22, 22, 24), (40, 38, 38)),
    "white": ((255, 255, 255), (232, 232, 232), (240, 238, 225)),
    "grey": ((128, 128, 128), (85, 86, 88), (175, 176, 178), (110, 118, 125)),
    "red": ((220, 20, 30), (150, 12, 22), (235, 65, 60), (90, 8, 12)),
    "orange": ((250, 130, 15), (225, 105, 20), (255, 165, 70)),
    "yellow": ((250, 225, 25), (205, 180, 25), (255, 240, 130), (240, 200, 60)),
    "green": ((30, 150, 45), (15, 85, 30), (110, 195, 70), (150, 215, 150), (85, 107, 47), (30, 160, 120)),
    "blue": (
        (25, 65, 210),
        (12, 25, 100),
        (70, 140, 230),
        (150, 195, 240),
        (175, 215, 235),
        (20, 130, 170),
        (60, 190, 220),
        (50, 75, 120),
    ),
    "purple": ((120, 30, 150), (70, 20, 95), (165, 105, 205), (110, 70, 160)),
    "pink": ((250, 150, 190), (235, 80, 155), (255, 200, 212), (230, 130, 150)),
    "brown": ((110, 62, 28), (150, 96, 55), (66, 40, 22), (165, 120, 80)),
}


def names_of(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The term of each pixel, as an index of `cinereward.wants.COLOURS`: uint8 (...) of RGB, uint8 (..., 3)."""
    level = picture >> 3
    return np.asarray(_table()[level[..., 0], level[..., 1], level[..., 2]])


def shares(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Which share of a picture's pixels has each of the eleven terms: float64 (11,), adding up to 1.

    Args:
        picture: uint8 (..., 3), RGB; at least one pixel.
    """
    if picture.size == 0:
        raise ValueError(f"the picture is of shape {picture.shape}; expected at least one pixel")
    names = names_of(picture).ravel()
    return np.asarray(np.bincount(names, minlength=len(COLOURS)) / len(names))


@cache
def _table() -> NDArray[np.uint8]:
    levels = (np.arange(STEPS) + 0.5) / STEPS
    cells = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    typical = np.array([rgb for name in COLOURS for rgb in TYPICAL[name]]) / 255
    owner = np.array([at for at, name in enumerate(COLOURS) for _ in TYPICAL[name]])
    far = np.linalg.norm(_lab(cells)[:, None] - _lab(typical)[None], axis=-1)
    return np.asarray(owner[far.argmin(axis=1)].reshape(STEPS, STEPS, STEPS), np.uint8)


def _lab(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    lab = cv2.cvtColor(np.ascontiguousarray(colours[None], np.float32), cv2.COLOR_RGB2LAB)[0].astype(np.float64)
    return np.asarray(lab * np.array([LIGHTNESS, 1.0, 1.0]))

"""What DINO makes of the sampled frames: the followed boxes, what lies outside all boxes, and the whole picture.

Worked out once a window, however many operators ask: the subject's constancy and its likeness to a reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.networks.dino import SIDE, Dino
from cinereward.networks.rows import each, split, told
from cinereward.networks.sharing import shared
from cinereward.networks.yolo import Boxes
from cinereward.operators.sightings import areas
from cinereward.types import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Float32 = NDArray[np.float32]
    UInt8 = NDArray[np.uint8]

Find = Callable[[Sequence[Window]], Sequence[Mapping[int, Boxes]]]  # what a detector is; a test may plant one

MOST = 2  # boxes of a frame whose look is followed
LEAST_SCORE = 0.25  # below, a box is neither followed nor kept out of the background
LEAST_SIDE = 8  # pixels of a box that can be looked at
PERSON, PREFERRED = 0, 2.0  # the class of people, and how much rather one is taken for the subject
GREY = (124, 116, 104)  # levels of the bars beside a crop: what the network takes for nothing
FREE = 0.5  # share of a patch outside all boxes from which it is background
LEAST_FREE = 0.06  # share of the picture that must be background


@dataclass(frozen=True, kw_only=True, eq=False)
class Looks:
    """What was seen in one window.

    rows: of the sampled frames. boxes: all that are sure, by row. followed: those whose look is told, the foremost
    first. looks: a point (D,) of each followed box, in the order of rows and boxes. wholes: a point of each sampled
    frame. grounds: of what lies outside all boxes; NaN where that is next to nothing.
    """

    rows: Sequence[int]
    boxes: Mapping[int, Boxes]
    followed: Mapping[int, Boxes]
    looks: Sequence[Float32]
    wholes: Sequence[Float32]
    grounds: Sequence[Float32]


def looks_of(windows: Sequence[Window], dino: Dino, detector: Find) -> list[Looks]:
    """The looks of all windows, each network asked once for those that nobody asked about yet."""
    key = ("looks", dino.name, getattr(detector, "key", ""))
    return shared(key, windows, lambda some: _look(some, dino, detector))


def _look(windows: Sequence[Window], dino: Dino, detector: Find) -> list[Looks]:
    found = [known(boxes) for boxes in detector(windows)]
    rows = [[int(row) for row in window.features["keys"]] for window in windows]
    places = [(window, row, seen) for window, own, seen in zip(windows, rows, found, strict=True) for row in own]
    wholes: dict[int, tuple[Float32, Float32]] = {}
    smalls = [window.features["small"][row] for window, row, _ in places]
    for at, (point, patches) in told(smalls, lambda some: zip(*dino(some), strict=True)):
        window, row, seen = places[at]
        wholes[at] = (point, outside(patches, seen[row].xyxy, *window.frames.shape[1:3]))
    followed = [{row: foremost(seen[row]) for row in own} for seen, own in zip(found, rows, strict=True)]
    crops = [crops_of(window, some) for window, some in zip(windows, followed, strict=True)]
    looks = split(each([one for own in crops for one in own], dino.classes), [len(own) for own in crops])
    points = split([wholes[at] for at in range(len(places))], [len(own) for own in rows])
    return [
        Looks(
            rows=own,
            boxes=seen,
            followed=some,
            looks=look,
            wholes=[point for point, _ in whole],
            grounds=[ground for _, ground in whole],
        )
        for own, seen, some, look, whole in zip(rows, found, followed, looks, points, strict=True)
    ]


def crops_of(window: Window, followed: Mapping[int, Boxes]) -> list[UInt8]:
    """What the followed boxes hold, in the order of rows and boxes: uint8 (224, 224, 3) each."""
    return [crop(window.frames[row], box) for row in followed for box in followed[row].xyxy]


def known(found: Mapping[int, Boxes]) -> dict[int, Boxes]:
    """The boxes of each row that are sure and large enough."""
    return {row: sure(boxes) for row, boxes in found.items()}


def sure(boxes: Boxes) -> Boxes:
    """The boxes that are sure and large enough."""
    sides = np.minimum(boxes.xyxy[:, 2] - boxes.xyxy[:, 0], boxes.xyxy[:, 3] - boxes.xyxy[:, 1])
    return _some(boxes, np.flatnonzero((boxes.scores >= LEAST_SCORE) & (sides >= LEAST_SIDE)))


def foremost(boxes: Boxes) -> Boxes:
    """The few that the frame is most about, the foremost first."""
    sides = np.sqrt(areas(boxes.xyxy.astype(np.float64)))
    weight = boxes.scores * sides * np.where(boxes.classes == PERSON, PREFERRED, 1.0)
    return _some(boxes, np.argsort(-weight, kind="stable")[:MOST])


def _some(boxes: Boxes, rows: Array) -> Boxes:
    return Boxes(xyxy=boxes.xyxy[rows], scores=boxes.scores[rows], classes=boxes.classes[rows])


def crop(frame: UInt8, box: Float32) -> UInt8:
    """What a box (left, top, right, bottom, in pixels) holds, fitted into 224 x 224 pixels with grey bars."""
    left, top = np.floor(box[:2]).astype(int)
    right, bottom = np.ceil(box[2:]).astype(int)
    inner = frame[top:bottom, left:right]
    scale = SIDE / max(inner.shape[:2])
    width, height = (max(1, round(side * scale)) for side in (inner.shape[1], inner.shape[0]))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    out[:] = GREY
    x, y = (SIDE - width) // 2, (SIDE - height) // 2
    out[y : y + height, x : x + width] = cv2.resize(inner, (width, height), interpolation=way)
    return out


def outside(patches: Float32, boxes: Float32, height: int, width: int) -> Float32:
    """The mean of the patches that no box covers, float32 (D,) of length 1; NaN where the boxes leave nearly none.

    Args:
        patches: float32 (h, w, D), evenly over the picture. boxes: float32 (N, 4), in pixels of it.
        height, width: of the picture, in pixels.
    """
    down, across = patches.shape[:2]
    fine = 4  # by which the grid is refined to tell what share of a patch is covered
    y = (np.arange(down * fine) + 0.5) * height / (down * fine)
    x = (np.arange(across * fine) + 0.5) * width / (across * fine)
    covered = np.zeros((len(y), len(x)), bool)
    for left, top, right, bottom in boxes:
        covered |= np.logical_and.outer((y >= top) & (y < bottom), (x >= left) & (x < right))
    free = 1 - covered.reshape(down, fine, across, fine).mean(axis=(1, 3))
    share = np.where(free >= FREE, free, 0.0)
    if share.mean() < LEAST_FREE:
        return np.full(patches.shape[2], np.nan, np.float32)
    mean = np.tensordot(share, patches.astype(np.float64), axes=2)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)

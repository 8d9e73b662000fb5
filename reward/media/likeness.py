"""How alike two small pictures are, moved, zoomed or mirrored; and which cuts only pretend to be cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from cinereward.media.features import THUMB
from cinereward.media.shots import Shot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    UInt8 = NDArray[np.uint8]

Box: TypeAlias = tuple[int, int, int, int]  # top, left, height, width

ZOOMS = (1.0, 1.2, 1.45, 1.75)
PART = (20 / 36, 28 / 64)  # height and width of the part that is sought, in shares of the picture
PLAIN = 1.5  # least standard deviation, in levels, of a part that has something to seek
SAME_TAKE = 0.94  # correlation across a cut from which both sides are one moment of one take
ASIDE = 0.12  # of the height or width by which its middle may lie elsewhere
SAME_COLOUR = 12.0  # levels by which the colours of one moment may differ at the most
CORE = (12 / 18, 24 / 32)  # as PART: how much of a picture must be found again in the same moment
COPY = 2.0  # levels by which the frames of a shot that is shown once more may differ


def alike(a: NDArray[Any], b: NDArray[Any], part: tuple[float, float] = PART) -> tuple[float, Box, Box]:
    """Find a part of either picture in the other, anywhere and at any of the ZOOMS.

    Args:
        a, b: (h, w) or (h, w, 3) of one size. part: height and width of what is sought, in shares.

    Returns:
        the best correlation, 0 to 1, 0 where there is nothing to seek; and the boxes that are alike, in a and in b.
    """
    x, y = a.astype(np.float32), b.astype(np.float32)
    height, width = (round(share * side) for share, side in zip(part, x.shape, strict=False))
    top = (x.shape[0] - height) // 2
    found: tuple[float, Box, Box] = (0.0, (0, 0, 1, 1), (0, 0, 1, 1))
    for wide, near, swapped in ((x, y, False), (y, x, True)):
        for left in sorted({0, (x.shape[1] - width) // 2, x.shape[1] - width}):
            box = (top, left, height, width)
            core = np.ascontiguousarray(near[top : top + height, left : left + width])
            if float(core.std(axis=(0, 1)).max()) < PLAIN:
                continue
            for zoom in ZOOMS[1:] if swapped else ZOOMS:
                size = (max(4, round(width / zoom)), max(4, round(height / zoom)))
                scores = cv2.matchTemplate(
                    wide, cv2.resize(core, size, interpolation=cv2.INTER_AREA), cv2.TM_CCOEFF_NORMED
                )
                scores = np.where(np.isfinite(scores), np.minimum(scores, 1.0), 0.0)
                row, column = np.unravel_index(int(scores.argmax()), scores.shape)
                if scores[row, column] > found[0]:
                    there = (int(row), int(column), size[1], size[0])
                    found = (float(scores[row, column]), *((box, there) if swapped else (there, box)))
    return found


def pretended(before: UInt8, after: UInt8) -> bool:
    """Whether two neighbouring frames at a cut are one moment of one take, only mirrored or zoomed about the middle.

    Args:
        before, after: uint8 (h, w, 3), thumbnails.
    """
    for other in (after, np.ascontiguousarray(after[:, ::-1])):
        score, here, there = alike(before, other, CORE)
        if score < SAME_TAKE or any(_aside(here, there, k) > ASIDE * before.shape[k] for k in (0, 1)):
            continue
        colours = [
            picture[box[0] : box[0] + box[2], box[1] : box[1] + box[3]].mean(axis=(0, 1))
            for picture, box in ((before, here), (other, there))
        ]
        if float(np.abs(colours[0] - colours[1]).max()) <= SAME_COLOUR:
            return True
    return False


def _aside(a: Box, b: Box, axis: int) -> float:
    """Where the middle of the nearer view lies in the wider one, from its middle, in pixels."""
    size = (THUMB[1], THUMB[0])[axis]
    zoom = b[axis + 2] / a[axis + 2]
    from_middle = [box[axis] + box[axis + 2] / 2 - size / 2 for box in (a, b)]
    return abs(from_middle[1] - zoom * from_middle[0]) / max(1.0, zoom)


def real_shots(shots: Sequence[Shot], thumbs: UInt8) -> tuple[Shot, ...]:
    """The shots that show something new: joined where a cut is pretended, left out where a shot comes once more.

    Args:
        shots: as `find_shots` gives them.
        thumbs: uint8 (N, h, w, 3), one for each frame.
    """
    joined: list[Shot] = []
    for shot in shots:
        if joined and pretended(thumbs[shot.first - 1], thumbs[shot.first]):
            last = joined.pop()
            shot = Shot(first=last.first, last=shot.last, start=last.start, end=shot.end)
        joined.append(shot)
    kept: list[Shot] = []
    for shot in joined:
        if not any(_again(thumbs, shot, other) for other in kept):
            kept.append(shot)
    return tuple(kept)


def _again(thumbs: UInt8, shot: Shot, other: Shot) -> bool:
    """Whether a shot shows the frames of an earlier one once more, from its start on."""
    count = min(shot.last - shot.first, other.last - other.first)
    if count < 3 or shot.last - shot.first > 1.2 * count:
        return False
    steps = np.linspace(0, count - 1, min(count, 8)).astype(int)
    apart = np.abs(thumbs[shot.first + steps].astype(np.float32) - thumbs[other.first + steps])
    return float(apart.mean(axis=(1, 2, 3)).max()) <= COPY

"""Where faces are: scikit-image's LBP cascade, in a coarse pass and a fine one about what that finds.

Source: "Rapid object detection using a boosted cascade of simple features", Viola & Jones, CVPR 2001, on local binary
patterns; the cascade comes with scikit-image.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int64 = NDArray[np.int64]

LEAST = 24  # pixels of the cascade's own window
SMALLEST = 6  # parts of the picture's short side: a smaller face is not looked for
COARSE, FINE = (1.2, 2.0), (1.1, 1.0)  # ratio of sizes; step, in parts of the cascade's pixel
NEIGHBOURS = 5  # windows of the fine pass that must agree
MARGIN = 0.3  # of a coarse box on each side, for the fine pass
SAME = 0.3  # intersection over union from which two boxes are one


def find_faces(grey: NDArray[np.uint8]) -> Int64:
    """Boxes of frontal faces.

    The coarse pass leaves out most of what one fine pass over the whole picture would look at: under half the time for
    the same faces, each of them once.

    Args:
        grey: uint8 (h, w), luma.

    Returns:
        int64 (F, 4): x, y, width, height in pixels, the surest first.
    """
    height, width = grey.shape
    side = min(height, width)
    if side < LEAST:
        return np.zeros((0, 4), np.int64)
    sure: list[tuple[int, Int64]] = []
    for group in _grouped(_windows(grey, COARSE, max(LEAST, side // SMALLEST), side)):
        x, y, size, _ = group.mean(axis=0)
        left, top = int(max(0, x - MARGIN * size)), int(max(0, y - MARGIN * size))
        right, bottom = (int(at + (1 + MARGIN) * size) for at in (x, y))
        around = np.ascontiguousarray(grey[top:bottom, left:right])
        fine = _windows(around, FINE, max(LEAST, int(0.8 * size)), int(min(*around.shape, 1.25 * size)))
        if len(fine) >= NEIGHBOURS:
            box = np.rint(np.median(fine, axis=0)).astype(np.int64) + np.array([left, top, 0, 0])
            sure.append((len(fine), box))
    found: list[Int64] = []
    for _, box in sorted(sure, key=lambda item: -item[0]):
        if all(overlap(box, other) < SAME for other in found):
            found.append(box)
    return np.array(found, np.int64).reshape(-1, 4)


def overlap(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    inside = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(inside, 0)))
    return shared / max(float(np.prod(a[2:]) + np.prod(b[2:])) - shared, 1e-9)


@cache
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]  # scikit-image has no types


def _windows(grey: NDArray[np.uint8], steps: tuple[float, float], smallest: int, largest: int) -> Int64:
    """Every window that the cascade lets pass, int64 (n, 4), sorted whatever the order of the search."""
    if largest < smallest:
        return np.zeros((0, 4), np.int64)
    found = _cascade().detect_multi_scale(
        grey,
        scale_factor=steps[0],
        step_ratio=steps[1],
        min_size=(smallest, smallest),
        max_size=(largest, largest),
        min_neighbor_number=0,
        intersection_score_threshold=1.1,  # never: the windows are grouped here
    )
    return np.array(sorted((box["c"], box["r"], box["width"], box["height"]) for box in found), np.int64).reshape(-1, 4)


def _grouped(windows: Int64) -> list[Int64]:
    """Windows that overlap, together."""
    groups: list[list[Int64]] = []
    for window in windows:
        for group in groups:
            if overlap(np.mean(group, axis=0), window) > SAME:
                group.append(window)
                break
        else:
            groups.append([window])
    return [np.array(group) for group in groups]

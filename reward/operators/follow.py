"""What operators share that follow parts of the picture for longer than from one frame to the next.

Windows keep a little plan of each frame and a coarse flow; merging chains the flow over many frames and compares the
plans along it. Cells are those of the plan, GRID of them across and down, whatever the size of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.operators.tracks import BAR, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bool = NDArray[np.bool_]
    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

GRID = (52, 30)  # cells across and down
COARSE = (26, 15)  # the flow that is kept
FAINTEST = 0.3  # squared levels; rounding alone makes a tenth
PLAIN = 0.05  # of the plan's variance: a patch of less contrast hardly counts
X, Y = (axis.astype(np.float32) for axis in np.meshgrid(np.arange(GRID[0]), np.arange(GRID[1])))


def plans(grey: UInt8) -> UInt8:
    """Frames (T, h, w) averaged down to plans (T, 30, 52)."""
    return np.stack([cv2.resize(frame, GRID, interpolation=cv2.INTER_AREA) for frame in grey])


def drift(flow: Float32) -> Float32:
    """Flow (h, w, 2) in pixels, looked up in the middle of each cell: (30, 52, 2) in cells."""
    height, width = flow.shape[:2]
    rows = ((np.arange(GRID[1]) + 0.5) * height / GRID[1]).astype(int)
    columns = ((np.arange(GRID[0]) + 0.5) * width / GRID[0]).astype(int)
    scale = np.array([GRID[0] / width, GRID[1] / height], np.float32)
    return np.asarray(flow[rows][:, columns] * scale, np.float32)


def coarse(cells: Float32) -> NDArray[np.float16]:
    """Drift (30, 52, 2) as it is kept: (15, 26, 2), float16."""
    return np.asarray(cv2.resize(cells, COARSE, interpolation=cv2.INTER_AREA), np.float16)


def fine(kept: NDArray[Any]) -> Float32:
    """Kept drift (15, 26, 2) brought back to the cells: (30, 52, 2)."""
    return np.asarray(cv2.resize(kept.astype(np.float32), GRID, interpolation=cv2.INTER_LINEAR), np.float32)


def fetched(plane: Float32, where: Float32) -> Float32:
    """A plane (30, 52) or (30, 52, 2) as it lies where each cell came from."""
    found = cv2.remap(plane, X + where[..., 0], Y + where[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def onward(where: Float32, earlier: Float32) -> Float32:
    """Follow the picture further back: `where` the cells came from, and the drift of that frame."""
    return np.asarray(where + fetched(earlier, where), np.float32)


def in_view(where: Float32) -> Bool:
    """Which cells came from within the picture."""
    x, y = X + where[..., 0], Y + where[..., 1]
    return np.asarray((x >= 0) & (x <= GRID[0] - 1) & (y >= 0) & (y <= GRID[1] - 1))


def box(plane: Float32, side: int) -> Float32:
    """Means of side x side cells."""
    return np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def unlike(a: Float32, b: Float32, side: int, floor: float) -> Float32:
    """How far patches of side x side cells differ in structure and contrast: 0 the same, 1 unrelated, up to 2.

    Source: "Image quality assessment: from error visibility to structural similarity", Wang et al., 2004, less its
    luminance term.
    """
    mean_a, mean_b = box(a, side), box(b, side)
    joint = box(a * b, side) - mean_a * mean_b
    spread = np.maximum(box(a * a, side) - mean_a**2, 0) + np.maximum(box(b * b, side) - mean_b**2, 0)
    return np.asarray(1 - (2 * joint + floor) / (spread + floor), np.float32)


def stacked(rows: Sequence[NDArray[Any]], shape: tuple[int, ...], kind: Any = np.float16) -> NDArray[Any]:
    """Rows of one shape put together, (N, *shape); N may be 0."""
    return np.stack(rows) if rows else np.zeros((0, *shape), kind)


def contrast_floors(plan: UInt8, shown: Bool) -> Float64:
    """The variance below which a patch of each plan (N, 30, 52) counts as plain, float64 (N,)."""
    return np.array(
        [PLAIN * cv2.meanStdDev(frame, mask=shown.astype(np.uint8))[1][0, 0] ** 2 + FAINTEST for frame in plan]
    )


def shown_in(tracks: Tracks) -> Bool:
    """Which cells show picture, bool (30, 52): not the bars of a letterbox, but a dark picture all the same."""
    bright = np.quantile(tracks["plan"], 0.9, axis=0)
    dark = bright <= min(BAR, 0.25 * float(bright.max()))
    rows, columns = np.flatnonzero(~dark.all(axis=1)), np.flatnonzero(~dark.all(axis=0))
    out = np.ones(dark.shape, bool)
    if len(rows) and len(columns):
        out[:] = False
        out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return out


def shot_of(tracks: Tracks) -> NDArray[np.int64]:
    """The number of the shot each frame belongs to, int (N,)."""
    out = np.zeros(len(tracks.times), np.int64)
    for number, shot in enumerate(tracks.shots()):
        out[shot.first : shot.last] = number
    return out

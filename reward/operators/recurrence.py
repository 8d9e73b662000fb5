"""What comes again that should not: a moment seen before, and texture that stays while the picture moves on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.operators.follow import GRID, box, contrast_floors, unlike

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Bool = NDArray[np.bool_]
    Float64 = NDArray[np.float64]

# a moment seen before
LEAST_LAG = 0.2  # seconds; nearer frames are alike anyway
NEAR = 1.0  # seconds in which a picture's travel is looked at
ALONG = 0.08  # seconds; before or after, the neighbour so far off must recur too, in order or in reverse
SAME, OTHER = 0.1, 0.25  # of the travel in between: nearer is the same moment, farther is another
NOISE = 0.1  # squared levels that two pictures of one thing differ by
FAINT = 0.2  # squared levels of travel, under which nothing moves
RATE = 12  # moments looked at in a second
MOST = 600  # and in a clip
AT_ONCE = 32

# texture on the screen
DETAIL = (208, 120)  # where detail is looked up, points across and down
EDGE = 1  # levels above or below its surroundings that make a point detail
PATCH = 3  # cells across in which detail is compared
LAGS = (0.33, 0.67, 1.0)  # seconds
MOVED = (0.4, 0.9)  # likeness of coarse structure: under the first a place has moved on, over the second it has not
LEAST_MOVED = 0.02  # share of the detail that must have moved on for anything to be told


def recurring(plan: NDArray[np.uint8], shot: NDArray[np.int64], fps: float) -> Float64:
    """How surely each frame shows a moment that was seen before, 0 to 1.

    A frame recurs when it lies far nearer to an earlier one than the picture travelled in between: a still picture
    does not recur, and neither does a pan. A frame beside it must recur as well, in order as in a loop or in reverse as
    in a clip that swings to and fro.

    Args:
        plan: uint8 (N, 30, 52). shot: int (N,), number of each frame's shot; travel is not counted across cuts.
        fps: frames a second.
    """
    count = len(plan)
    out = np.zeros(count)
    small = plan.reshape(count, 15, 2, 26, 2).sum(axis=(2, 4), dtype=np.uint16).reshape(count, -1).astype(np.float64)
    squares, sums = np.einsum("ij,ij->i", small, small), small.sum(axis=1)
    beside = max(1, round(ALONG * fps))
    least, near = max(2, round(LEAST_LAG * fps)), max(2, round(NEAR * fps))
    step = max(round(fps / RATE), -(-count // MOST), 1)
    moments = np.arange(0, count, step)
    for at in range(0, len(moments), AT_ONCE):
        block = moments[at : at + AT_ONCE]
        far = {o: _apart(small, squares, sums, np.clip(block + o, 0, count - 1)) for o in (-beside, 0, beside)}
        for row, q in enumerate(block.tolist()):
            if q < least:
                continue
            first = int(np.searchsorted(shot, shot[q]))
            last = int(np.searchsorted(shot, shot[q], side="right"))
            earlier = np.arange(q - least + 1)
            sides = [o for o in (-beside, beside) if first <= q + o < last] or [0]
            ways = [
                far[0][row, earlier] + far[o][row, np.clip(earlier + way * o, 0, count - 1)]
                for o in sides
                for way in (1, -1)
            ]
            back = np.maximum.accumulate(far[0][row, max(first, q - near) : q + 1][::-1])
            fore = np.maximum.accumulate(far[0][row, q : min(last, q + near + 1)])
            lag = q - earlier
            travel = back[np.minimum(lag, len(back) - 1)]
            # soon after a cut nothing has moved yet: what moves next tells
            travel = np.where(earlier >= first, travel, np.maximum(travel, fore[np.minimum(lag, len(fore) - 1)]))
            nearest = float(np.sqrt(np.min((np.minimum.reduce(ways) / 2 + NOISE) / (travel + FAINT))))
            out[q : q + step] = np.clip((OTHER - nearest) / (OTHER - SAME), 0, 1)
    return out


def _apart(small: Float64, squares: Float64, sums: Float64, rows: NDArray[np.int64]) -> Float64:
    """Mean squared difference, less that of level, of some frames and all; of whole numbers, so that it is exact."""
    far = squares[rows, None] + squares - 2 * (small[rows] @ small.T)
    far -= (sums[rows, None] - sums) ** 2 / small.shape[1]
    return np.asarray(np.maximum(far, 0) / (16 * small.shape[1]))


def marks(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where detail of a frame (h, w) is brighter and where darker than its surroundings, as bits: uint8 (6240,)."""
    detail = cv2.subtract(grey, cv2.blur(grey, (5, 5)), dtype=cv2.CV_16S)
    rows = ((np.arange(DETAIL[1]) + 0.5) * grey.shape[0] / DETAIL[1]).astype(int)
    columns = ((np.arange(DETAIL[0]) + 0.5) * grey.shape[1] / DETAIL[0]).astype(int)
    points = detail[rows][:, columns]
    return np.asarray(np.packbits(np.stack([points > EDGE, points < -EDGE])))


def stuck(
    bits: NDArray[np.uint8], plan: NDArray[np.uint8], shot: NDArray[np.int64], rate: float, shown: Bool
) -> tuple[float, Float64]:
    """How much of the fine detail stays on the screen where the picture has moved on.

    Fine detail decorrelates sooner than coarse structure when things move. Where the coarse structure at a place has
    changed and the fine detail at the same place has not, the detail is not on the things but on the screen.

    Args:
        bits: uint8 (K, 6240), `marks` of sampled frames. plan: uint8 (K, 30, 52), their plans. shot: int (K,).
        rate: samples a second. shown: bool (30, 52), cells that show picture.

    Returns:
        correlation of detail at the same place beyond that of coarse structure, -1 to 1, NaN where nothing moved; and
        the same for each sample, float64 (K,), NaN where nothing moved.
    """
    count = len(bits)
    excess, weight, whole = np.zeros(count), np.zeros(count), np.zeros(count)
    levels, floors = plan.astype(np.float32), contrast_floors(plan, shown)
    lags = sorted({max(1, round(lag * rate)) for lag in LAGS})
    signs: dict[int, NDArray[np.float32]] = {}
    for k in range(count):
        signs[k] = _signs(bits[k])
        signs.pop(k - lags[-1] - 1, None)
        for then in (k - lag for lag in lags):
            if then < 0 or shot[k] != shot[then]:
                continue
            both = signs[k] * signs[then]
            there = _cells(np.abs(both))
            agree = np.sin(np.pi / 2 * _cells(both) / (there + 0.02))  # of signs, to that of levels: the arcsine law
            alike = 1 - unlike(levels[k], levels[then], PATCH, float(floors[k]))
            moved = there * shown * np.clip((MOVED[1] - alike) / (MOVED[1] - MOVED[0]), 0, 1)
            excess[k] += float(((agree - np.maximum(alike, 0)) * moved).sum())
            weight[k] += float(moved.sum())
            whole[k] += float((there * shown).sum())
    told = weight > LEAST_MOVED * np.maximum(whole, 1e-9)
    course = np.where(told, excess / np.maximum(weight, 1e-9), np.nan)
    if not told.any():
        return float("nan"), course
    return float(excess[told].sum() / weight[told].sum()), course


def _signs(bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    above, below = np.unpackbits(bits).reshape(2, DETAIL[1], DETAIL[0]).astype(np.float32)
    return np.asarray(above - below)


def _cells(points: NDArray[np.float32]) -> NDArray[np.float32]:
    return box(np.asarray(cv2.resize(points, GRID, interpolation=cv2.INTER_AREA), np.float32), PATCH)

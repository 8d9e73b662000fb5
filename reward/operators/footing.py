"""Feet that slide: a foot that stands must go with the ground it stands on.

How the ground moves is read from the flow beside the foot, off all people, frame by frame. Of two feet one stands at
any time, unless both are in the air: so what counts is the slower of the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.operators.follow import COARSE, GRID, coarse, drift
from cinereward.operators.sightings import Sightings, Track, widened
from cinereward.operators.skeletons import ANKLES, TOLD, evened, heights, median_of_three

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

LIFTED = 0.35  # heights of the body a second, up or down, at which a foot is in the air
NEAR = (4, 3)  # cells of the kept flow to the sides, and up and down, that are beside a foot
LEAST_CELLS = 4
FAST = 5.0  # heights a second; what is faster is told as that


def kept_flow(flow: NDArray[np.float32]) -> NDArray[np.float16]:
    """Flow (T, h, w, 2) as it is kept for merging: float16 (T, 15, 26, 2), in cells of the finer grid."""
    return (
        np.stack([coarse(drift(frame)) for frame in flow]) if len(flow) else np.zeros((0, *COARSE[::-1], 2), np.float16)
    )


def ground_moves(seen: Sightings, flow: NDArray[Any], key: int, place: Float64) -> Float64:
    """How the ground beside a place moved from the sampled frame before to this one: float64 (2,), in frame heights.

    Args:
        flow: float16 (T, 15, 26, 2) of all frames of the clip, as of `kept_flow`. place: x, y in frame heights.
    """
    y, x = np.mgrid[: COARSE[1], : COARSE[0]]
    middle = np.stack([(x + 0.5) / COARSE[0] * seen.aspect, (y + 0.5) / COARSE[1]], axis=-1)
    people = widened(seen.boxes[seen.at(key)], 1.1)
    free = np.ones(x.shape, bool)
    for left, top, right, bottom in people:
        free &= ~(
            (middle[..., 0] > left) & (middle[..., 0] < right) & (middle[..., 1] > top) & (middle[..., 1] < bottom)
        )
    cell = np.array([place[0] / seen.aspect * COARSE[0], place[1] * COARSE[1]]) - 0.5
    beside = free & (np.abs(x - cell[0]) <= NEAR[0]) & (np.abs(y - cell[1]) <= NEAR[1])
    chosen = beside if beside.sum() >= LEAST_CELLS else free if free.any() else np.ones_like(free)
    steps = flow[seen.frames[key - 1] + 1 : seen.frames[key] + 1].astype(np.float64)
    back = np.median(steps[:, chosen], axis=1).sum(axis=0)  # flow leads from each frame back to the one before
    return np.asarray(-back * np.array([seen.aspect / GRID[0], 1 / GRID[1]]))


def slides(seen: Sightings, track: Track, flow: NDArray[Any]) -> Float64:
    """How fast the foot that stands slides, in heights of the body a second, float64 (n,); NaN: no foot that stands."""
    joints = seen.more["joints"][track.rows]
    tall = evened(heights(joints)[:, 8])
    out = np.full(len(track), np.nan)
    for at in range(1, len(track)):
        if track.keys[at] - track.keys[at - 1] != 1 or not np.isfinite(tall[at]):
            continue
        speeds = []
        for ankle in ANKLES:
            before, now = joints[at - 1, ankle], joints[at, ankle]
            if min(before[2], now[2]) >= TOLD:
                moved = now[:2] - before[:2] - ground_moves(seen, flow, int(track.keys[at]), now[:2])
                across, down = np.abs(moved) * seen.rate / tall[at]
                if down < LIFTED:
                    speeds.append(min(FAST, float(across)))
        out[at] = min(speeds, default=np.nan)
    known = np.isfinite(out)
    out[known] = median_of_three(out[known])
    return out

"""Where one shot ends and the next begins.

A cut is where the picture's structure changes from one frame to the next, nearly everywhere (not where one thing
moved), far more than it does around that moment (a fast pan changes all the time), and does not come back (a flash
does). Structure is compared by correlation, so that a flicker of level or a fade is no cut. Hard cuts only: a dissolve
is one shot here, and one flash is no cut.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANGE = 0.30  # least change of structure: 0 the same picture, 1 unrelated pictures
CONTRAST = 3.0  # how many times the change on both sides of it
COMPLETE = 0.65  # a change this large may stand beside fast action, as long as its other side is quiet
AREA = 0.55  # least part of the picture that changes
LEVELS = 2.5  # least mean difference, of 255: below, correlation is that of noise
AROUND = 0.35  # seconds on either side that count as "around it"
SHORTEST = 0.15  # seconds; of two cuts nearer than this the weaker is dropped
BLOCK = 512  # pairs compared at a time, so that a film of hours needs no more memory than one of seconds
KICK = 3  # thumbnail pixels, a tenth of the width, by which a kick may shift the picture
SHIFTED = 0.25  # a kick: after the best shift this much of the change is left, or less
RETURN = 0.5  # a flash: the picture some frames later is this much nearer to the one before


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A stretch between two cuts: frames [first, last), seconds [start, end)."""

    first: int
    last: int
    start: float
    end: float


def change_of_structure(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How far pictures differ in structure: 1 - correlation, weakened where the difference is no more than noise.

    Args:
        a, b: uint8 (N, h, w, 3).

    Returns:
        float64 (N,), about 0 for the same picture in any exposure, about 1 for unrelated pictures.
    """
    x = a.reshape(len(a), -1, 3).astype(np.float32)
    y = b.reshape(len(b), -1, 3).astype(np.float32)
    far = np.abs(x - y).mean(axis=(1, 2))
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    joint = (x * y).sum(axis=(1, 2))
    own = np.sqrt((x * x).sum(axis=(1, 2)) * (y * y).sum(axis=(1, 2)))
    floor = 4.0 * x.shape[1] * 3  # a picture of less than two levels of contrast has no structure
    correlation = (joint + floor) / (own + floor)
    return np.asarray((1 - correlation) * np.clip(far / LEVELS - 0.5, 0, 1), np.float64)


def find_cuts(thumbs: NDArray[np.uint8], fps: float) -> NDArray[np.int64]:
    """Indices of the frames that begin a new shot, the first frame not among them.

    Args:
        thumbs: uint8 (N, h, w, 3), one small RGB picture a frame.
        fps: frames per second.
    """
    count = len(thumbs)
    if count < 3:
        return np.zeros(0, np.int64)
    pairs = [slice(at, at + BLOCK) for at in range(0, count - 1, BLOCK)]
    change = np.concatenate([[0.0], *(change_of_structure(thumbs[1:][pair], thumbs[:-1][pair]) for pair in pairs)])
    reach = max(2, round(AROUND * fps))
    cuts: dict[int, float] = {}
    for t in np.flatnonzero(change >= CHANGE):
        sides = [side for side in (change[max(1, t - reach) : t], change[t + 1 : t + 1 + reach]) if len(side)]
        around = [float(np.mean(np.sort(side)[-3:])) for side in sides] or [0.0]
        alone = change[t] >= CONTRAST * max(around)
        beside_action = change[t] >= COMPLETE and change[t] >= CONTRAST * min(around)
        everywhere = _changed_area(thumbs[t - 1], thumbs[t]) >= AREA
        if not (alone or beside_action) or not everywhere:
            continue
        if not _flash(thumbs, change, int(t), fps) and not _kicked(thumbs[t - 1], thumbs[t], float(change[t])):
            cuts[int(t)] = float(change[t]) / (min(around) + 0.05)
    return np.array(_spaced(cuts, max(2, round(SHORTEST * fps))), np.int64)


def _changed_area(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """The part of the picture that differs by more than noise and a seventh of the picture's contrast."""
    difference = np.abs(before.astype(np.float32) - after).max(axis=-1)
    return float(np.mean(difference > max(6.0, 0.15 * float(before.std()))))


def _kicked(before: NDArray[np.uint8], after: NDArray[np.uint8], change: float) -> bool:
    """Whether a small shift explains the change: a kick of the camera, not a cut."""
    height, width = before.shape[:2]
    core = after[KICK : height - KICK, KICK : width - KICK]
    rows, columns = core.shape[:2]
    shifts = [(y, x) for y in range(2 * KICK + 1) for x in range(2 * KICK + 1)]
    moved = np.stack([before[y : y + rows, x : x + columns] for y, x in shifts])
    return bool(change_of_structure(moved, np.broadcast_to(core, moved.shape)).min() < SHIFTED * change)


def _flash(thumbs: NDArray[np.uint8], change: NDArray[np.float64], t: int, fps: float) -> bool:
    """Whether the picture soon is again what it was before frame t, or frame t ends such a flash."""
    reach = max(1, round(0.1 * fps))
    later = thumbs[t + 1 : t + 1 + reach]
    earlier = thumbs[max(0, t - 1 - reach) : t - 1]
    back = change_of_structure(later, np.broadcast_to(thumbs[t - 1], later.shape)) if len(later) else np.zeros(0)
    gone = change_of_structure(earlier, np.broadcast_to(thumbs[t], earlier.shape)) if len(earlier) else np.zeros(0)
    nearest = min((float(side.min()) for side in (back, gone) if len(side)), default=np.inf)
    return bool(nearest < RETURN * change[t])


def _spaced(cuts: dict[int, float], least: int) -> list[int]:
    """The cuts in order, without those nearer than `least` frames to one that stands out more."""
    kept: list[int] = []
    for cut in sorted(cuts, key=lambda t: (-cuts[t], t)):
        if all(abs(cut - other) >= least for other in kept):
            kept.append(cut)
    return sorted(kept)


def find_shots(times: NDArray[np.float64], thumbs: NDArray[np.uint8], fps: float) -> tuple[Shot, ...]:
    """The shots of a clip in order; together they cover it.

    Args:
        times: float64 (N,), seconds.
        thumbs: uint8 (N, h, w, 3).
        fps: frames per second; the last frame lasts 1 / fps.
    """
    edges = [0, *find_cuts(thumbs, fps).tolist(), len(times)]
    stamps = np.append(times, times[-1] + 1 / fps)
    return tuple(
        Shot(first=a, last=b, start=float(stamps[a]), end=float(stamps[b])) for a, b in itertools.pairwise(edges)
    )

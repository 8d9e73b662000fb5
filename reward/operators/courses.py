"""The course of a thing's look through a shot, as points of a network: how far it drifts, and where it jumps.

A still picture never changes, so that its constancy says nothing. Drift is therefore told against what is usual where
so much moves, and where little moves the finding is drawn to "as usual": to 1, never to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Float64 = NDArray[np.float64]

AROUND = 3  # points on each side of a moment whose means are compared
TELLING = 0.1  # heights of the picture a second: half of what is found counts where so much moves
FASTEST = 1.5  # heights of the picture a second beyond which no more change is allowed for
STEP = 0.05  # change of look taken as usual where a course is too short to tell its own
ENOUGH = 5  # steps that tell what is usual


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """A thing's look over time: `points` float64 (N, D) of length 1 at `times` (N,), and how fast it moves.

    speed: heights of the picture a second. weight: how much the course counts beside others.
    """

    times: Float64
    points: Float64
    speed: float
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """The change of look that is usual: `still` where nothing moves, and so much more for a height a second."""

    still: float
    moving: float

    def of(self, speed: float) -> float:
        """1 - cosine that is usual at this speed."""
        return self.still + self.moving * min(max(speed, 0.0), FASTEST)


def unit(rows: Array) -> Float64:
    """Rows of length 1, float64."""
    rows = np.asarray(rows, np.float64)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12))


def middle(points: Float64) -> Float64:
    """Where most points lie, (D,) of length 1: the mean of the nearer half, so that a glitch moves nothing."""
    centre = unit(points.mean(axis=0))
    near = np.argsort(-(points @ centre), kind="stable")[: (len(points) + 1) // 2 + 1]
    return unit(points[near].mean(axis=0))


def apart(a: Float64, b: Float64) -> float:
    """1 - cosine of two points, in [0, 2]."""
    return float(np.clip(1 - a @ b, 0, 2))


def drift(course: Course, allowance: Allowance) -> float:
    """How far the look moves from one third of the course to another, in times of what is usual; 1 where nothing moves.

    What comes and goes within a third, as a pose does, averages out.
    """
    if len(course) < 2:
        return 1.0
    thirds = [unit(part.mean(axis=0)) for part in np.array_split(course.points, min(3, len(course)))]
    most = max(apart(a, b) for n, a in enumerate(thirds) for b in thirds[n + 1 :])
    found = most / allowance.of(course.speed)
    told = course.speed / (course.speed + TELLING)
    return found if found >= 1 else told * found + (1 - told)


def steps(points: Float64) -> Float64:
    """How far the look changes for good at each point but the first: 1 - cosine of before and after, (N - 1,)."""
    out = np.zeros(max(len(points) - 1, 0))
    for at in range(1, len(points)):
        before, after = points[max(0, at - AROUND) : at], points[at : at + AROUND]
        out[at - 1] = apart(unit(before.mean(axis=0)), unit(after.mean(axis=0)))
    return out


def jumps(points: Float64) -> Float64:
    """Steps beyond the usual one, 1 - cosine in [0, 2], (N - 1,)."""
    found = steps(points)
    usual = float(np.median(found)) if len(found) >= ENOUGH else STEP
    return np.maximum(found - usual, 0)


def best_matches(middles: Float64, shots: Array, kinds: Array) -> Float64:
    """For each thing the cosine with the most alike one of its kind in another shot; NaN where there is none.

    Args:
        middles: float64 (N, D) of length 1. shots, kinds: int (N,).
    """
    cosine = middles @ middles.T
    other = (shots[:, None] != shots[None]) & (kinds[:, None] == kinds[None])
    best = np.where(other, cosine, -np.inf).max(axis=1, initial=-np.inf)
    return np.asarray(np.where(np.isfinite(best), best, np.nan))


def together(values: list[float], weights: list[float]) -> float:
    """Half the weighted mean, half the worst: a fault in one shot of many is seen, and one shot does not decide."""
    return 0.5 * float(np.average(values, weights=weights)) + 0.5 * max(values)

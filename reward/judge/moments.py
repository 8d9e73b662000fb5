"""Which moments of a clip are looked at: where its stretches end, and which frames of a stretch are shown.

Pure functions over times; the same clip always gives the same frames.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]
    Int64 = NDArray[np.int64]

EARLIEST = 0.5  # of the longest stretch: a shot that begins sooner does not end it
POINTED = 0.25  # of the frames, at most: those that show the moments which the evidence points at
SLACK = 1e-6  # s


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Seconds [start, end) of a clip that are shown at once."""

    start: float
    end: float


def divide(duration: float, starts: Sequence[float], longest: float) -> list[Stretch]:
    """The stretches of a clip in order; together they cover it, and each lasts `longest` seconds at most.

    Args:
        duration: of the clip, in s. starts: of its shots, in s; a stretch ends where a shot begins, if one does in the
            second half of what it may last, the nearest to even parts.
        longest: in s.
    """
    if not (duration > 0 and longest > 0):
        raise ValueError(f"a clip of {duration} s in stretches of {longest} s; expected more than 0 of both")
    stretches: list[Stretch] = []
    start = 0.0
    while duration - start > longest + SLACK:
        even = start + (duration - start) / math.ceil((duration - start) / longest - SLACK)
        borders = [one for one in starts if start + EARLIEST * longest <= one <= start + longest]
        end = min(borders, key=lambda one: (abs(one - even), one), default=even)
        stretches.append(Stretch(start=start, end=end))
        start = end
    return [*stretches, Stretch(start=start, end=duration)]


def choose(times: Float64, count: int, starts: Sequence[float], moments: Sequence[float]) -> Int64:
    """The frames of a stretch that are shown.

    First after each cut, then what the evidence points at, then the middle of each shot, longest shots first, then
    whatever leaves the smallest gaps.

    Args:
        times: float64 (N,), of the frames there are, in s, rising. count: how many may be shown, 1 or more.
        starts: of shots, in s, rising. moments: that the evidence points at, in s, the most telling first.

    Returns:
        int64 (min(N, count),), rising: rows of `times`.
    """
    if count < 1 or not len(times):
        raise ValueError(f"{count} of {len(times)} frames; expected 1 or more of both")
    if len(times) <= count:
        return np.arange(len(times), dtype=np.int64)
    firsts = sorted({0, *(int(row) for row in np.searchsorted(times, np.asarray(starts) - SLACK) if row < len(times))})
    pointed = [_nearest(times, moment) for moment in moments if times[0] - SLACK <= moment <= times[-1] + SLACK]
    pointed = list(dict.fromkeys(pointed))[: int(POINTED * count)]
    edges = [*firsts, len(times)]
    spans = sorted(itertools.pairwise(edges), key=lambda span: (span[0] - span[1], span[0]))
    chosen = set(_thinned(firsts, max(1, count - len(pointed))))
    for row in (*pointed, *((first + last) // 2 for first, last in spans)):
        if len(chosen) < count:
            chosen.add(row)
    return _filled(times, chosen, count)


def _nearest(times: Float64, moment: float) -> int:
    return int(np.argmin(np.abs(times - moment)))


def _thinned(rows: Sequence[int], most: int) -> list[int]:
    """At most so many of the rows, evenly, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[int(at)] for at in np.linspace(0, len(rows) - 1, most).round()]


def _filled(times: Float64, chosen: set[int], count: int) -> Int64:
    """More rows, one by one, each in the middle of the longest gap; the ends of the stretch are gaps too."""
    rows = sorted(chosen)
    while len(rows) < count:
        # a gap runs between chosen rows; before the first and after the last it is open, and its end row is the middle
        gaps = [(times[b] - times[a], a, b) for a, b in itertools.pairwise(rows) if b - a > 1]
        gaps += [(2 * (times[rows[0]] - times[0]), -1, rows[0])] * (rows[0] > 0)
        gaps += [(2 * (times[-1] - times[rows[-1]]), rows[-1], len(times))] * (rows[-1] < len(times) - 1)
        _, a, b = max(gaps, key=lambda gap: (gap[0], -gap[1]))
        if a < 0:
            row = 0
        elif b == len(times):
            row = b - 1
        else:
            row = min(max(_nearest(times, (times[a] + times[b]) / 2), a + 1), b - 1)
        rows = sorted({*rows, row})
    return np.array(rows, np.int64)

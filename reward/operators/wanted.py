"""What a prompt asks to be seen, held against the boxes that a detector found: things, numbers, colours, places.

Every function gives one value in [0, 1] for each thing asked for; where nothing known is asked for it gives none. Over
several shots a thing need not be in each of them: half of what counts is the whole, half the shot that shows it best.
Sources: the questions of "GenEval", Ghosh et al., NeurIPS 2023, and "T2V-CompBench", Sun et al., CVPR 2025, asked of
all sampled frames instead of a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinereward.operators.sightings import Sightings, Track, areas, middles, shared_area
from cinereward.wants import COLOURS, Wanted, Wants

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]
    Int64 = NDArray[np.int64]

GLIMPSED, SEEN = 0.15, 0.55  # scores at which a thing is hardly there, and surely
SHORT = 1.0  # s; a shot that is shorter shows a thing less well
BESIDE = 0.2  # of the side of the largest of its kind: smaller ones belong to the background and are not counted
TINT = 0.25  # of the colour's share around a thing that is taken off: a picture that is all red has no red car
GREYS = ("black", "white", "grey", "brown")  # of these a whole picture may be


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What was found of the things that are asked for and that the detector has a name for.

    asked: indices among the prompt's subjects. rows: int64 (K, S), the box of each in each sampled frame, or -1.
    sight: float64 (K, S), how surely it is there.
    """

    asked: tuple[int, ...]
    rows: Int64
    sight: Float64


def look_for(seen: Sightings, wants: Wants, names: Sequence[str]) -> Found:
    """Give every thing that is asked for the surest box of its classes in each frame, no box twice.

    Where a colour is asked for and `seen` tells colours, the box that has it goes before.
    """
    asked = tuple(at for at, wanted in enumerate(wants.subjects) if numbers(wanted, names).size)
    rows = np.full((len(seen.frames), len(asked)), -1, np.int64)
    wishes = [wants.subjects[at] for at in asked]
    kinds = [numbers(wanted, names) for wanted in wishes]
    for key in range(len(seen.frames)):
        free = seen.at(key)
        for column, (wanted, kind) in enumerate(zip(wishes, kinds, strict=True)):
            own = free[np.isin(seen.classes[free], kind)]
            if len(own):
                merit = seen.scores[own] + (coloured(seen, own, wanted.colour) if wanted.colour else 0.0)
                rows[key, column] = own[int(np.argmax(merit))]
                free = free[free != rows[key, column]]
    scores = np.where(rows >= 0, seen.scores[rows] if len(seen.scores) else 0.0, 0.0)
    return Found(asked=asked, rows=rows, sight=np.clip((scores - GLIMPSED) / (SEEN - GLIMPSED), 0, 1))


def numbers(wanted: Wanted, names: Sequence[str]) -> Int64:
    """The detector's numbers for the classes of a thing."""
    return np.array([at for at, name in enumerate(names) if name in wanted.classes], np.int64)


def over_shots(seen: Sightings, track: Float64) -> Float64:
    """Values (K, S) of the sampled frames as one a column: half the whole clip's mean, half that of the best shot."""
    least = min(SHORT, len(track) / seen.rate)
    best = np.zeros(track.shape[1])
    for first, last in seen.spans():
        best = np.maximum(best, track[first:last].mean(axis=0) * min(1.0, (last - first) / seen.rate / least))
    return np.asarray((best + track.mean(axis=0)) / 2)


# --- numbers ---


def groups(wants: Wants, names: Sequence[str]) -> list[tuple[Int64, int, bool]]:
    """Classes that are counted together, how many are asked for, and whether more are too many.

    "A man and two women" are three people: things whose classes meet are one group, counted if any has a number.
    """
    out: list[tuple[set[int], int, bool, bool]] = []
    for wanted in wants.subjects:
        kinds, number = set(numbers(wanted, names).tolist()), wanted.count
        if not kinds:
            continue
        exact, told, count = number is not None, number is not None, 1 if number is None else number
        for other in [one for one in out if one[0] & kinds]:
            out.remove(other)
            kinds, count, exact, told = kinds | other[0], count + other[1], exact and other[2], told or other[3]
        out.append((kinds, count, exact, told))
    return [(np.array(sorted(kinds), np.int64), count, exact) for kinds, count, exact, told in out if told]


def tallies(seen: Sightings, tracks: Sequence[Track], kinds: Int64) -> Int64:
    """How many things of these classes there are in each sampled frame, int64 (K,), by their tracks."""
    own = [track for track in tracks if np.isin(main_class(seen, track), kinds)]
    sides = [float(np.median(seen.sides[track.rows])) for track in own]
    out = np.zeros(len(seen.frames), np.int64)
    for track, side in zip(own, sides, strict=True):
        if side >= BESIDE * max(sides) and (len(track) > 1 or seen.scores[track.rows[0]] > SEEN):
            out[track.keys[0] : track.keys[-1] + 1] += 1
    return out


def main_class(seen: Sightings, track: Track) -> int:
    """The class that most of a track's score went to."""
    return int(np.argmax(np.bincount(seen.classes[track.rows], weights=seen.scores[track.rows])))


# --- colours ---


def coloured(seen: Sightings, rows: Int64, colour: str) -> Float64:
    """The share of these boxes that is of a colour, float64 (n,), less a part of what the picture around has of it."""
    at = COLOURS.index(colour)
    inside, around = np.nan_to_num(seen.more["colours"][rows][:, :, at]).T
    return np.asarray(np.maximum(inside - (0.0 if colour in GREYS else TINT) * around, 0))


def colours_found(seen: Sightings, wants: Wants, found: Found) -> Float64:
    """For each thing of an asked colour, float64 (K, C), how far it is seen and has it."""
    columns = []
    for column, subject in enumerate(found.asked):
        colour = wants.subjects[subject].colour
        if colour in COLOURS:
            rows = found.rows[:, column]
            there = np.flatnonzero(rows >= 0)
            one = np.zeros(len(rows))
            one[there] = coloured(seen, rows[there], colour) * found.sight[there, column]
            columns.append(one)
    return np.stack(columns, axis=1) if columns else np.zeros((len(found.rows), 0))


# --- places ---


def relations_found(seen: Sightings, wants: Wants, found: Found) -> Float64:
    """For each relation between known things, float64 (K, R), how far both are seen and stand so."""
    columns = []
    where = {subject: column for column, subject in enumerate(found.asked)}
    for relation in wants.relations:
        if relation.first not in where or relation.second not in where or relation.kind not in HOLDS:
            continue
        first, second = where[relation.first], where[relation.second]
        alike = set(wants.subjects[relation.first].classes) & set(wants.subjects[relation.second].classes)
        one = np.zeros(len(found.rows))
        for key in np.flatnonzero((found.rows[:, [first, second]] >= 0).all(axis=1)):
            a, b = seen.boxes[found.rows[key, first]], seen.boxes[found.rows[key, second]]
            so = HOLDS[relation.kind](a, b)
            if alike:  # a man and a woman are both people: who is who is not known
                so = max(so, HOLDS[relation.kind](b, a))
            one[key] = so * min(found.sight[key, first], found.sight[key, second])
        columns.append(one)
    return np.stack(columns, axis=1) if columns else np.zeros((len(found.rows), 0))


def _left_of(a: Float64, b: Float64) -> float:
    width = max((a[2] - a[0] + b[2] - b[0]) / 2, 1e-9)
    return float(np.clip(2 * (middles(b)[0] - middles(a)[0]) / width, 0, 1))


def _above(a: Float64, b: Float64) -> float:
    height = max((a[3] - a[1] + b[3] - b[1]) / 2, 1e-9)
    return float(np.clip(2 * (middles(b)[1] - middles(a)[1]) / height, 0, 1))


def _apart(a: Float64, b: Float64, axis: int) -> float:
    """The gap between two boxes along an axis, in their mean size; negative where they overlap."""
    gap = max(a[axis], b[axis]) - min(a[axis + 2], b[axis + 2])
    return float(gap / max((a[axis + 2] - a[axis] + b[axis + 2] - b[axis]) / 2, 1e-9))


def _inside(a: Float64, b: Float64) -> float:
    return float(shared_area(a[None], b[None])[0, 0] / max(float(areas(a)), 1e-9))


def _in(a: Float64, b: Float64) -> float:
    return float(np.clip((_inside(a, b) - 0.4) / 0.4, 0, 1))


def _next_to(a: Float64, b: Float64) -> float:
    level = np.clip(-2 * _apart(a, b, 1), 0, 1)
    separate = 1 - np.clip((max(_inside(a, b), _inside(b, a)) - 0.5) / 0.3, 0, 1)
    return float(np.clip((2 - _apart(a, b, 0)) / 1.25, 0, 1) * level * separate)


def _on(a: Float64, b: Float64) -> float:
    width, height = max(a[2] - a[0], 1e-9), max(b[3] - b[1], 1e-9)
    over = np.clip((min(a[2], b[2]) - max(a[0], b[0])) / width / 0.5, 0, 1)
    foot = (a[3] - b[1]) / height  # 0: it stands on the upper edge, 1: on the lower
    touching = np.clip(1 + (foot + 0.15) / 0.15, 0, 1) * np.clip((1.0 - foot) / 0.2, 0, 1)
    return float(over * touching * np.clip(3 * _above(a, b), 0, 1))


def _in_front_of(a: Float64, b: Float64) -> float:
    """What is nearer stands lower in the picture, and before or beside the other."""
    height = max(min(a[3] - a[1], b[3] - b[1]), 1e-9)
    return float(np.clip(0.5 + 5 * (a[3] - b[3]) / height, 0, 1) * np.clip(2 - _apart(a, b, 0), 0, 1))


HOLDS = {
    "left of": _left_of,
    "right of": lambda a, b: _left_of(b, a),
    "above": _above,
    "below": lambda a, b: _above(b, a),
    "in front of": _in_front_of,
    "behind": lambda a, b: _in_front_of(b, a),
    "next to": _next_to,
    "on": _on,
    "in": _in,
}

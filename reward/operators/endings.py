"""How things begin and end inside a shot: what vanishes, what comes out of nothing, what becomes another thing, or two.

A thing vanishes where it was surely and steadily seen, whole and well inside the frame, and is not seen from one
sampled frame to the next although nothing that is seen stands before it. All else has a natural reason: it left through
an edge, went behind something (its box grew narrow first), or was never sure. Appearing is the same, backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cinereward.operators.sightings import Sightings, Track, areas, middles, overlaps, shared_area, widened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

LOOK = 2.0  # s before an end that say how surely the thing was there
DOUBTED, TRUSTED = 0.35, 0.7  # scores of a thing that may not be there, and of one that is
HELD = 4  # sampled frames it must have been seen in to count in full; fewer than half of them tell nothing
LARGE = 0.15  # side, as the root of the share of the frame, from which a thing counts in full
RIM = 0.1  # of its own side: nearer to an edge it may be leaving
OUTWARD = 0.3  # sides a second at which a thing at the rim is surely leaving
HIDDEN, BARE = 0.6, 0.2  # share of it that another box covers where it is surely hidden, and where it is not
BEHIND = 0.3  # what a box counts that stands higher in the picture, and so further away
NEARBY = 1.5  # sides within which a new thing of its class is taken to be the same one
STAYS = 3  # sampled frames that two must stay two


class Event(NamedTuple):
    """What befell a thing: how surely, from 0 to 1, and at which sampled frame it was first seen to be so."""

    weight: float
    key: int


def endings(seen: Sightings, span: tuple[int, int], tracks: Sequence[Track], *, backwards: bool = False) -> list[Event]:
    """Things that vanish within a shot; backwards: things that appear.

    Args:
        span: the shot's sampled frames [first, last). tracks: its things.
    """
    events = []
    for track in tracks:
        keys, rows = (track.keys[::-1], track.rows[::-1]) if backwards else (track.keys, track.rows)
        step, border = (-1, span[0]) if backwards else (1, span[1] - 1)
        after = abs(border - int(keys[-1]))
        if after == 0 or len(keys) < HELD / 2:
            continue
        weight = presence(seen, keys, rows) * (1 - 0.5**after)
        if weight > 0.01:
            weight *= (
                stays_inside(seen, keys, rows) * whole(seen, keys, rows) * uncovered(seen, keys, rows, step, after)
            )
            weight *= 1 - 0.7 * _goes_on(seen, track, tracks, keys, rows, step)
        if weight > 0.01:
            events.append(Event(float(weight), int(keys[-1]) + (0 if backwards else 1)))
    return events


def presence(seen: Sightings, keys: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    """How surely a thing is there in the last LOOK seconds before it ends, from 0 to 1; small things count less."""
    recent = np.abs(keys - keys[-1]) <= LOOK * seen.rate
    scores = seen.scores[rows[recent]]
    sure = np.clip((np.quantile(scores, 0.7) - DOUBTED) / (TRUSTED - DOUBTED), 0, 1)
    steady = len(scores) / (abs(int(keys[recent][0] - keys[-1])) + 1)
    large = np.clip(np.median(seen.sides[rows[recent]]) / LARGE, 0, 1)
    return float(sure * steady**2 * large * min(1.0, (len(keys) - 1) / (HELD - 1)))


def stays_inside(seen: Sightings, keys: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    """1 for a thing well inside the frame, down to 0 for one that touches an edge and moves out through it."""
    box = seen.boxes[rows[-1]]
    side = max(float(np.sqrt(areas(box))), 1e-6)
    back = min(len(rows), 3)
    spent = max(abs(int(keys[-1] - keys[-back])), 1) / seen.rate
    speed = (box - seen.boxes[rows[-back]]) / spent if back > 1 else np.zeros(4)
    ahead = box + speed / seen.rate
    edges = np.array([0.0, 0.0, seen.aspect, 1.0])
    near = np.minimum(np.abs(box - edges), np.array([ahead[0], ahead[1], seen.aspect - ahead[2], 1 - ahead[3]]))
    touch = np.clip(1 - np.maximum(near, 0) / (RIM * side), 0, 1)
    outward = np.array([-speed[2], -speed[3], speed[0], speed[1]]) / side  # of the side that is not yet cut off
    leaving = touch * (0.5 + 0.5 * np.clip(outward / OUTWARD, 0, 1))
    return float(1 - leaving.max())


def whole(seen: Sightings, keys: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    """1 for a thing that ends at its full size, less for one whose box grew smaller, as behind an edge or far away."""
    recent = np.abs(keys - keys[-1]) <= LOOK * seen.rate / 2
    shown = areas(seen.boxes[rows[recent]])
    return float(np.clip(shown[-1] / max(float(np.median(shown)), 1e-9), 0, 1)) ** 2


def uncovered(seen: Sightings, keys: NDArray[np.int64], rows: NDArray[np.int64], step: int, after: int) -> float:
    """1 where no other box lies over the place of a thing once it is gone, 0 where one covers it.

    What covers it stands nearer, and so no higher in the picture; one that stands higher up hides little.
    """
    box = seen.boxes[rows[-1:]]
    foot = float(box[0, 3] - 0.1 * (box[0, 3] - box[0, 1]))
    most = 0.0
    for key in range(int(keys[-1]) + step, int(keys[-1]) + step * (1 + min(2, after)), step):
        others = seen.boxes[seen.at(key)]
        if len(others):
            over = shared_area(box, others)[0] * np.where(others[:, 3] >= foot, 1.0, BEHIND)
            most = max(most, float(over.max() / max(float(areas(box)[0]), 1e-9)))
    return float(1 - np.clip((most - BARE) / (HIDDEN - BARE), 0, 1))


def _goes_on(
    seen: Sightings,
    track: Track,
    tracks: Sequence[Track],
    keys: NDArray[np.int64],
    rows: NDArray[np.int64],
    step: int,
) -> float:
    """Whether another track of its class begins close by just then: it only moved too fast to be followed."""
    place, side = middles(seen.boxes[rows[-1]]), float(np.sqrt(areas(seen.boxes[rows[-1]])))
    for other in tracks:
        first, row = (other.keys[-1], other.rows[-1]) if step < 0 else (other.keys[0], other.rows[0])
        later = step * int(first - keys[-1])
        if other is track or not 0 < later <= 3 or seen.classes[row] != seen.classes[rows[-1]]:
            continue
        ratio = float(np.sqrt(areas(seen.boxes[row]))) / max(side, 1e-9)
        if 0.6 < ratio < 1.7 and np.hypot(*(middles(seen.boxes[row]) - place)) < NEARBY * side * later:
            return 1.0
    return 0.0


def doublings(
    seen: Sightings, span: tuple[int, int], tracks: Sequence[Track], *, backwards: bool = False
) -> list[Event]:
    """One thing becomes two of its kind; backwards: two become one.

    A second one is there from one sampled frame to the next, whole and of about the same size, where a moment before
    there was one alone; both stay. One that comes out from behind the other grows, or is half covered by it, or went
    there before: it counts little.
    """
    events = []
    for track in tracks:
        keys, rows = (track.keys, track.rows) if backwards else (track.keys[::-1], track.rows[::-1])
        step, border = (1, span[1] - 1) if backwards else (-1, span[0])  # away from the time when there are two
        key, row = int(keys[-1]), int(rows[-1])
        if abs(key - border) < STAYS or len(keys) < STAYS:
            continue
        weight = presence(seen, keys, rows) * stays_inside(seen, keys, rows) * whole(seen, keys, rows)
        best = 0.0
        for other in tracks if weight > 0.01 else ():
            if other is not track:
                natural = _went_there(seen, tracks, track, other, step)
                best = max(best, _stood_there(seen, other, key, step, row) * (1 - 0.9 * natural))
        if weight * best > 0.01:
            events.append(Event(float(weight * best), key + (1 if backwards else 0)))
    return events


def _stood_there(seen: Sightings, other: Track, key: int, step: int, row: int) -> float:
    """How far this thing stood, alone, where a second one is seen at `key`; it must be there on both sides."""
    rows = dict(zip(other.keys.tolist(), other.rows.tolist(), strict=True))
    alone = [rows.get(key + step * n) for n in (1, 2)]
    beside = [rows.get(key - step * n) for n in range(STAYS)]
    if any(one is None for one in (*alone, *beside)) or seen.classes[beside[0]] != seen.classes[row]:
        return 0.0
    before, now = seen.boxes[alone[0]], seen.boxes[row]
    ratio = float(np.sqrt(areas(now) / max(float(areas(before)), 1e-9)))
    if not 0.4 < ratio < 1.6:
        return 0.0
    close = overlaps(widened(before[None], 1.6), widened(now[None], 1.6))[0, 0]
    sure = np.clip((float(seen.scores[alone[0]]) - DOUBTED) / (TRUSTED - DOUBTED), 0, 1)
    under = float(shared_area(now[None], seen.boxes[beside[0]][None])[0, 0] / max(float(areas(now)), 1e-9))
    return float(np.clip((close - 0.1) / 0.2, 0, 1) * sure * (1 - 0.9 * np.clip((under - 0.5) / 0.2, 0, 1)))


def _went_there(seen: Sightings, tracks: Sequence[Track], track: Track, other: Track, step: int) -> float:
    """1 where a thing of this class went behind `other` before the second one came out (or comes out after), else 0."""
    rows = dict(zip(other.keys.tolist(), other.rows.tolist(), strict=True))
    begin = int(track.keys[0] if step < 0 else track.keys[-1])
    for third in tracks:
        key, row = (third.keys[-1], third.rows[-1]) if step < 0 else (third.keys[0], third.rows[0])
        beside = rows.get(int(key))
        if third is track or third is other or step * (int(key) - begin) <= 0 or beside is None:
            continue
        alike = seen.classes[row] == seen.classes[track.rows[0]]
        pair = widened(seen.boxes[[row, beside]], 1.3)
        if alike and overlaps(pair[:1], pair[1:])[0, 0] > 0.1:
            return 1.0
    return 0.0


def changes_of_kind(seen: Sightings, tracks: Sequence[Track]) -> list[Event]:
    """Things that are surely of one class up to a moment and surely of another after it.

    A class that wavers, as that of a van between car and truck, has no such moment and counts little.
    """
    events = []
    for track in tracks:
        kinds, scores = seen.classes[track.rows], seen.scores[track.rows]
        if len(track) < HELD or len(np.unique(kinds)) < 2:
            continue
        sure = np.clip((scores - DOUBTED) / (TRUSTED - DOUBTED), 0, 1)
        best = Event(0.0, int(track.keys[0]))
        for at in np.flatnonzero(np.diff(kinds)) + 1:
            before, after = _leading(kinds[:at], sure[:at]), _leading(kinds[at:], sure[at:])
            if before[0] != after[0]:
                best = max(best, Event(float(before[1] * after[1]), int(track.keys[at])))
        large = np.clip(np.median(seen.sides[track.rows]) / LARGE, 0, 1)
        if best.weight * large > 0.01:
            events.append(Event(float(best.weight * large), best.key))
    return events


def _leading(kinds: NDArray[np.int64], sure: Float64) -> tuple[int, float]:
    """The class of a stretch, and how surely all of it is that: 0 where half of it is another."""
    names = np.unique(kinds)
    shares = np.array([sure[kinds == name].sum() for name in names])
    top = int(np.argmax(shares))
    pure = 2 * float(np.mean(kinds == names[top])) - 1
    held = min(1.0, len(kinds) / (HELD - 1))
    return int(names[top]), max(0.0, pure) * float(shares[top] / max(int((kinds == names[top]).sum()), 1)) * held

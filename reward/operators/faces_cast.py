"""Who comes and goes: faces across cuts, faces that come back, that pop up or vanish, and that are there twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cinereward.operators.faces_follow import Path, Seen, identity_of, weight_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]
    Int = NDArray[np.int64]

AWAY = 4.0  # s after which a face that comes back in its place need not be the same
PLACE = 1.5  # sides within which it is the same place
EDGE = 0.4  # sides of a face from the edge of the frame: it may come and go there
ABRUPT = 0.5  # how plainly a face must be shown in its first or last moment to have popped up or vanished
SAME = 0.6  # likeness from which two faces at once are one face twice; siblings lie below
LIKE = 0.5  # likeness from which somebody is taken to be the same person: two shots of one lie above
ONLY = 0.3  # what is told where the faces of other shots are not seen: neither alike nor quite unlike
OTHERS = 0.35  # doubt where all shots show different faces: it may be meant so


def across(seen: Seen, paths: Sequence[Path], shots: Int, kept: Sequence[Path]) -> tuple[float, float]:
    """How alike the leading face of each shot is to the likest face of the other shots, by time; and the doubt of it.

    Two people who take turns are alike to themselves one shot further on. Where every shot shows somebody else, that is
    told with a great doubt: the measurement cannot know how many people there should be. The leading face of a shot is
    the plainest of `kept` there. With one shot there is nothing to compare and nothing amiss: 1.
    """
    if len(np.unique(shots)) < 2:
        return 1.0, 0.0
    counted = {id(path) for path in kept}
    leads: dict[int, tuple[float, Float64]] = {}
    everyone: list[tuple[int, Float64]] = []
    for path in paths:
        who = identity_of(seen, path) if len(path.rows) > 1 else None
        if who is None:
            continue
        everyone.append((path.shot, who))
        weight = weight_of(seen, path)
        if id(path) in counted and weight > leads.get(path.shot, (0.0,))[0]:
            leads[path.shot] = (weight, who)
    if len(leads) < 2:
        return ONLY, OTHERS
    there, people = np.array([shot for shot, _ in everyone]), np.stack([who for _, who in everyone])
    likes = [max(0.0, float((people[there != shot] @ who).max())) for shot, (_, who) in leads.items()]
    weights = [weight for weight, _ in leads.values()]
    value = float(np.average(likes, weights=weights))
    return min(value, 1.0), 0.05 + OTHERS * max(0.0, 1 - value / 0.5)


def returning(seen: Seen, paths: Sequence[Path]) -> Float64:
    """Likeness that a face lacks which comes back in the place where one was lost, within a shot: float64 (K,).

    It is filed under the moment of the return; 0 elsewhere. Who comes in elsewhere, or over the edge, is somebody else.
    """
    out = np.zeros(len(seen.keys))
    named = [(path, who) for path in paths if (who := identity_of(seen, path)) is not None]
    if not named:
        return out
    middle, edge = (seen.box[:, :2] + seen.box[:, 2:]) / 2, _edge(seen)
    firsts, lasts = (np.array([path.rows[end] for path, _ in named]) for end in (0, -1))
    came, left = (seen.times[seen.at[ends]] for ends in (firsts, lasts))
    shot = np.array([path.shot for path, _ in named])
    for n, (path, who) in enumerate(named):
        first = firsts[n]
        away = came[n] - left
        apart = np.linalg.norm(middle[lasts] - middle[first], axis=1) / np.maximum(seen.side[lasts], 1e-9)
        apart[(shot != path.shot) | (away <= 0) | (away > AWAY) | edge[lasts] | edge[first] | (apart > PLACE)] = np.inf
        nearest = int(np.argmin(apart))
        if np.isfinite(apart[nearest]):
            lack = float(np.clip(LIKE - who @ named[nearest][1], 0, 2))
            out[seen.at[first]] = max(float(out[seen.at[first]]), lack)
    return out


def pops(seen: Seen, paths: Sequence[Path], shots: Int) -> Float64:
    """How much of a face comes from nowhere or vanishes at each key frame, against the one before it: float64 (K,).

    A face that turns away, shrinks or goes over the edge is seen to do so in its last moment, and counts little.
    """
    out = np.zeros(len(seen.keys))
    shown, edge = seen.shown, _edge(seen)
    for path in paths:
        first, last = int(path.rows[0]), int(path.rows[-1])
        starts, ends = int(seen.at[first]), int(seen.at[last])
        if starts > 0 and shots[starts - 1] == path.shot and not edge[first]:
            out[starts] += max(0.0, float(shown[first]) - ABRUPT) / (1 - ABRUPT)
        if ends + 1 < len(shots) and shots[ends + 1] == path.shot and not edge[last]:
            out[ends + 1] += max(0.0, float(shown[last]) - ABRUPT) / (1 - ABRUPT)
    return out


def twins(seen: Seen, paths: Sequence[Path]) -> Float64:
    """Whether one face is shown twice at once, at each key frame, float64 (K,), 0 or 1: by who their paths are."""
    out = np.zeros(len(seen.keys))
    named = [(path, who) for path in paths if len(path.rows) > 1 and (who := identity_of(seen, path)) is not None]
    at_key: dict[int, list[int]] = {}
    for n, (path, _) in enumerate(named):
        for key in seen.at[path.rows].tolist():
            at_key.setdefault(key, []).append(n)
    for key, there in at_key.items():
        if len(there) > 1:
            people = np.stack([named[n][1] for n in there])
            out[key] = float((np.triu(people @ people.T, 1) >= SAME).any())
    return out


def _edge(seen: Seen) -> NDArray[np.bool_]:
    """Whether each face lies near an edge of the frame, bool (F,)."""
    room = np.minimum(seen.box[:, :2], np.array([seen.wide, 1.0]) - seen.box[:, 2:]).min(axis=1)
    return np.asarray(room < EDGE * seen.side)

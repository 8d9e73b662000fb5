"""How a face's expression changes: landmarks of the face that leads each shot, freed of place, size and tilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.networks.faces import Face

    Complex = NDArray[np.complex128]
    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

MARKS = 106
COLUMNS = 4 + 2 * MARKS  # time, middle x and y, side; x and y of the landmarks
FACES = 2  # of a frame that are kept, the largest first
GAP = 0.75  # s for which a face may be unseen and is still the same
LEAST_ROWS = 3  # frames of a window: a blink is no expression


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """One face followed within a shot. times: float64 (N,), s. shape: complex (N, 106), as `aligned` gives it."""

    times: Float64
    shape: Complex


def rows_of(found: Mapping[int, Sequence[Face]], times: Float64, until: float) -> Float32:
    """The largest faces of each frame whose features can be told: float32 (M, COLUMNS), in pixels.

    Args:
        found: row -> its faces. times: of all rows, in s. until: s from which none is kept.
    """
    out = []
    for row in sorted(row for row in found if times[row] < until):
        told = [(face.side, face) for face in found[row] if face.landmarks is not None]
        for side, face in sorted(told, key=lambda item: -item[0])[:FACES]:
            marks = np.asarray(face.landmarks, np.float64)
            out.append(np.concatenate([[times[row]], (face.box[:2] + face.box[2:]) / 2, [side], marks.ravel()]))
    return np.asarray(out, np.float32).reshape(len(out), COLUMNS)


def chains(rows: Float32, cuts: Sequence[float]) -> list[Chain]:
    """Faces followed from frame to frame; where one is lost, or the shot ends, the largest of those there comes next.

    Args:
        rows: float32 (M, COLUMNS), by time. cuts: when shots begin, in s.
    """
    linked: list[list[NDArray[Any]]] = []
    shot = np.searchsorted(np.asarray(cuts, np.float64), rows[:, 0] + 1e-4) if len(rows) else np.zeros(0)
    before = -1
    for at in np.unique(rows[:, 0]) if len(rows) else ():
        which = np.flatnonzero(rows[:, 0] == at)
        there, now = rows[which].astype(np.float64), int(shot[which[0]])
        last = linked[-1][-1] if linked else None
        if last is not None and now == before and at - last[0] <= GAP:
            apart = np.hypot(*(there[:, 1:3] - last[1:3]).T)
            size = there[:, 3] / last[3]
            near = np.flatnonzero((apart < 0.6 * last[3]) & (size > 0.6) & (size < 1.6))
            if len(near):
                linked[-1].append(there[near[np.argmin(apart[near])]])
        else:
            linked.append([there[np.argmax(there[:, 3])]])
            before = now
    return [Chain(times=np.array([row[0] for row in part]), shape=aligned(np.stack(part)[:, 4:])) for part in linked]


def aligned(marks: Float64) -> Complex:
    """Landmarks (N, 212) without place, size and tilt: complex (N, 106), of mean 0 and mean square 1.

    Source: "Generalized Procrustes analysis", Gower, 1975; in the plane a turn is a complex number.
    """
    pairs = np.asarray(marks, np.float64).reshape(len(marks), MARKS, 2)
    shape = pairs[..., 0] + 1j * pairs[..., 1]
    shape -= shape.mean(axis=1, keepdims=True)
    shape /= np.maximum(np.sqrt(np.mean(np.abs(shape) ** 2, axis=1, keepdims=True)), 1e-9)
    mean = shape[0]
    for _ in range(3):
        turn = np.sum(shape.conj() * mean, axis=1, keepdims=True)
        shape = shape * np.where(np.abs(turn) > 1e-12, turn / np.maximum(np.abs(turn), 1e-12), 1.0)
        mean = shape.mean(axis=0)
    return np.asarray(shape, np.complex128)


def changes(found: Sequence[Chain], starts: Float64, length: float, lag: int) -> Float64:
    """How far the mean shape of a face in each window is from that `lag` windows on: float64 (W,), NaN where not told.

    Args:
        starts: when windows begin, in s, evenly. length: of a window, in s.

    Returns:
        Root mean square way of a landmark, in root mean square radii of the face.
    """
    means: list[tuple[int, Complex] | None] = []
    for start in starts:
        best: tuple[int, Complex] | None = None
        most = LEAST_ROWS - 1
        for number, chain in enumerate(found):
            inside = (chain.times >= start - 1e-4) & (chain.times < start + length - 1e-4)
            if (count := int(inside.sum())) > most:
                best, most = (number, chain.shape[inside].mean(axis=0)), count
        means.append(best)
    out = np.full(len(starts), np.nan)
    for at in range(len(starts) - lag):
        one, other = means[at], means[at + lag]
        if one is not None and other is not None and one[0] == other[0]:
            out[at] = np.sqrt(np.mean(np.abs(other[1] - one[1]) ** 2))
    return out

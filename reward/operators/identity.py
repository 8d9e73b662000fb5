"""Who the faces are: whether each stays one person, when one turns into another, and whether a performer is there.

Faces are followed by their place, so that a face that turns into another one stays one path; then their identities are
compared along it. Keeping still keeps an identity best: so liveliness is told beside it, and how plainly a face is
shown. A head turned away tells nothing of who it is, and is no change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinereward.networks.faces import LICENCE, WEIGHTS
from cinereward.operators.faces_cast import across, pops, returning, twins
from cinereward.operators.faces_follow import (
    TRUST,
    FacesSeen,
    Path,
    Seen,
    follow,
    gathered,
    tells,
    weight_of,
)
from cinereward.operators.faces_shape import LEAST_POINTS, life, take_apart
from cinereward.operators.tracks import measurements
from cinereward.types import Evidence, Measurement, OperatorSpec, Partial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]
    Int = NDArray[np.int64]

LEAST = 3  # moments that tell whether an identity is kept
CONSIDERABLE = 0.4  # how plainly, at its median, a face is shown that counts by itself, however many others there are
LOW = 0.1  # the quantile of a path's likeness to itself that tells
SIDES = (0.5, 1.0)  # s before and after a moment that are compared
UNSEEN = 0.3  # doubt where no face is seen: it may be there and not be one that the detector knows
READ = 0.45  # doubt of one likeness, by a face that can hardly be read


class Identity(FacesSeen):
    """Likeness of faces to themselves through time, and across cuts and absences."""

    spec = OperatorSpec(
        name="identity",
        measurements=(
            tells("similarity", "cosine", 0, 1, "how alike the least steady leading face stays to itself; 0: no face"),
            tells("morph", "cosine", 0, 2, "largest loss of likeness from one half second to the next within a shot"),
            tells("across", "cosine", 0, 1, "how alike the leading face of a shot is to a face of another shot"),
            tells("returns", "cosine", 0, 2, "likeness lost by a face that goes and comes back in its place"),
            tells("people", "faces", 0, 16, "how many faces are plainly shown at once, in the middle of all moments"),
            tells("pops", "faces", 0, 99999, "faces that come from nowhere or vanish, away from the frame's edges"),
            tells("twins", "share", 0, 1, "part of the time in which one face is shown twice at once"),
            tells("presence", "share", 0, 1, "part of the time with a face, weighed by how plainly it is shown"),
            tells("size", "heights", 0, 9, "side of the leading face in heights of the frame"),
            tells("liveliness", "% of the face", 0, 100, "how far the leading face moves; a photograph does not"),
        ),
        weights=WEIGHTS,
        licence=LICENCE,
    )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Follow the faces, and compare who they are."""
        seen, shots = gathered(partials)
        paths = follow(seen, shots)
        told = told_of(seen, paths)
        kept = [item for item in told if item.counts]
        plain = np.zeros(len(seen.keys))
        np.maximum.at(plain, seen.at, seen.shown)
        courses = {
            "morph": drops_of(seen, [item.rows for item in told]),
            "returns": returning(seen, paths),
            "people": np.bincount(seen.at[seen.shown >= CONSIDERABLE], minlength=len(plain)).astype(np.float64),
            "pops": pops(seen, paths, shots),
            "twins": twins(seen, paths),
            "presence": plain,
        }
        joined = across(seen, paths, shots, [item.path for item in kept]) if kept else (0.0, UNSEEN)
        values = _values(seen, told, kept, courses, joined)
        over = {f"{name}_track": (seen.times, course) for name, course in courses.items()}
        if kept:
            weak = min(kept, key=lambda item: item.similarity)
            over["similarity_track"] = (seen.times[seen.at[weak.rows]], weak.likeness)
        units = {item.name: item.unit for item in self.spec.measurements}
        named = {
            name: Measurement(name=name, value=value, unit=units[name], std=std, note=note)
            for name, (value, std, note) in values.items()
        }
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, named, over),
        )


def _values(
    seen: Seen,
    told: Sequence[PathTold],
    kept: Sequence[PathTold],
    courses: dict[str, Float64],
    joined: tuple[float, float],
) -> dict[str, tuple[float, float, str]]:
    """Value, doubt and note of each measurement."""
    lead = max(told, key=lambda item: (item.weight, len(item.path.rows)), default=None)
    living, grain = liveliness(seen, lead.rows) if lead else (0.0, 0.5)
    note = "" if kept else "faces are seen too shortly, too small or turned away" if told else "no face is seen"
    weak = min(kept, key=lambda item: item.similarity, default=None)
    read = max((item.doubt for item in kept), default=UNSEEN)
    presence, popped = courses["presence"], float(courses["pops"].sum())
    return {
        "similarity": (weak.similarity if weak else 0.0, weak.doubt if weak else UNSEEN, note),
        "morph": (float(courses["morph"].max()), read, note),
        "across": (*joined, note),
        "returns": (float(courses["returns"].max()), read, note),
        "people": (float(np.median(courses["people"])), 0.5 * float(courses["people"].std()), ""),
        "pops": (popped, 0.3 * float(np.sqrt(popped)), ""),
        "twins": (float(courses["twins"].mean()), 0.05, ""),
        "presence": (float(presence.mean()), 0.5 / float(np.sqrt(3 + len(presence))), note),
        "size": (min(float(np.median(seen.side[lead.path.rows])), 9.0) if lead else 0.0, 0.02, note),
        "liveliness": (living, grain, note),
    }


# --- one path ---


@dataclass(frozen=True, kw_only=True, eq=False)
class PathTold:
    """What one path comes to.

    rows: of Seen, those that can be relied on, none where they are too few. weight: how far it
    leads. counts: whether it is a leading face. similarity: to itself, with its doubt; likeness: of each of
    `rows`.
    """

    path: Path
    rows: Int
    weight: float
    counts: bool
    similarity: float
    doubt: float
    likeness: Float64


def told_of(seen: Seen, paths: Sequence[Path]) -> list[PathTold]:
    """What each path comes to. Where none is plain enough to count by itself, the plainest counts."""
    reliable = [path.rows[seen.trust[path.rows] >= TRUST] for path in paths]
    weights = [weight_of(seen, path) for path in paths]
    most = max((weight for weight, rows in zip(weights, reliable, strict=True) if len(rows) >= LEAST), default=0.0)
    out = []
    for path, rows, weight in zip(paths, reliable, weights, strict=True):
        enough = len(rows) >= LEAST
        plain = enough and float(np.median(seen.shown[path.rows])) >= CONSIDERABLE
        similarity, doubt, likeness = 0.0, UNSEEN, np.zeros(0)
        if enough:
            trust = seen.trust[rows]
            similarity, likeness = kept_identity(seen.who[rows].astype(np.float64), trust)
            doubt = READ * (1 - 0.8 * float(trust.mean())) / float(np.sqrt(len(rows)))
        out.append(
            PathTold(
                path=path,
                rows=rows if enough else rows[:0],
                weight=weight,
                counts=plain or (enough and weight == most),
                similarity=similarity,
                doubt=doubt,
                likeness=likeness,
            )
        )
    return out


def kept_identity(who: Float64, trust: Float64) -> tuple[float, Float64]:
    """How alike a path stays to itself.

    Each moment is compared with the mean of all others, which is taken again without those that are unlike it, and the
    beginning with the end: a face that changes slowly is everywhere like its mean.

    Args:
        who: float64 (n, 512), n of 3 or more. trust: float64 (n,), above 0.

    Returns:
        a low quantile of the likeness, or that of the ends where it is less, 0 to 1; and the likeness of each (n,).
    """
    weight = trust.copy()
    for _ in range(3):
        rest = (weight[:, None] * who).sum(axis=0) - weight[:, None] * who
        like = (who * rest).sum(axis=1) / np.maximum(np.linalg.norm(rest, axis=1), 1e-9)
        weight = trust * np.clip((like - 0.1) / 0.3, 0.05, 1)
    third = max(1, len(who) // 3)
    ends = [(trust[part, None] * who[part]).sum(axis=0) for part in (slice(third), slice(-third, None))]
    length = np.linalg.norm(ends[0]) * np.linalg.norm(ends[1])
    low = min(float(np.quantile(like, LOW)), float(ends[0] @ ends[1] / max(float(length), 1e-9)))
    return float(np.clip(low, 0, 1)), like


def drops_of(seen: Seen, followed: Sequence[Int]) -> Float64:
    """How much less alike the stretches before and after each key frame are than each is in itself: float64 (K,).

    Args:
        followed: rows of Seen of each path, those that can be relied on; the largest loss of all paths is told.
    """
    out = np.zeros(len(seen.keys))
    for rows in followed:
        times, who, trust = seen.times[seen.at[rows]], seen.who[rows].astype(np.float64), seen.trust[rows]
        plain = min(1.0, float(np.median(seen.shown[rows])) / CONSIDERABLE) if len(rows) else 0.0
        for n in range(1, len(rows)):
            found = []
            for reach in SIDES:
                # 1 ms: times of key frames are rounded, and a reach may be a multiple of their distance
                before = slice(int(np.searchsorted(times, times[n - 1] - reach + 1e-3)), n)
                after = slice(n, int(np.searchsorted(times, times[n] + reach - 1e-3)))
                if min(before.stop - before.start, after.stop - after.start) > 1:
                    inside = min(_within(who[side], trust[side]) for side in (before, after))
                    found.append(inside - _between(who[before], who[after], trust[before], trust[after]))
            # the longer stretch sees a slow change, the shorter tells when it is
            loss = plain * min(2.0, max(0.0, *found)) if found else 0.0
            out[seen.at[rows[n]]] = max(float(out[seen.at[rows[n]]]), loss)
    return out


def _between(a: Float64, b: Float64, weight_a: Float64, weight_b: Float64) -> float:
    return float(weight_a @ (a @ b.T) @ weight_b / (weight_a.sum() * weight_b.sum()))


def _within(a: Float64, weight: Float64) -> float:
    pairs = np.outer(weight, weight) * (1 - np.eye(len(a)))
    return float((pairs * (a @ a.T)).sum() / max(float(pairs.sum()), 1e-9))


def liveliness(seen: Seen, rows: Int) -> tuple[float, float]:
    """How far a face moves by itself, in % of its size, and the doubt of it."""
    if len(rows) < LEAST_POINTS:
        return 0.0, 0.5
    acting = take_apart(seen.marks[rows], seen.pixels[rows])
    grain = float(np.sqrt((acting.grain**2).sum() + (acting.grain_of_pose**2).sum()))
    value = min(life(acting), 100.0)
    return value, min(50.0, 0.5 * grain + value / np.sqrt(2 * len(rows)))

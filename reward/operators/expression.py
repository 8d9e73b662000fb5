"""What the leading face expresses: how much, how many different things, and whether it flows.

Eight numbers of mouth, eyes and brows are told of a face that is brought to its front and to one size, so that neither
a moving head nor a moving camera is taken for acting. The jitter of landmarks strays as much on the nose, which has
nothing to say: what it would make of those numbers is taken off. A face that is not seen expresses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinereward.networks.faces import LICENCE, WEIGHTS
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
from cinereward.operators.faces_shape import LEAST_POINTS, Acting, group_spread, take_apart
from cinereward.operators.tracks import measurements
from cinereward.types import Evidence, Measurement, OperatorSpec, Partial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bool = NDArray[np.bool_]
    Float64 = NDArray[np.float64]
    Int = NDArray[np.int64]

LASTING = 3  # moments, half a second: what an expression is taken over
APART = 0.75  # s; moments farther apart are no neighbours
STILL = 0.35  # % of the face that it moves in half a second at the least, where it is alive
USUAL, LEAST_STEP = 0.75, 0.6  # quantile of steps that is usual; % of the face that is no jump in any case
FLOWS = np.array([0, 1, 2, 3, 6, 7])  # of a state: mouth and brows; an eye that blinks shuts at once
UPPER = 0.25  # share of all movement that eyes and brows have at the least, where more than the mouth acts
UNSEEN = 0.3  # doubt where no face is seen


class Expression(FacesSeen):
    """The leading face of each shot, through 106 landmarks at the key frames."""

    spec = OperatorSpec(
        name="expression",
        measurements=(
            tells("activity", "% of the face", 0, 100, "how far mouth, eyes and brows stray from their mean"),
            tells("diversity", "% of the face", 0, 100, "how far expressions that last half a second lie apart"),
            tells("jump", "times", 0, 999, "largest step of mouth or brows over the usual step"),
            tells("jitter", "% of the face", 0, 100, "how far parts of a face that cannot move by themselves stray"),
            tells("frozen", "share", 0, 1, "part of the time in which nothing in the face moves, or no face is seen"),
            tells("seen", "share", 0, 1, "part of the time with a face that can be read"),
        ),
        weights=WEIGHTS,
        licence=LICENCE,
    )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Take the leading face of each shot apart."""
        seen, shots = gathered(partials)
        played = [performance(seen, path) for path in leads(seen, follow(seen, shots))]
        told = [one for one in played if one is not None]
        read, moves, steps = (np.zeros(len(seen.keys)) for _ in range(3))
        for one in told:
            read[one.keys] = one.trust
            moves[one.keys] = one.moving
            steps[one.keys] = one.jump
        values = _values(told, read, moves)
        units = {item.name: item.unit for item in self.spec.measurements}
        named = {
            name: Measurement(name=name, value=value, unit=units[name], std=std, note=note)
            for name, (value, std, note) in values.items()
        }
        over = {
            "seen_track": (seen.times, read),
            "frozen_track": (seen.times, 1 - moves),
            "jump_track": (seen.times, steps),
        }
        if told:
            at = np.concatenate([one.keys for one in told])
            over["activity_track"] = (seen.times[at], np.concatenate([one.strength for one in told]))
            over["jitter_track"] = (seen.times[at], np.concatenate([np.minimum(one.acting.noise, 100) for one in told]))
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, named, over),
        )


def _values(told: Sequence[Performance], read: Float64, moves: Float64) -> dict[str, tuple[float, float, str]]:
    """Value, doubt and note of each measurement; the shots weigh by how long their face is read."""
    share = 0.5 / float(np.sqrt(3 + len(read)))
    if not told:
        note = "no face is seen long and plainly enough to be read"
        nothing = {name: (0.0, UNSEEN, note) for name in ("activity", "diversity", "jump", "jitter")}
        return {**nothing, "frozen": (1.0, share, note), "seen": (0.0, share, note)}
    weight = np.array([one.trust.sum() for one in told])
    spread = {name: _mean([one.spread[name] for one in told], weight) for name in told[0].spread}
    lasting = {name: _mean([one.lasting[name] for one in told], weight) for name in told[0].lasting}
    activity, diversity = _together(spread), _together(lasting)
    grain = _mean([float(np.sqrt((one.acting.grain**2).sum())) for one in told], weight)
    moments = float(sum(len(one.keys) for one in told))
    mouth_only = activity > grain and np.hypot(spread["eyes"], spread["brows"]) < UPPER * activity
    note = "only the mouth moves; eyes and brows are at rest" if mouth_only else ""
    jitter = _mean([float(np.sqrt(np.mean(one.acting.noise**2))) for one in told], weight)
    jump = max(float(one.jump.max()) for one in told)
    return {
        "activity": (activity, 0.4 * grain + activity / np.sqrt(2 * moments), note),
        "diversity": (diversity, 0.4 * grain + diversity / np.sqrt(moments / LASTING), note),
        "jump": (jump, 0.1 * jump + 0.2 * grain / (LEAST_STEP + grain), ""),
        "jitter": (jitter, 0.2 * jitter, ""),
        "frozen": (float(1 - moves.mean()), share, ""),
        "seen": (float(read.mean()), share, ""),
    }


def _mean(values: Sequence[float], weight: Float64) -> float:
    return min(100.0, float(np.sqrt(np.average(np.square(values), weights=weight))))


def _together(spread: dict[str, float]) -> float:
    """One number of mouth, eyes and brows: brows and eyes move less than mouths, and tell as much."""
    return min(100.0, float(np.sqrt(spread["mouth"] ** 2 + 2 * spread["eyes"] ** 2 + 2 * spread["brows"] ** 2)))


# --- the leading face ---


@dataclass(frozen=True, kw_only=True, eq=False)
class Performance:
    """What the leading face of one shot does at n key frames.

    keys: int (n,), which of Seen. trust: (n,). acting: its landmarks taken apart. strength: (n,), distance from the
    mean state in % of the face. moving: (n,), 1 where the face moves about that moment, else 0. jump: (n,), step from
    the moment before over what is usual. spread, lasting: of mouth, eyes, brows, in % of the face: of moments, and of
    half seconds.
    """

    keys: Int
    trust: Float64
    acting: Acting
    strength: Float64
    moving: Float64
    jump: Float64
    spread: dict[str, float]
    lasting: dict[str, float]


def leads(seen: Seen, paths: Sequence[Path]) -> list[Path]:
    """The path of each shot that is shown largest and most plainly for longest; shots without faces have none."""
    best: dict[int, tuple[float, Path]] = {}
    for path in paths:
        weight = weight_of(seen, path)
        if weight > 0 and weight > best.get(path.shot, (0.0,))[0]:
            best[path.shot] = (weight, path)
    return [path for _, path in best.values()]


def performance(seen: Seen, path: Path) -> Performance | None:
    """What a face does; None where it can be read at too few moments."""
    rows = path.rows[seen.trust[path.rows] >= TRUST]
    if len(rows) < LEAST_POINTS:
        return None
    keys, acting = seen.at[rows], take_apart(seen.marks[rows], seen.pixels[rows])
    times, state = seen.times[keys], acting.state
    count = LASTING if len(rows) >= 2 * LASTING else 1
    means = np.stack([state[first : first + count].mean(axis=0) for first in range(len(rows) - count + 1)])
    return Performance(
        keys=keys,
        trust=seen.trust[rows],
        acting=acting,
        strength=np.minimum(np.linalg.norm(state - state.mean(axis=0), axis=1), 100.0),
        moving=moving(times, acting),
        jump=jumps(times, state, acting.grain),
        spread=group_spread(state, acting.grain),
        lasting=group_spread(means, acting.grain / np.sqrt(count)),
    )


def moving(times: Float64, acting: Acting) -> Float64:
    """Whether a face moves about each moment, beyond what the noise of its landmarks would: float64 (n,), 0 or 1.

    It does where any two moments within half a second differ; turns of the head count.
    """
    told = np.column_stack([acting.state, acting.posed])
    grain = np.concatenate([acting.grain, acting.grain_of_pose])
    out = np.zeros(len(times))
    for n in range(len(times)):
        about = np.abs(times - times[n]) <= 0.5
        lengths = ((told[about] - told[n]) ** 2).sum(axis=1)
        # of noise alone, the largest of the seven lengths hardly passes three times what is expected of one
        out[n] = float(lengths.max() > STILL**2 + 3 * 2 * (grain**2).sum())
    return out


def jumps(times: Float64, state: Float64, grain: Float64) -> Float64:
    """The step to each moment from the one before over what is usual, float64 (n,); of the number that jumps most.

    Each number of mouth and brows is set against its own usual step, so that a mouth that talks hides no brow that
    jumps.
    """
    step = np.abs(np.diff(state[:, FLOWS], axis=0))
    near = np.diff(times) <= APART
    if not near.any():
        return np.zeros(len(times))
    usual = 0.5 * np.quantile(step[near], USUAL, axis=0) + LEAST_STEP + grain[FLOWS]
    return np.concatenate([[0.0], np.where(near, np.minimum((step / usual).max(axis=1), 999.0), 0.0)])

"""Prompt following as a vector of its own, beside the taxonomy's and never mixed into it: is it what was asked for?

Eight values. What the prompt does not ask for is GATED for every clip of that prompt, as in the gate; what it asks for
is a product of the terms that the prompt calls for (`Term.when`; configs/curves/right.yaml).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.batch import RewardBatch
from cinereward.fusion import Fused
from cinereward.types import Clip, Evidence, Status
from cinereward.wants import read_wants

if TYPE_CHECKING:
    from cinereward.profile import Term

# name -> the tags of which one must be asked for, and what to say where none is
NAMES: Mapping[str, tuple[frozenset[str], str]] = {
    "subject": (frozenset({"subject", "whole"}), "the prompt is empty"),
    "count": (frozenset({"count"}), "the prompt asks for no number of things"),
    "colour": (frozenset({"colour"}), "the prompt gives no thing a colour"),
    "spatial_relation": (frozenset({"spatial_relation"}), "the prompt places no thing by another"),
    "action": (frozenset({"action"}), "the prompt asks for no action"),
    "camera_move": (frozenset({"camera_move"}), "the prompt asks for no move of the camera"),
    "style": (frozenset({"style"}), "the prompt asks for no style"),
    "reference": (frozenset({"reference"}), "there is no reference"),
}


def asked_of(clip: Clip) -> frozenset[str]:
    """What a clip's prompt, reference and task ask for: tags of `Term.when`. Its video is not looked at."""
    given = set() if clip.reference is None else {"reference", "first_frame"} if clip.task == "i2v" else {"reference"}
    return read_wants(clip.prompt).asked | given


def score_right(
    clip: Clip, terms: Mapping[str, Sequence[Term]], settle: Callable[[Sequence[Term]], Fused]
) -> tuple[Fused, ...]:
    """How far one clip is what was asked for.

    Args:
        clip: its prompt and reference are read.
        terms: of the profile, by NAMES; what is not named there is UNAVAILABLE where it is asked for.
        settle: from the terms that the prompt calls for to a value; it tells what is UNAVAILABLE and what FAILED.

    Returns:
        One for each of NAMES, in that order.

    Raises:
        ValueError: `terms` has another name.
    """
    if unknown := sorted(terms.keys() - NAMES.keys()):
        raise ValueError(f"right has terms for {', '.join(unknown)}; expected some of {', '.join(NAMES)}")
    tags = asked_of(clip)
    out = []
    for name, (asking, lack) in NAMES.items():
        if asking.isdisjoint(tags):
            out.append(_nothing(Status.GATED, lack))
        elif not (kept := [term for term in terms.get(name, ()) if term.when <= tags]):
            out.append(_nothing(Status.UNAVAILABLE, "nothing in this profile can tell what the prompt asks for here"))
        else:
            out.append(settle(kept))
    return tuple(out)


def pack(
    rows: Sequence[Sequence[Fused]],
    *,
    errors: Sequence[Exception | None],
    evidence: Sequence[Mapping[str, Evidence]],
    version: str,
) -> RewardBatch:
    """The rows of B clips as a batch of level "right", (B, 8).

    Its scalar is the mean of what is SCORED: NaN where a value FAILED, or where none was scored.
    """
    shape = (len(rows), len(NAMES))
    if any(len(row) != len(NAMES) for row in rows):
        raise ValueError(f"rows have {[len(row) for row in rows]} values; expected {len(NAMES)}, as score_right gives")

    def column(attribute: str, dtype: Any) -> Any:
        return np.array([[getattr(cell, attribute) for cell in row] for row in rows], dtype).reshape(shape)

    return RewardBatch(
        values=column("value", np.float32),
        status=column("status", np.int8),
        std=column("std", np.float32),
        scalar=np.array([_mean(row) for row in rows], np.float32),
        dimensions=tuple(NAMES),
        reasons=tuple(tuple(cell.reason for cell in row) for row in rows),
        errors=tuple(errors),
        critiques=((),) * len(rows),
        evidence=tuple(evidence),
        version=version,
        level="right",
    )


def _mean(row: Sequence[Fused]) -> float:
    scored = [cell.value for cell in row if cell.status is Status.SCORED]
    broken = any(cell.status is Status.FAILED for cell in row)
    return math.fsum(scored) / len(scored) if scored and not broken else math.nan


def _nothing(status: Status, reason: str) -> Fused:
    return Fused(value=math.nan, std=math.nan, status=status, reason=reason)

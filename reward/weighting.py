"""Many scores become few, and few become one scalar. Pure functions; weights come from the profile.

Scores are averaged level by level, so that an aspect weighs what the profile says however many sub-dimensions it has.
What the prompt does not call for (GATED) and what the profile cannot measure (UNAVAILABLE) is left out for all clips of
a prompt alike; what FAILED leaves a hole that goes all the way up, so that nothing becomes better by being dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.batch import RewardBatch
from cinereward.types import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.taxonomy import Taxonomy

UPWARD = ("dimension", "aspect", "stage")


def combine(
    values: NDArray[Any], std: NDArray[Any], status: NDArray[Any], weights: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int8]]:
    """The weighted mean over the last axis, over what is SCORED.

    Args:
        values, std: (B, n), NaN where not scored. status: int (B, n). weights: (n,), 0 or more.

    Returns:
        values, std, status, each (B,). What has no weight counts for nothing. FAILED where any of the rest FAILED; else
        SCORED where any is; else GATED where all is; else, or where nothing has weight, UNAVAILABLE. Uncertainties are
        averaged as if they rose and fell together, as those of one clip do: cancelling out would promise too much.

    Raises:
        ValueError: the shapes do not agree, or a weight is negative or NaN.
    """
    if values.shape != std.shape or values.shape != status.shape or weights.shape != values.shape[1:]:
        raise ValueError(f"shapes {values.shape}, {std.shape}, {status.shape} and weights {weights.shape} do not agree")
    if not bool(np.all(weights >= 0)):
        raise ValueError(f"the weights are {weights.tolist()}; expected 0 or more of each")
    # NumPy sums in an order that follows the layout in memory, and a row must not depend on how many lie beside it
    values, std, status = (np.ascontiguousarray(array) for array in (values, std, status))
    counts = weights > 0
    scored = (status == Status.SCORED) & counts
    share = np.where(scored, weights, 0.0)
    total = share.sum(axis=1)
    share = share / np.where(total > 0, total, 1.0)[:, None]
    failed = np.any((status == Status.FAILED) & counts, axis=1)
    gated = np.all((status == Status.GATED) | ~counts, axis=1) & counts.any()
    out = np.where(gated, Status.GATED, Status.UNAVAILABLE).astype(np.int8)
    out[total > 0] = Status.SCORED
    out[failed] = Status.FAILED
    fine = out == Status.SCORED
    mean = np.where(fine, (np.where(scored, values, 0.0) * share).sum(axis=1), np.nan)
    spread = np.where(fine, (np.where(scored, std, 0.0) * share).sum(axis=1), np.nan)
    return mean, spread, out


def parent(name: str, level: str, taxonomy: Taxonomy) -> str:
    """The node of `level` above a node named as a path; a stage is found through the taxonomy."""
    parts = name.split(".")
    if level == "dimension":
        return ".".join(parts[:2])
    return parts[0] if level == "aspect" else taxonomy[name].sub_dimensions[0].stage


def _step(
    batch: RewardBatch, level: str, taxonomy: Taxonomy, weights: Mapping[str, Mapping[str, float]]
) -> RewardBatch:
    above = [parent(name, level, taxonomy) for name in batch.dimensions]
    groups = list(dict.fromkeys(above))
    columns = []
    reasons: list[list[str]] = [[] for _ in batch.errors]
    for group in groups:
        members = [index for index, name in enumerate(above) if name == group]
        own = weights.get(batch.level, {})
        share = np.array([own.get(batch.dimensions[index], 1.0) for index in members])
        columns.append(combine(batch.values[:, members], batch.std[:, members], batch.status[:, members], share))
        for clip, texts in enumerate(reasons):
            texts.append(_reason(batch, clip, members, share > 0, int(columns[-1][2][clip])))
    values, std, status = (np.stack(parts, axis=1) for parts in zip(*columns, strict=True))
    return replace(
        batch,
        values=values.astype(np.float32),
        std=std.astype(np.float32),
        status=status.astype(np.int8),
        dimensions=tuple(groups),
        reasons=tuple(tuple(texts) for texts in reasons),
        level=level,
    )


def _reason(batch: RewardBatch, clip: int, members: Sequence[int], counts: NDArray[np.bool_], status: int) -> str:
    """Of a folded value: its parts, worst first; of a missing one: why the parts that count are missing."""
    causes = [
        index for index, weighs in zip(members, counts, strict=True) if weighs and batch.status[clip, index] == status
    ]
    if status == Status.SCORED:
        parts = sorted((float(batch.values[clip, index]), batch.dimensions[index]) for index in causes)
        return "; ".join(f"{name} {value:.2f}" for value, name in parts)
    return "; ".join(dict.fromkeys(batch.reasons[clip][index] for index in causes)) or "what is left here has no weight"


def fold(
    batch: RewardBatch, level: str, *, taxonomy: Taxonomy, weights: Mapping[str, Mapping[str, float]]
) -> RewardBatch:
    """The batch folded up to `level`, one level at a time.

    Args:
        batch: at that level or below. level: "dimension", "aspect" or "stage".
        weights: level -> name -> weight; 1 if not named.

    Raises:
        ValueError: the batch lies above `level` already.
    """
    order = RewardBatch.LEVELS
    if order.index(level) < order.index(batch.level):
        raise ValueError(f"this batch is folded to {batch.level} already; fold the original to {level}")
    for step in order[order.index(batch.level) + 1 : order.index(level) + 1]:
        batch = _step(batch, step, taxonomy, weights)
    return batch


def scalar(
    batch: RewardBatch, *, taxonomy: Taxonomy, weights: Mapping[str, Mapping[str, float]]
) -> NDArray[np.float32]:
    """One number a clip, the mean of its stages: float32 (B,); NaN where anything of weight FAILED or none scored."""
    stages = fold(batch, "stage", taxonomy=taxonomy, weights=weights)
    share = np.array([weights.get("stage", {}).get(name, 1.0) for name in stages.dimensions])
    return combine(stages.values, stages.std, stages.status, share)[0].astype(np.float32)

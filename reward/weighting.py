"""Many scores become few, and few become one scalar. Pure functions; weights come from the profile.

Scores are averaged level by level, so that an aspect weighs what the profile says however many sub-dimensions it has.
What the prompt does not call for (GATED) and what the profile cannot measure (UNAVAILABLE) is left out for all clips of a
prompt alike; what FAILED leaves a hole that goes all the way up, so that nothing becomes better by being dropped.
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
        values, std, status, each (B,). FAILED where anything of weight FAILED; else SCORED where anything of weight is;
        else UNAVAILABLE where anything is, or has no weight; else GATED. The uncertainties are added as they are: those of
        one clip rise and fall together, and averaging them out would promise too much.
    """
    if values.shape != std.shape or values.shape != status.shape or weights.shape != values.shape[1:]:
        raise ValueError(f"shapes {values.shape}, {std.shape}, {status.shape} and weights {weights.shape} do not agree")
    if bool(np.any(weights < 0)):
        raise ValueError("a weight is negative; expected 0 or more")
    scored = (status == Status.SCORED) & (weights > 0)
    share = np.where(scored, weights, 0.0)
    total = share.sum(axis=1)
    share = share / np.where(total > 0, total, 1.0)[:, None]
    failed = np.any((status == Status.FAILED) & (weights > 0), axis=1)
    missing = np.any(status != Status.GATED, axis=1)
    out = np.where(missing, Status.UNAVAILABLE, Status.GATED).astype(np.int8)
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
            texts.append(_reason(batch, clip, members, int(columns[-1][2][clip])))
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


def _reason(batch: RewardBatch, clip: int, members: Sequence[int], status: int) -> str:
    """Of a folded value: its parts, worst first; of a missing one: why the parts are missing."""
    if status == Status.SCORED:
        parts = sorted(
            (float(batch.values[clip, index]), batch.dimensions[index]) for index in members if batch.mask[clip, index]
        )
        return "; ".join(f"{name} {value:.2f}" for value, name in parts)
    causes = [index for index in members if batch.status[clip, index] == status]
    return (
        "; ".join(dict.fromkeys(batch.reasons[clip][index] for index in causes)) or "what is scored here has no weight"
    )


def fold(
    batch: RewardBatch, level: str, *, taxonomy: Taxonomy, weights: Mapping[str, Mapping[str, float]]
) -> RewardBatch:
    """The batch folded up to `level`, one level at a time.

    Args:
        batch: at a level below. level: "dimension", "aspect" or "stage". weights: level -> name -> weight; 1 if not named.
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
    """One number a clip: the weighted mean of its stages; NaN where something of weight FAILED or nothing was scored."""
    if not batch.errors:
        return np.zeros(0, np.float32)
    stages = fold(batch, "stage", taxonomy=taxonomy, weights=weights)
    share = np.array([weights.get("stage", {}).get(name, 1.0) for name in stages.dimensions])
    return combine(stages.values, stages.std, stages.status, share)[0].astype(np.float32)

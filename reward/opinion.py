"""The judge's verdicts become a score, and join what the evidence came to. Pure functions.

Until both are calibrated against people, their weights are fixed and documented: the profile's `judge.weight`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cinereward.fusion import MOST_STD, Fused
from cinereward.types import Status, Verdict


def settle(verdicts: Sequence[Verdict], weights: Mapping[str, float] | None = None) -> Fused:
    """One sub-dimension's score from the verdicts on its questions.

    Args:
        verdicts: on its questions, one or more. weights: question -> weight; what is not named weighs 1.

    Returns:
        The weighted mean; its std is the mean of theirs, not reduced by averaging, since the questions are answered by
        one judge who looks once. FAILED where a question of any weight FAILED, with its reason. What is UNAVAILABLE is
        left out; where all is, so is the sub-dimension.
    """
    if not verdicts:
        raise ValueError("there are no verdicts; without a question nothing was judged")
    heavy = [one for one in verdicts if _weight(one, weights) > 0]
    for one in heavy:
        if one.status is Status.FAILED:
            return _nothing(Status.FAILED, f"{short(one.question)}: {one.reason}")
    scored = [one for one in heavy if one.status is Status.SCORED]
    if not scored:
        told = next((one.reason for one in verdicts if one.reason), "no question of any weight was asked")
        return _nothing(Status.UNAVAILABLE, told)
    total = sum(_weight(one, weights) for one in scored)
    value = sum(_weight(one, weights) * one.score for one in scored) / total
    doubts = [MOST_STD if math.isnan(one.std) else one.std for one in scored]
    std = sum(_weight(one, weights) * doubt for one, doubt in zip(scored, doubts, strict=True)) / total
    worst = sorted(scored, key=lambda one: (one.score, one.question))
    return Fused(
        value=min(1.0, max(0.0, value)),
        std=min(MOST_STD, std),
        status=Status.SCORED,
        reason="judge: " + ", ".join(f"{short(one.question)} {1 + 4 * one.score:.1f}" for one in worst),
    )


def weigh(evidence: Fused, judge: Fused, weight: float) -> Fused:
    """What the evidence and the judge come to together.

    Args:
        evidence, judge: of one sub-dimension that the prompt calls for. weight: of the judge in [0, 1].

    Returns:
        The weighted mean where both are SCORED. Where one is UNAVAILABLE, the other; where one FAILED, FAILED: what
        should have been known and is not makes no number.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight is {weight}; expected 0 to 1")
    for one in (evidence, judge):
        if one.status is Status.FAILED:
            return one
    if judge.status is not Status.SCORED:
        return evidence if evidence.status is Status.SCORED else _both(evidence, judge)
    if evidence.status is not Status.SCORED:
        return judge
    return Fused(
        value=(1 - weight) * evidence.value + weight * judge.value,
        std=min(MOST_STD, math.hypot((1 - weight) * evidence.std, weight * judge.std)),
        status=Status.SCORED,
        reason=f"{judge.reason} (weight {weight:g}); {evidence.reason}",
        terms=evidence.terms,
    )


def short(question: str) -> str:
    """The last part of a question's name."""
    return question.rpartition(".")[2]


def _weight(verdict: Verdict, weights: Mapping[str, float] | None) -> float:
    return 1.0 if weights is None else weights.get(verdict.question, 1.0)


def _both(evidence: Fused, judge: Fused) -> Fused:
    return _nothing(Status.UNAVAILABLE, "; ".join(filter(None, dict.fromkeys([evidence.reason, judge.reason]))))


def _nothing(status: Status, reason: str) -> Fused:
    return Fused(value=math.nan, std=math.nan, status=status, reason=reason)

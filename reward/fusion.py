"""Evidence becomes a score and an uncertainty for each sub-dimension. Pure functions.

A score is the product of its terms, each a curve of one measurement: two faults are worse than one, and no merit makes
up for a fault. Its uncertainty is that of its terms, carried through the product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cinereward.profile import Term
from cinereward.types import Evidence, Measurement, Status

STEEPEST = 0.02  # a score below this counts as this for the slope: that of score ** 0.5 has no end towards 0
MOST_STD = 0.5  # no value in [0, 1] can spread further


@dataclass(frozen=True, kw_only=True)
class TermScore:
    """What one term came to: the measured value, the curve there in [0, 1], and its uncertainty."""

    measurement: str
    value: float
    unit: str
    score: float
    std: float
    weight: float


@dataclass(frozen=True, kw_only=True)
class Fused:
    """One sub-dimension of one clip.

    value: [0, 1] and std: [0, 0.5], NaN unless SCORED. terms: what it was made of, worst first.
    """

    value: float
    std: float
    status: Status
    reason: str
    terms: tuple[TermScore, ...] = ()


def curve(points: Sequence[tuple[float, float]], value: float) -> float:
    """The score at a measured value: straight between the points, level beyond the outermost."""
    xs, ys = zip(*points, strict=True)
    return float(np.interp(value, xs, ys))


def score_term(term: Term, measurement: Measurement) -> TermScore:
    """One term's score and uncertainty: the curve's own spread, widened by what the detector doubts.

    The doubt is the root mean square of how far the score moves when the value moves by its std to either side: the
    slope times std where the curve is straight, and more than that, which is nothing, at the top of a peak.
    """
    value, doubted = float(measurement.value), float(measurement.std)
    score = curve(term.points, value)
    moves = [curve(term.points, value + step) - score for step in (-doubted, doubted)]
    doubt = math.hypot(*moves) / math.sqrt(2)
    return TermScore(
        measurement=term.measurement,
        value=value,
        unit=measurement.unit,
        score=score,
        std=math.hypot(term.std, doubt),
        weight=term.weight,
    )


def fuse(
    terms: Sequence[Term], evidence: Mapping[str, Evidence], failures: Mapping[str, str], because: str = ""
) -> Fused:
    """Score one sub-dimension from its terms.

    Args:
        terms: of the profile, at least one.
        evidence: operator -> what it measured on this clip.
        failures: operator -> why it failed.
        because: why the terms are not the profile's own, for the reason.

    Returns:
        FAILED, with the reason, where a measurement that a term needs is missing or NaN.
    """
    if not terms:
        raise ValueError("there are no terms; without evidence nothing can be scored")
    scored: list[TermScore] = []
    for term in terms:
        operator, _, name = term.measurement.partition(".")
        if operator in failures:
            return _failed(f"{operator} failed: {failures[operator]}")
        if operator not in evidence or name not in evidence[operator].measurements:
            return _failed(f"{term.measurement} was not measured")
        measurement = evidence[operator][name]
        if isinstance(measurement.value, np.ndarray):
            return _failed(f"{term.measurement} is a track; a curve needs one value")
        if math.isnan(measurement.value):
            return _failed(f"{term.measurement} could not be measured: {measurement.note or 'no reason given'}")
        scored.append(score_term(term, measurement))
    value = math.prod(term.score**term.weight for term in scored)
    variance = 0.0
    for index, part in enumerate(scored):
        others = math.prod(other.score**other.weight for at, other in enumerate(scored) if at != index)
        slope = others * part.weight * max(part.score, STEEPEST) ** (part.weight - 1)
        variance += (slope * part.std) ** 2
    worst_first = tuple(sorted(scored, key=lambda part: (part.score**part.weight, part.measurement)))
    return Fused(
        value=min(1.0, max(0.0, value)),
        std=min(MOST_STD, math.sqrt(variance)),
        status=Status.SCORED,
        reason="; ".join([*(_told(part) for part in worst_first), *filter(None, [because])]),
        terms=worst_first,
    )


def _failed(reason: str) -> Fused:
    return Fused(value=math.nan, std=math.nan, status=Status.FAILED, reason=reason)


def _told(term: TermScore) -> str:
    return f"{term.measurement} {term.value:.3g} {term.unit} -> {term.score:.2f}"

"""From the labels' probabilities to a verdict. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinereward.judge.backend import LABELS, Read
from cinereward.types import Status, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

LEAST_MASS = 0.5  # of the labels among all tokens; below, the model is not answering the question
GRADES = np.arange(len(LABELS), dtype=np.float64) / (len(LABELS) - 1)  # the labels on the scale of scores


def moments(logs: Float64) -> tuple[float, float, float]:
    """Score, standard deviation and mass of one answer.

    Args:
        logs: float64 (5,), natural logarithms of the labels' probabilities among all tokens; -inf is a chance of 0.

    Returns:
        score: (E[label] - 1) / 4 in [0, 1], over the labels alone. std: of the label's distribution, same scale. mass:
        the labels' probability among all tokens. Score and std are NaN where the mass is 0.
    """
    if logs.shape != GRADES.shape:
        raise ValueError(f"logs have shape {logs.shape}; expected ({len(LABELS)},), one for each label")
    if bool(np.any(np.isnan(logs) | (logs > 1e-6))):
        raise ValueError(f"logs are {logs}; expected logarithms of probabilities, 0 or less")
    chances = np.exp(np.minimum(logs, 0.0))
    mass = float(chances.sum())
    if mass <= 0.0:
        return float("nan"), float("nan"), 0.0
    top = float(logs.max())
    shares = np.exp(logs - top)  # of the labels alone; no label is lost to rounding where all are unlikely
    shares /= shares.sum()
    score = float(shares @ GRADES)
    return min(1.0, max(0.0, score)), float(np.sqrt(shares @ (GRADES - score) ** 2)), min(1.0, mass)


def entropy(logs: Float64) -> float:
    """Entropy of the labels alone, in shares of the most there can be: 0 certain, 1 no idea; NaN without mass."""
    if not bool(np.any(np.isfinite(logs))):
        return float("nan")
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    told = shares[shares > 0]
    return float(-(told * np.log(told)).sum() / np.log(len(LABELS)))


def verdict(question: str, read: Read, *, rationale: str = "", reflection: str = "") -> Verdict:
    """The verdict on one question: FAILED where nothing was read, or where no label is what the model would say."""
    if read.error:
        return failed(question, read.error, rationale=rationale, reflection=reflection)
    score, std, mass = moments(read.logs)
    if mass < LEAST_MASS:
        told = (
            f"the judge does not answer with a label: 1 to 5 have {mass:.2f} of the probability, at least {LEAST_MASS}"
        )
        return failed(question, told, mass=mass, rationale=rationale, reflection=reflection)
    return Verdict(question=question, score=score, std=std, mass=mass, rationale=rationale, reflection=reflection)


def failed(
    question: str, reason: str, *, mass: float = float("nan"), rationale: str = "", reflection: str = ""
) -> Verdict:
    """A question that should have been answered and was not."""
    return Verdict(
        question=question,
        score=float("nan"),
        mass=mass,
        rationale=rationale,
        reflection=reflection,
        status=Status.FAILED,
        reason=reason,
    )


def lacking(question: str, reason: str) -> Verdict:
    """What the prompt asks for and the clip has not: a measured lack, and so the lowest score without a doubt."""
    return Verdict(question=question, score=0.0, std=0.0, rationale=f"{reason}.", reason=reason)


def unavailable(question: str, reason: str) -> Verdict:
    """A question that this judge is not asked."""
    return Verdict(question=question, score=float("nan"), status=Status.UNAVAILABLE, reason=reason)

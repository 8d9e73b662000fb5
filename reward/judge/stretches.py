"""A long clip is judged in stretches; what they come to together. Pure functions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from cinereward.judge.labels import failed
from cinereward.types import Status, Verdict

Span = tuple[float, float]  # start and end, in s


def together(spans: Sequence[Span], verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict on a clip from those on its stretches.

    Args:
        spans: of the stretches, in order. verdicts: one for each, on one question.

    Returns:
        The mean weighted by duration; its variance is the mean of theirs and that of their scores (the law of total
        variance). mass: the least. The score of every stretch stands in the rationale, before what was written on it.
        finding: of the worst stretch that has one. FAILED where one stretch is, with its reason: a film is not judged
        by the part of it that could be.
    """
    if not verdicts or len(spans) != len(verdicts):
        raise ValueError(f"{len(verdicts)} verdicts on {len(spans)} stretches; expected one each, and one at least")
    if len(verdicts) == 1:
        return verdicts[0]
    question = verdicts[0].question
    rationale = "\n".join(_told(span, one) for span, one in zip(spans, verdicts, strict=True))
    reflection = _each(spans, [one.reflection for one in verdicts], "\n")
    for span, one in zip(spans, verdicts, strict=True):
        if one.status is not Status.SCORED:
            reason = f"{_seconds(span)}: {one.reason}"
            return failed(question, reason, mass=one.mass, rationale=rationale, reflection=reflection)
    total = sum(end - start for start, end in spans)
    shares = [(end - start) / total if total > 0 else 1 / len(spans) for start, end in spans]
    score = sum(share * one.score for share, one in zip(shares, verdicts, strict=True))
    variance = sum(share * (one.std**2 + (one.score - score) ** 2) for share, one in zip(shares, verdicts, strict=True))
    found = [(one.score, at) for at, one in enumerate(verdicts) if one.finding is not None]
    return Verdict(
        question=question,
        score=min(1.0, max(0.0, score)),
        std=math.sqrt(variance),
        mass=min(one.mass for one in verdicts),
        rationale=rationale,
        reflection=reflection,
        reason=_each(spans, [one.reason for one in verdicts], "; "),
        finding=verdicts[min(found)[1]].finding if found else None,
    )


def noted(verdict: Verdict, reason: str) -> Verdict:
    """The verdict with one more thing that befell it."""
    return dataclasses.replace(verdict, reason="; ".join(filter(None, [verdict.reason, reason])))


def _told(span: Span, one: Verdict) -> str:
    """Such as "12.0-24.0 s: 3.8. The left hand ...", on the scale of the labels."""
    score = f"{1 + 4 * one.score:.1f}" if one.status is Status.SCORED else one.status.name.lower()
    return f"{_seconds(span)}: {score}. {one.rationale}".rstrip()


def _each(spans: Sequence[Span], texts: Sequence[str], between: str) -> str:
    return between.join(f"{_seconds(span)}: {text}" for span, text in zip(spans, texts, strict=True) if text)


def _seconds(span: Span) -> str:
    return f"{span[0]:.1f}-{span[1]:.1f} s"

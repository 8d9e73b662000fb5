"""When a judge that mostly answers with a label takes the time to write.

It writes where it is unsure, where it contradicts the evidence, and on a seeded sample for the audit. The score stays
that of the direct answer all the same: what is read after a chain of thought is another estimator, and a column in
which some clips have one and some the other would reward what makes the judge write. So the thought adds the rationale
and the finding, and where it comes to another score it adds to the doubt. Pure functions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math

from cinereward.judge.backend import Read
from cinereward.judge.labels import entropy
from cinereward.judge.settings import JudgeSettings
from cinereward.types import Critique, Status, Verdict


def doubt(verdict: Verdict, read: Read, expected: float | None, settings: JudgeSettings, key: str) -> str:
    """Why a question is to be thought about on a stretch; "" where it is not.

    Args:
        verdict: the direct one. read: what it was made of. expected: what the evidence alone scores in [0, 1], if it
            does. settings: with the limits. key: of the stretch's content, for the audit.
    """
    if verdict.status is not Status.SCORED:
        return ""  # a thought would make no score of it
    told = []
    if (unsure := entropy(read.logs)) > settings.entropy + 1e-9:  # five equal labels may come out a hair over 1
        told.append(f"unsure ({unsure:.2f})")
    if expected is not None and abs(verdict.score - expected) > settings.disagreement:
        told.append(f"scores {verdict.score:.2f} where the evidence scores {expected:.2f}")
    if lot(settings.seed, key, verdict.question) < settings.audit:
        told.append("drawn for the audit")
    return ", ".join(told)


def lot(seed: int, key: str, question: str) -> float:
    """A number in [0, 1) drawn by the content: the same in every process, batch and order."""
    drawn = hashlib.sha256(f"{seed}\n{key}\n{question}".encode()).digest()
    return int.from_bytes(drawn[:6], "big") / 2**48


def joined(direct: Verdict, thought: Verdict, why: str) -> Verdict:
    """The direct verdict with what was thought about it.

    Args:
        direct: SCORED. thought: of any status, scored after the chain of thought. why: it was written.

    Returns:
        The direct score; its std with half of what lies between the two scores, as the spread of two estimates is.
        Where the thought failed, the direct verdict, which says so.
    """
    direct = dataclasses.replace(direct, rationale=thought.rationale, reflection=thought.reflection)
    if thought.status is not Status.SCORED:
        return dataclasses.replace(direct, reason=f"{why}; no chain of thought: {thought.reason}")
    apart = abs(direct.score - thought.score) / 2
    return dataclasses.replace(
        direct,
        std=apart if math.isnan(direct.std) else math.hypot(direct.std, apart),
        reason=f"{why}; {thought.score:.2f} after the chain of thought",
        finding=_weighed(thought.finding, direct.score),
    )


def _weighed(finding: Critique | None, score: float) -> Critique | None:
    """A finding is as severe as the score that counts says."""
    return None if finding is None else dataclasses.replace(finding, severity=min(1.0, max(0.0, 1.0 - score)))

"""What stands beside a clip's scores: how far it is as asked, what a judge answered, what befell the measuring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cinereward.report.scores import Missing, Score, by_reason, row_of, scalar
from cinereward.types import Status, Verdict

if TYPE_CHECKING:
    from cinereward.batch import RewardBatch
    from cinereward.taxonomy import Taxonomy


@dataclass(frozen=True, kw_only=True)
class Right:
    """How far one clip is what its prompt asks for: the mean, what was scored or failed, and what has no number."""

    mean: Score
    scores: tuple[Score, ...]
    gated: tuple[Missing, ...]
    unavailable: tuple[Missing, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A judge's answer to one question, which is the score's title. mass, rationale, reflection: as in `Verdict`."""

    score: Score
    mass: float
    rationale: str
    reflection: str


def right(batch: RewardBatch, at: int) -> Right | None:
    """The prompt following of one clip, or None where the profile does not tell."""
    if batch.right is None:
        return None
    row = row_of(batch.right, at, lambda name: name.replace("_", " ").capitalize())
    return Right(
        mean=scalar(batch.right, at),
        scores=tuple(one for one in row.values() if one.status in (Status.SCORED, Status.FAILED)),
        gated=by_reason(row.values(), Status.GATED),
        unavailable=by_reason(row.values(), Status.UNAVAILABLE),
    )


def answers(batch: RewardBatch, at: int, taxonomy: Taxonomy) -> Mapping[str, tuple[Answer, ...]]:
    """What the judge answered on one clip, by sub-dimension; nothing without a judge."""
    texts = {question.name: question.text for question in taxonomy.questions}
    found: dict[str, list[Answer]] = {}
    for name, verdict in (batch.verdicts[at] if batch.verdicts else {}).items():
        found.setdefault(name.rpartition(".")[0], []).append(_answer(name, texts.get(name, name), verdict))
    return {sub: tuple(some) for sub, some in found.items()}


def _answer(name: str, text: str, verdict: Verdict) -> Answer:
    score = Score(
        name=name, title=text, value=verdict.score, std=verdict.std, status=verdict.status, reason=verdict.reason
    )
    return Answer(score=score, mass=verdict.mass, rationale=verdict.rationale, reflection=verdict.reflection)


def remarks(rows: Sequence[tuple[RewardBatch, int]], names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """What befell the measuring, "operator: note", with the clips on which it did. rows: batch and index by name."""
    found: dict[str, list[str]] = {}
    for (batch, at), name in zip(rows, names, strict=True):
        for text in dict.fromkeys(_notes(batch, at)):
            found.setdefault(text, []).append(name)
    return {text: tuple(clips) for text, clips in found.items()}


def _notes(batch: RewardBatch, at: int) -> Iterable[str]:
    for operator, evidence in batch.evidence[at].items():
        for note in evidence.notes:
            yield f"{operator}: {note}"

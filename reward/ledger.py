"""The evidence ledger: what stands behind each score of one clip, as JSON from which the scores can be worked out anew.

For every sub-dimension it holds the terms: the curve, the measured value and the detector's doubt, the frames and
seconds that were looked at and the moment that was worst; what a judge said; then how the scores were folded. `replay`
works the scores out again from those numbers alone, and `check` names what does not come to the same bits. `Ledger`
says what it holds; that is published in configs/schemas/ledger.json. account.py writes it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cinereward.fusion import Fused, fuse, score_term
from cinereward.opinion import settle, weigh
from cinereward.profile import Term
from cinereward.types import Evidence, Measurement, Status, Verdict
from cinereward.weighting import UPWARD, combine

FORMAT = 1
Cell = tuple[Status, float, float]  # status, value, std
StatusName = Literal["SCORED", "GATED", "UNAVAILABLE", "FAILED"]
Run = tuple[int, int, int]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(_Frozen):
    """The clip that was scored, and what was asked of it. error: why it could not be read."""

    name: str
    prompt: str
    task: str
    frames: int = Field(ge=0)
    fps: float = Field(ge=0)
    duration: float = Field(ge=0)
    error: str | None


class Reading(_Frozen):
    """A measured value with the detector's own doubt, both in `unit`.

    value: null where it could not be measured, as `note` says. std: null where it knows no bound. track: it came as
    many values, of which no curve can be asked.
    """

    value: float | None
    unit: str
    std: float | None = Field(ge=0)
    note: str
    track: bool

    @model_validator(mode="after")
    def _check(self) -> Reading:
        if self.track and self.value is not None:
            raise ValueError(f"it is a track and has the value {self.value}; expected null, or track: false")
        return self


class Moment(_Frozen):
    """Where a fault is worst: from, to, in seconds; the first and the last frame, or null where it is heard."""

    seconds: tuple[float, float]
    frames: tuple[int, int] | None


class Entry(_Frozen):
    """One term of a score.

    curve: of the profile, under what the prompt asks for. reading: null where there is none. failure: why its operator
    failed. score, std: what the curve made of the reading, and how far that is doubted. seconds: the first and the last
    moment measured. frames: runs of frames that were looked at, each first, last and step; null where nothing was.
    worst: null where no moment stands out.
    """

    curve: Term
    reading: Reading | None
    failure: str | None
    score: float | None
    std: float | None
    seconds: tuple[float, float]
    frames: tuple[Run, ...] | None
    worst: Moment | None


class Ruling(_Frozen):
    """A judge's answer to one question. score: null unless SCORED. std: null where unknown. weight: of the question."""

    question: str
    weight: float = Field(ge=0)
    status: StatusName
    score: float | None = Field(ge=0, le=1)
    std: float | None = Field(ge=0)
    reason: str

    @model_validator(mode="after")
    def _check(self) -> Ruling:
        if (self.score is None) == (self.status == "SCORED"):
            raise ValueError(f"it is {self.status} with score {self.score}; expected a number where SCORED, else null")
        return self


class Opinion(_Frozen):
    """What a judge said of a sub-dimension. weight: of what that comes to, against the evidence, where both speak."""

    weight: float = Field(ge=0, le=1)
    rulings: tuple[Ruling, ...] = Field(min_length=1)


class Score(_Frozen):
    """One sub-dimension: value and std in double precision, null unless SCORED.

    measured: what the evidence alone came to. lacking: why it was not asked for, or not there; "" where it was.
    because: why the terms are these. opinion: null where no judge was asked.
    """

    status: StatusName
    value: float | None
    std: float | None
    reason: str
    measured: StatusName
    lacking: str
    because: str
    terms: tuple[Entry, ...]
    opinion: Opinion | None

    @model_validator(mode="after")
    def _check(self) -> Score:
        if self.measured in ("SCORED", "FAILED") and not self.terms:
            raise ValueError(f"its evidence is {self.measured} and has no terms; a score needs one or more")
        return self


class Fold(_Frozen):
    """A weighted mean of what lies below, in single precision. parts: the name of each, and what it weighs."""

    status: StatusName
    value: float | None
    std: float | None
    parts: dict[str, float] = Field(min_length=1)


class Ledger(_Frozen):
    """All that stands behind one clip's scores.

    ledger: of this format. version: of the code, the profile and the libraries that scored. folds: level -> name ->
    mean. scalar: the mean of all, null where nothing was folded. sha256: of all the rest, as JSON without spaces, keys
    sorted.
    """

    ledger: Literal[1]
    version: str
    clip: Source
    scores: dict[str, Score]
    folds: dict[Literal["dimension", "aspect", "stage"], dict[str, Fold]]
    scalar: Fold | None
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _check(self) -> Ledger:
        below = set(self.scores)
        for level, means in self.levels():
            for name, fold in means.items():
                if unknown := sorted(fold.parts.keys() - below):
                    raise ValueError(f"{level} {name} is folded of {', '.join(unknown)}, which is not there")
                if low := {part: weight for part, weight in fold.parts.items() if weight < 0}:
                    raise ValueError(f"{level} {name} has the weights {low}; expected 0 or more of each")
            below = set(means)
        return self

    def levels(self) -> list[tuple[str, Mapping[str, Fold]]]:
        """The means of each level that was folded, from the lowest; the scalar last, as a level of one."""
        out: list[tuple[str, Mapping[str, Fold]]] = [(at, self.folds[at]) for at in UPWARD if at in self.folds]
        return out if self.scalar is None else [*out, ("scalar", {"": self.scalar})]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that does not replay: where it stands, what the ledger tells there, what came out."""

    where: str
    told: Any
    came: Any

    def __str__(self) -> str:
        return f"{self.where}: the ledger tells {_shown(self.told)}, but its evidence comes to {_shown(self.came)}"


def replay(ledger: Mapping[str, Any]) -> dict[str, Fused]:
    """Each score worked out anew, from the readings, the curves and the weights that the ledger holds.

    What the prompt does not call for, and what nobody measured or judged, is as the ledger tells it.

    Raises:
        ValueError: this is no ledger; pydantic's error says why.
    """
    return _replay(Ledger.model_validate(ledger))


def _replay(told: Ledger) -> dict[str, Fused]:
    return {name: _replayed(score, told.clip.error) for name, score in told.scores.items()}


def _replayed(score: Score, error: str | None) -> Fused:
    alone = _evidence(score, error)
    if score.opinion is None:
        return alone
    verdicts = [
        Verdict(
            question=ruling.question,
            score=math.nan if ruling.score is None else ruling.score,
            std=math.nan if ruling.std is None else ruling.std,
            status=Status[ruling.status],
            reason=ruling.reason,
        )
        for ruling in score.opinion.rulings
    ]
    weights = {ruling.question: ruling.weight for ruling in score.opinion.rulings}
    return weigh(alone, settle(verdicts, weights), score.opinion.weight)


def _evidence(score: Score, error: str | None) -> Fused:
    """What the evidence alone comes to."""
    status = Status[score.measured]
    if status in (Status.GATED, Status.UNAVAILABLE):
        return Fused(value=math.nan, std=math.nan, status=status, reason=score.lacking)
    if error is not None:
        return Fused(value=math.nan, std=math.nan, status=Status.FAILED, reason=error)
    evidence: dict[str, dict[str, Measurement]] = {}
    failures: dict[str, str] = {}
    for entry in score.terms:
        operator, _, name = entry.curve.measurement.partition(".")
        if entry.failure is not None:
            failures[operator] = entry.failure
        if entry.reading is not None:
            evidence.setdefault(operator, {})[name] = _measurement(name, entry.reading)
    found = {operator: Evidence(operator=operator, measurements=some) for operator, some in evidence.items()}
    return fuse([entry.curve for entry in score.terms], found, failures, score.because)


def _measurement(name: str, reading: Reading) -> Measurement:
    std = math.inf if reading.std is None else reading.std
    if reading.track:
        empty = np.zeros(0)
        return Measurement(name=name, value=empty, times=empty, unit=reading.unit, std=std, note=reading.note)
    value = math.nan if reading.value is None else reading.value
    return Measurement(name=name, value=value, unit=reading.unit, std=std, note=reading.note)


def check(ledger: Mapping[str, Any]) -> tuple[Difference, ...]:
    """What does not replay to the same bits, and whether anything else was changed since it was written.

    Raises:
        ValueError: this is no ledger; pydantic's error says why.
    """
    told = Ledger.model_validate(ledger)
    out = [item for item in _compared(told) if not _same(item.told, item.came)]
    return (*out, *_unsealed(told, ledger))


def _compared(told: Ledger) -> Iterator[Difference]:
    """Every number and word that can be worked out, beside what it comes to."""
    came = _replay(told)
    for name, score in told.scores.items():
        fused = came[name]
        yield Difference(where=f"{name} status", told=score.status, came=fused.status.name)
        yield Difference(where=f"{name} value", told=score.value, came=number(fused.value))
        yield Difference(where=f"{name} std", told=score.std, came=number(fused.std))
        yield Difference(where=f"{name} reason", told=score.reason, came=fused.reason)
        for entry in score.terms:
            if entry.reading is not None and entry.reading.value is not None:
                measurement = entry.curve.measurement
                part = score_term(entry.curve, _measurement(measurement, entry.reading))
                yield Difference(where=f"{name}, {measurement} score", told=entry.score, came=number(part.score))
                yield Difference(where=f"{name}, {measurement} std", told=entry.std, came=number(part.std))
    cells: dict[str, Cell] = {name: (score.status, score.value, score.std) for name, score in came.items()}
    for level, means in told.levels():
        cells = {name: mean(fold.parts, cells) for name, fold in means.items()}
        for name, fold in means.items():
            where, again = f"{level} {name}".strip(), folded(cells[name], fold.parts)
            yield Difference(where=f"{where} status", told=fold.status, came=again["status"])
            yield Difference(where=f"{where} value", told=fold.value, came=again["value"])
            yield Difference(where=f"{where} std", told=fold.std, came=again["std"])


def _unsealed(told: Ledger, ledger: Mapping[str, Any]) -> Iterator[Difference]:
    sealed = digest(ledger)
    if told.sha256 != sealed:
        yield Difference(where="sha256", told=told.sha256, came=sealed)


def schema() -> dict[str, Any]:
    """The JSON schema of a ledger, as configs/schemas/ledger.json publishes it.

    To write that file again: python -c "import json, cinereward.ledger as it; print(json.dumps(it.schema(), indent=2))"
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Ledger.model_json_schema()}


def digest(content: Mapping[str, Any]) -> str:
    """Sha256, in hex, of a ledger but for the digest it holds."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def mean(parts: Mapping[str, float], cells: Mapping[str, Cell]) -> Cell:
    """What `weighting.fold` makes of these, to the bit: it rounds to single precision at every level.

    Args:
        parts: name -> weight, one or more. cells: name -> what it came to.
    """
    status, values, std = zip(*(cells[name] for name in parts), strict=True)
    middle, spread, told = combine(
        np.array([values], np.float32),
        np.array([std], np.float32),
        np.array([status], np.int8),
        np.array(list(parts.values()), np.float64),
    )
    return Status(int(told[0])), float(np.float32(middle[0])), float(np.float32(spread[0]))


def folded(cell: Cell, parts: Mapping[str, float]) -> dict[str, Any]:
    """A mean as a ledger writes it: the shortest digits that tell a single-precision number."""
    value, std = (number(float(str(np.float32(item)))) for item in cell[1:])
    return {"status": cell[0].name, "value": value, "std": std, "parts": dict(parts)}


def number(value: float) -> float | None:
    """A number as JSON has it: None for what is not finite."""
    return float(value) if math.isfinite(value) else None


def _same(told: Any, came: Any) -> bool:
    if isinstance(told, float) and isinstance(came, float):
        return told.hex() == came.hex()
    return bool(told == came)


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)

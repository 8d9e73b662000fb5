"""Scores as the report shows them: bars by stage and aspect, what has no number, and the radar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cinereward.types import Status

if TYPE_CHECKING:
    from cinereward.batch import RewardBatch
    from cinereward.taxonomy import Taxonomy

GOOD, LOW = 0.8, 0.5  # the same bounds as in the terminal
STEPS = (0.3, 0.5, 0.7, 0.85)  # where the table's tint changes
SPOKES = 5  # aspects that a radar needs to have a shape
RADIUS, MIDDLE = 92.0, (210.0, 142.0)  # of the radar, in a picture of 420 x 284
RINGS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Score:
    """One score: a bar from 0 to `value` with a whisker from `low` to `high`; NaN where there is none."""

    name: str
    title: str
    value: float
    std: float
    status: Status
    reason: str
    meaning: str = ""

    @property
    def scored(self) -> bool:
        """Whether there is a number."""
        return self.status is Status.SCORED

    @property
    def tone(self) -> str:
        """The class of the bar: good, fair or low."""
        return "good" if self.value >= GOOD else "low" if self.value < LOW else "fair"

    @property
    def tint(self) -> str:
        """The class of a table's cell, t0 (worst) to t4."""
        return f"t{sum(self.value >= step for step in STEPS)}"

    @property
    def low(self) -> float:
        """Where the whisker begins."""
        return max(0.0, self.value - self.std)

    @property
    def high(self) -> float:
        """Where the whisker ends."""
        return min(1.0, self.value + self.std)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The terms of the score, worst first."""
        return tuple(self.reason.split("; ")) if self.reason else ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """A stage with its aspects, or an aspect with its sub-dimensions: its own score, None where weights are unknown."""

    name: str
    title: str
    score: Score | None
    groups: tuple[Group, ...] = ()
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What has no number, by one reason."""

    reason: str
    titles: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Spoke:
    """One aspect of the radar: the end of its axis, and where its name stands."""

    score: Score
    x: float
    y: float
    text_x: float
    text_y: float
    anchor: str


@dataclass(frozen=True, kw_only=True)
class Radar:
    """The radar over the scored aspects: its spokes, its rings, and the polygons of the values and of their spread."""

    spokes: tuple[Spoke, ...]
    rings: tuple[str, ...]
    values: str
    inner: str
    outer: str


def scores_at(batch: RewardBatch, clip: int, taxonomy: Taxonomy, level: str) -> dict[str, Score]:
    """Every score of one clip at a level, by name; none where the batch came without weights to fold by."""
    if level != batch.level and batch.folder is None:
        return {}
    folded = batch if level == batch.level else batch.fold(level)
    return row_of(folded, clip, lambda name: taxonomy[name].title, lambda name: getattr(taxonomy[name], "meaning", ""))


def row_of(
    batch: RewardBatch, clip: int, title: Callable[[str], str], meaning: Callable[[str], str] = lambda _: ""
) -> dict[str, Score]:
    """Every score of one clip as the batch has it, by name. title, meaning: of a name."""
    rows = zip(
        batch.dimensions, batch.values[clip], batch.std[clip], batch.status[clip], batch.reasons[clip], strict=True
    )
    return {
        name: Score(
            name=name,
            title=title(name),
            value=float(value),
            std=float(std),
            status=Status(int(status)),
            reason=reason,
            meaning=meaning(name),
        )
        for name, value, std, status, reason in rows
    }


def scalar(batch: RewardBatch, clip: int) -> Score:
    """The one number of one clip; FAILED or UNAVAILABLE where there is none."""
    value = float(batch.scalar[clip])
    failed = bool((batch.status[clip] == Status.FAILED).any()) or batch.errors[clip] is not None
    status = Status.SCORED if value == value else Status.FAILED if failed else Status.UNAVAILABLE
    return Score(name="scalar", title="Scalar", value=value, std=0.0, status=status, reason="")


def grouped(batch: RewardBatch, clip: int, taxonomy: Taxonomy) -> tuple[Group, ...]:
    """The stages of one clip, each with those aspects and sub-dimensions that were scored or failed."""
    own = scores_at(batch, clip, taxonomy, "sub_dimension")
    aspects, stages = (scores_at(batch, clip, taxonomy, level) for level in ("aspect", "stage"))
    shown = [sub for sub in taxonomy.sub_dimensions if own[sub.name].status in (Status.SCORED, Status.FAILED)]
    made = []
    for stage in dict.fromkeys(sub.stage for sub in shown):
        parts = []
        for aspect in dict.fromkeys(sub.aspect for sub in shown if sub.stage == stage):
            members = tuple(own[sub.name] for sub in shown if sub.aspect == aspect)
            title = taxonomy.titles[aspect]
            parts.append(Group(name=aspect, title=title, score=aspects.get(aspect), scores=members))
        title = taxonomy.titles[stage]
        made.append(Group(name=stage, title=title, score=stages.get(stage), groups=tuple(parts)))
    return tuple(made)


def missing(batch: RewardBatch, clip: int, taxonomy: Taxonomy, status: Status) -> tuple[Missing, ...]:
    """The sub-dimensions of one clip that have this status, by reason."""
    return by_reason(scores_at(batch, clip, taxonomy, "sub_dimension").values(), status)


def by_reason(scores: Iterable[Score], status: Status) -> tuple[Missing, ...]:
    """Those of the scores that have this status, by reason."""
    reasons: dict[str, list[str]] = {}
    for score in scores:
        if score.status is status:
            reasons.setdefault(score.reason, []).append(score.title)
    return tuple(Missing(reason=reason, titles=tuple(titles)) for reason, titles in reasons.items())


def radar(aspects: Sequence[Score]) -> Radar | None:
    """The radar over the scored ones of the aspects, or None where they are too few to have a shape."""
    scored = [score for score in aspects if score.scored]
    if len(scored) < SPOKES:
        return None
    turns = [2 * math.pi * at / len(scored) - math.pi / 2 for at in range(len(scored))]

    def at(turn: float, value: float) -> tuple[float, float]:
        return MIDDLE[0] + RADIUS * value * math.cos(turn), MIDDLE[1] + RADIUS * value * math.sin(turn)

    def outline(values: Sequence[float]) -> str:
        ends = [at(turn, value) for turn, value in zip(turns, values, strict=True)]
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in ends)

    spokes = []
    for score, turn in zip(scored, turns, strict=True):
        (x, y), (text_x, text_y), side = at(turn, 1.0), at(turn, 1.14), math.cos(turn)
        anchor = "middle" if abs(side) < 0.2 else "start" if side > 0 else "end"
        text_y -= 10 if anchor == "middle" and text_y < y else 0  # its second line stays clear of the axis
        spokes.append(Spoke(score=score, x=x, y=y, text_x=text_x, text_y=text_y, anchor=anchor))
    return Radar(
        spokes=tuple(spokes),
        rings=tuple(outline([ring] * len(turns)) for ring in RINGS),
        values=outline([score.value for score in scored]),
        inner=outline([score.low for score in scored]),
        outer=outline([score.high for score in scored]),
    )

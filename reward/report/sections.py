"""What there is to say of one clip: its scores, its findings, its running time and its pictures, ready for drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cinereward.errors import ClipError
from cinereward.report import beside, pictures, scores, timeline
from cinereward.report.pictures import Allowance, Seen
from cinereward.types import Clip, Critique, Evidence, Status
from cinereward.words import MENDS, timecode

if TYPE_CHECKING:
    from cinereward.batch import RewardBatch
    from cinereward.model import RewardModel

KEYFRAMES, KEYFRAMES_IN_ALL = 12, 480  # of one clip; of a report, shared out evenly, but at least two a clip
SEVERE, CLEAR = 0.6, 0.3
NOTABLE = 6  # tracks shown at once; the others unfold
MANY = 24  # of more clips than this, only the tracks that findings speak of are drawn


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding with its number, its place in the running time, and its worst moment as a picture."""

    number: int
    item: Critique
    title: str
    aspect: str
    stretch: timeline.Stretch
    moment: float
    seek: float
    keyframe: str
    seen_in: tuple[str, ...]
    whole: bool

    @property
    def severity(self) -> str:
        """In a word."""
        return "severe" if self.item.severity >= SEVERE else "clear" if self.item.severity >= CLEAR else "slight"

    @property
    def mends(self) -> str:
        """Who or what can mend it."""
        return MENDS[self.item.locus]

    @property
    def place(self) -> str:
        """Such as "shot 2, 0:01.0–0:02.5"."""
        if self.whole:
            return "throughout"
        shot = f"shot {self.item.shot}, " if self.item.shot is not None else ""
        return shot + (self.stretch.place if self.item.end - self.item.start >= 0.1 else timecode(self.moment))


@dataclass(frozen=True, kw_only=True)
class Told:
    """One clip: all that its part of the page shows."""

    number: int
    name: str
    prompt: str
    expects: tuple[str, ...] | None
    error: str
    scalar: scores.Score
    seen: Seen
    stages: tuple[scores.Group, ...]
    all_scores: Mapping[str, scores.Score]
    aspects: Mapping[str, scores.Score]
    radar: scores.Radar | None
    gated: tuple[scores.Missing, ...]
    unavailable: tuple[scores.Missing, ...]
    right: beside.Right | None
    answers: Mapping[str, tuple[beside.Answer, ...]]
    findings: tuple[Finding, ...]
    shots: tuple[timeline.Shot, ...]
    ticks: tuple[timeline.Tick, ...]
    notable: tuple[timeline.Track, ...]
    others: tuple[timeline.Track, ...]

    @property
    def still(self) -> str:
        """A picture to know the clip by."""
        return self.seen.strip[len(self.seen.strip) // 2] if self.seen.strip else ""


def keyframes_of(count: int) -> int:
    """How many keyframes each of so many clips may have."""
    return min(KEYFRAMES, max(2, KEYFRAMES_IN_ALL // count))


def tell(
    clip: Clip, batch: RewardBatch, at: int, number: int, count: int, reward: RewardModel, allowance: Allowance
) -> Told:
    """All there is to say of one clip.

    Args:
        clip: what was scored. batch, at: its result. number: of `count`, from 1. reward: what scored it.
        allowance: bytes that are left.
    """
    evidence, critiques = batch.evidence[at], batch.critiques[at]
    terms, taxonomy = reward.profile.curves, reward.taxonomy
    most = keyframes_of(count)
    moments = [timeline.worst_moment(item, terms, evidence) for item in critiques]
    error = "" if batch.errors[at] is None else str(batch.errors[at])
    seen = Seen(duration=max((item.end for item in critiques), default=0.0))
    if not error:
        try:
            seen = pictures.see(clip, moments[:most], allowance, reward.profile.decoder)
        except (ClipError, OSError):  # gone, or changed, since it was scored: its scores stand
            allowance.unseen.append(clip.name)
    findings = tuple(_findings(critiques, moments, evidence, reward, seen))
    cited = [name for finding in findings for name in finding.item.evidence]
    curves = [*cited[NOTABLE:], *(term.measurement for found in terms.values() for term in found)]
    cited, curves = cited[:NOTABLE], curves if count <= MANY else []
    marks: dict[str, list[timeline.Stretch]] = {}
    for finding in findings:
        for name in finding.item.evidence:
            marks.setdefault(name, []).extend([] if finding.whole else [finding.stretch])
    lines = (evidence, _meanings(reward), marks, seen.duration)
    return Told(
        number=number,
        name=clip.name,
        prompt=clip.prompt,
        expects=None if clip.expects is None else tuple(sorted(clip.expects)),
        error=error,
        scalar=scores.scalar(batch, at),
        seen=seen,
        stages=() if error else scores.grouped(batch, at, taxonomy),
        all_scores=scores.scores_at(batch, at, taxonomy, "sub_dimension"),
        aspects=(aspects := scores.scores_at(batch, at, taxonomy, "aspect")),
        radar=scores.radar(list(aspects.values())),
        gated=scores.missing(batch, at, taxonomy, Status.GATED),
        unavailable=scores.missing(batch, at, taxonomy, Status.UNAVAILABLE),
        right=beside.right(batch, at),
        answers=beside.answers(batch, at, taxonomy),
        findings=findings,
        shots=timeline.shots(evidence, seen.duration),
        ticks=timeline.ticks(seen.duration),
        notable=timeline.tracks(cited, *lines, parts=timeline.FINE),
        others=timeline.tracks([name for name in curves if name not in cited], *lines, parts=timeline.COARSE),
    )


def _findings(
    critiques: Sequence[Critique],
    moments: Sequence[float],
    evidence: Mapping[str, Evidence],
    reward: RewardModel,
    seen: Seen,
) -> Iterable[Finding]:
    for number, (item, moment) in enumerate(zip(critiques, moments, strict=True), start=1):
        sub = reward.taxonomy[item.dimension].sub_dimensions[0]
        yield Finding(
            number=number,
            item=item,
            title=sub.title,
            aspect=reward.taxonomy.titles[sub.aspect],
            stretch=timeline.stretch(item.start, item.end, seen.duration),
            moment=moment,
            seek=moment + (0.5 / seen.fps if seen.fps else 0.0),  # amid the frame: players round to the one before
            keyframe=seen.keyframes.get(moment, ""),
            seen_in=tuple(f"{readable(name)} {_value(name, evidence)}".rstrip() for name in item.evidence),
            whole=item.start <= 1e-6 and item.end >= seen.duration - 1e-3,
        )


def _value(name: str, evidence: Mapping[str, Evidence]) -> str:
    operator, _, measurement = name.partition(".")
    found = evidence[operator].measurements.get(measurement) if operator in evidence else None
    return "" if found is None or not isinstance(found.value, float) else timeline.told(found)


def _meanings(reward: RewardModel) -> Mapping[str, str]:
    """What each measurement is, in the operators' own words."""
    return {f"{op.spec.name}.{item.name}": item.meaning for op in reward.operators for item in op.spec.measurements}


def readable(name: str) -> str:
    """A measurement's name, or a reason that begins with one, in words: "exposure.flicker" is "exposure: flicker"."""
    first, space, rest = name.partition(" ")
    operator, dot, measurement = first.partition(".")
    if not (dot and operator.isidentifier() and measurement.isidentifier()):
        return name
    return f"{operator}: {measurement}".replace("_", " ") + space + rest.replace("->", "→")

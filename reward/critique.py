"""From evidence to findings a director understands: where, how bad, what a viewer feels, and the one change to make.

The words are data, configs/critiques.yaml: one entry a measurement, in English, with a locus that says who can mend it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from pydantic import TypeAdapter

from cinereward.fusion import Fused, TermScore
from cinereward.types import LOCI, Critique, Evidence, Measurement

if TYPE_CHECKING:
    from cinereward.profile import Term

NOTABLE = 0.85  # a curve above this is nothing to speak of
FEW = 12  # findings a director will read


@cache
def _words() -> Mapping[str, Mapping[str, str]]:
    table: Mapping[str, Mapping[str, str]] = yaml.safe_load(
        (files("cinereward.configs") / "critiques.yaml").read_text(encoding="utf-8")
    )
    return table


def schema() -> dict[str, Any]:
    """The JSON schema of the findings that `critique --json` and `score --json` write; configs/schemas/critiques.json.

    To write it again: python -c "import json, cinereward.critique as it; print(json.dumps(it.schema(), indent=2))"
    """
    made = TypeAdapter(list[Critique]).json_schema()
    finding = made["$defs"]["Critique"]
    finding["additionalProperties"] = False
    for name in ("start", "end", "severity"):
        finding["properties"][name]["minimum"] = 0
    finding["properties"]["severity"]["maximum"] = 1
    finding["properties"]["shot"]["anyOf"][0]["minimum"] = 1
    finding["properties"]["locus"]["enum"] = list(LOCI)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Findings, worst first", **made}


def find(
    fused: Mapping[str, Fused], terms: Mapping[str, Sequence[Term]], evidence: Mapping[str, Evidence], duration: float
) -> tuple[Critique, ...]:
    """The findings on one clip, worst first.

    Args:
        fused: sub-dimension -> its score, of those the prompt calls for. terms: sub-dimension -> the profile's terms.
        evidence: operator -> what it measured. duration: of the clip, in seconds.
    """
    worst: dict[str, tuple[str, TermScore]] = {}
    for dimension, score in fused.items():
        for part in score.terms:
            known = worst.get(part.measurement)
            if _loss(part) > 1 - NOTABLE and (known is None or _loss(part) > _loss(known[1])):
                worst[part.measurement] = (dimension, part)
    findings = []
    for dimension, told in worst.values():
        term = next(term for term in terms[dimension] if term.measurement == told.measurement)
        findings.append(_critique(dimension, told, term, evidence, duration))
    return tuple(sorted(findings, key=lambda item: (-item.severity, item.start, item.dimension, item.evidence)))[:FEW]


def joined(found: Sequence[Critique], written: Sequence[Critique]) -> tuple[Critique, ...]:
    """Findings from the evidence and those that a judge wrote, worst first.

    Where both speak of one sub-dimension at one time, they are told as one: the judge's words, and the evidence of
    both.
    """
    out = list(found)
    for one in written:
        same = next((other for other in out if _same(one, other)), None)
        if same is None:
            out.append(one)
            continue
        names = tuple(dict.fromkeys((*one.evidence, *same.evidence)))
        out[out.index(same)] = replace(one, evidence=names, severity=max(one.severity, same.severity))
    return tuple(sorted(out, key=lambda item: (-item.severity, item.start, item.dimension, item.evidence)))[:FEW]


def _same(one: Critique, other: Critique) -> bool:
    """Whether two findings speak of one thing: a sub-dimension, and stretches that lie mostly in one another."""
    overlap = min(one.end, other.end) - max(one.start, other.start)
    shorter = min(one.end - one.start, other.end - other.start)
    return one.dimension == other.dimension and overlap >= 0.5 * shorter and overlap >= 0


def _loss(term: TermScore) -> float:
    return 1 - float(term.score**term.weight)


def _critique(
    dimension: str, score: TermScore, term: Term, evidence: Mapping[str, Evidence], duration: float
) -> Critique:
    low = too_low(term, score.value)
    start, end = worst_span(term.measurement, low, evidence, duration)
    side = "low" if low else "high"
    words = _words().get(f"{score.measurement}.{side}") or _words().get(score.measurement) or _plain(score)
    return Critique(
        dimension=dimension,
        shot=_shot(start, end, evidence),
        start=start,
        end=end,
        severity=min(1.0, _loss(score)),
        finding=words["finding"],
        remedy=words["remedy"],
        locus=words["locus"],
        evidence=(score.measurement,),
    )


def _plain(score: TermScore) -> Mapping[str, str]:
    """What is said of a measurement that a plug-in brought without words of its own."""
    name = score.measurement.replace(".", ": ").replace("_", " ")
    return {"finding": f"{name} is {score.value:.3g} {score.unit}.", "remedy": "Try another seed.", "locus": "seed"}


def too_low(term: Term, value: float) -> bool:
    """Whether the value lies below the curve's best, rather than above it."""
    best = max(score for _, score in term.points)
    return value < min(x for x, score in term.points if score == best)


def worst_span(measurement: str, low: bool, evidence: Mapping[str, Evidence], duration: float) -> tuple[float, float]:
    """The stretch in which the fault is worst: around the worst moment, as long as it is at least half as bad.

    Args:
        measurement: whose track, where it has one, says when. low: whether low values are the bad ones.
        evidence: operator -> what it measured. duration: of the clip, in seconds.
    """
    operator, _, name = measurement.partition(".")
    track: Measurement | None = evidence[operator].measurements.get(f"{name}_track")
    if track is None or track.times is None or not isinstance(track.value, np.ndarray):
        return 0.0, duration
    known = np.isfinite(track.value)
    times, bad = track.times[known], (-track.value if low else track.value)[known]
    if len(bad) < 2:
        return 0.0, duration
    usual, peak = float(np.median(bad)), int(np.argmax(bad))
    if bad[peak] - usual <= 1e-9:
        return 0.0, duration
    beyond = bad >= usual + 0.5 * (bad[peak] - usual)
    if beyond.mean() > 0.5 or (beyond.sum() > 4 and _spread(beyond) > 0.6):
        return 0.0, duration  # not a moment of the clip but its manner
    first = last = peak
    while first > 0 and beyond[first - 1]:
        first -= 1
    while last < len(beyond) - 1 and beyond[last + 1]:
        last += 1
    start, end = float(times[first]), float(times[last + 1]) if last + 1 < len(beyond) else duration
    return start, max(start, end)


def _spread(beyond: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """How much of the clip lies between the first and the last bad moment."""
    at = np.flatnonzero(beyond)
    return float(at[-1] - at[0]) / len(beyond)


def _shot(start: float, end: float, evidence: Mapping[str, Evidence]) -> int | None:
    """The shot a stretch lies in, 1-based, or None where it spans several."""
    if "shots" not in evidence:
        return None
    track = evidence["shots"].measurements.get("duration_track")  # a plug-in of this name may have none
    if track is None or track.times is None or len(track.times) == 0:
        return None
    starts = track.times
    first = int(np.searchsorted(starts, start + 1e-9, side="right"))
    last = int(np.searchsorted(starts, max(start, end - 1e-6), side="right"))
    return first if first == last else None

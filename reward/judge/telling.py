"""Evidence as a judge is told it: the most telling measurements in a few short lines, and the moments they point at.

The numbers are ours. Names, units and remarks may come from a plug-in or, as a transcript, from the clip itself: names
and units are made plain, remarks and transcripts are fenced as data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypeAlias

import numpy as np
import yaml

from cinereward.judge.fence import line
from cinereward.types import Evidence, Measurement

MOST = 30  # lines of evidence that are told
POINTED = 8  # moments that are pointed at
FAULT = 0.1  # loss from which a measurement tells of a fault
STANDS_OUT = 3.0  # times the usual spread about the median, from which a moment is one to look at
HEARD = "heard: "  # begins the remark that holds a transcript
TRANSCRIPT = ("transcript", "words")
Points: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Told:
    """A measurement as it is told. loss: how far from its best, in [0, 1]; None where nobody has said what is good.

    worst: when, in s, or None. prominence: how far that moment stands out, in spreads.
    """

    name: str
    value: float
    unit: str
    loss: float | None
    worst: float | None
    prominence: float

    def points_there(self) -> bool:
        """Whether that moment is worth a look: it stands out, in something that may be a fault."""
        return self.worst is not None and self.prominence >= STANDS_OUT and (self.loss is None or self.loss >= FAULT)

    def line(self) -> str:
        """Such as "sharpness, blur: 3.2 pixels; worst at 1.5 s"."""
        name = line(self.name).replace(".", ", ").replace("_", " ")
        where = f"; worst at {self.worst:.1f} s" if self.worst is not None and self.points_there() else ""
        return f"- {name}: {self.value:.3g} {line(self.unit, 40)}{where}"


def tell(evidence: Mapping[str, Evidence], most: int = MOST) -> list[Told]:
    """The most telling measurements: those furthest from their best by the shipped curves, then those that stand out.

    Args:
        evidence: operator -> what it measured. most: how many.
    """
    found = [_told(f"{operator}.{name}", one, evidence[operator]) for operator, name, one in _values(evidence)]

    def rank(one: Told) -> tuple[float, float, str]:
        return (-(0.0 if one.loss is None else one.loss), -min(one.prominence, 1e9), one.name)

    return sorted(found, key=rank)[:most]


def pointed(told: Sequence[Told], most: int = POINTED) -> list[float]:
    """The moments that the evidence points at, in s, of the worst measurement first; only such as stand out."""
    moments = [one.worst for one in told if one.worst is not None and one.points_there()]
    return list(dict.fromkeys(moments))[:most]


def transcript(evidence: Mapping[str, Evidence]) -> str:
    """What a recogniser heard, as it came: outside data, to be fenced; "" where nothing was heard."""
    operator, name = TRANSCRIPT
    one = evidence[operator].measurements.get(name) if operator in evidence else None
    return one.note.removeprefix(HEARD) if one is not None and one.note.startswith(HEARD) else ""


def notes(evidence: Mapping[str, Evidence]) -> list[str]:
    """What befell the measuring, as operators put it: outside data, to be fenced."""
    return list(
        dict.fromkeys(f"{operator}: {note}" for operator in sorted(evidence) for note in evidence[operator].notes)
    )


def _values(evidence: Mapping[str, Evidence]) -> list[tuple[str, str, Measurement]]:
    """Single numbers that are known, in a fixed order."""
    return [
        (operator, name, evidence[operator][name])
        for operator in sorted(evidence)
        for name in sorted(evidence[operator])
        if not isinstance(evidence[operator][name].value, np.ndarray)
        and math.isfinite(float(evidence[operator][name].value))
    ]


def _told(name: str, one: Measurement, evidence: Evidence) -> Told:
    value = float(one.value)
    points = _curves().get(name)
    loss = None
    if points is not None:
        xs, ys = np.array(points).T
        loss = 1 - float(np.interp(value, xs, ys))
    worst, prominence = _worst(evidence.measurements.get(f"{one.name}_track"), points, value)
    return Told(name=name, value=value, unit=one.unit, loss=loss, worst=worst, prominence=prominence)


def _worst(track: Measurement | None, points: Points | None, value: float) -> tuple[float | None, float]:
    """When a measurement is worst, and how far that moment stands out from the rest of the clip, in spreads."""
    if track is None or track.times is None or not isinstance(track.value, np.ndarray):
        return None, 0.0
    known = np.isfinite(track.value)
    rows, times = track.value[known].astype(np.float64), track.times[known]
    if len(rows) < 3:
        return None, 0.0
    away = rows - np.median(rows)
    if points is not None:
        best = max(score for _, score in points)
        low = value < min(x for x, score in points if score == best)  # low values are the bad ones here
        away = -away if low else away
    else:
        away = np.abs(away)
    at = int(np.argmax(away))
    usual = float(np.median(np.abs(rows - np.median(rows))))
    if away[at] <= 1e-9:
        return None, 0.0
    return float(times[at]), float(away[at] / max(usual, 1e-9 + 0.01 * float(np.ptp(rows))))


@cache
def _curves() -> Mapping[str, Points]:
    """Of each measurement, the points (value, score) of its first shipped curve; only to tell what matters."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one, where there is one, is six times quicker
    curves: dict[str, Points] = {}
    for path in sorted((files("cinereward.configs") / "curves").iterdir(), key=lambda one: one.name, reverse=True):
        for terms in yaml.load(path.read_text(encoding="utf-8"), Loader=loader).values():
            for term in (term for term in terms if "when" not in term):  # such as hold whatever is asked for
                curves.setdefault(term["measurement"], tuple((float(x), float(y)) for x, y in term["points"]))
    return curves

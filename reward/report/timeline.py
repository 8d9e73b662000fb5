"""A clip over its running time: shots, findings and measurement tracks, placed for drawing.

Times become percentages of the running time, so that one drawing fits every screen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinereward.types import Critique, Evidence, Measurement
from cinereward.words import timecode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.profile import Term

    Float64 = NDArray[np.float64]

WIDTH, HEIGHT, EDGE = 1000.0, 100.0, 5.0  # what a track is drawn in; kept free above and below
FINE, COARSE = 300, 120  # a track's stretches, each drawn by its lowest and its highest value
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
TICKS = 8
LABELLED = 4.0  # percent of the running time that a shot needs for its number
SHOTS = "shots.duration"  # drawn as shots, not as a track


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of the running time: from `x` over `width`, in percent of it; start and end in seconds."""

    start: float
    end: float
    x: float
    width: float

    @property
    def place(self) -> str:
        """Such as "0:01.0–0:02.5"."""
        return f"{timecode(self.start)}–{timecode(self.end)}"


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One shot: its number from 1, and whether there is room for it."""

    number: int
    stretch: Stretch

    @property
    def labelled(self) -> bool:
        """Whether its number fits into it."""
        return self.stretch.width >= LABELLED


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on the time axis, at `x` percent."""

    x: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Track:
    """One measurement over time, as a path in a picture of 1000 x 100.

    name: "operator.measurement". value: what it came to, as text. low, high: the range drawn, as text.
    marks: where its findings are. dots: single values that no line joins.
    """

    name: str
    meaning: str
    value: str
    low: str
    high: str
    path: str
    dots: tuple[tuple[float, float], ...]
    marks: tuple[Stretch, ...]


def stretch(start: float, end: float, duration: float) -> Stretch:
    """The part from start to end of the running time, all in seconds."""
    whole = max(duration, 1e-9)
    first, last = (min(max(time / whole, 0.0), 1.0) for time in (start, end))
    return Stretch(start=start, end=end, x=100 * first, width=100 * (last - first))


def ticks(duration: float) -> tuple[Tick, ...]:
    """Marks at even times, at most nine."""
    step = next((step for step in STEPS if duration / step <= TICKS), STEPS[-1])
    count = int(duration / step + 1e-9)
    stride = math.ceil(max(1, count) / TICKS)

    def text(seconds: float) -> str:
        return timecode(seconds) if step < 1 else timecode(seconds).partition(".")[0]

    return tuple(
        Tick(x=100 * at * step / max(duration, 1e-9), text=text(at * step)) for at in range(0, count + 1, stride)
    )


def shots(evidence: Mapping[str, Evidence], duration: float) -> tuple[Shot, ...]:
    """The shots, from the starts that the operator "shots" found; none where it was not run."""
    track = _track(evidence, SHOTS)
    if track is None or track.times is None or len(track.times) == 0:
        return ()
    ends = [*track.times[1:], duration]
    return tuple(
        Shot(number=number, stretch=stretch(float(start), float(end), duration))
        for number, (start, end) in enumerate(zip(track.times, ends, strict=True), start=1)
    )


def worst_moment(item: Critique, terms: Mapping[str, Sequence[Term]], evidence: Mapping[str, Evidence]) -> float:
    """When a finding is best seen: where its track lies furthest from its curve's best; else the stretch's middle."""
    middle = (item.start + item.end) / 2
    for name in item.evidence:
        track = _track(evidence, name)
        term = next((term for term in _terms(item.dimension, terms) if term.measurement == name), None)
        if track is None or track.times is None or term is None:
            continue
        values = np.asarray(track.value, np.float64)
        there = np.isfinite(values) & (track.times >= item.start - 1e-9) & (track.times < max(item.end, item.start))
        best = [x for x, score in term.points if score == max(score for _, score in term.points)]
        below = min(best) if term.shape != "falling" else -np.inf  # a falling curve is level below its best
        above = max(best) if term.shape != "rising" else np.inf
        off = np.where(there, np.maximum(below - values, values - above), -np.inf)
        if len(off) and float(off.max()) > 0:
            return float(track.times[int(np.argmax(off))])
    return middle


def tracks(
    names: Sequence[str],
    evidence: Mapping[str, Evidence],
    meanings: Mapping[str, str],
    marks: Mapping[str, Sequence[Stretch]],
    duration: float,
    *,
    parts: int,
) -> tuple[Track, ...]:
    """Those of the named measurements that have a track, drawn.

    Args:
        names: "operator.measurement". evidence: operator -> what it measured. meanings: name -> what it is.
        marks: name -> where its findings are. duration: s. parts: how many stretches to draw.
    """
    made = []
    for name in dict.fromkeys(names):
        track = _track(evidence, name)
        if track is None or track.times is None or name == SHOTS:
            continue
        inside = track.times <= duration
        values, times = np.asarray(track.value, np.float64)[inside], track.times[inside]
        known = values[np.isfinite(values)]
        if len(known) == 0:
            continue
        low, high = float(known.min()), float(known.max())
        low = min(low, 0.0) if 0 <= low < 0.5 * high else low
        lines = list(_lines(times / max(duration, 1e-9), (values - low) / max(high - low, 1e-9), parts))
        operator, _, measurement = name.partition(".")
        whole = evidence[operator].measurements.get(measurement)
        made.append(
            Track(
                name=name,
                meaning=meanings.get(name, ""),
                value="" if whole is None or isinstance(whole.value, np.ndarray) else told(whole),
                low=f"{low:.3g}",
                high=f"{high:.3g}",
                path="".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line) for line in lines if len(line) > 1),
                dots=tuple(line[0] for line in lines if len(line) == 1),
                marks=tuple(marks.get(name, ())),
            )
        )
    return tuple(made)


def told(measurement: Measurement) -> str:
    """A measured value with its unit."""
    if not math.isfinite(float(measurement.value)):
        return "not measured"
    return f"{float(measurement.value):.3g} {measurement.unit}"


def _lines(times: Float64, values: Float64, parts: int) -> Iterator[list[tuple[float, float]]]:
    """The stretches without a gap, as points; each of `parts` is drawn by its lowest and its highest value.

    Args:
        times, values: (N,), both as shares; values may hold NaN, which is a gap.
    """
    keep = np.arange(len(values))
    if len(values) > 2 * parts:
        chosen = []
        for chunk in np.array_split(keep, parts):
            known = chunk[np.isfinite(values[chunk])]
            ends = (int(known[np.argmin(values[known])]), int(known[np.argmax(values[known])])) if len(known) else ()
            chosen += sorted(set(ends)) or [int(chunk[0])]
        keep = np.array(chosen)
    points = [
        (WIDTH * float(times[at]), HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * float(values[at])) if known else None
        for at, known in zip(keep, np.isfinite(values[keep]), strict=True)
    ]
    for solid, run in itertools.groupby(points, key=lambda point: point is not None):
        if solid:
            yield [point for point in run if point is not None]


def _track(evidence: Mapping[str, Evidence], name: str) -> Measurement | None:
    """The track of a measurement, where it has one."""
    operator, _, measurement = name.partition(".")
    found = evidence[operator].measurements.get(f"{measurement}_track") if operator in evidence else None
    return found if found is not None and isinstance(found.value, np.ndarray) else None


def _terms(dimension: str, terms: Mapping[str, Sequence[Term]]) -> Iterator[Term]:
    """The terms of a sub-dimension, then all others."""
    yield from terms.get(dimension, ())
    yield from itertools.chain.from_iterable(terms.values())

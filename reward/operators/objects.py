"""Things over time, and what the prompt asks to be seen, by the boxes of YOLO on six frames a second.

Things that vanish or come out of nothing, that turn into something else, that double; and, where the prompt asks for
them, known things, their number, their colour, and where they stand to one another. A clip in which nothing is surely
seen cannot be told to be faultless: the less is seen the nearer all faults lie to UNSEEN, and the greater is the doubt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.networks.yolo import Boxes, Sees, load_detector
from cinereward.operators import basic_colours, endings, wanted
from cinereward.operators.sightings import Sightings, Track, laid_down, links, taken_up
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window
from cinereward.wants import COLOURS, Wants, read_wants

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

UNSEEN = 0.15  # faults that a clip is taken to have in which nothing is surely seen
FURTHER = 0.7  # what each further fault of a kind counts against the one before: many small things are no great fault
MOST = 1 / (1 - FURTHER)  # so that no clip has more
CORE, RING = 0.7, 1.3  # of a box: its middle, where its thing is; and how far what lies around it reaches
COLOUR_SIDE = 48  # pixels to which what colours are told of is brought down
PLAIN = 0.1  # score below which colours are not told


def _spec(name: str, unit: str, high: float, meaning: str) -> MeasurementSpec:
    return MeasurementSpec(name=name, unit=unit, low=0, high=high, meaning=meaning)


class Objects:
    """Boxes linked into tracks, how tracks begin and end, and the wants of the prompt.

    Args:
        device: of the network. detector: a network that is used instead of loading one.
    """

    spec = OperatorSpec(
        name="objects",
        measurements=(
            _spec("vanish", "things", MOST, "that vanish inside the frame, by how surely they were there, how large"),
            _spec("appear", "things", MOST, "that come out of nothing inside the frame, counted the same way"),
            _spec("flips", "things", MOST, "that turn from one class into another"),
            _spec("doubles", "things", MOST, "that become two, or two that become one"),
            _spec("people", "people", 100, "mean number of people in the sampled frames"),
            _spec(
                "subject_size", "share", 1, "side of the main thing, as the root of its share of the frame; unseen: 0"
            ),
            _spec("seen", "share", 1, "of the sampled frames in which something is surely seen"),
            _spec("subject", "share", 1, "of the time in which the least seen of the things asked for is seen"),
            _spec("subject_score", "score", 1, "mean of the best scores of the things asked for"),
            _spec("count", "share", 1, "of the time with the number of things that is asked for"),
            _spec("count_error", "share", 10, "how far the number is off, in the number asked for"),
            _spec("colour", "share", 1, "of a thing that has the colour asked for, over the time"),
            _spec("relation", "share", 1, "of the time in which things stand to one another as asked for"),
        ),
        needs=frozenset({"frames"}),
        weights=("yolo11m",),
        licence="AGPL-3.0",
    )

    def __init__(self, device: str | None = None, *, detector: Sees | None = None) -> None:
        self._detector = load_detector(device) if detector is None else detector

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Boxes of the sampled frames, and colours of those that the prompt asks for in a colour."""
        return [self._measure(window, found) for window, found in zip(windows, self._detector(windows), strict=True)]

    def _measure(self, window: Window, found: Mapping[int, Boxes]) -> Partial:
        rows = laid_down(window, found)
        rows["colours"] = self._colours(window, found)
        prompt = np.frombuffer(window.prompt.encode("utf-8", "ignore"), np.uint8)  # no lone surrogates
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={"thumbs": owned(window.features["thumbs"], window.overlap)},
            sounds=rows | {"prompt": prompt if window.start_frame == 0 else prompt[:0]},
        )

    def _colours(self, window: Window, found: Mapping[int, Boxes]) -> NDArray[np.float64]:
        """Shares of the eleven colours inside and around each box, float64 (M, 2, 11); NaN where none is asked for."""
        coloured = [one for one in read_wants(window.prompt).subjects if one.colour is not None]
        kinds = {int(kind) for one in coloured for kind in wanted.numbers(one, self._detector.names)}
        out = []
        for row in map(int, window.features["keys"]):
            boxes = found[row]
            for box, score, kind in zip(boxes.xyxy, boxes.scores, boxes.classes, strict=True):
                asked = int(kind) in kinds and score >= PLAIN
                out.append(colours_of(window.frames[row], box) if asked else np.full((2, len(COLOURS)), np.nan))
        return np.stack(out) if out else np.zeros((0, 2, len(COLOURS)))

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Tracks, their beginnings and ends, and what the prompt asks for."""
        tracks = join(partials)
        seen = taken_up(tracks, "colours")
        linked = links(seen)
        wants = read_wants(tracks["prompt"].tobytes().decode())
        values, courses = faults(seen, linked)
        things = [track for _, several in linked for track in several]
        asked, more = self._asked(seen, things, wants)
        people = _people(seen, things, self._detector.names)
        sizes = self._sizes(seen, things, wants)
        values |= {"people": min(float(people.mean()), 100.0) if len(people) else 0.0, "subject_size": _mean(sizes)}
        courses |= {"people_track": people, "subject_size_track": sizes}
        told = {name: (seen.times, course) for name, course in (courses | more).items()}
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, values | asked, told),
        )

    def _asked(
        self, seen: Sightings, things: Sequence[Track], wants: Wants
    ) -> tuple[dict[str, Any], dict[str, Float64]]:
        """What the prompt asks for: values, and their courses over the sampled frames."""
        names = self._detector.names
        found = wanted.look_for(seen, wants, names)
        scores = np.where(found.rows >= 0, seen.scores[found.rows] if len(seen.scores) else 0.0, 0.0)
        groups = wanted.groups(wants, names)
        numbers = [(wanted.tallies(seen, things, kinds), count, exact) for kinds, count, exact in groups]
        off = [
            np.abs(told - count) / count if exact else np.maximum(count - told, 0) / count
            for told, count, exact in numbers
            if count
        ]
        errors = np.stack(off, axis=1) if off else np.zeros((len(seen.frames), 0))
        matrices = {
            "subject": (found.sight, "the prompt names no thing that the detector knows"),
            "count": ((errors == 0).astype(np.float64), "the prompt asks for no number of things that are known"),
            "colour": (
                wanted.colours_found(seen, wants, found),
                "the prompt asks for no colour of a thing that is known",
            ),
            "relation": (
                wanted.relations_found(seen, wants, found),
                "the prompt asks for no place of one known thing to another",
            ),
        }
        values: dict[str, Any] = {}
        courses: dict[str, Float64] = {}
        for name, (matrix, lack) in matrices.items():
            values[name] = self._told(name, seen, matrix, lack)
            if matrix.size:
                courses[f"{name}_track"] = matrix.min(axis=1)
        lack = matrices["subject"][1]
        best = float(wanted.over_shots(seen, scores).mean()) if scores.size else np.nan
        values["subject_score"] = _measurement(self.spec, "subject_score", best, note="" if scores.size else lack)
        error = min(10.0, float(errors.mean(axis=0).max())) if errors.size else np.nan
        lack = "" if errors.size else matrices["count"][1]
        values["count_error"] = _measurement(self.spec, "count_error", error, note=lack)
        return values, courses

    def _told(self, name: str, seen: Sightings, matrix: Float64, lack: str) -> Measurement:
        """The least of what is asked for; the doubt grows with frames that are neither one nor the other."""
        if not matrix.size:
            return _measurement(self.spec, name, np.nan, note=lack)
        value = float(wanted.over_shots(seen, matrix).min())
        seconds = len(matrix) / seen.rate
        doubt = float(np.sqrt(np.mean(matrix * (1 - matrix)) / (1 + seconds))) + 0.02
        return _measurement(self.spec, name, value, std=doubt)

    def _sizes(self, seen: Sightings, things: Sequence[Track], wants: Wants) -> Float64:
        """The side of the main thing in each sampled frame: the first that is asked for and known, or the largest."""
        found = wanted.look_for(seen, wants, self._detector.names)
        sides, out = seen.sides, np.zeros(len(seen.frames))
        if found.asked:
            there = np.flatnonzero(found.rows[:, 0] >= 0)
            out[there] = sides[found.rows[there, 0]] * found.sight[there, 0]
            return out
        for track in things:
            sure = np.clip((seen.scores[track.rows] - endings.DOUBTED) / (endings.TRUSTED - endings.DOUBTED), 0, 1)
            out[track.keys] = np.maximum(out[track.keys], sides[track.rows] * sure)
        return np.asarray(np.minimum(out, 1.0))


def faults(
    seen: Sightings, linked: Sequence[tuple[tuple[int, int], list[Track]]]
) -> tuple[dict[str, Any], dict[str, Float64]]:
    """What befalls things: values by name, with their doubt, and when, float64 (K,) each."""
    events: dict[str, list[endings.Event]] = {"vanish": [], "appear": [], "flips": [], "doubles": []}
    for span, several in linked:
        events["vanish"] += endings.endings(seen, span, several)
        events["appear"] += endings.endings(seen, span, several, backwards=True)
        events["flips"] += endings.changes_of_kind(seen, several)
        events["doubles"] += endings.doublings(seen, span, several)
        events["doubles"] += endings.doublings(seen, span, several, backwards=True)
    watched = np.zeros(len(seen.frames))
    sure = (seen.scores >= endings.TRUSTED - 0.1) & (seen.sides >= endings.LARGE / 2)
    watched[seen.key[sure]] = 1.0
    share = _mean(watched)
    values: dict[str, Any] = {"seen": share}
    courses = {"seen_track": watched}
    for name, several_events in events.items():
        weights = np.array([event.weight for event in several_events])
        course = np.zeros(len(seen.frames))
        for weight, key in several_events:
            course[min(key, len(course) - 1)] += weight
        counted = np.sort(weights)[::-1] * FURTHER ** np.arange(len(weights))
        value = min(MOST, float(counted.sum()) + (1 - share) * UNSEEN)
        doubt = float(np.sqrt((counted * (1 - counted)).sum())) / 2 + (1 - share) * UNSEEN
        values[name] = _measurement(Objects.spec, name, value, std=doubt)
        courses[f"{name}_track"] = np.minimum(course, MOST)
    return values, courses


def colours_of(frame: NDArray[np.uint8], box: NDArray[np.float32]) -> Float64:
    """Shares of the eleven colours in the middle of a box (an ellipse) and in a ring around it: float64 (2, 11)."""
    height, width = frame.shape[:2]
    middle, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 0.5)
    low, high = np.floor(middle - RING * half).astype(int), np.ceil(middle + RING * half).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, [width, height])
    low = np.minimum(low, [width - 1, height - 1])
    step = np.maximum(1, (high - low) // COLOUR_SIDE)
    x, y = np.arange(low[0], high[0], step[0]), np.arange(low[1], high[1], step[1])
    names = basic_colours.names_of(frame[np.ix_(y, x)])
    across, down = (x + 0.5 - middle[0]) / half[0], (y + 0.5 - middle[1]) / half[1]
    inside = np.add.outer(down**2, across**2) <= CORE**2
    around = np.maximum(np.abs(across)[None], np.abs(down)[:, None]) > 1
    return np.stack([_bins(names[inside] if inside.any() else names.ravel()), _bins(names[around])])


def _bins(names: NDArray[np.uint8]) -> Float64:
    return np.asarray(np.bincount(names, minlength=len(COLOURS)) / max(len(names), 1), np.float64)


def _people(seen: Sightings, things: Sequence[Track], names: Sequence[str]) -> Float64:
    """How many people there are in each sampled frame, float64 (K,)."""
    kinds = np.array([at for at, name in enumerate(names) if name == "person"], np.int64)
    return wanted.tallies(seen, things, kinds).astype(np.float64)


def _mean(values: Float64) -> float:
    return float(values.mean()) if len(values) else 0.0


def _measurement(spec: OperatorSpec, name: str, value: float, *, std: float = 0.0, note: str = "") -> Measurement:
    unit = next(item.unit for item in spec.measurements if item.name == name)
    return Measurement(name=name, value=value, unit=unit, std=std, note=note)

"""People by their joints, on six frames a second: limbs, feet, how they move, and how the frame holds them.

Faults of a body can only be told where one is seen, large enough and surely. The less of the time that is, the nearer
each fault lies to what a clip is taken to have of it unseen, and the greater is the doubt: who hides gains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.networks.yolo import Boxes, Sees, load_poser
from cinereward.operators import endings, footing, heads, skeletons
from cinereward.operators.sightings import Sightings, Track, laid_down, links, taken_up
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

# What a clip is taken to have of each fault where nobody is seen: a little more than good footage has.
UNSEEN = {"limb_change": 0.12, "knees": 0.05, "limb_count": 0.1, "splits": 0.1, "foot_slide": 0.15, "cut_head": 0.1}
UNSEEN |= {"headroom_off": 0.03, "size_drift": 0.05}
LARGE, LEAST = 0.15, 0.06  # side of a person's box, as the root of the share of the frame: told in full, and not at all
LEAST_JOINTS = 6
WORST = 3  # sampled frames, half a second, that make a fault of a limb
SLIDING = 0.25  # of the time with feet, the worst part, that is told


def _spec(name: str, unit: str, high: float, meaning: str) -> MeasurementSpec:
    return MeasurementSpec(name=name, unit=unit, low=0, high=high, meaning=meaning)


class Pose:
    """Skeletons linked into people, held against what bodies can do and against the frame.

    Args:
        device: of the network. poser: a network that is used instead of loading one; it tells joints.
    """

    spec = OperatorSpec(
        name="pose",
        measurements=(
            _spec("presence", "share", 1, "of the sampled frames in which a body is told"),
            _spec("limb_change", "octaves", 4, "by which the worst limb is longer than it can be, for half a second"),
            _spec("knees", "share", 1, "of half a second in which a knee bends forwards, seen from the side"),
            _spec("limb_count", "limbs", 20, "hands and feet that go missing, and bodies with two sets of limbs"),
            _spec("splits", "people", 20, "people who become two, or two who become one"),
            _spec(
                "foot_slide", "heights/s", 5, "at which the foot that stands slides, in the worst quarter of the time"
            ),
            _spec("movement", "heights/s", 20, "mean speed of joints against the body's middle; nobody: 0"),
            _spec("cut_head", "share", 1, "of the heads of the main people that an edge cuts off"),
            _spec("headroom", "share", 1, "of the frame above the crown of the main person"),
            _spec("headroom_off", "share", 1, "of the frame by which the room above heads is too small or too large"),
            _spec("shot_size", "share", 10, "height of the main person's head in heights of the frame"),
            _spec("size_drift", "octaves", 5, "by which the size of a head wavers within a shot"),
            _spec(
                "subject_size", "share", 1, "side of the main person, as the root of the share of the frame; nobody: 0"
            ),
        ),
        needs=frozenset({"frames"}),
        weights=("yolo11m-pose",),
        licence="AGPL-3.0",
    )

    def __init__(self, device: str | None = None, *, poser: Sees | None = None) -> None:
        self._poser = load_poser(device) if poser is None else poser

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Skeletons of the sampled frames, and a coarse flow of all."""
        return [self._measure(window, found) for window, found in zip(windows, self._poser(windows), strict=True)]

    def _measure(self, window: Window, found: Mapping[int, Boxes]) -> Partial:
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={
                "thumbs": owned(window.features["thumbs"], window.overlap),
                "ground": footing.kept_flow(owned(window.features["flow"], window.overlap)),
            },
            sounds=laid_down(window, found, joints=True),
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """People followed inside shots, and the worst of what befalls them."""
        tracks = join(partials)
        seen = taken_up(tracks, "joints")
        people = [(span, _told(seen, several)) for span, several in links(seen)]
        bodies = _bodies(seen, people)
        sliding, standing = _feet(seen, people, tracks["ground"])
        framing, headed = _framing(seen)
        courses = {"presence": bodies, "foot_slide": sliding} | _faults(seen, people) | framing
        shares = {"body": _mean(bodies), "feet": _mean(standing), "head": _mean(headed)}
        shares["close"] = _mean(np.where(np.isfinite(framing["headroom_off"]), headed, 0.0))
        values = self._values(courses, _drift(seen, people), shares)
        told = {}
        for name, course in courses.items():
            known = np.isfinite(course)
            told[f"{name}_track"] = (seen.times[known], course[known])
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, values, told),
        )

    def _values(self, courses: Mapping[str, Float64], drift: float, shares: Mapping[str, float]) -> dict[str, Any]:
        """One value for each course over the sampled frames, and its doubt, by how surely bodies and heads are told."""
        sliding = np.sort(courses["foot_slide"][np.isfinite(courses["foot_slide"])])
        worst = {
            "limb_change": (_worst(courses["limb_change"], WORST), "body"),
            "knees": (_worst(courses["knees"], WORST), "body"),
            "limb_count": (float(courses["limb_count"].sum()), "body"),
            "splits": (float(courses["splits"].sum()), "body"),
            "foot_slide": (_worst(sliding, max(WORST, round(SLIDING * len(sliding)))), "feet"),
            "cut_head": (_mean(courses["cut_head"]), "head"),
            "headroom_off": (_mean(courses["headroom_off"]), "close"),
            "size_drift": (drift, "head"),
        }
        presence = shares["body"]
        values: dict[str, Any] = {"presence": presence}
        for name, (value, told) in worst.items():
            unseen = (1 - shares[told]) * UNSEEN[name]
            values[name] = self._measurement(name, value + unseen, std=unseen + 0.3 * value * (1 - shares[told]))
        for name in ("movement", "subject_size"):
            values[name] = self._measurement(name, _mean(np.nan_to_num(courses[name])), std=0.1 * (1 - presence))
        for name in ("headroom", "shot_size"):
            known = courses[name][np.isfinite(courses[name])]
            middle = float(np.median(known)) if len(known) else np.nan
            values[name] = self._measurement(name, middle, note="" if len(known) else "no head and shoulders are seen")
        return values

    def _measurement(self, name: str, value: float, *, std: float = 0.0, note: str = "") -> Measurement:
        item = next(item for item in self.spec.measurements if item.name == name)
        kept = float(np.clip(value, item.low, item.high)) if np.isfinite(value) else value
        return Measurement(name=name, value=kept, unit=item.unit, std=std, note=note)


# --- people ---

People = list[tuple[tuple[int, int], list[Track]]]


def surely(seen: Sightings) -> Float64:
    """How surely each sighting is a body whose joints can be read, float64 (N,) in [0, 1]: score, size, joints."""
    score = np.clip((seen.scores - endings.DOUBTED) / (endings.TRUSTED - endings.DOUBTED), 0, 1)
    size = np.clip((seen.sides - LEAST) / (LARGE - LEAST), 0, 1)
    joints = (seen.more["joints"][..., 2] >= skeletons.TOLD).sum(axis=1) >= LEAST_JOINTS
    return np.asarray(score * size * joints)


def _told(seen: Sightings, several: Sequence[Track]) -> list[Track]:
    """The tracks that hold a body long enough to be read."""
    sure = surely(seen)
    return [track for track in several if len(track) >= WORST and sure[track.rows].mean() > 0.1]


def _bodies(seen: Sightings, people: People) -> Float64:
    """How surely a body is told in each sampled frame, float64 (K,)."""
    out, sure = np.zeros(len(seen.frames)), surely(seen)
    for _, several in people:
        for track in several:
            out[track.keys] = np.maximum(out[track.keys], sure[track.rows])
    return out


def _faults(seen: Sightings, people: People) -> dict[str, Float64]:
    """What befalls bodies in each sampled frame, float64 (K,) each: the worst of all people, by how sure they are."""
    names = ("limb_change", "knees", "limb_count", "splits", "movement")
    out = {name: np.zeros(len(seen.frames)) for name in names}
    sure = surely(seen)
    for span, several in people:
        for track in several:
            joints, certain, at = seen.more["joints"][track.rows], sure[track.rows], track.keys
            knees = np.nan_to_num(skeletons.median_of_three(np.nan_to_num(skeletons.knees_forward(joints))))
            moves = np.nan_to_num(skeletons.movement(joints, track.keys, seen.rate))
            out["limb_change"][at] = np.maximum(out["limb_change"][at], certain * skeletons.too_long(joints))
            out["knees"][at] = np.maximum(out["knees"][at], certain * knees)
            out["movement"][at] = np.maximum(out["movement"][at], np.minimum(certain * moves, 20.0))
            out["limb_count"][at] += certain * skeletons.limbs_lost(seen, track)
        for backwards in (False, True):
            for event in endings.doublings(seen, span, several, backwards=backwards):
                out["splits"][event.key] += event.weight
    twins = skeletons.median_of_three(skeletons.twins(seen))
    out["limb_count"] = np.minimum(out["limb_count"] + twins / WORST, 20.0)
    out["splits"] = np.minimum(out["splits"], 20.0)
    return out


def _feet(seen: Sightings, people: People, flow: NDArray[Any]) -> tuple[Float64, Float64]:
    """How fast feet slide in each sampled frame, the worst of all people, and how surely feet that stand are told.

    Both float64 (K,); NaN and 0 where nobody stands.
    """
    out, certain, sure = np.full(len(seen.frames), np.nan), np.zeros(len(seen.frames)), surely(seen)
    for _, several in people:
        for track in several:
            speed = footing.slides(seen, track, flow)
            known = np.isfinite(speed) & (sure[track.rows] > 0)
            at = track.keys[known]
            out[at] = np.fmax(out[at], speed[known] * sure[track.rows[known]])
            certain[at] = np.maximum(certain[at], sure[track.rows[known]])
    return out, certain


def _framing(seen: Sightings) -> tuple[dict[str, Float64], Float64]:
    """How the frame holds the main people in each sampled frame, and how surely their heads are told.

    float64 (K,) each; NaN, and 0, where no head is told.
    """
    count = len(seen.frames)
    crown, size = heads.crowns(seen.more["joints"])
    cut = heads.cut_off(crown, size, seen.aspect)
    off = heads.room_off(crown, size)
    sides, sure = seen.sides, surely(seen)
    out = {name: np.full(count, np.nan) for name in ("cut_head", "headroom", "headroom_off", "shot_size")}
    out["subject_size"], certain = np.zeros(count), np.zeros(count)
    for key in range(count):
        rows = seen.at(key)
        rows = rows[sure[rows] > 0]
        if not len(rows):
            continue
        main = rows[sides[rows] >= 0.5 * sides[rows].max()]
        first = main[int(np.argmax(sides[main] * sure[main]))]
        out["subject_size"][key] = min(1.0, sides[first] * sure[first])
        headed = main[np.isfinite(size[main])]
        if len(headed):
            certain[key] = float(sure[headed].max())
            out["cut_head"][key] = float((cut[headed] * sure[headed]).max())
            top = headed[int(np.argmin(crown[headed, 1]))]
            out["headroom"][key], out["headroom_off"][key] = np.clip(crown[top, 1], 0, 1), off[top]
            biggest = headed[int(np.argmax(size[headed]))]
            out["shot_size"][key] = min(10.0, float(size[biggest]))
    return out, certain


def _drift(seen: Sightings, people: People) -> float:
    """How the size of heads wavers, in octaves: the mean over people, by how long they are seen."""
    _, size = heads.crowns(seen.more["joints"])
    spent = [
        (heads.drift_of_size(skeletons.evened(size[track.rows])), len(track)) for _, own in people for track in own
    ]
    return float(np.average([one for one, _ in spent], weights=[long for _, long in spent])) if spent else 0.0


def _worst(course: Float64, count: int) -> float:
    """The mean of so many highest values."""
    return float(np.sort(course)[-count:].mean()) if len(course) else 0.0


def _mean(course: Float64) -> float:
    known = course[np.isfinite(course)]
    return float(known.mean()) if len(known) else 0.0

"""What the subject operator makes of its rows: the courses of subjects and backgrounds in every shot of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.operators.courses import Allowance, Course, apart, best_matches, drift, jumps, middle, together, unit
from cinereward.operators.looks import PERSON, PREFERRED
from cinereward.operators.sightings import Sightings, Track, links
from cinereward.operators.tracks import Tracks
from cinereward.types import Measurement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Float64 = NDArray[np.float64]
    Courses = dict[str, tuple[Float64, Float64]]

WHOLE = -1  # the class of the picture as a whole
BESIDE = 0.5  # of the first subject's weight from which another one counts
LOOK = Allowance(still=0.06, moving=0.1)  # change of a subject's look that is usual
PLACE = Allowance(still=0.04, moving=0.3)  # of a background's: a camera that moves shows other parts of it
UNKNOWN = (0.75, 0.15)  # likeness across cuts where there is nothing to compare, and its doubt
SLOW = 0.02  # heights of the picture a second below which constancy says little


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """One shot: the courses that count, the surest first, their kinds, and the share of the shot they cover."""

    courses: Sequence[Course]
    kinds: Sequence[int]
    covered: float
    keys: int


def subjects(seen: Sightings, tracks: Tracks) -> list[Shown]:
    """The subjects of every shot; the last course of each is that of the whole picture."""
    looks, speeds = unit(seen.more["looks"]), seen.more["speeds"]
    inside = ~first_of_shot(seen, tracks)
    out = []
    for (first, last), things in links(seen):
        things = sorted((thing for thing in things if len(thing) > 1), key=lambda thing: -weight(seen, thing))
        things = [thing for thing in things if weight(seen, thing) >= BESIDE * weight(seen, things[0])]
        courses = [
            Course(
                times=seen.times[thing.keys],
                points=looks[thing.rows],
                speed=usual_speed(speeds[thing.rows[inside[thing.keys]]]),
                weight=weight(seen, thing),
            )
            for thing in things
        ]
        covered = len(set().union(*(thing.keys.tolist() for thing in things))) / (last - first)
        kinds = [int(np.bincount(seen.classes[thing.rows]).argmax()) for thing in things]
        whole = course_of(seen, tracks, "wholes", np.arange(first, last), inside, column=1)
        out.append(Shown(courses=[*courses, whole], kinds=[*kinds, WHOLE], covered=covered, keys=last - first))
    return out


def grounds(seen: Sightings, tracks: Tracks) -> list[Shown]:
    """The background of every shot, as one course over the frames that show enough of it."""
    inside = ~first_of_shot(seen, tracks)
    free = np.asarray(np.isfinite(tracks["grounds"]).all(axis=1))
    out = []
    for first, last in seen.spans():
        keys = np.arange(first, last)[free[first:last]]
        course = course_of(seen, tracks, "grounds", keys, inside, column=0)
        out.append(Shown(courses=[course], kinds=[WHOLE], covered=len(keys) / (last - first), keys=last - first))
    return out


def course_of(seen: Sightings, tracks: Tracks, name: str, keys: Array, inside: Array, *, column: int) -> Course:
    """The course of one row a sampled frame; column: of "camera", its speed outside all boxes or everywhere."""
    speeds = tracks["camera"][keys[inside[keys]], column]
    return Course(times=seen.times[keys], points=unit(tracks[name][keys]), speed=usual_speed(speeds))


def first_of_shot(seen: Sightings, tracks: Tracks) -> NDArray[np.bool_]:
    """Which sampled frames are the first of their shot: their flow leads across the cut."""
    return np.asarray(np.isin(seen.frames, [shot.first for shot in tracks.shots()]))


def weight(seen: Sightings, thing: Track) -> float:
    """How much a thing is what the shot is about: how large and how sure it is, added up over time."""
    liked = np.where(seen.classes[thing.rows] == PERSON, PREFERRED, 1.0)
    return float((liked * seen.scores[thing.rows] * seen.sides[thing.rows]).sum())


def usual_speed(speeds: Float64) -> float:
    """The median of the speeds that are known, 0 where none is."""
    known = speeds[np.isfinite(speeds)]
    return float(np.median(known)) if len(known) else 0.0


# --- what is told ---


def told_of_subjects(shots: Sequence[Shown]) -> tuple[dict[str, Measurement], Courses]:
    """Measurements of the subjects, and their courses."""
    drifts, speeds, sharp, courses = [], [], [], []
    for shot in shots:
        own, whole = shot.courses[:-1], shot.courses[-1]
        weights = [course.weight for course in own]
        found = drift(whole, LOOK)
        if own:
            found = (
                shot.covered * float(np.average([drift(one, LOOK) for one in own], weights=weights))
                + (1 - shot.covered) * found
            )
        drifts.append(found)
        speeds.append(own[0].speed if own else whole.speed)
        watched = [*own, whole] if shot.covered < 0.5 else own
        courses.append(own[0] if own else whole)
        sharp.append(steepest(watched, whole.times))
    keys = [float(shot.keys) for shot in shots]
    covered = float(np.average([shot.covered for shot in shots], weights=keys))
    speed = float(np.average(speeds, weights=keys))
    note = "" if covered > 0 else "no known thing is followed; the picture as a whole stands for the subject"
    slow = "the subject hardly moves; its constancy says little" if speed < SLOW else ""
    doubt = 1 / np.sqrt(sum(keys))
    named = {
        "drift": _measured("drift", together(drifts, keys), "times usual", 0.6 * doubt, note or slow),
        "jump": _measured("jump", max(row.max(initial=0.0) for row in sharp), "1 - cosine", 0.06 * doubt, note),
        "across": across("across", [shot.courses for shot in shots], [shot.kinds for shot in shots]),
        "motion": _measured("motion", speed, "heights/s", 0.2 * speed * doubt, note),
        "followed": _measured("followed", covered, "share", 0.3 * doubt, note),
    }
    times = np.concatenate([shot.courses[-1].times for shot in shots])
    return named, {"drift_track": swing(courses, LOOK), "jump_track": (times, np.concatenate(sharp))}


def told_of_grounds(shots: Sequence[Shown]) -> tuple[dict[str, Measurement], Courses]:
    """Measurements of the backgrounds, and their courses."""
    keys = [float(shot.keys) for shot in shots]
    # what is hidden is taken to be as usual
    drifts = [shot.covered * drift(shot.courses[0], PLACE) + (1 - shot.covered) for shot in shots]
    seen = [shot for shot in shots if len(shot.courses[0])]
    note = "" if seen else "no background is free of things"
    slow = note or ("" if max((shot.courses[0].speed for shot in seen), default=0.0) >= SLOW else "the camera rests")
    courses = [shot.courses[0] for shot in seen]
    sharp = [steepest([course], course.times) for course in courses]
    doubt = 1 / np.sqrt(sum(keys))
    largest = max((row.max(initial=0.0) for row in sharp), default=0.0)
    named = {
        "background_drift": _measured("background_drift", together(drifts, keys), "times usual", 0.6 * doubt, slow),
        "background_jump": _measured("background_jump", largest, "1 - cosine", 0.06 * doubt, note),
        "background_across": across(
            "background_across", [shot.courses for shot in shots], [shot.kinds for shot in shots]
        ),
    }
    if not courses:
        return named, {}
    times = np.concatenate([course.times for course in courses])
    return named, {
        "background_drift_track": swing(courses, PLACE),
        "background_jump_track": (times, np.concatenate(sharp)),
    }


def steepest(courses: Sequence[Course], times: Float64) -> Float64:
    """The largest jump of any of the courses at each of these times, (N,); 0 where none has one."""
    out = np.zeros(len(times))
    for course in courses:
        at = np.searchsorted(times, course.times[1:])
        np.maximum.at(out, at, jumps(course.points))
    return out


def swing(courses: Sequence[Course], allowance: Allowance) -> tuple[Float64, Float64]:
    """How far each look lies from the usual one of its shot, in times of what is usual: times and values."""
    values = [
        [apart(point, centre) / allowance.of(course.speed) for point in course.points]
        for course in courses
        for centre in [middle(course.points)]
    ]
    return np.concatenate([course.times for course in courses]), np.concatenate([np.array(row) for row in values])


def across(name: str, courses: Sequence[Sequence[Course]], kinds: Sequence[Sequence[int]]) -> Measurement:
    """How alike the first thing of each shot is to the most alike of its kind in another shot."""
    rows = [
        (shot, kind, course, place == 0)
        for shot, (own, sorts) in enumerate(zip(courses, kinds, strict=True))
        for place, (course, kind) in enumerate(zip(own, sorts, strict=True))
        if len(course)
    ]
    note = "one shot; there is no cut to look across" if len(courses) < 2 else "no shot shows what another shows"
    if len(courses) > 1 and rows:
        points = np.stack([middle(course.points) for _, _, course, _ in rows])
        best = best_matches(points, np.array([row[0] for row in rows]), np.array([row[1] for row in rows]))
        known = best[[row[3] for row in rows]]
        known = known[np.isfinite(known)]
        if len(known):
            value = float(np.clip(known.mean(), -1, 1))
            return _measured(name, value, "cosine", 0.1 / np.sqrt(len(known)), "")
    return _measured(name, UNKNOWN[0], "cosine", UNKNOWN[1], note)


def _measured(name: str, value: float, unit_: str, std: float, note: str) -> Measurement:
    return Measurement(name=name, value=float(value), unit=unit_, std=float(std), note=note)

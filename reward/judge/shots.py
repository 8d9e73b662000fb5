"""Scores shot by shot beside the whole: each shot judged as a clip of its own, by any judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cinereward.media.features import Features
from cinereward.types import Judge, JudgeRequest, Sound, Verdict, Window


@dataclass(frozen=True, kw_only=True)
class JudgedShot:
    """The verdicts on one shot. number: from 1. start, end: in s of the clip. verdicts: in the order of the questions.

    They say how good the shot is by itself; they are not parts that add up to the verdict on the clip.
    """

    number: int
    start: float
    end: float
    verdicts: tuple[Verdict, ...]


def shot_by_shot(judge: Judge, request: JudgeRequest) -> list[JudgedShot]:
    """Judge every shot of a clip alone.

    Args:
        judge: any. request: on the whole clip, with the evidence of the operator `shots`; without it the clip is one
            shot. Evidence is of the whole clip and so is not shown with a part of it.

    Returns:
        The shots in order, their findings in the clip's seconds. A shot of which no frame was kept is FAILED.
    """
    spans = spans_of(request)
    parts = [
        dataclasses.replace(request, clip=cut(request.clip, start, end), evidence={}, expected={})
        for start, end in spans
    ]
    out = []
    for number, ((start, end), verdicts) in enumerate(zip(spans, judge(parts), strict=True), 1):
        moved = tuple(_moved(one, start, end, number) for one in verdicts)
        out.append(JudgedShot(number=number, start=start, end=end, verdicts=moved))
    return out


def spans_of(request: JudgeRequest) -> list[tuple[float, float]]:
    """Start and end of every shot, in s."""
    times = [float(time) for window in request.clip for time in window.times]
    track = request.evidence["shots"].measurements.get("duration_track") if "shots" in request.evidence else None
    if track is None or track.times is None or not isinstance(track.value, np.ndarray) or len(track.times) == 0:
        return [(0.0, max(times, default=0.0) + 1 / request.clip[0].fps)]
    ends = [*track.times[1:], track.times[-1] + track.value[-1]]
    return [(float(start), float(end)) for start, end in zip(track.times, ends, strict=True)]


def cut(clip: Sequence[Window], start: float, end: float) -> list[Window]:
    """The windows of a part of a clip, as of a clip that begins there. start, end: in s; the end is not in it."""
    out = []
    for window in clip:
        rows = np.arange(window.overlap, len(window.frames))
        rows = rows[(window.times[rows] >= start - 1e-6) & (window.times[rows] < end - 1e-6)]
        sound = None if window.sound is None else _cut(window.sound, start, end)
        if not len(rows) and (sound is None or not len(sound.samples)):
            continue
        frames, times = window.frames[rows], window.times[rows] - start
        first = max(0, round(float(times[0]) * window.fps)) if len(times) else 0
        features = Features(frames, first, 0, window.fps, sound)
        out.append(
            dataclasses.replace(
                window, frames=frames, times=times, start_frame=first, overlap=0, sound=sound, features=features
            )
        )
    return out


def _cut(sound: Sound, start: float, end: float) -> Sound:
    def rows(rate: int, lead: int, count: int) -> slice:
        first, last = (lead + round((edge - sound.start) * rate) for edge in (start, end))
        return slice(min(count, max(lead, first)), min(count, max(lead, last)))

    samples = sound.samples[rows(sound.sample_rate, sound.lead, len(sound.samples))]
    original = sound.original[:, rows(sound.original_rate, sound.original_lead, sound.original.shape[1])]
    begins = max(0.0, sound.start - start)
    return dataclasses.replace(sound, samples=samples, original=original, start=begins, lead=0, original_lead=0)


def _moved(verdict: Verdict, start: float, end: float, number: int) -> Verdict:
    """A finding in the seconds of the whole clip."""
    found = verdict.finding
    if found is None:
        return verdict
    first, last = (min(end, start + edge) for edge in (found.start, found.end))
    return dataclasses.replace(verdict, finding=dataclasses.replace(found, shot=number, start=first, end=last))

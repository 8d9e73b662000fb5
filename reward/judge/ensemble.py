"""Several judges, or several looks of one: their median counts, and how far they lie apart adds to the doubt."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cinereward.errors import JudgeError
from cinereward.judge.context import Context
from cinereward.judge.labels import failed
from cinereward.media.features import Features
from cinereward.types import Judge, JudgeRequest, Status, Verdict, Window

DROPPED = 0.25  # of the kept frames, that another look does without
UNKNOWN = 0.5  # the largest std that a score in [0, 1] can have


class Ensemble:
    """A judge made of several (`types.Judge`).

    It hears if one of them does; questions on sound are then settled among those that do.

    Args:
        judges: two or more. All must answer in one mode: scores of different modes are different estimators.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        if len(judges) < 2:
            raise ValueError(f"an ensemble of {len(judges)} judges; expected 2 or more; use the one as it is")
        self.judges = tuple(judges)
        self.hears = any(judge.hears for judge in judges)

    @property
    def identity(self) -> str:
        """Those of all its judges."""
        return "median of: " + " | ".join(
            str(getattr(judge, "identity", type(judge).__name__)) for judge in self.judges
        )

    def context(self, prompt: str, reference: Any = None) -> Context:
        """What the first of them that can tell reads in a prompt, since a gate has no median."""
        read = next((one.context for one in self.judges if hasattr(one, "context")), None)
        return Context() if read is None else read(prompt, reference)

    def __call__(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
        """One list of verdicts for each request, in the order of its questions."""
        answers = [_answers(judge, requests) for judge in self.judges]
        return [
            [settle([some[row][at] for some in answers]) for at in range(len(request.questions))]
            for row, request in enumerate(requests)
        ]


class OtherLook:
    """The same judge, shown other frames of each clip: a "seed" of a judge that itself draws nothing.

    Args:
        judge: that looks. seed: which frames it does without; equal seeds and clips give equal looks.
    """

    def __init__(self, judge: Judge, seed: int) -> None:
        self.judge, self.seed = judge, seed
        self.hears = judge.hears

    @property
    def identity(self) -> str:
        """That of the judge, and which look."""
        return f"{getattr(self.judge, 'identity', type(self.judge).__name__)}; look {self.seed}"

    def __call__(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
        """One list of verdicts for each request, in the order of its questions."""
        return self.judge([dataclasses.replace(one, clip=fewer(one.clip, self.seed)) for one in requests])


def settle(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict from those of several judges on one question.

    Args:
        verdicts: one of each judge. What is UNAVAILABLE to a judge, it has no part in.

    Returns:
        The median score (between the two in the middle, where they are even); std: that of the judge nearest to it,
        with the standard deviation of the scores. Text and finding are that judge's. FAILED where fewer than half of
        those that were asked answered. The reason tells all scores, and who failed and why.
    """
    if not verdicts:
        raise ValueError("there are no verdicts; an ensemble has judges")
    able = [(at, one) for at, one in enumerate(verdicts, 1) if one.status is not Status.UNAVAILABLE]
    if not able:
        return verdicts[0]
    scored = [(at, one) for at, one in able if one.status is Status.SCORED]
    lost = "; ".join(f"judge {at}: {one.reason}" for at, one in able if one.status is not Status.SCORED)
    if 2 * len(scored) < len(able):
        return failed(verdicts[0].question, f"{len(scored)} of {len(able)} judges answered; {lost}")
    scores = np.array([one.score for _, one in scored])
    median = float(np.median(scores))
    nearest = min((abs(one.score - median), at, one) for at, one in scored)[2]
    listed = f"median of {', '.join(f'judge {at} {one.score:.2f}' for at, one in scored)}"
    finding = nearest.finding
    return dataclasses.replace(
        nearest,
        score=median,
        std=math.hypot(UNKNOWN if math.isnan(nearest.std) else nearest.std, float(scores.std())),
        reason="; ".join(filter(None, [listed, lost, nearest.reason])),
        finding=None if finding is None else dataclasses.replace(finding, severity=1 - median),
    )


def fewer(clip: Sequence[Window], seed: int) -> list[Window]:
    """The clip's windows without about a quarter of their frames, drawn by seed and time; the clip's first one stays.

    Sound and times are as they were. A window may come to hold no frame.
    """
    out = []
    first = next((at for at, window in enumerate(clip) if len(window.frames) > window.overlap), -1)
    for at, window in enumerate(clip):
        rows = np.arange(window.overlap, len(window.frames))
        kept = np.array([_drawn(seed, float(window.times[row])) >= DROPPED for row in rows], bool)
        if at == first:
            kept[0] = True
        rows = rows[kept]
        frames, times = window.frames[rows], window.times[rows]
        frames.flags.writeable = False
        begun = float(times[0] - window.times[0]) if len(times) else 0.0
        start = window.start_frame + round(begun * window.fps)
        features = Features(frames, start, 0, window.fps, window.sound)
        out.append(
            dataclasses.replace(window, frames=frames, times=times, start_frame=start, overlap=0, features=features)
        )
    return out


def _drawn(seed: int, time: float) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}\n{time:.4f}".encode()).digest()[:6], "big") / 2**48


def _answers(judge: Judge, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
    """What one judge says; one that breaks down, or the rules, fails its own part alone."""
    try:
        came = judge(requests)
        if [[one.question for one in some] for some in came] != [list(request.questions) for request in requests]:
            raise JudgeError("it answered other questions than it was asked")
    except Exception as error:  # the others can still speak, and a server may lie behind this one
        if len(requests) > 1:
            return [some for request in requests for some in _answers(judge, [request])]
        reason = str(error) if isinstance(error, JudgeError) else f"{type(error).__name__}: {error}"
        return [[failed(name, reason) for name in request.questions] for request in requests]
    return came

"""Every shot judged as a clip of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from cinereward.judge.backend import Ask, Shown
from cinereward.judge.film import FilmJudge
from cinereward.judge.shots import cut, shot_by_shot, spans_of
from cinereward.testing.judges import questions
from cinereward.types import Status
from tests.judge.fakes import FakeBackend, certain
from tests.judge.requests import TAXONOMY, request, settings, shots, windows

ONE = questions(1)[:1]
CUT = shots(0.0, 1.25, end=3.0)


def test_every_shot_has_its_own_verdicts() -> None:
    def chances(shown: Shown, ask: Ask) -> Sequence[float]:
        return certain(0.25 if shown.end < 1.5 else 0.75)  # the first shot lasts 1.25 s, the second 1.75 s

    judge = FilmJudge(FakeBackend(chances=chances), settings(), TAXONOMY)
    first, second = shot_by_shot(judge, request(3.0, ONE, evidence=CUT))
    assert (first.number, first.start, first.end, first.verdicts[0].score) == (1, 0.0, 1.25, 0.25)
    assert (second.number, second.start, second.end, second.verdicts[0].score) == (2, 1.25, 3.0, 0.75)


def test_findings_come_in_the_seconds_of_the_clip() -> None:
    told = {"observe": "a", "problem": "b", "suggest": "c", "moment": {"start": 0.5, "end": 1.0}, "locus": "seed"}

    def words(shown: Shown, ask: Ask) -> str | None:
        return json.dumps(told) if "First reason" in ask.text else None

    judge = FilmJudge(FakeBackend(words=words), settings(), TAXONOMY)
    _, second = shot_by_shot(judge, request(3.0, ONE, mode="cot", evidence=CUT))
    found = second.verdicts[0].finding
    assert found is not None and (found.shot, found.start, found.end) == (2, 1.75, 2.25)


def test_the_parts_of_a_clip_hold_its_frames_and_its_sound_once() -> None:
    clip = windows(3.0, sound=True)
    parts = [cut(clip, start, end) for start, end in ((0.0, 1.25), (1.25, 3.0))]
    frames = np.concatenate([window.frames for part in parts for window in part])
    assert np.array_equal(frames, np.concatenate([window.frames for window in clip]))
    heard = np.concatenate([one.sound.samples for part in parts for one in part if one.sound is not None])
    assert np.array_equal(heard, np.concatenate([one.sound.samples for one in clip if one.sound is not None]))
    assert parts[1][0].times[0] == 0.0 and parts[1][0].sound is not None and parts[1][0].sound.start == 0.0
    second = parts[1][1].sound
    assert second is not None and second.start == 0.75  # 2.0 s of the clip


def test_a_shot_between_the_kept_frames_fails_and_says_so() -> None:
    brief = shots(0.0, 1.01, 1.1, end=3.0)
    _, second, _ = shot_by_shot(FilmJudge(FakeBackend(), settings(), TAXONOMY), request(3.0, ONE, evidence=brief))
    assert second.verdicts[0].status is Status.FAILED and "no frame" in second.verdicts[0].reason


def test_without_shots_the_clip_is_one() -> None:
    assert spans_of(request(3.0)) == [(0.0, 3.0)]
    (one,) = shot_by_shot(FilmJudge(FakeBackend(), settings(), TAXONOMY), request(3.0, ONE))
    assert one.verdicts[0].status is Status.SCORED

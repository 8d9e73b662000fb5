"""Every check of JudgeConformance can fail: each meets a judge that breaks just its rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cinereward import testing
from cinereward.testing import (
    JudgeConformance,
)
from cinereward.types import Status, Verdict


def needs_sound(question: str) -> bool:
    return question in testing.questions(1000, sound=True)


class Steady:
    """A deaf judge that scores by the length of the question's name and the light of the first frame."""

    hears = False

    def __call__(self, requests: Sequence[Any]) -> list[list[Verdict]]:
        return [[self.one(request, question) for question in request.questions] for request in requests]

    def one(self, request: Any, question: str) -> Verdict:
        if needs_sound(question):
            status, reason = Status.UNAVAILABLE, "this judge does not hear"
            return Verdict(question=question, score=np.nan, status=status, reason=reason)
        light = float(request.clip[0].frames[0].mean()) / 255
        return Verdict(question=question, score=light * (len(question) % 7) / 7, std=0.1, mass=0.9)


class TestSteady(JudgeConformance):
    def judge(self) -> Steady:
        return Steady()


class HearsWithoutEars(Steady):
    def one(self, request: Any, question: str) -> Verdict:
        return Verdict(question=question, score=0.5)


class MixesUpQuestions(Steady):
    def __call__(self, requests: Sequence[Any]) -> list[list[Verdict]]:
        return [verdicts[::-1] for verdicts in super().__call__(requests)]


class MixesUpRequests(Steady):
    def __call__(self, requests: Sequence[Any]) -> list[list[Verdict]]:
        return super().__call__(requests)[::-1]


class GradesOnACurve(Steady):
    def __call__(self, requests: Sequence[Any]) -> list[list[Verdict]]:
        found = super().__call__(requests)
        best = max((one.score for verdicts in found for one in verdicts if one.status is Status.SCORED), default=1.0)
        return [
            [dataclasses.replace(one, score=one.score / best) if one.score >= 0 else one for one in verdicts]
            for verdicts in found
        ]


class FavoursTheFirst(Steady):
    def __call__(self, requests: Sequence[Any]) -> list[list[Verdict]]:
        found = super().__call__(requests)
        return [[dataclasses.replace(found[0][0], score=1.0), *found[0][1:]], *found[1:]] if found else []


class Samples(Steady):
    def one(self, request: Any, question: str) -> Verdict:
        found = super().one(request, question)
        return dataclasses.replace(found, std=float(np.random.default_rng().random()))


class GivesNoReason(Steady):
    def one(self, request: Any, question: str) -> Verdict:
        return Verdict(question=question, score=np.nan, status=Status.FAILED)


class GivesANumberForAFailure(Steady):
    def one(self, request: Any, question: str) -> Any:
        status = Status.FAILED
        return SimpleNamespace(question=question, score=0.0, std=0.0, mass=1.0, status=status, reason="out of memory")


class DrawsOnFrames(Steady):
    def one(self, request: Any, question: str) -> Verdict:
        frames = request.clip[0].frames
        frames.flags.writeable = True
        frames[0, :4] = 255
        return super().one(request, question)


BROKEN_JUDGES: list[tuple[Callable[[], Any], str, str]] = [
    (HearsWithoutEars, "test_the_deaf_do_not_judge_sound", "does not hear"),
    (MixesUpQuestions, "test_one_list_for_each_request_in_order", "request 0"),
    (MixesUpRequests, "test_one_list_for_each_request_in_order", "expected"),
    (GradesOnACurve, "test_batch_equals_singles", "beside it"),
    (FavoursTheFirst, "test_order_has_no_influence", "order"),
    (Samples, "test_deterministic", "again"),
    (GivesNoReason, "test_verdicts_keep_the_rules", "without a reason"),
    (GivesANumberForAFailure, "test_verdicts_keep_the_rules", "expected NaN"),
    (DrawsOnFrames, "test_inputs_are_not_modified", "modify"),
    (lambda: lambda requests: [[]], "test_no_request_gives_no_verdict", "expected"),
    (lambda: object(), "test_it_is_a_judge", "hears"),
]


@pytest.mark.parametrize(("broken", "check", "told"), BROKEN_JUDGES)
def test_a_broken_judge_is_found_out(broken: Callable[[], Any], check: str, told: str) -> None:
    class Checks(JudgeConformance):
        def judge(self) -> Any:
            return broken()

    with pytest.raises(AssertionError, match=told):
        getattr(Checks(), check)()

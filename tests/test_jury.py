"""The judge's part of a score: what it is asked, what its verdicts come to, and what a broken judge costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cinereward import taxonomy
from cinereward.errors import ClipError, JudgeError
from cinereward.fusion import Fused
from cinereward.judge.context import Context
from cinereward.judge.settings import JudgeSettings
from cinereward.jury import Case, Jury
from cinereward.types import Clip, JudgeRequest, Status, Verdict

TAXONOMY = taxonomy.load()
FOCUS, VOICE = "cinematography.lens.focus", "sound_design.vocal.acoustic_quality"
EXPOSURE = "cinematography.lens.exposure"


class Planted:
    """A judge that answers 4 to every question, and remembers what it was asked."""

    def __init__(self, hears: bool = False, change: Callable[[list[Verdict]], Any] = lambda verdicts: verdicts) -> None:
        self.hears, self.change = hears, change
        self.asked: list[list[str]] = []
        self.requests: list[JudgeRequest] = []

    def __call__(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
        self.requests += requests
        self.asked += [list(request.questions) for request in requests]
        return [
            self.change([Verdict(question=name, score=0.75, std=0.1, mass=1.0) for name in request.questions])
            for request in requests
        ]


def questions(name: str) -> list[str]:
    return [question.name for question in TAXONOMY[name].sub_dimensions[0].questions]


def fused(**known: Fused) -> dict[str, Fused]:
    gated = Fused(value=math.nan, std=math.nan, status=Status.GATED, reason="not asked for")
    return {name: known.get(name.rpartition(".")[2], gated) for name in TAXONOMY.names}


def scored(value: float = 0.25) -> Fused:
    return Fused(value=value, std=0.1, status=Status.SCORED, reason="blur")


def away() -> Fused:
    return Fused(value=math.nan, std=math.nan, status=Status.UNAVAILABLE, reason="no evidence")


ALL = frozenset({"sound", "speech", "people", "face", "cuts", "reference"})


def case(error: Exception | None = None, called: frozenset[str] = ALL, **known: Fused) -> Case:
    return Case(kept=(), evidence={}, fused=fused(**known), called=called, error=error)


def jury(judge: Any, **settings: Any) -> Jury:
    return Jury(judge, JudgeSettings(model="tiny", **settings), TAXONOMY)


def test_only_what_the_prompt_calls_for_is_asked() -> None:
    judge = Planted()
    jury(judge).hear([case(focus=scored(), exposure=away())])
    assert judge.asked == [questions(FOCUS) + questions(EXPOSURE)]


def test_what_needs_sound_is_not_asked_of_the_deaf() -> None:
    judge = Planted()
    (verdicts,) = jury(judge).hear([case(acoustic_quality=scored())])
    assert judge.asked == []
    assert {one.status for one in verdicts.values()} == {Status.UNAVAILABLE}
    assert verdicts[questions(VOICE)[0]].reason == "this judge does not hear"


def test_a_question_that_needs_more_than_its_sub_dimension_waits_until_that_is_asked_for() -> None:
    judge = Planted(hears=True)
    bench = jury(judge)
    bench.hear([case(called=frozenset({"cuts"}), shot_duration_rationality=scored())])
    bench.hear([case(called=frozenset({"cuts", "sound"}), shot_duration_rationality=scored())])
    silent, heard = judge.asked
    assert set(heard) - set(silent) == {"multi_shot.rhythm.shot_duration_rationality.sound_rhythm"}


def test_one_that_hears_is_asked_about_sound() -> None:
    judge = Planted(hears=True)
    jury(judge).hear([case(acoustic_quality=scored())])
    assert judge.asked == [questions(VOICE)]


def test_where_nothing_is_left_to_ask_no_judge_is_called() -> None:
    judge = Planted()
    assert jury(judge).hear([case(), case()]) == [{}, {}]
    assert judge.requests == []


def test_a_clip_that_cannot_be_read_is_not_shown() -> None:
    judge = Planted()
    (verdicts,) = jury(judge).hear([case(ClipError("truncated"), focus=scored())])
    assert judge.asked == []
    assert {(one.status, one.reason) for one in verdicts.values()} == {(Status.FAILED, "truncated")}


def test_the_judge_is_told_what_the_evidence_came_to() -> None:
    judge = Planted()
    jury(judge).hear([case(focus=scored(0.3), exposure=away())])
    assert judge.requests[0].expected == {FOCUS: 0.3}


def test_evidence_and_judge_are_weighed() -> None:
    bench = jury(Planted(), weight=0.25)
    (verdicts,) = bench.hear([case(focus=scored(0.25))])
    assert bench.join(fused(focus=scored(0.25)), verdicts)[FOCUS].value == pytest.approx(0.375)


def test_a_sub_dimension_may_have_a_weight_of_its_own() -> None:
    bench = jury(Planted(), weights={FOCUS: 1.0})
    (verdicts,) = bench.hear([case(focus=scored(0.25))])
    assert bench.join(fused(focus=scored(0.25)), verdicts)[FOCUS].value == pytest.approx(0.75)


def test_the_judge_alone_scores_what_has_no_evidence() -> None:
    bench = jury(Planted())
    (verdicts,) = bench.hear([case(focus=away())])
    assert bench.join(fused(focus=away()), verdicts)[FOCUS].value == pytest.approx(0.75)


def test_what_is_gated_stays_gated() -> None:
    bench = jury(Planted())
    assert bench.join(fused(), {})[FOCUS].status is Status.GATED


def test_the_evidence_stands_where_the_judge_does_not_hear() -> None:
    bench = jury(Planted())
    (verdicts,) = bench.hear([case(acoustic_quality=scored(0.3))])
    assert bench.join(fused(acoustic_quality=scored(0.3)), verdicts)[VOICE].value == 0.3


def raising(error: Exception) -> Callable[[list[Verdict]], Any]:
    def change(verdicts: list[Verdict]) -> Any:
        raise error

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (raising(JudgeError("the server is down")), "the server is down"),
        (raising(KeyError("x")), "KeyError: 'x'"),
        (lambda verdicts: verdicts[1:], "the judge did not answer"),
        (lambda verdicts: [verdicts[0], *verdicts], "the judge answered 2 times"),
        (lambda verdicts: [Verdict(question="another", score=1.0), *verdicts[1:]], "the judge did not answer"),
    ],
    ids=["down", "broken", "too few", "twice", "another question"],
)
def test_a_broken_judge_fails_the_question_and_says_why(change: Callable[[list[Verdict]], Any], reason: str) -> None:
    (verdicts,) = jury(Planted(change=change)).hear([case(focus=scored())])
    first = verdicts[questions(FOCUS)[0]]
    assert (first.status, first.reason) == (Status.FAILED, reason)


def test_one_case_does_not_spoil_another() -> None:
    def change(verdicts: list[Verdict]) -> list[Verdict]:
        if verdicts[0].question in questions(EXPOSURE):
            raise JudgeError("too dark")
        return verdicts

    first, second = jury(Planted(change=change)).hear([case(focus=scored()), case(exposure=scored())])
    assert {one.status for one in first.values()} == {Status.SCORED}
    assert {one.reason for one in second.values()} == {"too dark"}


def test_verdicts_in_another_order_find_their_questions() -> None:
    (verdicts,) = jury(Planted(change=lambda some: some[::-1])).hear([case(focus=scored())])
    assert all(name == one.question for name, one in verdicts.items())


def test_lists_for_other_requests_fail_all() -> None:
    class Short(Planted):
        def __call__(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
            return []

    (verdicts,) = jury(Short()).hear([case(focus=scored())])
    assert verdicts[questions(FOCUS)[0]].reason == "the judge gave 0 lists of verdicts for 1 requests"


# --- the story of a prompt ---


class Reader(Planted):
    """A judge that reads of every prompt that nobody touches anything."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[tuple[str, Any]] = []

    def context(self, prompt: str, reference: Any = None) -> Context:
        self.read.append((prompt, reference))
        return Context(closed={FOCUS: "nobody looks"})


def test_the_story_is_read_from_prompt_and_reference() -> None:
    judge = Reader()
    assert jury(judge).context(Clip("never.mp4", prompt="a kite", reference="a.png")).closed == {FOCUS: "nobody looks"}
    assert judge.read == [("a kite", "a.png")]


def test_who_says_what_to_expect_has_said_it_all() -> None:
    judge = Reader()
    assert jury(judge).context(Clip("never.mp4", prompt="a kite", expects=frozenset())).closed == {}
    assert judge.read == []


def test_a_profile_may_do_without_the_story() -> None:
    assert jury(Reader(), context=False).context(Clip("never.mp4", prompt="a kite")).closed == {}


def test_a_judge_that_reads_no_story_closes_nothing() -> None:
    assert jury(Planted()).context(Clip("never.mp4", prompt="a kite")).closed == {}


def test_a_story_that_cannot_be_read_leaves_the_gate_open() -> None:
    class Broken(Reader):
        def context(self, prompt: str, reference: Any = None) -> Context:
            raise RuntimeError("no such prompt")

    found = jury(Broken()).context(Clip("never.mp4", prompt="a kite"))
    assert (found.closed, found.untold) == ({}, {"context": "RuntimeError: no such prompt"})

"""What every judge must keep, as checks that a plug-in's test inherits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cinereward import taxonomy
from cinereward.testing.compare import changes, expect, expect_none, snapshot, verdict_differences
from cinereward.testing.operators import SOUND_RATE, windows_of
from cinereward.testing.scenes import clip, scene
from cinereward.types import Judge, JudgeRequest, Status, Verdict


def questions(count: int = 3, *, sound: bool = False) -> list[str]:
    """Names of questions of the shipped taxonomy: such as need nothing, or such as need sound."""
    every = [question for part in taxonomy.load().sub_dimensions for question in part.questions]
    fitting = [one.name for one in every if ("sound" in one.needs if sound else not one.needs)]
    return fitting[:: max(1, len(fitting) // count)][:count]


class JudgeConformance:
    """Inherit in a class whose name begins with "Test" and give `judge`; pytest then runs every check."""

    def judge(self) -> Judge:
        """A new judge of the kind to be checked."""
        raise NotImplementedError(f"{type(self).__name__} must define judge(self) and return a new judge")

    def requests(self) -> Sequence[JudgeRequest]:
        """Three or more different requests, in numbers of questions too; at least one asks about sound."""
        hum = 0.2 * np.sin(np.arange(SOUND_RATE) * 0.1)
        asked = (questions(3), [*questions(1), *questions(2, sound=True)], questions(4))
        takes = [clip(scene(0.5, size=(64, 96), seed=n), audio=hum, sample_rate=SOUND_RATE) for n in range(3)]
        return [
            JudgeRequest(clip=windows_of(take), questions=names, evidence={})
            for take, names in zip(takes, asked, strict=True)
        ]

    def test_it_is_a_judge(self) -> None:
        """Can be called, and says whether it hears."""
        came = self.judge()
        expect(
            isinstance(came, Judge), f"{type(came).__name__} has no `hears` and cannot be called; see cinereward.types"
        )

    def test_one_list_for_each_request_in_order(self) -> None:
        """Verdicts come in the order of the requests, and of the questions in each."""
        requests = self.requests()
        for index, (request, verdicts) in enumerate(zip(requests, self._asked(requests), strict=True)):
            came = [verdict.question for verdict in verdicts]
            expect(
                came == list(request.questions), f"request {index}: verdicts on {came}; expected {request.questions}"
            )

    def test_no_request_gives_no_verdict(self) -> None:
        """An empty list comes back for an empty list."""
        came = self.judge()([])
        expect(came == [], f"no request gave {came!r}; expected []")

    def test_verdicts_keep_the_rules(self) -> None:
        """A score in [0, 1] exactly where SCORED, else NaN with a reason."""
        lines = [line for verdicts in self._asked(self.requests()) for one in verdicts for line in _broken_rules(one)]
        expect_none(lines, "a missing verdict is NaN with a status and a reason, never a number")

    def test_the_deaf_do_not_judge_sound(self) -> None:
        """A judge that does not hear answers questions that need sound as UNAVAILABLE."""
        if self.judge().hears:
            return
        needing = set(questions(1_000, sound=True))
        for verdicts in self._asked(self.requests()):
            for one in verdicts:
                told = f"{one.question} needs sound, this judge does not hear, and {one.status.name} {one.score} came"
                expect(one.question not in needing or one.status is Status.UNAVAILABLE, f"{told}; expected UNAVAILABLE")

    def test_batch_equals_singles(self) -> None:
        """Requests judged together get the same bits as one by one."""
        requests = self.requests()
        alone = [self._asked([request])[0] for request in requests]
        self._same(self._asked(requests), alone, "a verdict must not depend on the requests beside it")

    def test_order_has_no_influence(self) -> None:
        """Requests in reverse order get the same verdicts in reverse order."""
        requests = self.requests()
        backward = self._asked(requests[::-1])[::-1]
        self._same(backward, self._asked(requests), "a verdict must not depend on the order of the requests")

    def test_deterministic(self) -> None:
        """The same judge, asked twice, answers the same."""
        judge, requests = self.judge(), self.requests()
        first = judge(requests)
        self._same(judge(requests), first, "the same requests must get the same verdicts again")

    def test_inputs_are_not_modified(self) -> None:
        """Frames, times, questions and evidence are the same after judging."""
        requests = self.requests()
        before = [snapshot([_inputs(request)]) for request in requests]
        self._asked(requests)
        for index, (request, was) in enumerate(zip(requests, before, strict=True)):
            expect_none(
                changes(f"request {index}", [_inputs(request)], was), "a judge must not modify what it is asked"
            )

    def _asked(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
        __tracebackhide__ = True
        came = self.judge()(requests)
        expect(
            len(came) == len(requests), f"{len(came)} lists of verdicts for {len(requests)} requests; expected one each"
        )
        return came

    def _same(self, came: Sequence[Sequence[Verdict]], expected: Sequence[Sequence[Verdict]], rule: str) -> None:
        __tracebackhide__ = True
        expect(len(came) == len(expected), f"{rule}: {len(came)} lists came; expected {len(expected)}")
        for index, (a, b) in enumerate(zip(came, expected, strict=True)):
            expect_none(verdict_differences(a, b), f"{rule}; request {index}:")


def _inputs(request: JudgeRequest) -> list[object]:
    pictures = [[window.frames, window.times] for window in request.clip]
    return [pictures, list(request.questions), sorted(request.evidence)]


def _broken_rules(one: Verdict) -> list[str]:
    lines = []
    scored = one.status is Status.SCORED
    if scored and not 0 <= one.score <= 1:
        lines.append(f"{one.question}: score {one.score} as SCORED; expected 0 to 1")
    if not scored and not np.isnan(one.score):
        lines.append(f"{one.question}: score {one.score} as {one.status.name}; expected NaN")
    if not scored and not one.reason:
        lines.append(f"{one.question}: {one.status.name} without a reason; say why there is no score")
    if not (np.isnan(one.std) or one.std >= 0):
        lines.append(f"{one.question}: std {one.std}; expected 0 or more, or NaN")
    return lines

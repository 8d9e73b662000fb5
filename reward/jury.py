"""The judge's part of a score: which questions it is asked on which clip, and what its verdicts come to."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cinereward.account import Judged
from cinereward.errors import JudgeError
from cinereward.fusion import Fused
from cinereward.judge.context import Context
from cinereward.judge.labels import failed, unavailable
from cinereward.judge.settings import JudgeSettings
from cinereward.judge.shots import JudgedShot, shot_by_shot
from cinereward.opinion import settle, weigh
from cinereward.taxonomy import Taxonomy
from cinereward.types import Clip, Evidence, Judge, JudgeRequest, Status, Verdict, Window

_log = logging.getLogger(__name__)

UNHEARD = "this judge does not hear"


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One clip before the judge.

    kept: its windows, thin. evidence: what was measured. fused: sub-dimension -> what the evidence came to; GATED where
    the prompt does not call for it. called: what the prompt calls for, of what questions may need. error: why the clip
    could not be read, or None.
    """

    kept: Sequence[Window]
    evidence: Mapping[str, Evidence]
    fused: Mapping[str, Fused]
    called: frozenset[str] = frozenset()
    error: Exception | None = None


class Jury:
    """A judge with the taxonomy it is asked from, and what it weighs.

    Args:
        judge: of any kind. settings: of the profile. taxonomy: whose questions.
    """

    def __init__(self, judge: Judge, settings: JudgeSettings, taxonomy: Taxonomy) -> None:
        self.judge, self.settings, self.taxonomy = judge, settings, taxonomy

    def context(self, clip: Clip) -> Context:
        """What the judge reads in the prompt and the reference, never in the clip; nothing where `expects` is given.

        Whoever says what a clip is to have has said it all.
        """
        read = getattr(self.judge, "context", None)
        if read is None or not self.settings.context or clip.expects is not None:
            return Context()
        try:
            told: Context = read(clip.prompt, clip.reference)
        except Exception as error:  # a judge is a plug-in; the gate stays open, as where its model does not answer
            _log.warning("the judge did not read the prompt's context, the gate stays open: %s", error)
            return Context(untold={"context": f"{type(error).__name__}: {error}"})
        return told

    def hear(self, cases: Sequence[Case]) -> list[dict[str, Verdict]]:
        """The verdicts on every case: question -> verdict, of the sub-dimensions that its prompt calls for.

        A judge that breaks the rules (it raises, or answers other questions than it was asked) fails what it was asked,
        with the reason; it never costs a clip the rest of its scores.
        """
        requests: list[JudgeRequest] = []
        out: list[dict[str, Verdict]] = []
        asked: list[int] = []
        for case in cases:
            told, names = self._docket(case)
            out.append(told)
            if names:
                asked.append(len(out) - 1)
                evidence = case.evidence if self.settings.showing.evidence else {}
                requests.append(self._request(case, names, evidence))
        for at, request, verdicts in zip(asked, requests, self._answers(requests), strict=True):
            out[at].update(zip(request.questions, verdicts, strict=True))
        return out

    def join(self, fused: Mapping[str, Fused], verdicts: Mapping[str, Verdict]) -> dict[str, Fused]:
        """The scores of one clip, evidence and judge together."""
        out = dict(fused)
        for name, said in self.said(verdicts).items():
            out[name] = weigh(fused[name], settle(said.verdicts, said.questions), said.weight)
        return out

    def said(self, verdicts: Mapping[str, Verdict]) -> dict[str, Judged]:
        """The verdicts by sub-dimension, with what they weigh."""
        out = {}
        for sub in self.taxonomy.sub_dimensions:
            some = [verdicts[question.name] for question in sub.questions if question.name in verdicts]
            if some:
                weight = self.settings.weights.get(sub.name, self.settings.weight)
                out[sub.name] = Judged(weight=weight, verdicts=some, questions=self.settings.questions)
        return out

    def shots(self, case: Case) -> list[JudgedShot]:
        """The verdicts on every shot by itself, of what the prompt calls for; none where nothing is to be asked."""
        told, names = self._docket(case)
        del told  # the same for every shot
        return shot_by_shot(self.judge, self._request(case, names, case.evidence)) if names else []

    def _request(self, case: Case, names: Sequence[str], evidence: Mapping[str, Evidence]) -> JudgeRequest:
        scored = {name: one.value for name, one in case.fused.items() if one.status is Status.SCORED}
        return JudgeRequest(
            clip=case.kept, questions=names, evidence=evidence, mode=self.settings.mode, expected=scored
        )

    def _docket(self, case: Case) -> tuple[dict[str, Verdict], list[str]]:
        """What is answered without asking, and the questions that are to be asked."""
        told: dict[str, Verdict] = {}
        names: list[str] = []
        for sub in self.taxonomy.sub_dimensions:
            if case.fused[sub.name].status is Status.GATED:
                continue
            for question in sub.questions:
                if not question.needs <= case.called:
                    continue  # its sub-dimension is called for, and what this one needs beside is not
                if "sound" in question.needs and not self.judge.hears:
                    told[question.name] = unavailable(question.name, UNHEARD)
                elif case.error is not None:
                    told[question.name] = failed(question.name, str(case.error))
                else:
                    names.append(question.name)
        return told, names

    def _answers(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
        if not requests:
            return []
        try:
            came = self.judge(requests)
        except Exception as error:  # a judge is a plug-in, and a server lies behind it
            if len(requests) > 1:  # one case must not spoil the others
                return [verdicts for request in requests for verdicts in self._answers([request])]
            reason = str(error) if isinstance(error, JudgeError) else f"{type(error).__name__}: {error}"
            return [[failed(name, reason) for name in requests[0].questions]]
        if len(came) != len(requests):
            reason = f"the judge gave {len(came)} lists of verdicts for {len(requests)} requests"
            return [[failed(name, reason) for name in request.questions] for request in requests]
        return [_checked(request, verdicts) for request, verdicts in zip(requests, came, strict=True)]


def _checked(request: JudgeRequest, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts in the order of the questions; what was answered twice or not at all is FAILED."""
    by_name: dict[str, list[Verdict]] = {}
    for one in verdicts:
        by_name.setdefault(one.question, []).append(one)
    out = []
    for name in request.questions:
        some = by_name.get(name, [])
        told = "the judge did not answer" if not some else f"the judge answered {len(some)} times"
        out.append(some[0] if len(some) == 1 else failed(name, told))
    return out

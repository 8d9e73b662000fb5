"""From what was measured of clips to their scores: the gate, the curves, the judge, prompt following, findings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from cinereward import critique
from cinereward.account import Account, Judged
from cinereward.engine import Measured
from cinereward.fusion import Fused, fuse
from cinereward.gate import called_for, open_gate
from cinereward.intents import read_intents, vary
from cinereward.jury import Case, Jury
from cinereward.profile import Profile, Term
from cinereward.right import asked_of, score_right
from cinereward.taxonomy import Taxonomy
from cinereward.types import Clip, Critique, Status, Verdict


@dataclass(frozen=True, kw_only=True, eq=False)
class Assessed:
    """One clip's row of a batch.

    clip, measured: what was scored, and what was measured of it. fused: sub-dimension -> its score. terms, because:
    sub-dimension -> what its evidence was held against, and why those are not the profile's own. called: what the
    prompt and the reference call for, of what questions may need. evident: sub-dimension -> what the evidence alone
    came to. verdicts: question -> the judge's answer. right: the vector of prompt following, or None where the profile
    has none. critiques: findings, worst first.
    """

    clip: Clip
    measured: Measured
    fused: Mapping[str, Fused]
    terms: Mapping[str, Sequence[Term]]
    because: Mapping[str, str]
    called: frozenset[str]
    evident: Mapping[str, Fused]
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    judged: Mapping[str, Judged] = field(default_factory=dict)
    right: tuple[Fused, ...] | None = None
    critiques: tuple[Critique, ...] = ()

    def account(self) -> Account:
        """What the clip leaves behind for its ledger."""
        return Account(
            name=self.clip.name,
            prompt=self.clip.prompt,
            task=self.clip.task,
            fused=self.fused,
            terms=self.terms,
            because=self.because,
            evidence=self.measured.evidence,
            failures=self.measured.failures,
            error=None if self.measured.error is None else str(self.measured.error),
            times=self.measured.times,
            duration=self.measured.duration,
            fps=self.measured.fps,
            evident=self.evident,
            judged=self.judged,
        )


class Assessor:
    """Scores what was measured, as a profile says.

    Args:
        profile, taxonomy: how and on what. ran: operators that measured. missing: operator -> why it could not.
        jury: the judge's part, or None.
    """

    def __init__(
        self, profile: Profile, taxonomy: Taxonomy, ran: frozenset[str], missing: Mapping[str, str], jury: Jury | None
    ) -> None:
        self._profile, self._taxonomy, self._ran, self._missing = profile, taxonomy, ran, missing
        self._jury = jury

    def __call__(self, pairs: Sequence[tuple[Clip, Measured]]) -> list[Assessed]:
        """The rows of these clips; what one comes to depends on no other."""
        drafts = [self._drafted(clip, measured) for clip, measured in pairs]
        if self._jury is None:
            return drafts
        heard = self._jury.hear([_case(one) for one in drafts])
        return [self._judged(one, verdicts) for one, verdicts in zip(drafts, heard, strict=True)]

    def case(self, clip: Clip, measured: Measured) -> Case:
        """A clip as it comes before the judge."""
        return _case(self._drafted(clip, measured))

    def _drafted(self, clip: Clip, measured: Measured) -> Assessed:
        gate = open_gate(clip, self._taxonomy)
        intents = self._profile.intents
        varied = vary(self._profile.curves, intents, read_intents(clip.prompt, intents))
        tags = asked_of(clip) | gate.because.keys()
        because = dict(varied.because)
        story = {} if self._jury is None else self._jury.context(clip).closed
        terms: dict[str, Sequence[Term]] = {}
        fused: dict[str, Fused] = {}
        for name in self._taxonomy.names:
            called = [term for term in varied.curves.get(name, ()) if term.when <= tags]
            terms[name], lost = self._there(called)
            if closed := gate.closed.get(name) or varied.excused.get(name) or story.get(name):
                fused[name] = _nothing(Status.GATED, closed)
                continue
            if lost and terms[name]:
                because[name] = "; ".join(filter(None, [because.get(name, ""), *lost]))
            fused[name] = self._settled(terms[name], lost, measured, because.get(name, ""))
        right = None
        if self._profile.right:
            right = score_right(clip, self._profile.right, partial(self._alone, measured))
        return Assessed(
            clip=clip,
            measured=measured,
            fused=fused,
            terms=terms,
            because=because,
            called=called_for(clip, gate),
            evident=fused,
            right=right,
            critiques=critique.find(fused, terms, measured.evidence, measured.duration),
        )

    def _judged(self, draft: Assessed, verdicts: Mapping[str, Verdict]) -> Assessed:
        assert self._jury is not None
        fused = self._jury.join(draft.evident, verdicts)
        written = tuple(one.finding for one in verdicts.values() if one.finding is not None)
        return replace(
            draft,
            measured=replace(draft.measured, kept=()),  # frames of every clip of a batch would be held until its end
            fused=fused,
            verdicts=verdicts,
            judged=self._jury.said(verdicts),
            critiques=critique.joined(draft.critiques, written),
        )

    def _there(self, terms: Sequence[Term]) -> tuple[list[Term], list[str]]:
        """The terms whose operator could be made, and of the others why not."""
        lost = dict.fromkeys(term.measurement.partition(".")[0] for term in terms)
        told = [f"{name} is not run: {self._missing[name]}" for name in lost if name in self._missing]
        return [term for term in terms if term.measurement.partition(".")[0] not in self._missing], told

    def _alone(self, measured: Measured, terms: Sequence[Term]) -> Fused:
        kept, lost = self._there(terms)
        return self._settled(kept, lost, measured, "; ".join(lost) if kept else "")

    def _settled(self, terms: Sequence[Term], lost: Sequence[str], measured: Measured, because: str) -> Fused:
        """What the evidence comes to, of terms that the prompt calls for."""
        nothing = f"no evidence in profile {self._profile.name}"
        if not terms:
            return _nothing(Status.UNAVAILABLE, "; ".join([nothing, *lost]))
        if absent := {term.measurement.partition(".")[0] for term in terms} - self._ran:
            return _nothing(Status.UNAVAILABLE, f"{nothing}: {', '.join(sorted(absent))} is not run")
        if measured.error is not None:
            return _nothing(Status.FAILED, str(measured.error))
        return fuse(terms, measured.evidence, measured.failures, because)


def _case(draft: Assessed) -> Case:
    measured = draft.measured
    return Case(
        kept=measured.kept,
        evidence=measured.evidence,
        fused=draft.evident,
        called=draft.called,
        error=measured.error,
    )


def _nothing(status: Status, reason: str) -> Fused:
    return Fused(value=math.nan, std=math.nan, status=status, reason=reason)

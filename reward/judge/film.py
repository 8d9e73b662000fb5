"""The judge over any backend: requests to verdicts, in three modes.

direct reads the distribution of the labels and lets nothing be written: for training. cot lets the judge reason and
look again before it scores: for agents and audit. adaptive scores as direct does and writes only where that is worth
it. A score before and one after a chain of thought are different estimators, so `identity` says which one this is.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cinereward.errors import CinerewardError, JudgeError
from cinereward.judge import cot, wording
from cinereward.judge.adaptive import doubt, joined
from cinereward.judge.backend import Backend, Read, Shown
from cinereward.judge.cache import Cache, key_of, packed, unpacked
from cinereward.judge.context import Context, Contexts
from cinereward.judge.labels import failed, lacking, unavailable, verdict
from cinereward.judge.material import stage
from cinereward.judge.settings import JudgeSettings
from cinereward.judge.stretches import noted, together
from cinereward.networks.running import note, noting
from cinereward.taxonomy import Question, Taxonomy
from cinereward.types import JudgeRequest, Status, Verdict

_log = logging.getLogger(__name__)

DEAF = "this judge does not hear"
SILENT = "the clip has no sound to judge"
Place = tuple[int, int]  # of a stretch and of a question among those still open
ESTIMATORS = {"direct": "direct", "cot": "cot", "adaptive": "direct"}  # mode -> how its score is come by
TEXTS = ("system", "before", "question", "reason", "reflect", "conclude", "summary", "again")


@dataclass(kw_only=True, eq=False)
class _Case:
    """One request on its way: what is shown of it, what is still to be asked, and the verdicts so far.

    lost: what befell the notes that are carried from stretch to stretch. passing: questions whose verdict may be
    another next time, since something failed on the way; it is not kept. keys: question -> where its verdict is kept.
    """

    request: JudgeRequest
    shown: list[Shown]
    open: list[Question]
    done: dict[str, Verdict]
    lost: str = ""
    passing: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def spans(self) -> list[tuple[float, float]]:
        return [(one.start, one.end) for one in self.shown]


class FilmJudge:
    """A judge (`types.Judge`): stages a clip, asks its questions of a backend, and makes verdicts of the answers.

    Threads may share it. Verdicts do not depend on the requests beside them, nor on their order.

    Args:
        backend: the model. settings: of the profile; what a request says of the mode goes before. taxonomy: whose
            questions. cache: where verdicts are kept, or None.
    """

    def __init__(
        self, backend: Backend, settings: JudgeSettings, taxonomy: Taxonomy, cache: Cache | None = None
    ) -> None:
        self.backend, self.settings, self.cache = backend, settings, cache
        self.hears = bool(backend.hears and settings.showing.sound)
        self._questions = {question.name: question for question in taxonomy.questions}
        self._dimension = {question.name: sub.name for sub in taxonomy.sub_dimensions for question in sub.questions}
        self._view = (
            f"shown {key_of(settings.showing.model_dump())[:12]}"
            f"; wording {key_of([wording.words(name) for name in TEXTS])[:12]}"
        )
        self._told: set[str] = set()
        self._contexts = Contexts(backend, cache)

    def context(self, prompt: str, reference: Any = None) -> Context:
        """What the story of a prompt does not call for; read once a prompt, never from a clip. See context.py."""
        return self._contexts.read(prompt, reference)

    @property
    def identity(self) -> str:
        """All that decides its scores: the model, what is shown, the words, the mode and how its score is come by."""
        return self.identified(self.settings.mode)

    def identified(self, mode: str) -> str:
        """Its identity in a mode. What is not in it decides no score: batches, time limits, where the cache lies."""
        return f"{self.backend.identity}; {self._view}; mode {mode}, scored {ESTIMATORS[mode]}"

    def __call__(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
        """One list of verdicts for each request, in the order of its questions.

        Raises:
            JudgeError: the backend breaks its rules; what fails by itself is told in the verdicts.
        """
        with noting() as told:
            out = self._verdicts(requests)
        for text in told:  # such as a GPU that ran out of memory, or a server that does not take all that it is sent
            note(text)
            if text not in self._told:
                self._told.add(text)
                _log.warning("%s", text)
        return out

    def _verdicts(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
        out = []
        for cases in self._groups(requests):
            for mode in ESTIMATORS:
                some = [case for case in cases if case.request.mode == mode and case.open]
                if some:
                    {"direct": self._direct, "cot": self._cot, "adaptive": self._adaptive}[mode](some)
            for case in cases:
                self._keep(case)
                out.append([case.done[name] for name in case.request.questions])
        return out

    def _groups(self, requests: Sequence[JudgeRequest]) -> Iterator[list[_Case]]:
        """Cases in order, as many at a time as are shown together: no more clips than need be are held."""
        cases: list[_Case] = []
        for request in requests:
            cases.append(self._case(request))
            if sum(len(case.shown) for case in cases) >= self.settings.batch:
                yield cases
                cases = []
        if cases:
            yield cases

    def _case(self, request: JudgeRequest) -> _Case:
        """What need not be asked is answered; the rest is staged, and looked up."""
        done: dict[str, Verdict] = {}
        names: list[str] = []
        for name in dict.fromkeys(request.questions):
            if name not in self._questions:
                done[name] = failed(name, "the taxonomy has no question of this name")
            elif "sound" in self._questions[name].needs and not self.hears:
                done[name] = unavailable(name, DEAF)
            else:
                names.append(name)
        shown: list[Shown] = []
        if names:
            try:
                shown = stage(request, self.settings.showing, hears=self.hears)
            except CinerewardError as error:
                done.update({name: failed(name, str(error)) for name in names})
                names = []
        if names and not any(one.sound is not None for one in shown):
            silent = [name for name in names if "sound" in self._questions[name].needs]
            done.update({name: lacking(name, SILENT) for name in silent})  # or silence would excuse from being judged
            names = [name for name in names if name not in done]
        case = _Case(request=request, shown=shown, open=[self._questions[name] for name in names], done=done)
        if not self._recalled(case):
            case.shown = []  # nothing is left to be asked about it
        return case

    def _direct(self, cases: Sequence[_Case]) -> None:
        for case, reads in zip(cases, self._reads(cases), strict=True):
            for at, question in enumerate(case.open):
                some = [verdict(question.name, row[at]) for row in reads]
                case.done[question.name] = together(case.spans, some)

    def _cot(self, cases: Sequence[_Case]) -> None:
        every = [[(row, at) for row in range(len(case.shown)) for at in range(len(case.open))] for case in cases]
        for case, found in zip(cases, self._thought(cases, every), strict=True):
            for at, question in enumerate(case.open):
                whole = together(case.spans, [found[row, at] for row in range(len(case.shown))])
                case.done[question.name] = noted(whole, case.lost)

    def _adaptive(self, cases: Sequence[_Case]) -> None:
        direct: list[dict[Place, Verdict]] = []
        why: list[dict[Place, str]] = []
        for case, reads in zip(cases, self._reads(cases), strict=True):
            direct.append({})
            why.append({})
            for row, at in itertools.product(range(len(case.shown)), range(len(case.open))):
                name = case.open[at].name
                one = direct[-1][row, at] = verdict(name, reads[row][at])
                expected = case.request.expected.get(self._dimension[name])
                if told := doubt(one, reads[row][at], expected, self.settings, case.shown[row].key):
                    why[-1][row, at] = told
        thoughts = self._thought(cases, [list(places) for places in why])
        for case, parts, places, found in zip(cases, direct, why, thoughts, strict=True):
            for place, thought in found.items():
                parts[place] = joined(parts[place], thought, places[place])
                if thought.status is not Status.SCORED:
                    case.passing.add(thought.question)
            written = {at for _, at in found}
            for at, question in enumerate(case.open):
                whole = together(case.spans, [parts[row, at] for row in range(len(case.shown))])
                case.done[question.name] = noted(whole, case.lost) if at in written else whole

    def _thought(self, cases: Sequence[_Case], wanted: Sequence[Sequence[Place]]) -> list[dict[Place, Verdict]]:
        """What comes of thinking about some questions on some stretches of each case, stretch by stretch."""
        out: list[dict[Place, Verdict]] = [{} for _ in cases]
        asked: list[tuple[Shown, Question]] = []
        for case, places in zip(cases, wanted, strict=True):
            if places:
                stretches = case.shown[: max(row for row, _ in places) + 1]
                shown, case.lost = cot.carry(self.backend, stretches, most_tokens=self.settings.most_tokens)
                asked += [(shown[row], case.open[at]) for row, at in places]
                case.passing |= {case.open[at].name for _, at in places} if case.lost else set()
        thoughts = self._thoughts(asked)
        for case, places, found in zip(cases, wanted, out, strict=True):
            for place in places:
                one, question, thought = next(thoughts)
                found[place] = self._verdict(case, one, question, thought)
        return out

    def _reads(self, cases: Sequence[_Case]) -> list[list[list[Read]]]:
        """The labels for every case, stretch and question; `settings.batch` stretches at once."""
        every = [
            (one, [wording.question_ask(question) for question in case.open]) for case in cases for one in case.shown
        ]
        rows: list[list[Read]] = []
        for at in range(0, len(every), self.settings.batch):
            some = every[at : at + self.settings.batch]
            came = self.backend.read(some)
            if [len(reads) for reads in came] != [len(asks) for _, asks in some]:
                raise JudgeError("the model gave another number of answers than it was asked for; mend its backend")
            rows += came
        out, at = [], 0
        for case in cases:
            out.append(rows[at : at + len(case.shown)])
            at += len(case.shown)
        return out

    def _thoughts(self, asked: Sequence[tuple[Shown, Question]]) -> Iterator[tuple[Shown, Question, cot.Thought]]:
        """Thoughts in order; `settings.batch` stretches at once."""
        starts = [at for at in range(len(asked)) if at == 0 or asked[at][0] is not asked[at - 1][0]]
        edges = [*starts[:: self.settings.batch], len(asked)]
        for first, last in itertools.pairwise(edges):
            some = asked[first:last]
            found = cot.think(self.backend, some, most_tokens=self.settings.most_tokens)
            for (one, question), thought in zip(some, found, strict=True):
                yield one, question, thought

    def _verdict(self, case: _Case, shown: Shown, question: Question, thought: cot.Thought) -> Verdict:
        """The verdict on one question after a chain of thought on one stretch."""
        out = verdict(question.name, thought.read, rationale=thought.rationale, reflection=thought.reflection)
        if out.status is not Status.SCORED:
            return out
        dimension = self._dimension[question.name]
        found = cot.finding(thought, dimension, out.score, shown, case.request.evidence)
        return dataclasses.replace(out, finding=found)

    def _key(self, case: _Case, question: Question) -> str:
        """Names all that a verdict follows from; the content of what is shown holds clip, evidence and prompt."""
        settings, request = self.settings, case.request
        writing: list[float | None] = [settings.most_tokens] if request.mode != "direct" else []
        if request.mode == "adaptive":
            writing += [settings.entropy, settings.disagreement, settings.audit, settings.seed]
            writing.append(request.expected.get(self._dimension[question.name]))
        asked = [question.name, wording.question_ask(question).text]  # its text and anchors, as they are put
        return key_of("verdict", self.identified(request.mode), [one.key for one in case.shown], asked, writing)

    def _recalled(self, case: _Case) -> list[Question]:
        """Take from the cache what it has; returns what is left to be asked."""
        if self.cache is not None and case.open:
            case.keys = {question.name: self._key(case, question) for question in case.open}
            known = self.cache.get(list(case.keys.values()))
            found = {name: unpacked(known[key]) for name, key in case.keys.items() if key in known}
            case.done.update({name: one for name, one in found.items() if one is not None and one.question == name})
            case.open = [question for question in case.open if question.name not in case.done]
        return case.open

    def _keep(self, case: _Case) -> None:
        if self.cache is None:
            return
        rows = {}
        for question in case.open:
            row = packed(case.done[question.name])
            if row is not None and question.name not in case.passing:
                rows[case.keys[question.name]] = row
        self.cache.put(rows)

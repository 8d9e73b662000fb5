"""The chain of thought: the judge reasons, holds its own claims against what it sees, and only then gives its label.

What it wrote is shown to it again as data, since it may quote words that stand in the picture. A thought that cannot be
read is asked for once more and then fails its question: a text never becomes a number. The score is read at the answer
slot as ever, but after the rationale: that is another estimator than the direct one, and the two are never mixed.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cinereward.errors import JudgeError
from cinereward.judge.backend import Ask, Backend, Read, Shown, Written
from cinereward.judge.fence import neutral
from cinereward.judge.material import with_summary
from cinereward.judge.parsing import Reason, Reflection, note_of, reason_of, reflection_of
from cinereward.judge.wording import (
    CLAIMS,
    REASON_SCHEMA,
    REFLECT_SCHEMA,
    SUMMARY_SCHEMA,
    conclude_ask,
    reason_ask,
    reflect_ask,
    summary_ask,
    words,
)
from cinereward.taxonomy import Question
from cinereward.types import Critique, Evidence

Answer = TypeVar("Answer")
Asked = Sequence[tuple[Shown, Ask]]
Items = Sequence[tuple[Shown, Sequence[Ask]]]
RETRY = "Try another seed."  # where the judge names a fault and nothing to change


@dataclass(frozen=True, kw_only=True)
class Thought:
    """What a judge thought of one question on one stretch.

    read: the labels after it; failed, with the reason, where there is no thought. rationale, reflection: in sentences.
    reason, reflected: what they were made of, or None.
    """

    read: Read
    rationale: str = ""
    reflection: str = ""
    reason: Reason | None = None
    reflected: Reflection | None = None


def think(backend: Backend, asked: Sequence[tuple[Shown, Question]], *, most_tokens: int) -> list[Thought]:
    """Think about every question; a failure is told in the thought, never raised.

    Args:
        backend: the model. asked: what is shown, and a question on it; those on one stretch follow one another.
        most_tokens: of each answer that it writes.
    """
    reasons = ask(
        backend,
        [(shown, reason_ask(question)) for shown, question in asked],
        lambda _, came: reason_of(came),
        most_tokens,
        REASON_SCHEMA,
    )
    thought = {at: _unfinished("reasoning", one) for at, one in enumerate(reasons) if isinstance(one, JudgeError)}
    drafts = {at: one for at, one in enumerate(reasons) if isinstance(one, Reason)}
    claims = {at: draft.claims[:CLAIMS] for at, draft in drafts.items()}
    places = list(drafts)
    second = ask(
        backend,
        [(asked[at][0], reflect_ask(asked[at][1], drafts[at].rationale, claims[at])) for at in places],
        lambda place, came: reflection_of(came, len(claims[places[place]])),
        most_tokens,
        REFLECT_SCHEMA,
    )
    for at, one in zip(places, second, strict=True):
        thought[at] = (
            _unfinished("reflection", one, drafts[at])
            if isinstance(one, JudgeError)
            else Thought(
                read=Read.failed("no score was read"),
                rationale=drafts[at].rationale,
                reflection=one.told(claims[at]),
                reason=drafts[at],
                reflected=one,
            )
        )
    whole = [at for at in places if thought[at].reflected is not None]
    last = [(asked[at][0], conclude_ask(asked[at][1], thought[at].rationale, thought[at].reflection)) for at in whole]
    for at, read in zip(whole, flat(last, backend.read), strict=True):
        thought[at] = dataclasses.replace(thought[at], read=read)
    return [thought[at] for at in range(len(asked))]


def ask(
    backend: Backend,
    asked: Asked,
    reader: Callable[[int, Written], Answer],
    most_tokens: int,
    schema: Mapping[str, Any],
) -> list[Answer | JudgeError]:
    """Let the judge write, and read it; what cannot be read is asked for once more, and is then an error.

    Args:
        backend: the model. asked: what is shown, and what is asked of it. reader: makes an answer of the place in
            `asked` and of what was written for it, or raises JudgeError. most_tokens: of an answer. schema: of JSON.
    """

    def written(some: Items) -> list[list[Written]]:
        return backend.write(some, most_tokens=most_tokens, schema=schema)

    def taken(at: int, came: Written) -> Answer | JudgeError:
        try:
            return reader(at, came)
        except JudgeError as error:
            return error

    out = [taken(at, came) for at, came in enumerate(flat(asked, written))]
    bad = [(at, one) for at, one in enumerate(out) if isinstance(one, JudgeError)]
    again = flat([(asked[at][0], _again(asked[at][1], error)) for at, error in bad], written)
    for (at, _), came in zip(bad, again, strict=True):
        out[at] = taken(at, came)
    return out


def flat(asked: Asked, call: Callable[[Items], list[list[Answer]]]) -> list[Answer]:
    """Ask a backend, which is given all questions on one stretch at once; its answers in the order of `asked`.

    Raises:
        JudgeError: it gave another number of answers than it was asked for.
    """
    items: list[tuple[Shown, list[Ask]]] = []
    for shown, one in asked:
        if not items or items[-1][0] is not shown:
            items.append((shown, []))
        items[-1][1].append(one)
    if not items:
        return []
    came = call(items)
    if [len(some) for some in came] != [len(asks) for _, asks in items]:
        raise JudgeError(f"the model gave {sum(map(len, came))} answers to {len(asked)} questions; mend its backend")
    return [answer for some in came for answer in some]


def carry(backend: Backend, stretches: Sequence[Shown], *, most_tokens: int) -> tuple[list[Shown], str]:
    """The stretches of a clip, each with the judge's note on those before it.

    Args:
        backend: the model. stretches: of one clip, in order. most_tokens: of a note.

    Returns:
        The stretches to think about; and what went wrong, "" where nothing did. A stretch whose note could not be had
        is followed by one without: that is told, and what comes of it should not be kept.
    """
    carried, told = [stretches[0]], []
    for before, after in itertools.pairwise(stretches):
        item = (carried[-1], summary_ask(before.start, before.end))
        (note,) = ask(backend, [item], lambda _, came: note_of(came), most_tokens, SUMMARY_SCHEMA)
        if isinstance(note, JudgeError):
            told.append(f"no note on {before.start:.1f} to {before.end:.1f} s was carried on: {note}")
        carried.append(after if isinstance(note, JudgeError) else with_summary(after, note))
    return carried, "; ".join(told)


def finding(
    thought: Thought, dimension: str, score: float, shown: Shown, evidence: Mapping[str, Evidence]
) -> Critique | None:
    """What the thought names as the problem; None where it names none, or took it back on looking again.

    Args:
        thought: with a reason. dimension: the sub-dimension's name. score: of the question, in [0, 1]. shown: the
            stretch it is about, into which its moment is brought. evidence: of the clip; what the thought names of it
            is listed.
    """
    reason, reflected = thought.reason, thought.reflected
    if reason is None or reflected is None or not reason.problem or 0 in reflected.contradicted:
        return None
    start, end = _moment(reason, shown)
    # A worse fault seen on looking again has no moment and no change of its own: it is told beside the first.
    more = f" On looking again: {reflected.note}" if reflected.revise and reflected.note else ""
    upheld = [reason.claims[at] for at in reflected.supported]
    return Critique(
        dimension=dimension,
        shot=shot_of(start, end, evidence),
        start=start,
        end=end,
        severity=min(1.0, max(0.0, 1.0 - score)),
        finding=reason.problem + more,
        remedy=reason.suggest or RETRY,
        locus=reason.locus,
        evidence=named(" ".join([reason.problem, *upheld, reflected.note]), evidence),
    )


def named(text: str, evidence: Mapping[str, Evidence]) -> tuple[str, ...]:
    """The measurements that a text names, as "operator.measurement", in the evidence's order."""
    said = f" {_spaced(text)} "
    names = [f"{operator}.{name}" for operator, measured in evidence.items() for name in measured]
    return tuple(name for name in names if f" {_spaced(name)} " in said)


def shot_of(start: float, end: float, evidence: Mapping[str, Evidence]) -> int | None:
    """The shot that holds these seconds, 1-based; None where they span several, or where shots were not measured."""
    track = evidence["shots"].measurements.get("duration_track") if "shots" in evidence else None
    if track is None or track.times is None or len(track.times) == 0:
        return None
    first, last = (int((track.times <= edge).sum()) for edge in (start + 1e-9, max(start, end - 1e-6) + 1e-9))
    return first if first == last and first >= 1 else None


def _unfinished(what: str, error: JudgeError, draft: Reason | None = None) -> Thought:
    failed = Read.failed(f"its {what} cannot be used: {error}")
    return Thought(read=failed, rationale=draft.rationale if draft is not None else "", reason=draft)


def _again(one: Ask, error: JudgeError) -> Ask:
    """The same, asked again: as it would only write the same a second time, it is told what was wrong."""
    return dataclasses.replace(one, text=f"{one.text}\n\n{words('again').format(reason=neutral(str(error), 120))}")


def _moment(reason: Reason, shown: Shown) -> tuple[float, float]:
    """When the problem is there, brought into the stretch; all of it where none is told, or one that cannot be."""
    if reason.moment is None or reason.moment[1] <= shown.start or reason.moment[0] >= shown.end:
        return shown.start, shown.end
    return max(shown.start, reason.moment[0]), min(shown.end, reason.moment[1])


def _spaced(text: str) -> str:
    return " ".join(re.split(r"[\W_]+", text.lower())).strip()

"""How the judge is asked: a question in few tokens, and what a chain of thought needs. The words are in texts/*.txt.

What all questions share stands in the system text, which is read once; a question adds only itself and its anchors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from cinereward.judge.backend import Ask
from cinereward.judge.fence import fenced, line
from cinereward.taxonomy import Question
from cinereward.types import LOCI

LONGEST = 2_000  # characters of its own earlier words that a judge is shown again
NOTE = 1_200  # characters of a note that is carried from one stretch to the next
CLAIMS = 12  # claims that are held against the evidence
CLAIM = 240  # characters of one

_TEXT = {"type": "string", "maxLength": 400}
_SECONDS = {"type": "number", "minimum": 0}

REASON_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "observe": _TEXT,
        "analyse": _TEXT,
        "problem": _TEXT,
        "suggest": _TEXT,
        "moment": {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"start": _SECONDS, "end": _SECONDS},
                    "required": ["start", "end"],
                    "additionalProperties": False,
                },
                {"type": "null"},
            ]
        },
        "locus": {"type": "string", "enum": list(LOCI)},
    },
    "required": ["observe", "analyse", "problem", "suggest", "moment", "locus"],
    "additionalProperties": False,
}
_NUMBERS = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": CLAIMS}, "maxItems": CLAIMS}
REFLECT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"supported": _NUMBERS, "contradicted": _NUMBERS, "revise": {"type": "boolean"}, "note": _TEXT},
    "required": ["supported", "contradicted", "revise", "note"],
    "additionalProperties": False,
}
SUMMARY_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"note": {"type": "string", "maxLength": NOTE}},
    "required": ["note"],
    "additionalProperties": False,
}


@cache
def words(name: str) -> str:
    """One of the texts, without the end of its last line: "system", "question", "reason", ..."""
    return (files("cinereward.judge") / "texts" / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def system() -> str:
    """The instructions: ours alone, the same for every clip."""
    return words("system")


def question_ask(question: Question) -> Ask:
    """The question with what 1, 3 and 5 look like; its answer is a label."""
    return Ask(name=question.name, text=_asked(question))


def reason_ask(question: Question) -> Ask:
    """Let it reason about a question before it scores; the answer is JSON by REASON_SCHEMA."""
    return Ask(name=question.name, text=words("reason").format(question=_asked(question)), lead="")


def reflect_ask(question: Question, rationale: str, claims: Sequence[str]) -> Ask:
    """Let it hold its own claims against what it sees; the answer is JSON by REFLECT_SCHEMA.

    Args:
        question: that it reasoned about. rationale: what it wrote, which is shown as data. claims: what that rests on,
            the first CLAIMS of them; they are numbered from 1.
    """
    numbered = "\n".join(f"{at}. {line(claim, CLAIM)}" for at, claim in enumerate(claims[:CLAIMS], 1))
    text = words("reflect").format(
        question=_asked(question),
        rationale=fenced("rationale", rationale, LONGEST),
        claims=fenced("claims", numbered, CLAIMS * (CLAIM + 40)),
    )
    return Ask(name=question.name, text=text, lead="")


def conclude_ask(question: Question, rationale: str, reflection: str = "") -> Ask:
    """The question once more, after the judge's own reasoning; its answer is a label."""
    told = f"And then, having looked again:\n{fenced('reflection', reflection, LONGEST)}\n" if reflection else ""
    text = words("conclude").format(
        question=_asked(question), rationale=fenced("rationale", rationale, LONGEST), reflection=told
    )
    return Ask(name=question.name, text=text)


def summary_ask(start: float, end: float, *, most_words: int = 120) -> Ask:
    """Let it write down what the next stretch has to know; the answer is JSON by SUMMARY_SCHEMA.

    Args:
        start, end: of the stretch, in s. most_words: of the note.
    """
    text = words("summary").format(start=f"{start:.1f}", end=f"{end:.1f}", words=most_words)
    return Ask(name="summary", text=text, lead="")


def _asked(question: Question) -> str:
    """A studio's questions are its own, and trusted; but a special token that strayed into one is none here either."""
    anchors = {name: line(question.anchors[at], 400) for name, at in (("one", 1), ("three", 3), ("five", 5))}
    return words("question").format(text=line(question.text, 400), **anchors)

"""What a judge wrote, read: tolerant of what stands around an answer, never of a missing one. Pure functions.

Nothing here becomes a number of a reward: scores are read at the answer slot alone. A text that cannot be read is a
`JudgeError`, whose message goes into the verdict.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cinereward.errors import JudgeError
from cinereward.judge.backend import Written
from cinereward.types import LOCI

LONGEST = 800  # characters of one field; twice what is asked for
AGAIN = 8  # words in a row that a text may say three times, and a loop says more often
BRACES = 64  # places where an answer may begin that are tried
SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*")
THINKING = re.compile(r"<think>.*?</think>", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Reason:
    """What a judge wrote of one question. moment: of the problem, start and end in s; None: everywhere or nowhere.

    problem: "" where it names none. locus: one of LOCI.
    """

    observe: str
    analyse: str
    problem: str = ""
    suggest: str = ""
    moment: tuple[float, float] | None = None
    locus: str = "seed"

    @property
    def claims(self) -> tuple[str, ...]:
        """What it rests on, a sentence each; the problem is the first where there is one."""
        told = [self.problem, *SENTENCE.split(self.observe), *SENTENCE.split(self.analyse)]
        return tuple(dict.fromkeys(claim for claim in told if claim))

    @property
    def rationale(self) -> str:
        """The same in plain sentences."""
        fault = f"Problem: {self.problem}" if self.problem else "No problem named."
        change = f"Change: {self.suggest}" if self.suggest else ""
        return " ".join(filter(None, [self.observe, self.analyse, fault, change]))


@dataclass(frozen=True, kw_only=True)
class Reflection:
    """Which claims the judge holds up on looking again, by their place from 0, and whether it thinks otherwise now."""

    supported: tuple[int, ...]
    contradicted: tuple[int, ...]
    revise: bool
    note: str

    def told(self, claims: Sequence[str]) -> str:
        """The same in plain sentences."""
        lines = [f"Supported: {claims[at]}" for at in self.supported]
        lines += [f"Contradicted: {claims[at]}" for at in self.contradicted]
        if self.note:
            lines.append(f"Revised: {self.note}" if self.revise else self.note)
        elif self.revise:
            lines.append("Revised.")
        return " ".join(lines) or "Nothing to add."


def reason_of(written: Written) -> Reason:
    """What it wrote of a question.

    Raises:
        JudgeError: there is no such answer: it failed, was cut off, is no JSON, says two things, or goes in circles.
    """
    raw = _object(written, "observe", "analyse")
    observe, analyse = _text(raw, "observe"), _text(raw, "analyse")
    if not observe and not analyse:
        raise JudgeError("it names nothing that it observed")
    locus = raw.get("locus")
    return Reason(
        observe=observe,
        analyse=analyse,
        problem=_text(raw, "problem"),
        suggest=_text(raw, "suggest"),
        moment=_moment(raw.get("moment")),
        locus=locus if isinstance(locus, str) and locus in LOCI else "seed",
    )


def reflection_of(written: Written, claims: int) -> Reflection:
    """What it thinks of its own claims. A claim that it both supports and contradicts counts as contradicted.

    Args:
        written: by the judge. claims: how many there are; other numbers than theirs are left out.

    Raises:
        JudgeError: there is no such answer.
    """
    raw = _object(written, "supported", "contradicted")
    supported, contradicted = _places(raw, "supported", claims), _places(raw, "contradicted", claims)
    revise = raw.get("revise", False)
    if not isinstance(revise, bool):
        raise JudgeError(f"revise is {str(revise)[:20]!r}, not true or false")
    return Reflection(
        supported=tuple(at for at in supported if at not in contradicted),
        contradicted=contradicted,
        revise=revise,
        note=_text(raw, "note"),
    )


def note_of(written: Written) -> str:
    """What it notes of a stretch for the next one.

    Raises:
        JudgeError: there is no such answer.
    """
    note = _text(_object(written, "note"), "note", longest=4 * LONGEST)
    if not note:
        raise JudgeError("its note is empty")
    return note


def loops(text: str) -> bool:
    """Whether a text says the same AGAIN words in a row more than three times; a character is a word where need be."""
    words = text.split() if " " in text.strip() else list(text)
    seen: dict[tuple[str, ...], int] = {}
    for at in range(len(words) - AGAIN + 1):
        some = tuple(words[at : at + AGAIN])
        seen[some] = seen.get(some, 0) + 1
        if seen[some] > 3:
            return True
    return False


def _object(written: Written, *keys: str) -> dict[str, Any]:
    """The one JSON object in a text that has one of these keys, whatever stands around it."""
    if written.error:
        raise JudgeError(written.error)
    found: list[dict[str, Any]] = []
    text, at = THINKING.sub("", written.text), 0
    decoder = json.JSONDecoder(strict=False)  # a line end inside a string is no reason to throw an answer away
    for _ in range(BRACES):
        if (at := text.find("{", at)) < 0:
            break
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        if value not in found and any(key in value for key in keys):  # not a part of an answer that was cut off
            found.append(value)
    if len(found) > 1:
        raise JudgeError(f"it answered {len(found)} times, and not the same")
    if not found:
        raise JudgeError("it holds no JSON of the kind that was asked for" if written.finished else "it was cut off")
    return found[0]


def _text(raw: dict[str, Any], name: str, longest: int = LONGEST) -> str:
    value = raw.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise JudgeError(f"{name} is a {type(value).__name__}, not a text")
    if loops(value[: 8 * longest]):
        raise JudgeError(f"{name} goes in circles")
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in value[: 8 * longest]).split())
    return plain if len(plain) <= longest else f"{plain[:longest].rstrip()} ..."


def _moment(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, dict):
        return None
    ends = [value.get("start"), value.get("end")]
    if not all(isinstance(end, int | float) and not isinstance(end, bool) and abs(end) < math.inf for end in ends):
        return None
    start, end = sorted(float(end) for end in ends if end is not None)
    return start, end


def _places(raw: dict[str, Any], name: str, claims: int) -> tuple[int, ...]:
    value = raw.get(name)
    if not isinstance(value, list):
        raise JudgeError(f"it does not list which claims are {name}")
    numbers = [int(one) for one in value[:100] if (isinstance(one, int) or _digits(one)) and not isinstance(one, bool)]
    return tuple(dict.fromkeys(number - 1 for number in numbers if 1 <= number <= claims))


def _digits(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 4

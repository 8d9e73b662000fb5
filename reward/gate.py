"""Which sub-dimensions a prompt calls for. It looks at the prompt, the reference and the task, never at the pixels.

All clips of one prompt have the same gate, so that a policy cannot hide a face to be excused from acting. The words it
goes by are data: configs/gate.yaml, English and Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from cinereward.text import pattern, plain, table, words_hash

if TYPE_CHECKING:
    from cinereward.taxonomy import Taxonomy
    from cinereward.types import Clip

IMPLIES = {"speech": ("sound",), "music": ("sound",)}
NEEDS = {"face": "people"}  # what a question needs that the prompt can only ask for under another name
MEANS = {
    "sound": "sound",
    "speech": "speech",
    "music": "music",
    "cuts": "more than one shot",
    "people": "people or characters",
    "reference": "a reference",
}
KINDS = ("asks", "denies", "closes")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a prompt calls for, and by which words.

    because: expectation -> the words that asked for it, or "expects". closed: sub-dimension -> why it is left out.
    """

    because: Mapping[str, str]
    closed: Mapping[str, str]


def gate_hash() -> str:
    """Sha256 of the words the gate goes by: part of what identifies a score."""
    return words_hash("gate")


@cache
def _patterns() -> Mapping[str, Mapping[str, re.Pattern[str]]]:
    """Expectation -> "asks", "denies", "closes" -> one pattern."""
    return {
        name: {kind: pattern(entry.get(kind, {})) for kind in KINDS} for name, entry in table("gate")["words"].items()
    }


def read_prompt(prompt: str) -> dict[str, str]:
    """What a prompt calls for: expectation -> the words that say so, in lower case.

    Args:
        prompt: any text, of which the first characters are read, text.LONGEST of them.
    """
    text = plain(prompt)
    found: dict[str, str] = {}
    closed: set[str] = set()
    for name, patterns in _patterns().items():
        if patterns["closes"].search(text):
            closed.add(name)
        if match := patterns["asks"].search(patterns["denies"].sub(" ; ", text)):
            found[name] = match.group().strip()
    return {name: words for name, words in found.items() if closed.isdisjoint((name, *IMPLIES.get(name, ())))}


def open_gate(clip: Clip, taxonomy: Taxonomy) -> Gate:
    """Decide for every sub-dimension whether this clip's prompt calls for it.

    Args:
        clip: its prompt, task, reference and `expects` are read; its video is not.
        taxonomy: whose sub-dimensions, with what their questions need.
    """
    because = read_prompt(clip.prompt) if clip.expects is None else dict.fromkeys(sorted(clip.expects), "expects")
    for name in list(because):
        for implied in IMPLIES.get(name, ()):
            because.setdefault(implied, because[name])
    asked = set(because) | ({"reference"} if clip.reference is not None else set())
    closed = {}
    for sub in taxonomy.sub_dimensions:
        needs = {NEEDS.get(need, need) for need in sub.needs}
        needs |= {"music"} if sub.name in table("gate")["needs_music"] else set()
        if missing := sorted(needs - asked):
            closed[sub.name] = f"the prompt does not ask for {' or '.join(MEANS[need] for need in missing)}"
    return Gate(because=because, closed=closed)


def called_for(clip: Clip, gate: Gate) -> frozenset[str]:
    """What the prompt and the reference call for, by the names that questions give their needs."""
    asked = set(gate.because) | ({"reference"} if clip.reference is not None else set())
    return frozenset(asked | {need for need, meant in NEEDS.items() if meant in asked})

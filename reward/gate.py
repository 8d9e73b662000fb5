"""Which sub-dimensions a prompt calls for. It looks at the prompt, the reference and the task, never at the pixels.

All clips of one prompt have the same gate, so that a policy cannot hide a face to be excused from acting. The words it
goes by are data: configs/gate.yaml, English and Chinese.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml


if TYPE_CHECKING:
    from cinereward.taxonomy import Taxonomy
    from cinereward.types import Clip

LONGEST = 20_000  # characters of a prompt that are read; no director writes more for one clip
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


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a prompt calls for, and by which words.

    because: expectation -> the words that asked for it, or "expects". closed: sub-dimension -> why it is left out.
    """

    because: Mapping[str, str]
    closed: Mapping[str, str]


@cache
def _words() -> dict[str, dict[str, re.Pattern[str]]]:
    """The patterns of configs/gate.yaml: expectation -> {"asks", "denies"}."""
    table = yaml.safe_load((files("cinereward.configs") / "gate.yaml").read_text(encoding="utf-8"))
    return {
        name: {kind: _pattern(entry.get(kind, {})) for kind in ("asks", "denies")}
        for name, entry in table["words"].items()
    }


@cache
def _music_only() -> frozenset[str]:
    table = yaml.safe_load((files("cinereward.configs") / "gate.yaml").read_text(encoding="utf-8"))
    return frozenset(table["needs_music"])


def _pattern(languages: Mapping[str, list[str]]) -> re.Pattern[str]:
    """English words at word boundaries, Chinese anywhere."""
    english = [rf"\b(?:{word})\b" for word in languages.get("en", [])]
    chinese = [f"(?:{word})" for word in languages.get("zh", [])]
    return re.compile("|".join(english + chinese) or r"(?!)", re.IGNORECASE)


def read_prompt(prompt: str) -> dict[str, str]:
    """What a prompt calls for: expectation -> the words that say so.

    Args:
        prompt: any text; control characters and width variants do not matter.
    """
    text = unicodedata.normalize("NFKC", prompt[:LONGEST])
    text = "".join(char if char.isprintable() else " " for char in text).replace("’", "'")
    found: dict[str, str] = {}
    for name, patterns in _words().items():
        cleaned = patterns["denies"].sub(" ; ", text)
        if match := patterns["asks"].search(cleaned):
            found[name] = match.group(0).strip()
    return found


def open_gate(clip: Clip, taxonomy: Taxonomy) -> Gate:
    """Decide for every sub-dimension whether this clip's prompt calls for it.

    Args:
        clip: its prompt, task, reference and `expects` are read; its video is not.
        taxonomy: whose sub-dimensions, with what their questions need.
    """
    if clip.expects is not None:
        because = dict.fromkeys(sorted(clip.expects), "expects")
    else:
        because = read_prompt(clip.prompt)
    for name in list(because):
        for implied in IMPLIES.get(name, ()):
            because.setdefault(implied, because[name])
    asked = set(because) | ({"reference"} if clip.reference is not None else set())
    closed = {}
    for sub in taxonomy.sub_dimensions:
        needs = {NEEDS.get(need, need) for need in sub.needs} | ({"music"} if sub.name in _music_only() else set())
        if missing := sorted(needs - asked):
            closed[sub.name] = f"the prompt does not ask for {' or '.join(MEANS[need] for need in missing)}"
    return Gate(because=because, closed=closed)

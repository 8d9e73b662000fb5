"""Which sub-dimensions a prompt calls for. It looks at the prompt, the reference and the task, never at the pixels.

All clips of one prompt have the same gate, so that a policy cannot hide a face to be excused from acting. The words it
goes by are data: configs/gate.yaml, English and Chinese.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from cinereward.taxonomy import Taxonomy
    from cinereward.types import Clip

LONGEST = 5_000  # characters of a prompt that are read; no director writes more for one clip
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

_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")
_LATIN = r"[0-9a-z_\u00c0-\u024f]"  # not \w: an English word set in Chinese text without a space is a word too
_CHINESE = r"[\u3400-\u9fff]"
_BETWEEN_CHINESE = re.compile(rf"(?<={_CHINESE}) (?={_CHINESE})")
_LIST = re.compile(r"<(\w+)>")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a prompt calls for, and by which words.

    because: expectation -> the words that asked for it, or "expects". closed: sub-dimension -> why it is left out.
    """

    because: Mapping[str, str]
    closed: Mapping[str, str]


def _text() -> str:
    return (files("cinereward.configs") / "gate.yaml").read_text(encoding="utf-8")


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = yaml.safe_load(_text())
    return table


@cache
def gate_hash() -> str:
    """Sha256 of the words the gate goes by: part of what identifies a score."""
    return hashlib.sha256(_text().encode()).hexdigest()


@cache
def _patterns() -> Mapping[str, Mapping[str, re.Pattern[str]]]:
    """Expectation -> "asks", "denies", "closes" -> one pattern."""
    return {name: {kind: pattern(entry.get(kind, {})) for kind in KINDS} for name, entry in _table()["words"].items()}


def pattern(languages: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    """English words at word boundaries, Chinese anywhere; <name> stands for the list of that name."""
    english, chinese = ("|".join(map(_filled, languages.get(key, ()))) for key in ("en", "zh"))
    # each half looks at the next letter first: most places in a text are none of its business
    parts = [rf"(?<!{_LATIN})(?=[a-z0-9\[])(?:{english})(?!{_LATIN})"] * bool(english)
    parts += [rf"(?=[0-9\u3400-\u9fff])(?:{chinese})"] * bool(chinese)
    return re.compile("|".join(parts) or r"(?!)")


def _filled(words: str) -> str:
    return _LIST.sub(lambda match: f"(?:{'|'.join(_table()['lists'][match[1]])})", words)


def plain(prompt: str) -> str:
    """A prompt without what must not matter: case, width of letters, control characters, runs of white space."""
    text = _UNSEEN.sub(" ", prompt[: 64 * LONGEST]).strip()[:LONGEST]
    text = unicodedata.normalize("NFKC", text).upper().casefold().replace("\u2019", "'")[:LONGEST]
    return _BETWEEN_CHINESE.sub("", _UNSEEN.sub(" ", text))


def read_prompt(prompt: str) -> dict[str, str]:
    """What a prompt calls for: expectation -> the words that say so, in lower case.

    Args:
        prompt: any text, of which the first LONGEST characters are read.
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
        needs |= {"music"} if sub.name in _table()["needs_music"] else set()
        if missing := sorted(needs - asked):
            closed[sub.name] = f"the prompt does not ask for {' or '.join(MEANS[need] for need in missing)}"
    return Gate(because=because, closed=closed)

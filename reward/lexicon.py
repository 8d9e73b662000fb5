"""The words of a prompt, one after the other, with the parts they may play: a noun, a colour, a number, a verb.

No grammar is here: a vocabulary (configs/wants.yaml, English and Chinese), and the longest entry of it that fits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from cinereward.text import CHINESE, LATIN, table

_TOKEN = re.compile(
    rf"(?P<en>{LATIN}+(?:'[a-z]{{1,2}}(?!{LATIN}))?)|(?P<zh>{CHINESE})|(?P<soft>[,、])|(?P<stop>[.;:!?。()\[\]—…|])"
)


class Noun(NamedTuple):
    """A word for a thing.

    name: in the singular. classes: of COCO. worn: whether it is asked for by its colour alone. number: "one", "many" or
    "any", as the form says.
    """

    name: str
    classes: tuple[str, ...]
    worn: bool
    number: str


class Token(NamedTuple):
    """An English word, one Chinese letter, or a mark of punctuation; start and end are places in the text."""

    text: str
    start: int
    end: int
    kind: str


def tokens(text: str) -> list[Token]:
    """The words and marks of a plain text, in order."""
    return [Token(match.group(), match.start(), match.end(), str(match.lastgroup)) for match in _TOKEN.finditer(text)]


def plural(noun: str) -> str:
    """The regular plural of an English noun, of its last word."""
    if re.search(r"(?:s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


def verb_forms(verb: str, doubled: bool) -> tuple[str, ...]:
    """A regular English verb and its forms in -s and -ing. doubled: whether the latter doubles its last letter."""
    stem = verb + verb[-1] if doubled else verb[:-1] if re.search(r"[^eoy]e$", verb) else verb
    third = f"{verb}es" if re.search(r"o$", verb) else plural(verb)
    return verb, third, f"{verb[:-2]}ying" if verb.endswith("ie") else f"{stem}ing"


class Item(NamedTuple):
    """A word or several that the vocabulary knows as one, with the parts it may play; none where it knows it not."""

    text: str
    start: int
    end: int
    kind: str
    roles: Mapping[str, Any] = MappingProxyType({})


@cache
def vocabulary() -> Mapping[str, Mapping[str, Any]]:
    """Words in a row -> the parts they may play: "noun", "colour", "count", "verb", "state", "relation", ..."""
    words = table("wants")
    out: dict[str, dict[str, Any]] = {}

    def add(word: str, role: str, value: Any = True) -> None:
        out.setdefault(word, {})[role] = value

    nouns: list[tuple[Any, tuple[str, ...], bool]] = [(words["worn"], (), True), (words["others"], (), False)]
    nouns += [(entry, (name,), False) for name, entry in words["classes"].items()]
    for entry, classes, worn in nouns:
        for noun in entry["en"]:
            one, _, many = noun.partition("/")
            many = many or plural(one)
            add(one, "noun", Noun(one, classes, worn, "any" if one == many else "one"))
            if many != one:
                add(many, "noun", Noun(one, classes, worn, "many"))
        for noun in entry["zh"]:
            add(noun, "noun", Noun(noun, classes, worn, "any"))
    for role, key in (("verb", "verbs"), ("state", "states")):
        for verb in words[key]["en"]:
            for form in verb_forms(verb, verb in words["doubled"]):
                add(form, role)
        for verb in words[key]["zh"]:
            add(verb, role)
    for role, key in (("colour", "colours"), ("relation", "relations"), ("side", "sides")):
        for value, entry in words[key].items():
            for word in (*entry["en"], *entry["zh"]):
                add(word, role, value)
    lists = {"ignored": "ignored", "no": "negators", "bound": "bounds", "the": "determiners", "be": "be"}
    for role, key in {**lists, "unit": "units", "measure": "measures"}.items():
        for word in (*words[key]["en"], *words[key]["zh"]):
            add(word, role)
    for language in ("en", "zh"):
        for word, count in words["numbers"][language].items():
            add(word, "count", count)
    return out


@cache
def _reach() -> Mapping[str, int]:
    """First English word, or first Chinese letter -> how many words, or letters, the longest entry with it has."""
    out: dict[str, int] = {}
    for entry in vocabulary():
        parts = entry.split(" ") if entry[0] < "\u3400" else list(entry)
        out[parts[0]] = max(out.get(parts[0], 0), len(parts))
    return out


def items_of(text: str) -> list[Item]:
    """The text in words that the vocabulary knows, the longest first, and single ones that it does not."""
    raw, out, at = tokens(text), [], 0
    while at < len(raw):
        item, used = _longest(text, raw, at)
        out.append(item)
        at += used
    return out


def _longest(text: str, raw: Sequence[Token], at: int) -> tuple[Item, int]:
    first = raw[at]
    if first.kind in ("soft", "stop"):
        return Item(*first), 1
    known, chinese = vocabulary(), first.kind == "zh"
    bare = first.text.partition("'")[0]
    most = _reach().get(first.text, 1)
    run = 1
    while run < most and at + run < len(raw) and raw[at + run].kind == first.kind:
        if raw[at + run].start - raw[at + run - 1].end > (0 if chinese else 1):
            break
        run += 1
    for count in range(run, 0, -1):
        end = raw[at + count - 1].end
        words = text[first.start : end].replace("-", " ")
        if words in known:
            return Item(words, first.start, end, first.kind, known[words]), count
    roles: Mapping[str, Any] = known.get(bare, {}) if not chinese else {}
    if "noun" in roles:  # "a man's hat"
        roles = {"noun": roles["noun"], "owner": True}
    elif first.text.isascii() and first.text.isdigit() and len(first.text) <= 2 and 0 < int(first.text) <= 50:
        roles = {"count": int(first.text)}
    return Item(*first, roles), 1

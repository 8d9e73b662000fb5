"""What a prompt asks to be seen and heard, by its words: things, how many, of what colour, where, doing what.

Like the gate it reads the prompt and never the pixels, so all clips of one prompt are held against the same wants. The
words are data: configs/wants.yaml, English and Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from cinereward.lexicon import Item, Noun, items_of
from cinereward.phrases import dialogue, is_speech, taken
from cinereward.text import plain, table

COLOURS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
WAYS = ("pan_left", "pan_right", "tilt_up", "tilt_down")  # a prompt that tells none of them has "pan" or "tilt"
MOVES = frozenset({"pan", "tilt", *WAYS, "push", "pull", "roll", "moving", "static", "handheld"})  # the camera's
TAGS = MOVES | {
    *("whole", "subject", "count", "colour", "spatial_relation", "action", "camera_move", "style", "dialogue"),
    *("known_subject", "known_count", "known_colour", "known_relation"),
}
RELATIONS = ("left of", "right of", "above", "below", "in front of", "behind", "next to", "on", "in")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One thing that shall be seen.

    words: as the prompt has it, in lower case: "three black cats". classes: what a detector of COCO's 80 classes may
    call it; empty where it has no name for it. count: how many, or None where any number will do ("a", "some", "cats").
    colour: one of COLOURS, or None.
    """

    words: str
    classes: tuple[str, ...] = ()
    count: int | None = None
    colour: str | None = None


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Where one thing is to another: subjects[first] is `kind` subjects[second]; kind is one of RELATIONS."""

    first: int
    second: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class Wants:
    """What a prompt asks for.

    subjects: things, in the order of the prompt, each once. relations: between them. colours: all that are named of
    things. dialogue: what is said, in lower case, without its quotation marks. action: what the first subject does, or
    None where it merely is. camera_moves: "pan left", "push", "orbit", "static", ... style: "anime", "watercolour", ...
    asked: which of TAGS the prompt asks for: "whole" is any word at all, "known_..." where COCO has the classes.
    """

    subjects: tuple[Wanted, ...] = ()
    relations: tuple[Relation, ...] = ()
    colours: tuple[str, ...] = ()
    dialogue: tuple[str, ...] = ()
    action: str | None = None
    camera_moves: tuple[str, ...] = ()
    style: tuple[str, ...] = ()
    asked: frozenset[str] = frozenset()


@dataclass(kw_only=True)
class _Group:
    """What was read of a group of words before its noun; start is a place in the text, below 0 before the first."""

    start: int = -1
    count: int | None = None
    colour: str | None = None
    again: bool = False  # "the", "his": it may have been named before
    loose: int = 0  # words that the vocabulary does not know


@dataclass(frozen=True, kw_only=True)
class _Mention:
    """Where a thing is named: items[first:last], and its place among the subjects, below 0 where it is none."""

    first: int
    last: int
    subject: int


@lru_cache(maxsize=4096)
def read_wants(prompt: str) -> Wants:
    """What a prompt asks for; the same for every clip of it.

    Args:
        prompt: any text, of which the first characters are read, as by the gate.
    """
    said, text = dialogue(plain(prompt))
    moves, text = taken("camera", text)
    style, text = taken("styles", text)
    items = items_of(text)
    reader = _Reader(items, text)
    reader.read()
    subjects = reader.things or _unknown(items, text)
    wants = Wants(
        subjects=tuple(subjects),
        relations=_relations(items, reader.mentions, reader.things),
        colours=tuple(dict.fromkeys(thing.colour for thing in subjects if thing.colour)),
        dialogue=said,
        action=_action(items, reader.mentions, text),
        camera_moves=moves,
        style=style,
    )
    return replace(wants, asked=_tags(wants) | ({"whole"} if re.search(r"\w", text) else set()))


def _tags(wants: Wants) -> frozenset[str]:
    things = wants.subjects
    known = [bool(thing.classes) for thing in things]
    tags = {
        "subject": things,
        "count": [thing for thing in things if thing.count is not None],
        "colour": wants.colours,
        "spatial_relation": wants.relations,
        "action": wants.action,
        "camera_move": wants.camera_moves,
        "style": wants.style,
        "dialogue": wants.dialogue,
        "known_subject": any(known),
        "known_count": [thing for thing in things if thing.count is not None and thing.classes],
        "known_colour": [thing for thing in things if thing.colour and thing.classes],
        "known_relation": [item for item in wants.relations if known[item.first] and known[item.second]],
    }
    moves = {str(table("wants")["camera"][move]["tag"]) for move in wants.camera_moves}
    return frozenset(name for name, found in tags.items() if found) | moves


# --- things, and where they are to each other ---

MOST_LOOSE = {"en": 3, "zh": 6}  # words that the vocabulary does not know, between a number or an article and its noun
MOST_THINGS = 16  # of which a prompt is taken to speak
REACH = 4  # words after a denial in which what it denies must begin


class _Reader:
    """Goes along the words of a prompt once, and keeps the things it meets."""

    def __init__(self, items: Sequence[Item], text: str) -> None:
        self.items, self.text = items, text
        self.things: list[Wanted] = []
        self.mentions: list[_Mention] = []
        self._names: list[str] = []  # of the things
        self._group = _Group()
        self._held: _Group | None = None  # "两个穿着红色衣服的女孩": the number waits for the noun behind
        self._denied = 0  # words for which a denial still reaches; below 0 in its list of things
        self._listed = -1  # the last word of a list of what is denied: "no cuts, music or people"
        self._like: Noun | None = None  # what stands before a noun: "robot" of "robot detective"

    def read(self) -> None:
        """All words."""
        for at, item in enumerate(self.items):
            if self._denied > 0:
                self._denied -= 1
            elif self._denied < 0 and not (item.text in _AND or "noun" in item.roles or "no" in item.roles):
                self._denied = 0
            self._take(at, item)

    def _take(self, at: int, item: Item) -> None:
        roles, group = item.roles, self._group
        if item.kind == "stop" or "ignored" in roles:
            self._group, self._held, self._denied = _Group(), None, 0
        elif item.kind == "soft":
            self._group, self._denied = _Group(), min(self._denied, 0)
        elif "no" in roles:
            self._group, self._denied = _Group(), REACH + 1
            self._listed = max(self._listed, _listed(self.items, at))
        elif "noun" in roles and not _is_verb(self.items, at):
            self._noun(at, item, roles["noun"])
        elif "count" in roles:
            self._group = _Group(start=item.start, count=roles["count"]) if self._counts(at) else _Group()
        elif "colour" in roles:
            group.colour, group.start = roles["colour"], group.start if group.start >= 0 else item.start
            self._told(at, roles["colour"])
        elif "the" in roles and not (group.count and group.start >= 0):
            follows = self.items[at + 1].start if at + 1 < len(self.items) else item.end
            self._group = _Group(start=follows, again=item.text in _AGAIN)
        elif "measure" in roles and group.start == item.start:
            group.start = item.end
        elif item.text == "的" and self._held and self.mentions and self.mentions[-1].last == at:
            self._group, self._held = self._held, None
        elif not roles.keys() & {"measure", "the"} and item.text not in ("的", "of"):
            self._other(item)

    def _other(self, item: Item) -> None:
        """A word that is none of the above: it ends the group, or it stands loosely in it."""
        group = self._group
        adjective = not item.roles or (item.text.endswith("ing") and "verb" in item.roles)
        if adjective and group.start >= 0 and group.loose < MOST_LOOSE[item.kind]:
            group.loose += 1
        else:
            if group.count and item.kind == "zh" and item.roles:
                self._held = group
            self._group = _Group()

    def _counts(self, at: int) -> bool:
        """Whether a number counts things: not years, legs or lanes."""
        item, after = self.items[at], self.items[at + 1 : at + 2]
        if not after:
            return False
        if item.kind == "zh":
            return bool(after[0].roles.keys() & {"measure", "noun"}) or len(item.text) > 1
        joined = self.text[item.end : item.end + 1] == "-"
        return not joined and "unit" not in after[0].roles and after[0].kind != "stop"

    def _noun(self, at: int, item: Item, noun: Noun) -> None:
        after = self.items[at + 1] if at + 1 < len(self.items) else None
        joined = after is not None and item.kind == after.kind == "en" and after.start - item.end == 1
        if self.text[item.end : item.end + 1] == "-" and not (after and _is_noun(after)):
            return self._other(item)  # "man-made"
        if after and joined and noun.number != "many" and "owner" not in item.roles and _is_noun(after):
            if self._group.start < 0:
                self._group.start = item.start
            self._like = noun
            return None  # "kitchen table"
        if self._like and self._like.name in table("wants")["unlike"] and "person" in noun.classes:
            noun = self._like
        group, self._group, self._like = self._group, _Group(), None
        if self._denied or at <= self._listed:
            self._denied = -1
            return
        start = group.start if group.start >= 0 else item.start
        first = next(index for index in range(at, -1, -1) if self.items[index].start <= start)
        colour = None if "person" in noun.classes else group.colour
        fits = noun.number != ("many" if group.count == 1 else "one")
        count = group.count if fits else None
        subject = -1
        if colour or not noun.worn:
            words = self.text[start : item.end].partition("'")[0]
            thing = Wanted(words=words, classes=noun.classes, count=count, colour=colour)
            subject = self._kept(thing, noun.name, group.again)
        self.mentions.append(_Mention(first=first, last=at + 1, subject=subject))

    def _kept(self, thing: Wanted, name: str, again: bool) -> int:
        """The place of a thing among the subjects: the one it had, if this is the same thing once more."""
        for index, (other, own) in enumerate(zip(self.things, self._names, strict=True)):
            plainly = thing.colour is None and thing.count is None
            same = thing.colour in (None, other.colour) and thing.count in (None, other.count)
            if own == name and (plainly or same or (again and other.colour is None)):
                if not plainly and not same:
                    self.things[index] = replace(other, words=thing.words, colour=thing.colour)
                return index
        if len(self.things) == MOST_THINGS:
            return -1
        self.things.append(thing)
        self._names.append(name)
        return len(self.things) - 1

    def _told(self, at: int, colour: str) -> None:
        """Colour the thing before: "the car is red"."""
        last = self.mentions[-1] if self.mentions else None
        if last is None or last.subject < 0 or last.last != at - 1 or "be" not in self.items[at - 1].roles:
            return
        follows = self.items[at + 1] if at + 1 < len(self.items) else None
        thing = self.things[last.subject]
        free = follows is None or follows.kind in ("stop", "soft") or follows.text in ("的", "and", "with", "in")
        if free and thing.colour is None and "person" not in thing.classes:
            self.things[last.subject] = replace(thing, colour=colour)


_AND = ("or", "and", "nor", ",", "、", "any", "other", "和", "或", "与", "及", "或者", "任何", "其他")
_AGAIN = ("the", "his", "her", "its", "their", "this", "that", "这", "那", "该")


def _is_noun(item: Item) -> bool:
    return "noun" in item.roles and "verb" not in item.roles


def _is_verb(items: Sequence[Item], at: int) -> bool:
    """Whether a word that may be a noun or a verb ("waves", "flies", "face") is a verb here: what is before says so."""
    roles = items[at].roles
    if at == 0 or not roles.keys() & {"verb", "state"}:
        return False
    before = items[at - 1]
    pronoun = before.text in ("he", "she", "it", "they", "who", "that", "to", "which") or before.text.endswith("ly")
    return pronoun or ("noun" in before.roles and before.kind == items[at].kind == "en" and "owner" not in before.roles)


def _listed(items: Sequence[Item], at: int) -> int:
    """Where the list ends that is denied at this word, or below 0 where there is none: "no cuts, music or people"."""
    for index in range(at + 1, min(at + 10, len(items))):
        item = items[index]
        if item.text in ("or", "nor", "或", "或者"):
            return index + 2
        if item.kind == "stop" or item.roles.keys() & {"the", "count", "be"}:
            break
    return -1


_AT = ("在", "于")


def _relations(items: Sequence[Item], mentions: Sequence[_Mention], things: Sequence[Wanted]) -> tuple[Relation, ...]:
    """Where things are to each other, from what stands between, before and after their names."""
    found: dict[tuple[int, int], str] = {}
    sides: dict[str, int] = {}
    told = -1  # the last mention whose place in Chinese is told already
    end = _Mention(first=len(items), last=len(items), subject=-1)
    for index, (one, two) in enumerate(pairwise([*mentions, end])):
        between = items[one.last : two.first]
        for item in between[:4]:
            if "side" in item.roles and one.subject >= 0:
                sides.setdefault(item.roles["side"], one.subject)
        if min(one.subject, two.subject) < 0 or one.subject == two.subject or _stops(between):
            continue
        before = items[mentions[index - 1].last if index else 0 : one.first]
        here, there = (None if at <= told else _place(items, mentions[at].last) for at in (index, index + 1))
        stands = any(item.roles.keys() & {"be", "state"} for item in between)
        if kind := _joint(between):
            pair = (one.subject, two.subject)
        elif stands and (kind := _joint(before[_stops(before) :])):  # "on the table is a cat"
            pair = (two.subject, one.subject)
        elif kind := here:  # "桌子上有一只猫"
            pair, told = (two.subject, one.subject), index
        elif there and any(item.text in _AT for item in between):  # "猫在桌子上"
            kind, pair, told = there, (one.subject, two.subject), index + 1
        if kind and (things[pair[1]].classes or kind not in ("in", "on")):  # "in a forest" is no relation of things
            found.setdefault(pair, kind)
    if len(sides) == 2 and sides["left"] != sides["right"]:
        found.setdefault((sides["left"], sides["right"]), "left of")
    return tuple(Relation(first=first, second=second, kind=kind) for (first, second), kind in found.items())


def _stops(items: Sequence[Item]) -> int:
    """How many words there are up to the last full stop, and with it."""
    return max((at + 1 for at, item in enumerate(items) if item.kind == "stop"), default=0)


def _joint(items: Sequence[Item]) -> str | None:
    """The relation that these words tell, in English: it comes within a few words and stands right before a thing."""
    for at, item in enumerate(items[:6]):
        if item.kind == "en" and "relation" in item.roles:
            near = len(items) - at <= 3 and not any("no" in other.roles for other in items)
            return str(item.roles["relation"]) if near else None
    return None


def _place(items: Sequence[Item], at: int) -> str | None:
    """The relation told behind a Chinese name: "桌子上", "房子的左边"."""
    after = [item for item in items[at : at + 2] if item.text != "的"][:1]
    told = after[0].roles.get("relation") if after and after[0].kind == "zh" else None
    return str(told) if told else None


# --- what is done ---

MOST_WORDS = 10  # of an action
_ENDS = ("while", "as", "when", "then", "but", "until", "before", "after", "正在", "然后", "接着", "当")


def _action(items: Sequence[Item], mentions: Sequence[_Mention], text: str) -> str | None:
    """What is done: from the first verb of movement behind the first thing to the end of its clause."""
    begin = mentions[0].first if mentions else 0
    for at in range(begin, len(items)):
        item = items[at]
        after_name = bool(mentions) and at == mentions[0].last and not item.roles and item.kind == "en"
        unknown = after_name and bool(re.search(r"[a-z]{2}(?:ing|[^s]s)$", item.text)) and not is_speech(item.text)
        verb = (
            "verb" in item.roles and "ignored" not in item.roles and ("noun" not in item.roles or _is_verb(items, at))
        )
        before = items[max(0, at - 2) : at]
        denied = any("no" in other.roles for other in before) or any(is_speech(w.text) for w in [*before[-1:], item])
        loose = item.text.endswith("ing") and bool(before) and before[-1].text in ("in", "on", "of", "with", "through")
        if (verb or unknown) and not denied and not loose:  # "in falling snow" is nothing that is done
            last = at + 1
            while last < min(len(items), at + MOST_WORDS * (1 if item.kind == "en" else 2)):
                if items[last].kind in ("stop", "soft") or items[last].text in _ENDS:
                    break
                last += 1
            return text[item.start : items[last - 1].end]
    return None


def _unknown(items: Sequence[Item], text: str) -> list[Wanted]:
    """The first thing behind an article where the vocabulary knows none: "a samovar steams" -> "samovar"."""
    for at, item in enumerate(items):
        if "the" not in item.roles or item.kind != "en":
            continue
        words: list[Item] = []
        for word in items[at + 1 : at + 4]:
            if "ignored" in word.roles:  # "the last shot"
                words = []
            if word.kind != "en" or word.roles or (words and re.search(r"[^s]s$|ly$|ing$", word.text)):
                break
            words.append(word)
        if words:
            return [Wanted(words=text[words[0].start : words[-1].end])]
    return []

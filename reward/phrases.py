"""What a prompt tells by set phrases: what is said aloud, the camera's moves, the style; see configs/wants.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from cinereward.text import NOT, pattern, table

_INSIDE = "((?:[^'\"]|(?<=[a-z])'(?=[a-z])){2,300})"  # of single marks, which an apostrophe looks like
_QUOTED = re.compile(
    '“([^“”]{1,300})”|"([^"]{1,300})"|「([^「」]{1,300})」|『([^『』]{1,300})』|«([^«»]{1,300})»'
    rf"|‘{_INSIDE}'|(?<![a-z0-9])'{_INSIDE}'(?![a-z])"
)
_COLON = re.compile('[^:;]{0,30}: ?([^.!?。;:"“「『«\\[]{2,200}[.!?。]?)')
_BEFORE, _AFTER = 60, 40  # letters about a quotation in which its verb is looked for


def dialogue(text: str) -> tuple[tuple[str, ...], str]:
    """What is said, and the text without anything in quotation marks: that is heard or read, not seen."""
    spoken, kept, end = [], [], 0
    for match in _QUOTED.finditer(text):
        before = text[max(end, match.start() - _BEFORE) : match.start()]
        if _is_said(before, text[match.end() : match.end() + _AFTER]):
            spoken.append(next(filter(None, match.groups())).strip(" ,"))
        kept += [text[end : match.start()], " ; "]
        end = match.end()
    rest = "".join([*kept, text[end:]])
    said = _speech().search(rest) if not spoken else None
    if said and (line := _COLON.match(rest, said.end())):
        spoken.append(line[1].strip())
        rest = f"{rest[: line.start(1)]} ; {rest[line.end(1) :]}"
    return tuple(line for line in spoken if line), rest


def _is_said(before: str, after: str) -> bool:
    """Whether a quotation between these is heard: the nearest word that says so decides, the one before it first."""
    said, read = ([match.end() for match in words.finditer(before)] for words in (_speech(), _read()))
    if said or read:
        return max(said, default=-1) > max(read, default=-1)
    after = re.split('[.;!?。“"「『«]', after, maxsplit=1)[0]
    if before.rstrip().endswith(":"):
        return True
    return bool(_speech().search(after)) and not _read().search(after)


def is_speech(word: str) -> bool:
    """Whether a word tells that something is said; a song can be seen too."""
    return bool(_speech().fullmatch(word)) and not word.startswith("sing")


@cache
def _speech() -> re.Pattern[str]:
    return pattern(table("wants")["speech"])


@cache
def _read() -> re.Pattern[str]:
    return pattern(table("wants")["written"])


# --- camera and style: by patterns ---


@cache
def _patterns(name: str) -> Mapping[str, tuple[re.Pattern[str], re.Pattern[str]]]:
    """Move or style -> its words, and its words where they are denied."""
    out = {}
    for key, entry in table("wants")[name].items():
        words = {language: entry[language] for language in NOT if entry.get(language)}
        denied = {language: [f"{NOT[language]}(?:{'|'.join(items)})"] for language, items in words.items()}
        out[key] = pattern(words), pattern(denied)
    return out


def taken(name: str, text: str) -> tuple[tuple[str, ...], str]:
    """The moves or styles that a text asks for, in its order, and the text without them."""
    found: dict[str, int] = {}
    rest = pattern(table("wants")["no_camera"]).sub(" ", text) if name == "camera" else text
    for key, (words, denied) in _patterns(name).items():
        if not words.search(rest):
            continue
        asked = denied.sub(" ; ", rest)
        if match := words.search(asked):
            found[key] = match.start()
        text, rest = (words.sub(lambda match: " ; ", each) for each in (text, rest))
    for one in [key for key in found if key in ("pan", "tilt") and any(other.startswith(f"{key} ") for other in found)]:
        del found[one]  # the direction is told elsewhere
    return tuple(sorted(found, key=lambda key: (found[key], key))), text

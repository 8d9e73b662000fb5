"""What comes from outside, made safe to show: data that can add no turn, no special token and no way out of its fence.

Prompts, transcripts, names, metadata and what a model wrote before are data. Every special token of every chat
template that we know of holds an angle bracket, a square bracket or a bar, so none of these is let through: they become
look-alikes that no template knows. Our own border is written with angle brackets, and so cannot appear inside. Pure
functions.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

LOOKALIKES = {"<": "\u2039", ">": "\u203a", "[": "(", "]": ")", "|": "\u00a6", "`": "'", "\u2581": "_"}
QUOTED = "| "  # begins every line inside a fence, so that no line there begins with "User:" or "### Response"
FURTHER = 64  # characters that are read for each that may be kept; the rest of an endless text is not even looked at
MARKS = 4  # accents and vowel signs on one letter, at most: towers of them hide what stands below
TURNED = re.compile(r"\r\n?|[\u0085\u2028\u2029\v\f]")  # ends of lines by other names
SPACES = re.compile(r"[^\S\n]+")
BLANKS = re.compile(r"\s*\n\s*")
KIND = re.compile(r"[a-z]+( [a-z]+)*")
# These are seen by nobody: fillers and joiners that Unicode does not file under "format", and selectors of variants.
UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(
    map(chr, [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
)
GONE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})  # control, format (zero width, tags, bidi), surrogates, private, none


def neutral(text: str, limit: int = 2_000) -> str:
    """A text without anything that is more than text to a model; Chinese, accents and emoji stay readable.

    Args:
        text: from outside, of any length. limit: characters that are kept at most.

    Returns:
        The text with ends of lines as they were (blank lines apart), other white space as single spaces, invisible
        characters gone, brackets, bars and backticks replaced by look-alikes. What is left out beyond the limit is
        told at the end. Doing it twice changes nothing but, perhaps, that last remark.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}; expected 1 character or more")
    read = TURNED.sub("\n", text[: FURTHER * limit])
    shown: list[str] = []
    marks = 0
    for letter in read:
        kept = _shown(letter)
        if not kept:
            continue
        marks = marks + 1 if unicodedata.category(letter)[0] == "M" else 0
        if marks <= MARKS:
            shown.append(kept)
    clean = BLANKS.sub("\n", SPACES.sub(" ", "".join(shown))).strip()
    if len(clean) <= limit and len(text) <= FURTHER * limit:
        return clean
    return f"{clean[:limit].rstrip()} (cut here: it goes on)".lstrip()


def line(text: str, limit: int = 80) -> str:
    """The same on one line: for names and units."""
    return neutral(text, limit).replace("\n", " ")


def fenced(kind: str, text: str, limit: int = 2_000) -> str:
    """A labelled block of data whose border cannot appear inside.

    Args:
        kind: what it is, in small letters, such as "prompt"; ours, never from outside. text: from outside. limit: see
            `neutral`.
    """
    if not KIND.fullmatch(kind):
        raise ValueError(f"kind is {kind!r}; expected small letters, such as 'prompt': it is part of the border")
    inside = "\n".join(QUOTED + row for row in (neutral(text, limit) or "(nothing)").split("\n"))
    return f'<data of="{kind}">\n{inside}\n</data>'


@cache
def _shown(letter: str) -> str:
    """What a character becomes; "" where it is seen by nobody."""
    if letter in LOOKALIKES:
        return LOOKALIKES[letter]
    if letter in "\n\t":
        return letter
    if letter in UNSEEN or unicodedata.category(letter) in GONE:
        return ""
    if letter > "\x7f":  # full width, small and crossed-out forms: what a tokeniser may take for the plain bracket
        plain = unicodedata.normalize("NFKD", letter)
        if any(sign in LOOKALIKES for sign in plain):
            return "".join(LOOKALIKES.get(sign, sign) for sign in plain)
    return letter

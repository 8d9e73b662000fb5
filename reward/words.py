"""Words that the terminal and the report share, and how both write times and text from outside."""

from __future__ import annotations

UNVALIDATED = "not yet validated against human ratings"
MENDS = {
    "prompt": "the prompt",
    "seed": "another seed",
    "reference": "the reference",
    "parameters": "sampling or export settings",
    "sound": "the sound",
    "upstream shot": "the shot before",
    "person": "a person, by hand",
}


def plain(text: str, keep: str = "") -> str:
    """The text with control characters and unpaired surrogates written out, so that none of them acts on a reader.

    Args:
        text: from outside. keep: characters that stay although they do not print, such as a line's end.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )


def timecode(seconds: float) -> str:
    """Seconds as m:ss.s."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"

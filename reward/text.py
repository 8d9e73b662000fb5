"""A prompt as it is read by whatever goes by words: plain text, and the patterns of words that are looked for in it.

The words themselves are data: configs/gate.yaml, configs/intents.yaml, configs/wants.yaml, English and Chinese.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

LONGEST = 5_000  # characters of a prompt that are read; no director writes more for one clip
LATIN = r"[0-9a-z_\u00c0-\u024f]"  # not \w: an English word set in Chinese text without a space is a word too
CHINESE = r"[\u3400-\u9fff]"

# what stands before something that is not wanted; the thing itself follows within three words
NOT = {
    "en": "(?:<without>|not|isn't|avoid|avoiding|instead of|rather than|less|remove|removes) (?:<word> ){0,2}?",
    "zh": "(?:<没有>|没有|不要|不含|避免|去除|并非|不是|无)",
}

_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")
_BETWEEN_CHINESE = re.compile(rf"(?<={CHINESE}) (?={CHINESE})")
_LIST = re.compile(r"<(\w+)>")


def plain(prompt: str) -> str:
    """A prompt without what must not matter: case, width of letters, control characters, runs of white space."""
    text = _UNSEEN.sub(" ", prompt[: 64 * LONGEST]).strip()[:LONGEST]
    text = unicodedata.normalize("NFKC", text).upper().casefold().replace("\u2019", "'")[:LONGEST]
    return _BETWEEN_CHINESE.sub("", _UNSEEN.sub(" ", text))


def pattern(languages: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    """English words at word boundaries, Chinese anywhere; <name> stands for the list of that name in gate.yaml.

    Args:
        languages: "en", "zh" -> regular expressions.
    """
    english, chinese = ("|".join(map(_filled, languages.get(key, ()))) for key in ("en", "zh"))
    # each half looks at the next letter first: most places in a text are none of its business
    parts = [rf"(?<!{LATIN})(?=[a-z0-9\[])(?:{english})(?!{LATIN})"] * bool(english)
    parts += [rf"(?=[0-9\u3400-\u9fff])(?:{chinese})"] * bool(chinese)
    return re.compile("|".join(parts) or r"(?!)")


def written(name: str) -> str:
    """The text of a file of words in configs: "gate" or "wants"."""
    return (files("cinereward.configs") / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def table(name: str) -> Mapping[str, Any]:
    """The content of such a file."""
    content: Mapping[str, Any] = yaml.safe_load(written(name))
    return content


@cache
def words_hash(name: str) -> str:
    """Sha256 of such a file: part of what identifies a score."""
    return hashlib.sha256(written(name).encode()).hexdigest()


def _filled(items: str) -> str:
    return _LIST.sub(lambda match: f"(?:{'|'.join(table('gate')['lists'][match[1]])})", items)

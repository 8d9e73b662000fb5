"""Words that were heard against words that were asked for: how many differ, and which are there in order.

A word is what spaces part; of scripts that put none between words (Chinese, Japanese, Thai, ...) every letter counts as
one, so that word error rate becomes character error rate there, and both mix in one line.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

LETTERS_A_WORD = 1.6  # of a script without spaces: about what a Chinese word has
_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese
)
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


def tokens(text: str, *, english: bool) -> tuple[str, ...]:
    """The words of a text, without case, punctuation and width of letters.

    Args:
        text: anything. english: spell numbers, contractions and British words in one way, and leave out "um" and "uh".

    Raises:
        MissingExtraError: openai-whisper, whose normalisers these are, is not installed.
    """
    return tuple(_TOKEN.findall(_normaliser(english)(text)))


def is_plain(text: str) -> bool:
    """Whether a text can be English: it has no letter but those of ASCII; quotes and dashes are no letters."""
    return all(letter.isascii() for letter in text if letter.isalpha())


@cache
def _normaliser(english: bool) -> Callable[[str], str]:
    try:
        from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer
    except ImportError as error:
        raise MissingExtraError("openai-whisper", "perception") from error
    made: Callable[[str], str] = EnglishTextNormalizer() if english else BasicTextNormalizer()
    return made


def length(words: Sequence[str]) -> float:
    """How many words these are, where a letter of a script without spaces is a part of one."""
    unspaced = sum(bool(re.match(f"[{_UNSPACED}]", word)) for word in words)
    return len(words) - unspaced + unspaced / LETTERS_A_WORD


def distance(heard: Sequence[str], asked: Sequence[str]) -> int:
    """Fewest words to put in, take out or replace to make one of the other.

    Source: "Binary codes capable of correcting deletions, insertions and reversals", Levenshtein, 1966.
    """
    left, right = _numbered(heard, asked)
    at = np.arange(len(left) + 1)
    row = at.copy()
    for place, word in enumerate(right, 1):
        kept = np.minimum(row[:-1] + (left != word), row[1:] + 1)
        row = np.minimum.accumulate(np.concatenate([[place], kept]) - at) + at
    return int(row[-1])


def in_order(heard: Sequence[str], asked: Sequence[str]) -> tuple[int, Bools]:
    """The longest run of asked words that are heard in order, others between them or not.

    Returns:
        Its length, and which of the heard words are in it, bool (len(heard),); of several such runs, one.
    """
    left, right = _numbered(heard, asked)
    rows = np.zeros((len(right) + 1, len(left) + 1), np.int32)
    for place, word in enumerate(right, 1):
        found = np.maximum(rows[place - 1, 1:], rows[place - 1, :-1] + (left == word))
        rows[place, 1:] = np.maximum.accumulate(found)
    used = np.zeros(len(left), np.bool_)
    row, column = len(right), len(left)
    while row and column:
        if rows[row, column] == rows[row - 1, column]:
            row -= 1
        elif rows[row, column] == rows[row, column - 1]:
            column -= 1
        else:
            row, column = row - 1, column - 1
            used[column] = True
    return int(rows[-1, -1]), used


def _numbered(heard: Sequence[str], asked: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any]]:
    numbers: dict[str, int] = {}
    left, right = (
        np.array([numbers.setdefault(word, len(numbers)) for word in side], np.int64) for side in (heard, asked)
    )
    return left, right

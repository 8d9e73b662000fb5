"""What a prompt asks for that would be a fault if it had not been asked for: noir, handheld, grain, slow cinema.

Like the gate it reads the prompt and never the pixels, so all clips of one prompt are held against the same curves. The
words and what they change are data: configs/intents.yaml, English and Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cinereward.text import NOT, pattern, plain

if TYPE_CHECKING:
    from cinereward.profile import Intent, Term

    Curves = Mapping[str, Sequence[Term]]


@dataclass(frozen=True, kw_only=True)
class Varied:
    """Curves as a prompt's intents leave them.

    curves: sub-dimension -> its terms. because: sub-dimension -> what the prompt asks for that changed them.
    excused: sub-dimension -> why nothing is left of it to judge.
    """

    curves: Curves
    because: Mapping[str, str] = field(default_factory=dict)
    excused: Mapping[str, str] = field(default_factory=dict)


def read_intents(prompt: str, intents: Mapping[str, Intent]) -> dict[str, str]:
    """The intents that a prompt speaks of: name -> the words that say so, in lower case.

    Args:
        prompt: any text, of which the first characters are read, as by the gate. intents: of the profile.
    """
    text = plain(prompt)
    found: dict[str, str] = {}
    for name, intent in intents.items():
        words, but = _patterns(_frozen(intent.words), _frozen(intent.but))
        if match := words.search(but.sub(" ; ", text)):
            found[name] = match.group().strip()
    return found


def vary(curves: Curves, intents: Mapping[str, Intent], asked: Mapping[str, str]) -> Varied:
    """The curves under the intents that were asked for, one after the other in the profile's order.

    Args:
        curves: sub-dimension -> terms. intents: of the profile. asked: as `read_intents` returns it.
    """
    if not asked:
        return Varied(curves=curves)
    out: dict[str, list[Term]] = {}
    because: dict[str, str] = {}
    excused: dict[str, str] = {}
    for dimension, terms in curves.items():
        kept = list(terms)
        for name in asked:
            variants = intents[name].curves
            if touched := [term.measurement for term in kept if term.measurement in variants]:
                told = f"the prompt asks for {name.replace('_', ' ')} ({', '.join(dict.fromkeys(touched))})"
                because[dimension] = "; ".join(filter(None, (because.get(dimension), told)))
            kept = [
                variants[term.measurement].of(term) if term.measurement in variants else term
                for term in kept
                if not (term.measurement in variants and variants[term.measurement].excused)
            ]
        if terms and not kept:
            excused[dimension] = f"{because[dimension]}, which leaves nothing to judge"
        out[dimension] = kept
    for name in asked:
        for dimension, terms in intents[name].asks.items():
            if out.get(dimension):  # what this profile does not measure, or what is excused, is not asked for either
                out[dimension] += terms
    return Varied(curves=out, because=because, excused=excused)


def _frozen(words: Mapping[Any, Sequence[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((language, tuple(items)) for language, items in words.items())


@lru_cache(maxsize=1024)
def _patterns(
    words: tuple[tuple[str, tuple[str, ...]], ...], but: tuple[tuple[str, tuple[str, ...]], ...]
) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What asks for an intent, and what is taken out of the text first: its negations and what `but` names."""
    out = {language: list(items) for language, items in but}
    for language, items in words:
        out.setdefault(language, []).insert(0, f"{NOT[language]}(?:{'|'.join(items)})")
    return pattern(dict(words)), pattern(out)

"""What a prompt asks for as texts, each with others that it is held against.

A number from a network of pictures and words means something only beside another: so every thing, colour, action and
style is one of several texts, and what counts is its share. Among the others is always its name painted into the
picture, since such networks read; see "Multimodal neurons in artificial neural networks", Goh et al., Distill 2021.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.text import plain, table
from cinereward.wants import COLOURS, Wanted, read_wants

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

KINDS = ("whole", "subject", "colour", "action", "style")
LONGEST = 300  # letters of a prompt that are held against a picture: no such network reads more


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One thing that is asked for: texts[0], held against texts[1:]. kind: one of KINDS."""

    kind: str
    texts: tuple[str, ...]


@lru_cache(maxsize=4096)
def choices(prompt: str) -> tuple[Choice, ...]:
    """All that a prompt asks for and that such a network can tell; the same for every clip of it.

    Args:
        prompt: any text; without a word or a letter it asks for nothing.
    """
    prompt = prompt.encode("utf-8", "ignore").decode()  # a tokenizer cannot read lone surrogates
    text = plain(prompt)[:LONGEST].strip()
    if not re.search(r"\w", text):
        return ()
    wants = read_wants(prompt)
    told = _words(text)
    out = [Choice(kind="whole", texts=(text, *_others(told["whole"], wants.subjects), *_painted(told, text)))]
    for thing in wants.subjects:
        phrase, told = _phrase(thing), _words(_phrase(thing))
        others = [*told["nothing"], *_others(told[_kind(thing)], wants.subjects)]
        pictures = [told["picture"].format(each) for each in (phrase, *others)]
        out.append(Choice(kind="subject", texts=(*pictures, *_painted(told, phrase))))
        if thing.colour is not None:
            out.append(Choice(kind="colour", texts=_coloured(thing.colour, phrase, told)))
    if wants.action is not None:
        out.append(_acted(wants.action, wants.subjects))
    styles = table("wants")["styles"]
    others = [entry["text"] for name, entry in styles.items() if name not in wants.style]
    for name in wants.style:
        out.append(Choice(kind="style", texts=(styles[name]["text"], *others)))
    return tuple(out)


def shares(points: Float64, texts: Float64, scale: float) -> Float64:
    """The share that the first text has of each picture, float64 (N,) in [0, 1].

    Args:
        points: float64 (N, D), of pictures, of length 1. texts: float64 (K, D), likewise. scale: of the logits.
    """
    logits = scale * points @ texts.T
    logits -= logits.max(axis=1, keepdims=True)
    odds = np.exp(logits)
    return np.asarray(odds[:, 0] / odds.sum(axis=1))


def _words(text: str) -> Any:
    """The others, in the language of a text."""
    return table("wants")["contrasts"]["zh" if re.search(r"[\u3400-\u9fff]", text) else "en"]


def _phrase(thing: Wanted) -> str:
    """A thing in words: in English where the vocabulary has some, since every such network reads that."""
    if thing.words.isascii() or not thing.classes:
        return thing.words
    return " ".join(filter(None, (thing.colour, thing.classes[0])))


def _painted(told: Any, phrase: str) -> list[str]:
    return [each.format(phrase) for each in told["painted"]]


def _kind(thing: Wanted) -> str:
    if not thing.classes:
        return "others"
    kinds = table("wants")["kinds"]
    return next((str(kind) for kind, classes in kinds.items() if thing.classes[0] in classes), "things")


def _others(told: Sequence[str], things: Sequence[Wanted]) -> list[str]:
    """Those texts that show none of the things that are asked for."""
    classes = {name for thing in things for name in thing.classes}
    names = {_last(thing) for thing in things}
    shown = [(other, read_wants(other).subjects) for other in told]
    return [
        other
        for other, seen in shown
        if not any(classes & set(thing.classes) or _last(thing) in names for thing in seen)
    ]


def _last(thing: Wanted) -> str:
    return thing.words.split()[-1].removesuffix("s")


def _coloured(colour: str, phrase: str, told: Any) -> tuple[str, ...]:
    """A thing in its colour and in each of the ten others."""
    words = table("wants")["colours"]
    language = "en" if told is table("wants")["contrasts"]["en"] else "zh"
    own = [word for word in sorted(words[colour][language], key=len, reverse=True) if _holds(phrase, word)]
    names = [words[other][language][0] for other in (colour, *(each for each in COLOURS if each != colour))]
    if own:
        return tuple(told["picture"].format(re.sub(_bound(own[0]), name, phrase, count=1)) for name in names)
    return tuple(told["picture"].format(told["coloured"].format(name, phrase)) for name in names)


def _holds(phrase: str, word: str) -> bool:
    return bool(re.search(_bound(word), phrase))


def _bound(word: str) -> str:
    """A pattern for an English word as a whole, or for a Chinese one anywhere."""
    return rf"\b{re.escape(word)}\b" if word.isascii() else re.escape(word)


def _acted(action: str, things: Sequence[Wanted]) -> Choice:
    """The first of the living, or the first thing, doing it, and doing something else, or nothing."""
    told = _words(action)
    beings = [thing for thing in things if _kind(thing) in ("people", "animals")]
    first = (beings or list(things))[0].words if things else told["someone"]
    join = "" if told is table("wants")["contrasts"]["zh"] else " "
    names = [verb for verb in told["actions"] if verb[:3] != action[:3] and verb not in action]
    return Choice(kind="action", texts=tuple(f"{first}{join}{each}" for each in (action, *names)))

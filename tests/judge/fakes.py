"""A judge's model that answers as planted, and counts what it was asked."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cinereward.judge.backend import LABELS, Ask, Read, Shown, Written

Chances = Callable[[Shown, Ask], Sequence[float]]
Words = Callable[[Shown, Ask], str | Written | None]


def draw(*parts: object) -> np.random.Generator:
    """A generator of its own for every content."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little"))


def read(*chances: float) -> Read:
    """What stands at the answer slot where the labels 1 to 5 have these probabilities."""
    with np.errstate(divide="ignore"):
        return Read(logs=np.log(np.array(chances, np.float64)))


def certain(score: float) -> tuple[float, ...]:
    """Probabilities of the labels whose mean is this score in [0, 1], on at most two neighbours."""
    place = score * (len(LABELS) - 1)
    return tuple(max(0.0, 1 - abs(place - label)) for label in range(len(LABELS)))


class FakeBackend:
    """A backend without a model.

    Args:
        chances: probabilities of the five labels for what is shown and asked; raised errors pass. Without it they are
            drawn from `Shown.key`, `Ask.name` and `Ask.text` alone, with a mass of 0.95.
        words: what it writes; None, or no function, for a plain answer that fits the schema.
        hears, identity: as a backend has them.

    reads, writes: (key of what was shown, name of what was asked) of every answer. shown, asks: all that it was given,
    in order. sizes: how many stretches each call held.
    """

    def __init__(
        self, *, chances: Chances | None = None, words: Words | None = None, hears: bool = False, identity: str = "fake"
    ) -> None:
        self.chances, self.words, self.hears, self.identity = chances, words, hears, identity
        self.reads: list[tuple[str, str]] = []
        self.writes: list[tuple[str, str]] = []
        self.shown: list[Shown] = []
        self.asks: list[Ask] = []
        self.sizes: list[int] = []
        self._lock = threading.Lock()

    def read(self, items: Sequence[tuple[Shown, Sequence[Ask]]]) -> list[list[Read]]:
        self._note(items, self.reads)
        return [[self._labels(shown, ask) for ask in asks] for shown, asks in items]

    def write(
        self,
        items: Sequence[tuple[Shown, Sequence[Ask]]],
        *,
        most_tokens: int,
        schema: Mapping[str, Any] | None = None,
    ) -> list[list[Written]]:
        self._note(items, self.writes)
        return [[self._text(shown, ask, schema) for ask in asks] for shown, asks in items]

    def _note(self, items: Sequence[tuple[Shown, Sequence[Ask]]], where: list[tuple[str, str]]) -> None:
        with self._lock:
            self.sizes.append(len(items))
            for shown, asks in items:
                self.shown.append(shown)
                self.asks.extend(asks)
                where.extend((shown.key, ask.name) for ask in asks)

    def _labels(self, shown: Shown, ask: Ask) -> Read:
        if self.chances is not None:
            return read(*self.chances(shown, ask))
        shares = draw("labels", shown.key, ask.name, ask.text).dirichlet(np.ones(len(LABELS)))
        return read(*(0.95 * shares))

    def _text(self, shown: Shown, ask: Ask, schema: Mapping[str, Any] | None) -> Written:
        came = self.words(shown, ask) if self.words is not None else None
        if isinstance(came, Written):
            return came
        return Written(text=came if came is not None else json.dumps(_plain(shown, schema)))


def _plain(shown: Shown, schema: Mapping[str, Any] | None) -> Any:
    """An answer by the schema: of a reason, of a reflection, or of a summary."""
    told = schema.get("properties", {}) if schema is not None else {}
    if "observe" in told:
        number = int(draw("words", shown.key).integers(100))
        return {
            "observe": f"A walker crosses the square; {number} windows are lit.",
            "analyse": "The steps are even and the weight lands on the heel.",
            "problem": "The left hand melts into the coat.",
            "suggest": "Keep the hands out of the pockets.",
            "moment": {"start": shown.start, "end": (shown.start + shown.end) / 2},
            "locus": "prompt",
        }
    if "supported" in told:
        return {"supported": [1, 2], "contradicted": [3], "revise": False, "note": "The hand does melt."}
    return {"note": f"A walker crosses the square between {shown.start:.1f} and {shown.end:.1f} s."}

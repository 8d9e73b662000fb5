"""The gate's second half: what a story does not call for, read out of prompt and reference by the judge's own model.

The first half goes by words (cinereward.gate). What that left open, closed questions may close: configs/context.yaml.
No frame of a generated clip is ever shown, so that all clips of one prompt have the same gate and none can hide what it
would be judged on. Doubt, and a model that does not answer, keep a sub-dimension open.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cinereward.errors import ConfigError, JudgeError
from cinereward.judge.backend import LABELS, Ask, Backend, Read, Shown
from cinereward.judge.cache import Cache, key_of
from cinereward.judge.fence import fenced
from cinereward.judge.given import first_picture
from cinereward.judge.labels import LEAST_MASS, moments
from cinereward.judge.wording import words
from cinereward.text import LONGEST, table, words_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

NO = slice(0, 2)  # of the labels: "certainly not" and "hardly"
PIXELS = 480 * 832  # of the reference, at most
BLANK = (64, 64)  # rows and columns of the picture that stands where there is no reference: a few tokens
GREY = 128
MOST = 10_000  # prompts whose context is kept in memory
TEXTS = ("context", "context_reference", "context_blank")

_log = logging.getLogger(__name__)


class Closing(BaseModel):
    """One closed question on a story.

    question: as it is asked, with "no" for what closes. told: the "no" in words. closes: sub-dimensions. least: share
    of the labels' probability that "no" must have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1, max_length=200)
    told: str = Field(min_length=1, max_length=100)
    closes: tuple[str, ...] = Field(min_length=1)
    least: float = Field(default=0.9, gt=0.5, le=1)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a story does not call for.

    closed: sub-dimension -> why. untold: name of a question -> why it was not answered; what it could have closed stays
    open.
    """

    closed: Mapping[str, str] = field(default_factory=dict)
    untold: Mapping[str, str] = field(default_factory=dict)


def read_context(backend: Backend, prompt: str, reference: Any = None) -> Mapping[str, str]:
    """What one story does not call for: sub-dimension -> why. Nothing is kept; see `Contexts` for many prompts.

    Args:
        backend: the model. prompt: of any length, of which the first characters are read, text.LONGEST of them.
        reference: as a Clip has it, or None.
    """
    return Contexts(backend).read(prompt, reference).closed


class Contexts:
    """Reads the context of prompts, each once, from any thread.

    Args:
        backend: the model; the same weights and template answer the same (its identity names them).
        cache: the file of the judge's answers, or None.
    """

    def __init__(self, backend: Backend, cache: Cache | None = None) -> None:
        self.backend, self.cache = backend, cache
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Slot] = OrderedDict()

    def read(self, prompt: str, reference: Any = None) -> Context:
        """What a story does not call for; all clips of one prompt and reference get the very same answer.

        That holds for a failure too: it is kept like an answer, so that no clip of a group has another gate than the
        rest because a server came back between them. Where there is no prompt nothing is asked.
        """
        if not prompt.strip():
            return Context()
        try:
            picture = first_picture(reference, PIXELS)
        except JudgeError as error:
            return Context(untold=dict.fromkeys(questions(), str(error)))
        key = key_of("context", context_hash(), prompt, _named(picture))
        with self._lock:
            slot = self._known.setdefault(key, _Slot())
            self._known.move_to_end(key)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        with slot.lock:  # two clips of one prompt: the second waits for the first one's answer
            if slot.context is None:
                slot.context = self._read(key, prompt, picture)
            return slot.context

    def _read(self, key: str, prompt: str, picture: UInt8 | None) -> Context:
        try:
            shares, untold = self._answered(key, prompt, picture)
        except Exception as error:  # a backend is a plug-in, and a server lies behind it
            shares, untold = {}, dict.fromkeys(questions(), " ".join(f"{type(error).__name__}: {error}".split()))
        if untold:
            told = "; ".join(f"{name}: {why}" for name, why in untold.items())
            _log.warning("the judge did not read all of a prompt's context, the gate stays open there: %s", told[:500])
        return Context(closed=closed(shares, reference=picture is not None), untold=untold)

    def _answered(self, key: str, prompt: str, picture: UInt8 | None) -> tuple[dict[str, float], dict[str, str]]:
        """From the file, or from the model; what it did not answer is asked again by the next process."""
        if self.cache is None:
            return self._asked(key, prompt, picture)
        place = key_of("context", self.backend.identity, key)
        known = self.cache.get([place]).get(place)
        if known is not None:
            return {name: float(share) for name, share in known.items()}, {}
        shares, untold = self._asked(key, prompt, picture)
        if not untold:
            self.cache.put({place: shares})
        return shares, untold

    def _asked(self, key: str, prompt: str, picture: UInt8 | None) -> tuple[dict[str, float], dict[str, str]]:
        """All questions, whatever the gate left open: the answer depends on prompt and reference alone."""
        asked = questions()
        asks = [Ask(name=f"context.{name}", text=one.question) for name, one in asked.items()]
        (reads,) = self.backend.read([(_shown(key, prompt, picture), asks)])
        shares: dict[str, float] = {}
        untold: dict[str, str] = {}
        for name, read in zip(asked, reads, strict=True):
            try:
                shares[name] = _share(read)
            except (JudgeError, ValueError) as error:
                untold[name] = str(error)
        return shares, untold


@dataclass(kw_only=True, eq=False)
class _Slot:
    """The place of one context: filled once, by whoever comes first."""

    context: Context | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def context_hash() -> str:
    """Sha256 over the questions and the texts they are asked with: part of what identifies a score."""
    parts = [words_hash("context"), *(words(name) for name in TEXTS)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def questions() -> Mapping[str, Closing]:
    """The closed questions by name, in the order of their file.

    Raises:
        ConfigError: the file says something else than it may.
    """
    try:
        return {name: Closing.model_validate(entry) for name, entry in table("context").items()}
    except ValidationError as error:
        raise ConfigError(f"configs/context.yaml: {error}") from error


def unlikely(logs: Float64) -> float:
    """The share of "no" among the labels alone.

    Args:
        logs: float64 (5,), natural logarithms of the labels' probabilities; at least one is finite.
    """
    if logs.shape != (len(LABELS),) or not bool(np.any(np.isfinite(logs))):
        raise ValueError(f"logs are {logs}; expected {len(LABELS)} logarithms, one of them finite at least")
    shares = np.exp(logs - logs.max())
    return float(shares[NO].sum() / shares.sum())


def closed(shares: Mapping[str, float], *, reference: bool) -> dict[str, str]:
    """Which sub-dimensions are closed, and why; of two questions that close one, the surer one tells.

    Args:
        shares: name of a question -> share of "no" in [0, 1]; questions that were not answered are not there.
        reference: whether a reference was shown.
    """
    read = "prompt and reference" if reference else "the prompt"
    out: dict[str, str] = {}
    for name, share in sorted(shares.items(), key=lambda pair: -pair[1]):
        one = questions().get(name)
        if one is not None and share >= one.least:
            for sub in one.closes:
                out.setdefault(sub, f"the judge reads {read}: {one.told} ({share:.2f})")
    return out


def _shown(key: str, prompt: str, picture: UInt8 | None) -> Shown:
    """Prompt and reference as a model takes them; a video model must be shown something, so no reference is a blank."""
    blank = np.full((*BLANK, 3), GREY, np.uint8)
    return Shown(
        frames=(blank if picture is None else picture)[None],
        times=np.zeros(1),
        fps=1.0,
        system=words("context"),
        before=words("context_blank" if picture is None else "context_reference") + "\n",
        after=f"What was asked for:\n{fenced('prompt', prompt, LONGEST)}\n\n",
        key=key,
    )


def _share(read: Read) -> float:
    if read.error:
        raise JudgeError(read.error)
    mass = moments(read.logs)[2]
    if mass < LEAST_MASS:
        raise JudgeError(f"1 to 5 have {mass:.2f} of the probability, at least {LEAST_MASS}")
    return unlikely(read.logs)


def _named(picture: UInt8 | None) -> str:
    if picture is None:
        return ""
    return hashlib.sha256(f"{picture.shape}".encode() + np.ascontiguousarray(picture).tobytes()).hexdigest()

"""The values that cross the judge's doors, and the protocol that every vision-language model is asked through.

What is shown of a clip (`Shown`) is the same for all its questions, so that a backend encodes it once. What is asked
(`Ask`) comes after it. A backend reads the probabilities of the labels at the answer slot (`Read`), or lets the model
write (`Written`). Prompt, transcript and whatever else comes from outside is fenced before it gets into `text`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

LABELS = ("1", "2", "3", "4", "5")  # worst to best; each is one token, which "10" would not be


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """What a judge is shown of one clip, or of a stretch of a long one.

    frames: uint8 (N, H, W, 3), RGB. times: float64 (N,), seconds from the clip's start, rising. fps: of the clip
    itself. system: the instructions, ours alone. before: text before the pictures, after: text behind them, with all
    that comes from outside already fenced. reference: uint8 (H, W, 3) or None. sound: float32 (M,), mono, 16 kHz, of
    the stretch, or None. start, end: of the stretch, in s. key: names the content: equal keys mean equal shown.
    """

    frames: UInt8
    times: Float64
    fps: float
    system: str
    before: str
    after: str
    reference: UInt8 | None = None
    sound: Float32 | None = None
    start: float = 0.0
    end: float = 0.0
    key: str = ""

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8 or not len(self.frames):
            raise ValueError(f"frames are {self.frames.dtype} {self.frames.shape}; expected uint8 (N, H, W, 3), N >= 1")
        if self.times.shape != self.frames.shape[:1] or bool(np.any(np.diff(self.times) <= 0)):
            raise ValueError(f"times {self.times.shape} must rise, one for each of {len(self.frames)} frames")


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One thing that is asked after what is shown. text: ends the user's turn. lead: what the answer begins with."""

    name: str
    text: str
    lead: str = "Score: "


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """The labels at the answer slot: float64 (5,) natural logarithms of their probabilities among all tokens.

    -inf where a server did not tell one of them, which lowers the mass. error: why there is nothing (logs all NaN).
    """

    logs: Float64
    error: str = ""

    @classmethod
    def failed(cls, error: str) -> Read:
        """Nothing could be read, and why."""
        return cls(logs=np.full(len(LABELS), np.nan), error=error)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the model wrote after `lead`. finished: it came to an end by itself, not at its limit. error: why none."""

    text: str
    finished: bool = True
    error: str = ""


@runtime_checkable
class Backend(Protocol):
    """A vision-language model, here or behind a server. It may be called from many threads.

    hears: whether it can be given sound. identity: names all that decides its answers: the model and its weights,
    adapters, quantisation, the library's version, the template.
    """

    hears: bool

    @property
    def identity(self) -> str:
        """The model and all else that decides its answers; a served one may have to be asked for it."""
        ...

    def read(self, items: Sequence[tuple[Shown, Sequence[Ask]]]) -> list[list[Read]]:
        """The labels' probabilities for every question on every clip; a failure is told in its `Read`, never raised."""
        ...

    def write(
        self,
        items: Sequence[tuple[Shown, Sequence[Ask]]],
        *,
        most_tokens: int,
        schema: Mapping[str, Any] | None = None,
    ) -> list[list[Written]]:
        """Let it write, greedily, at most so many tokens an answer; schema: of the JSON it must write, where it can."""
        ...

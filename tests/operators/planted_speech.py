"""Planted truth for what is said and felt: clips in which a synthesiser speaks, and networks that answer as planned."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cinereward import Clip
from cinereward.networks.whisper import Heard, Word
from cinereward.testing import clip
from cinereward.testing.talking import speech

RATE = 16_000
FPS = 12.0
Float32 = NDArray[np.float32]


@cache
def voice(seconds: float, seed: int = 0) -> Float32:
    """Somebody speaks, float32 (N,) at 16 kHz."""
    samples = speech(seconds, RATE, seed)[0]
    samples.flags.writeable = False
    return samples


def murmur(seconds: float) -> Float32:
    """A quiet room."""
    return (1e-3 * np.random.default_rng(3).standard_normal(round(seconds * RATE))).astype(np.float32)


def film(sound: Float32 | None, prompt: str = "", seconds: float | None = None) -> Clip:
    """One still shot of 32 x 32 pixels with this sound."""
    length = seconds if seconds is not None else 1.0 if sound is None else len(sound) / RATE
    still = np.random.default_rng(1).integers(40, 200, (32, 32, 3), np.uint8)
    frames = np.broadcast_to(still, (max(1, round(length * FPS)), 32, 32, 3))
    heard: dict[str, Any] = {} if sound is None else {"audio": sound, "sample_rate": RATE}
    return clip(np.ascontiguousarray(frames), FPS, prompt=prompt, **heard)


def heard(text: str, probability: float = 0.9, seconds: float = 3.0, language: str = "en", **more: Any) -> Heard:
    """What Whisper would tell of a text whose words are spread evenly over some seconds."""
    words = text.split() if language != "zh" else list(text)
    edges = np.linspace(0, seconds, len(words) + 1)
    size = len(text.encode())
    return Heard(
        text=text,
        words=tuple(
            Word(text=word, start=float(a), end=float(b), probability=probability)
            for word, a, b in zip(words, edges[:-1], edges[1:], strict=True)
        ),
        language=language,
        certainty=0.97,
        no_speech=more.pop("no_speech", 0.02),
        logprob=more.pop("logprob", -0.2),
        compression=size / max(1, len(zlib.compress(text.encode()))),
        **more,
    )


def says(text: str, **more: Any) -> Callable[[Sequence[Float32]], list[Heard]]:
    """A network that hears this in every piece, spread over all of it."""

    def hear(pieces: Sequence[Float32]) -> list[Heard]:
        return [heard(text, seconds=len(piece) / RATE, **more) for piece in pieces]

    return hear


def never(pieces: Sequence[Float32]) -> list[Heard]:
    """A network that invents words wherever it is asked; it must not be."""
    raise AssertionError(f"{len(pieces)} pieces were put before the network, and nobody speaks")

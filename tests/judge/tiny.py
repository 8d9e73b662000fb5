"""Tiny judges, made once a run, and what they are shown and asked."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cinereward.judge.backend import Ask, Shown
from cinereward.judge.local import LocalBackend
from cinereward.judge.settings import JudgeSettings
from cinereward.testing.tiny_judge import tiny_judge

SUBJECTS = (
    "How is the light?",
    "How steady is the camera, really?",
    "Is the rain good?",
    "Do the two people talk?",
    "Is it out of focus?",
    "What of the street at the end, in one word?",
    "1?",
)
ASKS = tuple(Ask(name=f"q{n}", text=f"{text} 1 is bad and 5 is excellent.\n") for n, text in enumerate(SUBJECTS))


@cache
def _home() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="judge-")


@cache
def folder(family: str = "qwen3_vl") -> Path:
    """A tiny judge that all tests share; not to be written into."""
    return tiny_judge(Path(_home().name) / family, family)


def backend(family: str = "qwen3_vl", **changes: Any) -> LocalBackend:
    """A local judge on the CPU; its model is loaded once a run."""
    return LocalBackend(JudgeSettings.model_validate({"model": str(folder(family)), **changes}), device="cpu")


def shown(seed: int = 0, *, frames: int = 4, **changes: Any) -> Shown:
    """Noise of 64 x 96 pixels, 0.7 s apart from 0.5 s on, with a reference and a second of sound."""
    draw = np.random.default_rng(seed)
    given = {
        "frames": draw.integers(0, 256, (frames, 64, 96, 3), dtype=np.uint8),
        "times": 0.5 + 0.7 * np.arange(frames),
        "fps": 20.0,
        "system": "You are a film critic.",
        "before": f"The prompt of clip {seed}: a red kite.\n",
        "after": "\nEvidence: light 0.4\n",
        "reference": draw.integers(0, 256, (70, 100, 3), dtype=np.uint8),
        "sound": draw.normal(0, 0.1, 16_000).astype(np.float32),
        "key": str(seed),
    }
    return Shown(**{**given, **changes})


def shares(logs: Any) -> Any:
    """The labels' probabilities, renormalised over the labels alone."""
    chances = np.exp(logs - np.max(logs))
    return chances / chances.sum()

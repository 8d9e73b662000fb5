"""What a judge behind a server is shown and asked, small and quick to send."""

from __future__ import annotations

from typing import Any

import numpy as np

from cinereward.judge.backend import Ask, Shown
from cinereward.judge.endpoints import Limits
from cinereward.judge.served import ServedBackend
from cinereward.judge.settings import JudgeSettings
from tests.judge.server import Server

QUICK = Limits(connect=2.0, total=10.0, tries=3, backoff=0.01, longest=0.2, failures=3, rest=30.0)
ASKS = tuple(Ask(name=f"q{n}", text=f"Question {n}?\n") for n in range(4))


def shown(seed: int = 0, **changes: Any) -> Shown:
    """Three frames of noise, 64 x 96 pixels, half a second apart."""
    frames = np.random.default_rng(seed).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    frames = changes.pop("frames", frames)
    given = {
        "times": 1.0 + 0.5 * np.arange(len(frames)),
        "fps": 8.0,
        "system": "You are a critic.",
        "before": "The prompt: a red kite.",
        "after": "Evidence: light 0.4.",
        "key": str(seed),
    }
    return Shown(frames=frames, **{**given, **changes})


def served(*servers: Server, limits: Limits = QUICK, **changes: Any) -> ServedBackend:
    given = {name: changes.pop(name) for name in ("picture", "hears") if name in changes}
    urls = [server.url for server in servers]
    settings = {"kind": "served", "model": "judge", "endpoints": urls, "concurrency": 4, **changes}
    return ServedBackend(JudgeSettings.model_validate(settings), limits=limits, **given)


def parts(body: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body["messages"][1]["content"]
    return found

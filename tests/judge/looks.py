"""What a judge is shown, small and quick to send."""

from __future__ import annotations

from typing import Any

import numpy as np

from cinereward.judge.backend import Shown


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

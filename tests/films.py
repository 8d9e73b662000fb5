"""Films that are the same to the last bit wherever NumPy runs: waves that drift. For numbers that other code gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# name -> height, width, frames a second, speed in pixels a frame, grain in levels
FILMS = {
    "wide": (234, 300, 30.0, 3.0, 0.0),
    "tall": (204, 178, 12.0, 0.6, 12.0),
    "still": (128, 128, 16.0, 0.0, 4.0),
}
COUNT = 8


def film(name: str) -> NDArray[np.uint8]:
    """Eight frames, uint8 (8, H, W, 3)."""
    height, width, _, speed, grain = FILMS[name]
    rng = np.random.default_rng(list(name.encode()))
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = rng.uniform(-0.25, 0.25, (12, 2))
    phases, colours = rng.uniform(0, 2 * np.pi, 12), rng.normal(0, 28, (12, 3))
    frames = []
    for at in range(COUNT):
        moved = x - speed * at
        planes = sum(
            np.sin(a * moved + b * y + phase + 0.2 * (k % 3) * at * (speed > 0))[..., None] * colour
            for k, ((a, b), phase, colour) in enumerate(zip(waves, phases, colours, strict=True))
        )
        frames.append(128 + planes + rng.normal(0, grain, (height, width, 3)))
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)

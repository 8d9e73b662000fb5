"""Pieces of the original sound on the clip's own grid, so that windows of any length give the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.types import Window


def grid(window: Window, step: float) -> NDArray[np.int64]:
    """Where the pieces of `step` seconds lie that end in this window, counted from the clip's first frame.

    A piece may begin in the lead, and must not be longer than it. Neighbours share their edges, which are rounded to
    samples: pieces may differ by one sample.

    Args:
        window: with sound or without. step: in s.

    Returns:
        int64 (2, N): beginnings and ends, as indices into `window.sound.original`.
    """
    sound = window.sound
    if sound is None:
        return np.zeros((2, 0), np.int64)
    rate, lead = sound.original_rate, sound.original_lead
    first = round((float(window.times[0]) + 1 / window.fps) * rate) if window.overlap else 0
    last = first + sound.original.shape[1] - lead
    numbers = np.arange(int(first / (step * rate)), int(last / (step * rate)) + 2)
    edges = np.rint(np.stack([numbers - 1, numbers]) * (step * rate)).astype(np.int64)
    mine = (edges[1] > first) & (edges[1] <= last) & (edges[0] >= max(0, first - lead))
    return np.asarray(edges[:, mine] - first + lead, np.int64)

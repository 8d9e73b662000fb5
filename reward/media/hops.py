"""Pieces of sound on the clip's own grid, so that windows of any length give the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.types import Sound


def pieces(sound: Sound, hop: int, length: int) -> NDArray[np.float32]:
    """Every piece of `length` samples that ends on a multiple of `hop` samples, counted from the clip's first frame.

    A piece belongs to the stretch that its last sample lies in; its beginning may lie in the lead.

    Args:
        sound: a stretch of the clip's sound.
        hop: samples from one piece to the next.
        length: samples a piece, at most what the stretch has of lead.

    Returns:
        float32 (N, length), a read-only view; the first piece of the clip's first stretch ends `hop` samples into it.

    Raises:
        ValueError: the lead is shorter than a piece.
    """
    if length > sound.lead:
        raise ValueError(f"pieces of {length} samples; the stretch comes with a lead of {sound.lead} only")
    first = round(sound.start * sound.sample_rate)
    count = len(sound.samples) - sound.lead
    ends = range((first // hop + 1) * hop, first + count + 1, hop)
    if not ends:
        return np.zeros((0, length), np.float32)
    start = ends[0] - first + sound.lead - length
    return sliding_window_view(sound.samples, length)[start::hop][: len(ends)]

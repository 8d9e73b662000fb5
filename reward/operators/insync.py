"""What the distances of mouths from sounds tell: how surely they belong together, and by how much the sound is late.

Pure functions of distances (N, 31): a row for every five pictures, a column for every shift of the sound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cinereward.networks.syncnet import FPS, PICTURES, REACH, synchrony

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

STEP = 1000 / FPS  # ms
OFFSETS = STEP * np.arange(-REACH, REACH + 1, dtype=np.float64)  # by which the sound is late
NO_ROWS = np.zeros((0, len(OFFSETS)), np.float32)
LEAST_ROWS = 10  # of a piece, 0.4 s beyond the first five pictures: less tells nothing
INDEPENDENT = 5  # rows that see no picture in common: a moment
LUCK = (0.0, 0.0, 0.56, 0.85)  # standard deviations by which the best of so many passes the mean one
USUAL = 400.0  # ms; offsets are expected to lie within, before anything is measured
MUTE, TALKING = 1.0, 3.0  # confidence at which a face surely does not, and surely does, say what is heard
FLOOR = 0.02  # of the least distance: differences of means are never known better


class Piece(NamedTuple):
    """A piece of speech inside one shot, and the face that agrees with it best.

    start, end: s. far: float32 (N, 31), the speaker's distances; N = 0 where no face is seen. heard: bool (N, 31),
    where there is sound to be far from. luck: by how much the confidence of the best of the faces passes by chance
    what one of them has. pixels: of the speaker's face.
    """

    start: float
    end: float
    far: Float32 = NO_ROWS
    heard: NDArray[np.bool_] = NO_ROWS > 0
    luck: float = 0.0
    pixels: float = 0.0

    @property
    def confidence(self) -> float:
        """LSE-C, less what is luck."""
        return max(0.0, synchrony(self.far).confidence - self.luck) if len(self.far) else 0.0

    @property
    def known(self) -> Float32:
        """The distances; NaN where a shift leads beyond the sound, which the original takes for zero."""
        return np.where(self.heard, self.far, np.float32(np.nan))

    @property
    def covered(self) -> float:
        """How much of it, 0 to 1, is said by a face that is seen to say it."""
        if not len(self.far):
            return 0.0
        seen = min(1.0, (len(self.far) + PICTURES - 1) / max(1, int(np.diff(rows_of(self.start, self.end))[0])))
        surely = self.confidence - contrast_error(self.far)
        return seen * float(np.clip((surely - MUTE) / (TALKING - MUTE), 0, 1))


def rows_of(start: float, end: float) -> tuple[int, int]:
    """Rows [first, last) of five pictures each whose middle lies from `start` to `end` (s)."""
    first, last = (int(np.ceil(edge * FPS - PICTURES / 2)) for edge in (start, end))
    return first, last


def contrast_error(far: Float32) -> float:
    """Standard error of the confidence of distances (N, 31): how much it varies from moment to moment."""
    if len(far) < 2:
        return 0.0
    best = int(np.argmin(far.mean(axis=0)))
    contrast = np.median(far, axis=1) - far[:, best]
    return float(contrast.std() / np.sqrt(max(1.0, len(far) / INDEPENDENT)))


def belief(far: Float32) -> Float64:
    """How likely the sound is late by each of OFFSETS, float64 (31,), sum 1: what distances tell, and what is usual.

    The mean distance at the true offset is the least; another one's passes it by more than chance explains. Without
    rows it is what is usual.

    Args:
        far: float32 (N, 31); NaN where a shift leads beyond the sound.
    """
    logs = -0.5 * (OFFSETS / USUAL) ** 2
    told = np.count_nonzero(np.isfinite(far), axis=0)
    if (told >= LEAST_ROWS).any():
        values = far.astype(np.float64)
        mean = np.where(told >= max(LEAST_ROWS, len(far) / 2), np.nansum(values, axis=0) / np.maximum(told, 1), np.inf)
        best = int(np.argmin(mean))
        apart = values - values[:, best : best + 1]
        both = np.count_nonzero(np.isfinite(apart), axis=0)
        for at in np.flatnonzero(both >= LEAST_ROWS):
            more = apart[:, at][np.isfinite(apart[:, at])]
            error = more.std() / np.sqrt(max(1.0, len(more) / INDEPENDENT)) + FLOOR * mean[best] + 1e-6
            logs[at] -= 0.5 * (more.mean() / error) ** 2
    chance = np.exp(logs - logs.max())
    return np.asarray(chance / chance.sum())


def lateness(chance: Float64) -> tuple[float, float]:
    """By how many ms the sound is late, and early, as expected over what may be: each 0 or more.

    Args:
        chance: float64 (31,), of `belief`.
    """
    return float(chance @ np.maximum(OFFSETS, 0)), float(chance @ np.maximum(-OFFSETS, 0))

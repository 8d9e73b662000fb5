"""What operators read off the thumbnails: the picture inside its bars, its light in stops, and its course by shots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.media.features import stride
from cinereward.operators.tracks import BAR, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Float64 = NDArray[np.float64]

RATE = 4.0  # thumbnails a second that are looked at
TOE = 48.0  # levels added before the logarithm: what lies deeper than this hardly differs to the eye
HUES = 0.6  # how much a step of hue counts beside one of light
WEIGHTS = np.array([0.299, 0.587, 0.114])


def sampled(tracks: Tracks) -> NDArray[np.int64]:
    """Which frames of the clip are looked at: about RATE a second, by absolute index."""
    return np.arange(0, len(tracks.times), stride(tracks.fps, RATE))


def bars(dark: NDArray[np.bool_]) -> int:
    """How many dark lines stand at both ends of a picture alike, as bars do: bool (n,), True where a line is dark.

    What is dark at one end only is a part of the picture: night sky, black cloth.
    """
    light = np.flatnonzero(~dark)
    return 0 if len(light) == 0 else int(min(light[0], len(dark) - 1 - light[-1]))


def shown(tracks: Tracks) -> Array:
    """The thumbnails without the bars of a letterbox: uint8 (N, h, w, 3).

    Where there are bars, one more line goes with them: it may be half bar, half picture.
    """
    dark = np.quantile(tracks.luma(), 0.9, axis=0) <= BAR
    rows, columns = (bars(np.asarray(np.all(dark, axis=axis))) for axis in (1, 0))
    rows, columns = (n + 1 if n else 0 for n in (rows, columns))
    height, width = dark.shape
    if min(height - 2 * rows, width - 2 * columns) < 4:
        rows = columns = 0
    return tracks["thumbs"][:, rows : height - rows, columns : width - columns]


def stops(thumbs: Array) -> Float64:
    """Luma in stops: uint8 (..., 3) to float64 (...); a gain adds the same everywhere, but near black."""
    return np.asarray(np.log2(thumbs.astype(np.float64) @ WEIGHTS + TOE))


def colours(thumbs: Array) -> Float64:
    """Luma, red against green and blue against green, in stops, the last two by HUES: uint8 (..., 3) to float64."""
    red, green, blue = np.moveaxis(np.log2(thumbs.astype(np.float64) + TOE), -1, 0)
    return np.stack([stops(thumbs), HUES * (red - green), HUES * (blue - green)], axis=-1)


def softened(planes: Float64) -> Float64:
    """Smoothed over 3 x 3 cells by 1, 2, 1: float64 (N, h, w, ...)."""
    for axis in (1, 2):
        edge = [(0, 0)] * planes.ndim
        edge[axis] = (1, 1)
        padded, count = np.pad(planes, edge, mode="edge"), planes.shape[axis]
        below, here, above = (np.take(padded, np.arange(count) + n, axis=axis) for n in range(3))
        planes = (below + 2 * here + above) / 4
    return planes


def by_shots(tracks: Tracks, rows: NDArray[np.int64], values: Float64) -> float:
    """The median of the values within each shot, averaged over shots by their length; NaN where there is none.

    Args:
        rows: int64 (n,), the frames the values belong to. values: float64 (n,), NaN: not measured there.
    """
    total, weight = 0.0, 0
    for shot in tracks.shots():
        inside = values[(rows >= shot.first) & (rows < shot.last) & ~np.isnan(values)]
        if len(inside):
            total += float(np.median(inside)) * (shot.last - shot.first)
            weight += shot.last - shot.first
    return total / weight if weight else float("nan")

"""What operators share when they merge: one clip's tracks joined, its shots, and smoothing inside a shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import OperatorError
from cinereward.media.shots import Shot, find_shots
from cinereward.types import Measurement, OperatorSpec, Partial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Float64 = NDArray[np.float64]


LEAST_FRAMES = 4  # fewer tell nothing of what lies between frames: that is no perfect steadiness
BAR = 24  # luma that the bars of a letterbox do not pass


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracks:
    """One clip's tracks from its first frame to its last, by name."""

    times: Float64
    fps: float
    by_name: dict[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.by_name[name]

    def shots(self) -> tuple[Shot, ...]:
        """The clip's shots, found in its "thumbs"."""
        return find_shots(self.times, self.by_name["thumbs"], self.fps)

    def luma(self) -> Float64:
        """Luma of the "thumbs", float64 (N, 18, 32)."""
        return np.asarray(self.by_name["thumbs"].astype(np.float64) @ np.array([0.299, 0.587, 0.114]))

    def picture(self) -> NDArray[np.bool_]:
        """Where the thumbnails show picture, bool (18, 32): not where they are dark all along, as bars are."""
        dark = np.quantile(self.luma(), 0.9, axis=0) <= BAR
        rows, columns = np.any(~dark, axis=1), np.any(~dark, axis=0)
        shown = np.logical_and.outer(rows, columns)
        return np.asarray(shown if shown.any() else ~shown)


def join(partials: Sequence[Partial]) -> Tracks:
    """Put one clip's partials end to end.

    Raises:
        OperatorError: there are none.
    """
    if not partials:
        raise OperatorError("no window was measured; the clip has no frames")
    rows = [{**partial.tracks, **partial.sounds} for partial in partials]
    return Tracks(
        times=np.concatenate([partial.times for partial in partials]),
        fps=partials[0].fps,
        by_name={name: np.concatenate([row[name] for row in rows]) for name in rows[0]},
    )


def owned(rows: Array, overlap: int) -> Array:
    """The rows of a feature that belong to the window, without the overlap frame."""
    return rows[overlap:]


def smooth(track: Array, sigma: float) -> Float64:
    """Gaussian smoothing along the first axis that keeps parabolas as they are, and straight lines also at the ends.

    A plain Gaussian cuts corners: it would take the ease of a camera move for tremor.
    Source: "Smoothing and differentiation of data by simplified least squares procedures", Savitzky & Golay, 1964, with
    Gaussian weights.

    Args:
        track: (N, ...), finite.
        sigma: in frames.

    Returns:
        float64 (N, ...).
    """
    values = np.asarray(track, np.float64)
    reach = min(len(values) - 1, int(3 * sigma + 0.5))
    if reach < 1:
        return values.copy()
    at = np.arange(-reach, reach + 1, dtype=np.float64)
    bell = np.exp(-0.5 * (at / sigma) ** 2)
    bell /= bell.sum()
    second, fourth = float((bell * at**2).sum()), float((bell * at**4).sum())
    kernel = bell if reach < 2 else bell * (fourth - second * at**2) / (fourth - second**2)
    # odd reflection about the end points: a ramp goes on as a ramp
    head = 2 * values[:1] - values[reach:0:-1]
    tail = 2 * values[-1:] - values[-2 : -reach - 2 : -1]
    padded = np.concatenate([head, values, tail])
    out = np.zeros_like(values)
    for offset, weight in enumerate(kernel):
        out += weight * padded[offset : offset + len(values)]
    return out


def measurements(
    spec: OperatorSpec, values: dict[str, Any], tracks: dict[str, tuple[Float64, Float64]]
) -> dict[str, Measurement]:
    """Name the values and tracks as the spec does, with its units.

    Args:
        spec: the operator's.
        values: name -> float, or a Measurement where there is doubt or a note to tell.
        tracks: name -> (times, values); a track "x_track" has the unit of "x".
    """
    units = {item.name: item.unit for item in spec.measurements}
    out: dict[str, Measurement] = {}
    for name, value in values.items():
        out[name] = (
            value if isinstance(value, Measurement) else Measurement(name=name, value=float(value), unit=units[name])
        )
    for name, (times, track) in tracks.items():
        unit = units[name.removesuffix("_track")]
        out[name] = Measurement(name=name, value=np.asarray(track, np.float64), unit=unit, times=times)
    return out

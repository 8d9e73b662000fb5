"""Depth: whether sharpness lies on the subject, and whether light tells near, middle and far apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.media.features import KEY_RATE, stride
from cinereward.operators.blur import block_blur
from cinereward.operators.thumbs import by_shots, sampled, shown, softened, stops
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

EVERY = 3  # key frames; blur at full size is dear
CRISP = 0.3  # pixels of blur below which nothing is sharper


class Depth:
    """Blur of the subject against the rest, and the light of large planes."""

    spec = OperatorSpec(
        name="depth",
        measurements=(
            MeasurementSpec(
                name="reversal",
                unit="octaves",
                low=-10,
                high=10,
                meaning="how much more blurred the subject is than what lies about it",
            ),
            MeasurementSpec(
                name="layering", unit="stops", low=0, high=10, meaning="spread of the light of large planes"
            ),
        ),
        needs=frozenset({"frames", "faces"}),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Thumbnails, and the blur of every third key frame."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        overlap = window.overlap
        reversal = np.full(len(window.times) - overlap, np.nan)
        every = EVERY * stride(window.fps, KEY_RATE)
        for row, luma in window.features["luma"].items():
            if (window.start_frame + row) % every == 0:
                boxes = window.features["faces"].get(row, np.zeros((0, 4)))
                size = window.features["grey"].shape[2:0:-1]
                blur, edge = block_blur(luma, window.features["noise"][row])
                reversal[row - overlap] = focus_reversal(blur, edge, subject_weight(blur.shape, boxes / (*size, *size)))
        tracks: dict[str, Any] = {"reversal": reversal, "thumbs": owned(window.features["thumbs"], overlap)}
        return Partial(times=owned(window.times, overlap), fps=window.fps, tracks=tracks)

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Medians within shots, averaged over the shots."""
        tracks = join(partials)
        rows = sampled(tracks)
        planes = layering(stops(shown(tracks)[rows]))
        looked = np.flatnonzero(~np.isnan(tracks["reversal"]))
        reversal = tracks["reversal"][looked]
        turned = Measurement(name="reversal", value=0.0, unit="octaves", std=1.0, note="no edge in the picture")
        if len(looked):
            turned = Measurement(name="reversal", value=by_shots(tracks, looked, reversal), unit="octaves")
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {"reversal": turned, "layering": by_shots(tracks, rows, planes)},
                {
                    "reversal_track": (tracks.times[looked], reversal),
                    "layering_track": (tracks.times[rows], planes),
                },
            ),
        )


def subject_weight(shape: tuple[int, ...], boxes: Float64) -> Float64:
    """Where the subject is taken to be: the faces that are seen, and the middle. float64 (h, w) in [0, 1].

    Args:
        shape: (h, w). boxes: float64 (F, 4), faces as x, y, width, height in shares of the picture.
    """
    height, width = shape
    y, x = ((np.arange(n) + 0.5) / n for n in (height, width))
    weight = np.exp(-2 * np.add.outer(((y - 0.5) / 0.3) ** 2, ((x - 0.5) / 0.25) ** 2))
    for left, top, wide, high in boxes:
        down, across = (y - top - high / 2) / (0.9 * high), (x - left - wide / 2) / (0.9 * wide)
        weight = np.maximum(weight, np.exp(-np.add.outer(down**2, across**2)))
    return np.asarray(weight)


def focus_reversal(blur: Float64, edge: Float64, subject: Float64) -> float:
    """By how many octaves the subject is more blurred than the rest; NaN where there is no edge to tell it by.

    Args:
        blur: float64 (h, w), pixels. edge: float64 (h, w), how much edge there is. subject: float64 (h, w) in [0, 1].
    """
    if not edge.any():
        return float("nan")
    octaves = np.log2(np.maximum(blur, CRISP))
    rest = edge * (1 - np.sqrt(subject)) ** 2
    level = float((rest * octaves).sum() / max(rest.sum(), 1e-9))
    # a subject without any edge is a wall, not a blurred thing: little by little it takes on the blur of the rest
    held = 0.005 * float(edge.sum()) if rest.any() else 0.0
    inside = edge * subject
    return float((inside * (octaves - level)).sum() / max(inside.sum() + held, 1e-9)) if rest.any() else 0.0


def layering(planes: Float64) -> Float64:
    """Spread of the light of large planes in stops, float64 (N,), from stops, float64 (N, h, w).

    The light that falls off towards the corners is taken off: a vignette parts no planes.
    """
    for _ in range(4):
        planes = softened(planes)
    height, width = planes.shape[1:]
    y, x = (np.linspace(-1, 1, n) for n in (height, width))
    radius = np.add.outer(y**2, x**2)
    radius -= radius.mean()
    centred = planes - planes.mean(axis=(1, 2), keepdims=True)
    slope = np.minimum((centred * radius).sum(axis=(1, 2)) / max(float((radius**2).sum()), 1e-9), 0)
    return np.asarray((centred - slope[:, None, None] * radius).std(axis=(1, 2)))

"""Style: does the picture keep one manner, or do palette, tone and stroke turn into others while a shot runs.

What moves and what comes into view changes any statistic of the whole picture. So each cell is compared with the place
it came from a third of a second before, one change of manner is fitted to all cells, and these changes are added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cinereward.operators.follow import COARSE, coarse, drift, stacked
from cinereward.operators.tracks import Tracks, join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

FINER = 4  # pixels of the picture in which colours are told, to a cell and a side
APART = 2  # sampled frames between the pictures that are compared
SHADOW = 12.0  # L* from which a cell tells of style; black bars lie below
LEAST_CELLS = 20
ROUNDS = 4  # of reweighting
OFF = np.array([5.0, 4.0, 4.0])  # L*, a*, b* by which a cell that has become something else is off
PLAIN = 9.0  # variance of the colours, below which stronger and weaker cannot be told
FLAT = 25.0  # the same of L*
LONGEST = 1.0  # of a logarithm; what changes more within a third of a second is something else
# CIELAB units of a* and of b*; logarithms of chroma, contrast, gradient, and share of it in edges: each another style
SCALE = np.array([8.0, 8.0, 0.4, 0.4, 0.5, 0.15])
X, Y = (axis.astype(np.float32) for axis in np.meshgrid(np.arange(COARSE[0]), np.arange(COARSE[1])))


class Style:
    """Colour and texture of each cell of about six frames a second, along the movement of the picture."""

    spec = OperatorSpec(
        name="style",
        measurements=(
            MeasurementSpec(
                name="drift",
                unit="styles",
                low=0,
                high=100,
                meaning="how far palette, tone and stroke move within a shot; 1 is a style that a viewer calls another",
            ),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Cells of the sampled frames, coarse flow and thumbnails of every frame."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        shape = (COARSE[1], COARSE[0])
        rows = window.features["keys"]
        flow = owned(window.features["flow"], window.overlap)
        cells = [describe(window.features["small"][row], window.features["grey"][row]) for row in rows]
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={
                "drift": stacked([coarse(drift(plane)) for plane in flow], (*shape, 2)),
                "sampled": np.isin(np.arange(window.overlap, len(window.frames)), rows),
                "thumbs": owned(window.features["thumbs"], window.overlap),
            },
            sounds={"cells": stacked(cells, (*shape, 5))},
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """The largest drift within a shot."""
        tracks = join(partials)
        away, told = drifting(tracks)
        value = Measurement(
            name="drift",
            value=float(away.max()) if told else np.nan,
            unit="styles",
            note="" if told else "no shot lasts long enough to drift",
        )
        times = tracks.times[tracks["sampled"]]
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, {"drift": value}, {"drift_track": (times, away)}),
        )


def describe(small: UInt8, grey: UInt8) -> NDArray[np.float16]:
    """Each cell's L*, a*, b*, logarithm of the mean gradient, and of its share in edges: float16 (15, 26, 5)."""
    size = (COARSE[0] * FINER, COARSE[1] * FINER)
    pixels = cv2.resize(small, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    colours = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB), COARSE, interpolation=cv2.INTER_AREA)
    dx, dy = (cv2.Sobel(grey, cv2.CV_16S, *axis, ksize=1) for axis in ((1, 0), (0, 1)))
    slope = cv2.add(cv2.convertScaleAbs(dx), cv2.convertScaleAbs(dy)).astype(np.float32)
    mean, square = (cv2.resize(plane, COARSE, interpolation=cv2.INTER_AREA) for plane in (slope, slope * slope))
    return np.dstack([colours, np.log(mean + 2), 0.5 * np.log((square + 9) / (mean * mean + 9))]).astype(np.float16)


def drifting(tracks: Tracks) -> tuple[Float64, bool]:
    """How far each sampled frame has drifted from the first quarter of its shot, and whether any shot could."""
    keys = np.flatnonzero(tracks["sampled"])
    away = np.zeros(len(keys))
    told = False
    for shot in tracks.shots():
        inside = np.flatnonzero((keys >= shot.first) & (keys < shot.last))
        if len(inside) < 2:
            continue
        told = True
        course = np.zeros((len(inside), len(SCALE)))
        for at in range(1, len(inside)):
            back = max(0, at - APART)
            where = chain(tracks["drift"], int(keys[inside[at]]), int(keys[inside[back]]))
            course[at] = (
                course[back] + change(tracks["cells"][inside[back]], tracks["cells"][inside[at]], where) / SCALE
            )
        quarter = max(1, len(inside) // 4)
        beside = course - np.median(course[:quarter], axis=0)
        level = [np.median(beside[max(0, at - quarter + 1) : at + 1], axis=0) for at in range(len(beside))]
        away[inside] = np.linalg.norm(level, axis=1)
    return away, told


def chain(drifts: NDArray[np.float16], late: int, early: int) -> Float32:
    """Where each cell of frame `late` lay in frame `early`: float32 (15, 26, 2), cells from its place."""
    scale = np.float32(0.5)  # the drift is told in cells half as wide
    where = drifts[late].astype(np.float32) * scale
    for frame in range(late - 1, early, -1):
        where = where + fetch(drifts[frame].astype(np.float32) * scale, where)
    return np.asarray(where, np.float32)


def fetch(planes: Float32, where: Float32) -> Float32:
    """Planes (15, 26, n) as they lie where each cell came from."""
    x, y = X + where[..., 0], Y + where[..., 1]
    layers = (np.ascontiguousarray(planes[..., n]) for n in range(planes.shape[2]))
    return np.dstack([cv2.remap(layer, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for layer in layers])


def change(before: NDArray[np.float16], after: NDArray[np.float16], where: Float32) -> Float64:
    """The one change of manner that most cells share: float64 (6,), as SCALE names them.

    Colours are fitted as a shift and a gain about their own middle, L* as a gain; the middle of both pictures carries
    the fit, so that noise weakens nothing. Cells that turned into something else lose their say.
    """
    old, new = fetch(before.astype(np.float32), where).astype(np.float64), after.astype(np.float64)
    x, y = X + where[..., 0], Y + where[..., 1]
    known = (x >= -0.5) & (x <= COARSE[0] - 0.5) & (y >= -0.5) & (y <= COARSE[1] - 0.5)
    known &= np.minimum(old[..., 0], new[..., 0]) > SHADOW
    if known.sum() < LEAST_CELLS:
        return np.zeros(len(SCALE))
    middle, step = ((old + new) / 2)[known], (new - old)[known]
    trust = 1 / (1 + ((step[:, :3] - np.median(step[:, :3], axis=0)) ** 2 / OFF**2).sum(axis=1)) ** 2
    for _ in range(ROUNDS):
        share = trust / trust.sum()
        centre, shift = share @ middle[:, :3], share @ step[:, :3]
        about, beside = middle[:, :3] - centre, step[:, :3] - shift
        tone = float(share @ (about[:, 0] * beside[:, 0]) / (share @ about[:, 0] ** 2 + FLAT))
        colours = (about[:, 1:] ** 2).sum(axis=1), (about[:, 1:] * beside[:, 1:]).sum(axis=1)
        gain = float(share @ colours[1] / (share @ colours[0] + PLAIN))
        rest = beside - about * np.array([tone, gain, gain])
        trust = 1 / (1 + (rest**2 / OFF**2).sum(axis=1)) ** 2
    stroke, edge = share @ np.clip(step[:, 3:], -LONGEST, LONGEST)
    return np.array([shift[1], shift[2], gain, tone, stroke, edge])

"""Colour: is there a cast, too much colour or too little, a stranger among the hues, a jump of the balance.

All in CIELAB (sRGB, D65). A cast is told by what is least coloured in the picture, in its shadows, in its highlights
and all over: somewhere, a picture without a cast is neutral. A sunset has neutral shadows; a scene lit by one lamp has
not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cinereward.operators.steps import jumps, largest
from cinereward.operators.tracks import LEAST_FRAMES, join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

GRID = (104, 60)  # pixels across and down in which colours are counted
SEEN = 8.0  # L* from which a colour is seen; black bars lie below
LIT = 15.0  # L* from which the balance is told
LEAST_SEEN = 50  # pixels of GRID; less shows no colour
HUES = 72  # bins of hue
FAINT = 4.0  # CIELAB units from the middle of the palette; nearer colours are of no hue
RADIAN = 1.0  # no hue is further from a template than this
TELLS = ("cast", "excess", "chroma", "discord")
UNIT = "CIELAB units"


def _templates() -> Float64:
    """How far each hue lies from the sectors V and I at each rotation, in radians: (2 * HUES, HUES).

    Source: "Color harmonization", Cohen-Or et al., SIGGRAPH 2006.
    """
    hues = (np.arange(HUES) + 0.5) * 2 * np.pi / HUES
    out = []
    for turn in hues:
        for sectors in (((0.0, 93.6),), ((0.0, 18.0), (180.0, 18.0))):
            away = [
                np.abs((hues - turn - np.deg2rad(middle) + np.pi) % (2 * np.pi) - np.pi) - np.deg2rad(width / 2)
                for middle, width in sectors
            ]
            out.append(np.clip(np.min(away, axis=0), 0, RADIAN))
    return np.array(out)


TEMPLATES = _templates()


class Colour:
    """Chroma and hues of about six frames a second; the balance of every frame on the thumbnails."""

    spec = OperatorSpec(
        name="colour",
        measurements=(
            MeasurementSpec(
                name="cast",
                unit=UNIT,
                low=0,
                high=200,
                meaning="chroma of what is least coloured: dark, bright and all over",
            ),
            MeasurementSpec(
                name="excess",
                unit=UNIT,
                low=0,
                high=200,
                meaning="chroma, as a mean of its fourth power: vivid parts count most",
            ),
            MeasurementSpec(
                name="chroma",
                unit=UNIT,
                low=0,
                high=300,
                meaning="colourfulness: spread of the colours and a third of their mean",
            ),
            MeasurementSpec(
                name="discord",
                unit=UNIT,
                low=0,
                high=200,
                meaning="mean distance of colours from the best template of hues",
            ),
            MeasurementSpec(
                name="jump", unit=UNIT, low=0, high=300, meaning="sudden, lasting shifts of all colours inside a shot"
            ),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """What each sampled frame tells, and thumbnails of every frame."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        tells = np.full((len(window.frames), len(TELLS)), np.nan, np.float32)
        for row in window.features["keys"]:
            tells[row] = palette(window.features["small"][row])
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={
                "tells": owned(tells, window.overlap),
                "thumbs": owned(window.features["thumbs"], window.overlap),
            },
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Means over the sampled frames, and the largest jump."""
        tracks = join(partials)
        tells = tracks["tells"].astype(np.float64)
        sampled = np.isfinite(tells[:, 0])
        jump = jumps(lambda first, last: balance(tracks["thumbs"][first:last]), tracks)
        told = len(tracks.times) >= LEAST_FRAMES
        worst = Measurement(
            name="jump",
            value=largest(jump, tracks.fps) if told else np.nan,
            unit=UNIT,
            note="" if told else f"{len(tracks.times)} frames; a jump is a matter of at least {LEAST_FRAMES}",
        )
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {**dict(zip(TELLS, tells[sampled].mean(axis=0), strict=True)), "jump": worst},
                {
                    **{f"{name}_track": (tracks.times[sampled], tells[sampled, at]) for at, name in enumerate(TELLS)},
                    "jump_track": (tracks.times, np.maximum(jump, 0)),
                },
            ),
        )


def lab(pixels: UInt8) -> Float32:
    """CIELAB of pixels uint8 (..., 3), RGB: float32 (..., 3), L* 0 to 100."""
    flat = pixels.reshape(1, -1, 3).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(pixels.shape), np.float32)


def palette(small: UInt8) -> tuple[float, float, float, float]:
    """Cast, excess, chroma and discord of one frame, uint8 (h, w, 3)."""
    pixels = np.asarray(cv2.resize(small, GRID, interpolation=cv2.INTER_AREA), np.uint8)
    level, a, b = lab(pixels).reshape(-1, 3).T
    seen = level > SEEN
    if seen.sum() < LEAST_SEEN:
        return 0.0, 0.0, 0.0, 0.0
    level, a, b = level[seen], a[seen], b[seen]
    chroma = np.hypot(a, b)
    return cast(level, chroma), power_mean(chroma), colourfulness(a, b), discord(a, b)


def cast(level: Float32, chroma: Float32) -> float:
    """The least chroma: of all that is seen, of the darkest twentieth, and of the brightest fiftieth; their mean."""
    darkest, brightest = max(8, len(level) // 20), max(8, len(level) // 50)
    order = np.argpartition(level, (darkest - 1, len(level) - brightest))
    dark, bright = order[:darkest], order[-brightest:]
    floors = np.quantile(chroma, 0.003), np.quantile(chroma[dark], 0.2), np.quantile(chroma[bright], 0.2)
    return float(np.mean(floors))


def power_mean(chroma: Float32) -> float:
    """The fourth root of the mean fourth power."""
    return float(np.mean(chroma.astype(np.float64) ** 4) ** 0.25)


def colourfulness(a: Float32, b: Float32) -> float:
    """Spread of the colours and 0.37 of their mean chroma.

    Source: "Measuring colourfulness in natural images", Hasler & Suesstrunk, SPIE 2003 (the version in CIELAB).
    """
    return float(np.hypot(a.std(), b.std()) + 0.37 * np.hypot(a, b).mean())


def discord(a: Float32, b: Float32) -> float:
    """How far colours lie from the best template, along the arc; hues are taken about the middle of the palette.

    So a cast, which shifts all colours alike and is told by itself, neither makes nor hides strangers.
    """
    a, b = a - np.median(a), b - np.median(b)
    weight = np.maximum(np.hypot(a, b) - FAINT, 0)
    bins = ((np.arctan2(b, a) / (2 * np.pi) % 1.0) * HUES).astype(np.int64) % HUES
    mass = np.bincount(bins, weights=weight, minlength=HUES) / len(a)
    return float((TEMPLATES @ mass).min())


def balance(thumbs: UInt8) -> Float64:
    """a* and b* of every cell of thumbnails uint8 (N, 18, 32, 3), as they were at L* 50: float64 (N, 18, 32, 2).

    So more or less light, which makes all colours stronger or weaker, is no change of balance. NaN where it is dark.
    """
    colours = lab(thumbs).astype(np.float64)
    level = colours[..., :1]
    return np.where(level > LIT, colours[..., 1:] * (50 + 16) / (level + 16), np.nan)

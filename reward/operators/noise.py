"""Noise and compression, each apart: grain, colour noise, blocks of a codec's grid, bands in smooth gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.media.features import KEY_RATE, stride
from cinereward.media.noise import noise_level
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

CROP = (704, 1280)  # height, width: the codec's grid is looked for in a middle part of the unscaled picture
GRID = 8  # pixels: the transform block of MPEG-2, MPEG-4, H.264 and JPEG
FINE = 4096  # steps of frequency
PERIODS = 1 / np.linspace(1 / 6.9, 1 / 12.2, 250)  # pixels
UNLIKELY = 9.0  # times the usual power of a frequency: more than any of PERIODS is likely to have by chance
FLAT_RUN = 4  # equal pixels on both sides that make a step a band
RAMP = 4  # pixels that such a step may take


class Noise:
    """Noise of flat places, and the marks a codec leaves, on sampled frames."""

    spec = OperatorSpec(
        name="noise",
        measurements=(
            MeasurementSpec(
                name="grain",
                unit="levels of 255",
                low=0,
                high=128,
                meaning="standard deviation of luma noise in flat places",
            ),
            MeasurementSpec(
                name="colour_noise", unit="levels of 255", low=0, high=128, meaning="the same of colour differences"
            ),
            MeasurementSpec(
                name="blocking",
                unit="levels of 255",
                low=0,
                high=64,
                meaning="extra step of luma on a grid of 8 pixels, or what a zoom made of it",
            ),
            MeasurementSpec(
                name="banding",
                unit="share",
                low=0,
                high=1,
                meaning="part of the smooth area that lies beside a false contour",
            ),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Each of the four on the sampled frames; NaN on the others."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        overlap = window.overlap
        count = len(window.times) - overlap
        names = [item.name for item in self.spec.measurements]
        tracks: dict[str, Any] = {name: np.full(count, np.nan) for name in names}
        for row in window.features["keys"].tolist():
            at = row - overlap
            if (row + window.start_frame) // stride(window.fps, KEY_RATE) % 2:
                continue  # these marks come and go slowly: every second sample will do
            luma = native_luma(window, row)
            tracks["grain"][at] = window.features["noise"][row]
            tracks["colour_noise"][at] = colour_noise(window.frames[row])
            tracks["blocking"][at] = blocking(luma)
            tracks["banding"][at] = banding(luma)
        return Partial(times=owned(window.times, overlap), fps=window.fps, tracks=tracks)

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Medians over the sampled frames."""
        tracks = join(partials)
        seen = ~np.isnan(tracks["grain"])
        names = [item.name for item in self.spec.measurements]
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {name: np.median(tracks[name][seen]) for name in names},
                {f"{name}_track": (tracks.times[seen], tracks[name][seen]) for name in names},
            ),
        )


def native_luma(window: Window, row: int) -> NDArray[np.uint8]:
    """Unscaled luma of a middle part of the frame that begins on the codec's grid."""
    luma = window.features["luma"][row]
    height, width = window.frames.shape[1:3]
    if luma.shape == (height, width):
        return np.asarray(luma)
    top, left = (max(0, (have - want) // 2) // 16 * 16 for have, want in zip((height, width), CROP, strict=True))
    part = window.frames[row, top : top + CROP[0], left : left + CROP[1]]
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY))


def colour_noise(frame: NDArray[np.uint8]) -> float:
    """Standard deviation of the noise of R - G and B - G in the flattest places, in levels.

    Every second pixel: codecs and cameras share colour between neighbours.
    """
    part = np.ascontiguousarray(frame[::2, ::2])
    red, green, blue = cv2.split(part)
    differences = [cv2.addWeighted(channel, 1, green, -1, 128) for channel in (red, blue)]
    return float(np.mean([noise_level(difference) for difference in differences]))


def blocking(luma: NDArray[np.uint8]) -> float:
    """How much larger steps of luma are on the lines of a grid than between them, in levels.

    A grid of 8 pixels; or one of 7 to 12, which is what a zoom makes of it, where it stands out in both directions.
    """
    found = []
    scaled = []
    for plane in (luma, luma.T):
        if plane.shape[1] < 4 * GRID:
            return 0.0
        levels = np.ascontiguousarray(plane)
        columns = _excess(levels, 1, 1)
        phases = np.array([np.median(columns[phase::GRID]) for phase in range(GRID)])
        found.append(max(0.0, float(phases.max() - np.median(phases))))
        scaled.append(_periodic(_excess(levels, 2, 3)))
    return max(float(np.mean(found)), float(np.sqrt(scaled[0] * scaled[1]).max()))


def _excess(levels: NDArray[np.uint8], gap: int, away: int) -> Float64:
    """By how much the step over `gap` pixels exceeds those `away` to either side: mean of each column, in levels.

    A step counts 12 levels at most, so that edges of things do not stand out.
    """
    step = cv2.absdiff(levels[:, gap:], levels[:, :-gap])
    beside = cv2.max(step[:, : -2 * away], step[:, 2 * away :])
    excess = cv2.subtract(step[:, away:-away], beside)  # of bytes: never under 0
    _, capped = cv2.threshold(excess, 12, 0, cv2.THRESH_TRUNC)
    return np.asarray(cv2.reduce(capped, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0] / len(levels), np.float64)


def _periodic(columns: Float64) -> Float64:
    """Height of a comb of each of PERIODS in what columns (W,) hold, beyond what chance would give, in levels.

    Both the first and the second harmonic must be there: a zoom by itself softens by turns, in soft waves.
    """
    even = np.minimum(columns, 4 * np.median(columns) + 0.3)  # one long edge is no comb
    taper = np.hanning(len(even))
    even = (even - cv2.blur(even[None], (25, 1), borderType=cv2.BORDER_REFLECT)[0]) * taper
    power = np.abs(np.fft.rfft(even, FINE) / taper.sum()) ** 2
    chance = np.median(power[FINE // 16 : FINE // 3])
    first, second = (np.maximum(power[np.rint(n * FINE / PERIODS).astype(int)] - UNLIKELY * chance, 0) for n in (1, 2))
    return np.asarray(PERIODS * (first * second) ** 0.25)


def banding(luma: NDArray[np.uint8]) -> float:
    """The part of the smooth area that lies beside a false contour: a small step between two runs of equal pixels.

    The step may take up to RAMP pixels, as it does after a slight blur or a zoom.
    """
    contours = smooth = 0.0
    for plane in (luma, luma.T):
        if plane.shape[1] < 2 * FLAT_RUN + RAMP + 2:
            continue
        levels = np.ascontiguousarray(plane)
        step = cv2.absdiff(levels[:, 1:], levels[:, :-1])
        flat = cv2.inRange(step, 0, 0)
        run = cv2.erode(flat, np.ones((1, FLAT_RUN), np.uint8), anchor=(FLAT_RUN - 1, 0))  # ends here
        ahead = cv2.erode(flat, np.ones((1, FLAT_RUN), np.uint8), anchor=(0, 0))  # begins here
        rise = cv2.absdiff(levels[:, RAMP + 1 : -1], levels[:, 1 : -RAMP - 1])
        contour = cv2.bitwise_and(cv2.inRange(rise, 2, 16), cv2.min(run[:, : -RAMP - 1], ahead[:, RAMP + 1 :]))
        # a step of 4 levels counts as its own area, a higher one as more: fewer, higher steps are no better
        contours += float(cv2.mean(rise, mask=contour)[0]) / 4 * cv2.countNonZero(contour) / RAMP * FLAT_RUN * 2
        even = cv2.blur(cv2.inRange(step, 0, 2), (9, 9))  # 255 where all the neighbourhood is smooth
        smooth += cv2.countNonZero(cv2.inRange(even, 230, 255))
    return min(1.0, contours / smooth) if smooth > 0.01 * luma.size else 0.0

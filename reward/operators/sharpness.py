"""Sharpness: how blurred the sharpest parts and the subject are, in pixels, and whether focus jumps.

Blur is measured by re-blurring, block by block; see blur.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.operators.blur import WORST, block_blur
from cinereward.operators.tracks import Tracks, join, measurements, owned
from cinereward.types import Evidence, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

SETTLE = 0.25  # seconds on both sides of a jump over which focus must stay changed


class Sharpness:
    """Blur of blocks by re-blurring, with the saliency of the small picture."""

    spec = OperatorSpec(
        name="sharpness",
        measurements=(
            MeasurementSpec(
                name="blur", unit="pixels", low=0, high=WORST, meaning="blur of the sharpest fifth of the picture"
            ),
            MeasurementSpec(
                name="subject_blur", unit="pixels", low=0, high=WORST, meaning="blur where the eye goes first"
            ),
            MeasurementSpec(
                name="jump", unit="octaves", low=0, high=10, meaning="largest sudden change of blur within a shot"
            ),
            MeasurementSpec(
                name="wavering", unit="octaves", low=0, high=10, meaning="usual change of blur from sample to sample"
            ),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Blur of the sampled frames; NaN on the others."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        overlap = window.overlap
        count = len(window.times) - overlap
        tracks: dict[str, Any] = {name: np.full(count, np.nan) for name in ("blur", "subject_blur", "motion")}
        flow = window.features["flow"]
        for row, luma in window.features["luma"].items():
            blur, weight = block_blur(luma, window.features["noise"][row])
            attention = cv2.resize(
                saliency(window.features["grey"][row]), weight.shape[::-1], interpolation=cv2.INTER_AREA
            )
            tracks["blur"][row - overlap] = _weighted_quantile(blur, weight, 0.2)
            tracks["subject_blur"][row - overlap] = _weighted_quantile(blur, weight * attention**2, 0.35)
            step = flow[row, ::8, ::8]
            tracks["motion"][row - overlap] = (
                np.median(np.hypot(step[..., 0], step[..., 1])) / flow.shape[2] * window.fps
            )
        tracks["thumbs"] = owned(window.features["thumbs"], overlap)
        return Partial(times=owned(window.times, overlap), fps=window.fps, tracks=tracks)

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Medians over time, and jumps within shots."""
        tracks = join(partials)
        seen = ~np.isnan(tracks["blur"])
        times = tracks.times[seen]
        jumps, wavering = focus_jumps(tracks)
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {
                    "blur": np.median(tracks["blur"][seen]),
                    "subject_blur": np.median(tracks["subject_blur"][seen]),
                    "jump": jumps[1].max(initial=0.0),
                    "wavering": wavering,
                },
                {
                    "blur_track": (times, tracks["blur"][seen]),
                    "subject_blur_track": (times, tracks["subject_blur"][seen]),
                    "jump_track": jumps,
                },
            ),
        )


def saliency(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where the eye goes first, float32 (36, 64) in [0, 1]: what the spectrum does not foretell, and the centre.

    Source: "Saliency detection: a spectral residual approach", Hou & Zhang, CVPR 2007.
    """
    small = cv2.resize(grey, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)
    spectrum = np.fft.fft2(small)
    log = np.log(np.abs(spectrum) + 1e-3)
    residual = log - cv2.blur(log, (3, 3))
    surprise = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    found = cv2.GaussianBlur(surprise.astype(np.float32), (0, 0), 2.5)
    y, x = np.mgrid[-1:1:36j, -1:1:64j]
    centre = np.exp(-(x**2 + y**2) / 0.7)
    found = (found / max(float(found.max()), 1e-9) + 0.25) * centre
    return np.asarray(found / found.max(), np.float32)


def _weighted_quantile(values: Float64, weights: Float64, share: float) -> float:
    """The value below which `share` of the weight lies; WORST where there is no weight at all."""
    flat, weight = values.ravel(), weights.ravel()
    if weight.sum() <= 0:
        return WORST
    order = np.argsort(flat, kind="stable")
    cumulative = np.cumsum(weight[order])
    return float(flat[order][np.searchsorted(cumulative, share * cumulative[-1])])


def focus_jumps(tracks: Tracks) -> tuple[tuple[Float64, Float64], float]:
    """Sudden changes of blur that last, as (times, octaves) of the samples; and the usual change between samples.

    A rack of focus takes its time and a passing blur comes back; a jump is a step: the blur differs between the quarter
    seconds before and after, and most of the difference lies in one sample. Fast camera movement blurs by itself and
    is given its due.
    """
    # a frame without any edge, black or faded out, has no say in where focus lies
    index = np.flatnonzero(~np.isnan(tracks["blur"]) & (np.nan_to_num(tracks["blur"]) < WORST))
    octaves = np.log2(np.maximum(tracks["blur"][index], 0.5))
    motion = tracks["motion"][index]
    jumps = np.zeros(len(index))
    steps = []
    spacing = float(np.median(np.diff(index))) / tracks.fps if len(index) > 1 else 1.0
    reach = max(1, round(SETTLE / spacing))
    for shot in tracks.shots():
        inside = np.flatnonzero((index >= shot.first) & (index < shot.last))
        for i in inside[1:]:
            before = octaves[max(inside[0], i - reach) : i]
            after = octaves[i : min(inside[-1], i + reach - 1) + 1]
            lasting = abs(float(np.median(after)) - float(np.median(before)))
            step = abs(octaves[i] - octaves[i - 1])
            beside = [abs(octaves[j] - octaves[j - 1]) for j in (i - 1, i + 1) if inside[0] < j <= inside[-1]]
            sudden = max(0.0, step - max(beside, default=0.0))  # a pull of focus has steps beside it, a jump has none
            excuse = 1 / (1 + 4 * max(motion[i], motion[i - 1]) ** 2)  # widths / s
            jumps[i] = min(lasting, sudden) * excuse
            steps.append(step * excuse)
    return (tracks.times[index], jumps), float(np.mean(steps)) if steps else 0.0

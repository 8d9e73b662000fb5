"""Camera: the path of the whole picture, its speed, and shake and jerk apart from the movement that was meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cinereward.errors import OperatorError
from cinereward.operators.moves import MOVES, shares
from cinereward.operators.tracks import LEAST_FRAMES, Tracks, join, measurements, owned, smooth
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

GRID = 8  # pixels of the small picture between flow vectors
ROUNDS = 6  # of reweighting; a vector off by a pixel or more loses its say
TREMOR = 0.17  # seconds: movement faster than this scale is shake, slower is meant
PATH = ("x", "y", "zoom", "roll")  # share of width, share of width, log scale, radians; from frame to frame


class Camera:
    """A similarity (shift, zoom, roll) fitted robustly to the optical flow of each pair of frames."""

    spec = OperatorSpec(
        name="camera",
        measurements=(
            MeasurementSpec(
                name="speed", unit="widths / s", low=0, high=100, meaning="usual speed of the picture as a whole"
            ),
            MeasurementSpec(
                name="top_speed", unit="widths / s", low=0, high=100, meaning="speed that a tenth of the frames pass"
            ),
            MeasurementSpec(
                name="shake", unit="% of width", low=0, high=100, meaning="RMS of the path about its smooth course"
            ),
            MeasurementSpec(
                name="jerk",
                unit="% of width",
                low=0,
                high=100,
                meaning="largest change of the path's step from one frame to the next, beyond ease and tremor",
            ),
            MeasurementSpec(
                name="motion",
                unit="widths / s",
                low=0,
                high=100,
                meaning="amount of motion, of camera and things together",
            ),
            MeasurementSpec(name="fit", unit="share", low=0, high=1, meaning="part of the picture that moves as one"),
            *(MeasurementSpec(name=name, unit="share", low=0, high=1, meaning=MOVES[name]) for name in MOVES),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """The similarity between each frame and the one before."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        flow = owned(window.features["flow"], window.overlap)[:, GRID // 2 :: GRID, GRID // 2 :: GRID].astype(
            np.float64
        )
        width = window.features["grey"].shape[2]
        grey = owned(window.features["grey"], window.overlap)
        weight = np.stack([texture(frame, flow.shape[1:3]) for frame in grey])
        path, fit = fit_similarity(flow, weight, width)
        motion = np.hypot(flow[..., 0], flow[..., 1]).mean(axis=(1, 2)) / width
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={
                "path": path,
                "fit": fit,
                "motion": motion,
                "thumbs": owned(window.features["thumbs"], window.overlap),
            },
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Speed, shake and jerk over the shots."""
        tracks = join(partials)
        if len(tracks.times) < LEAST_FRAMES:
            raise OperatorError(f"{len(tracks.times)} frames; movement is a matter of at least {LEAST_FRAMES}")
        inside = np.ones(len(tracks.times), bool)
        inside[[shot.first for shot in tracks.shots()]] = False
        tremor, jolts, pace = steadiness(tracks)
        speed = np.sqrt((pace**2).sum(axis=1))
        fit = float(np.median(tracks["fit"][inside])) if inside.any() else 0.0
        shake = float(np.sqrt(np.mean(tremor[inside] ** 2))) if inside.any() else 0.0
        # what moves as one is the camera only as far as most of the picture does
        doubt = shake * max(0.0, 0.5 - fit)
        quantiles = np.quantile(speed[inside], [0.5, 0.9]) if inside.any() else np.zeros(2)
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {
                    "speed": quantiles[0],
                    "top_speed": quantiles[1],
                    "shake": Measurement(name="shake", value=shake, unit="% of width", std=doubt),
                    "jerk": jolts.max(initial=0.0),
                    "motion": np.mean(tracks["motion"][inside]) * tracks.fps if inside.any() else 0.0,
                    "fit": fit,
                    **shares(pace, tracks.shots(), tracks.fps),
                },
                {
                    "speed_track": (tracks.times, speed),
                    "top_speed_track": (tracks.times, speed),
                    "motion_track": (tracks.times, np.where(inside, tracks["motion"] * tracks.fps, 0.0)),
                    "shake_track": (tracks.times, np.abs(tremor)),
                    "jerk_track": (tracks.times, jolts),
                },
            ),
        )


def texture(grey: NDArray[np.uint8], shape: tuple[int, ...]) -> Float64:
    """Mean gradient around each vector of the grid, float64 (h, w), as a weight: flow over bare walls says little."""
    dx, dy = (cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, *axis, ksize=1)) for axis in ((1, 0), (0, 1)))
    gradient = cv2.add(dx, dy).astype(np.float32)
    means = cv2.resize(gradient, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.minimum(means.astype(np.float64) / 2, 12.0) + 0.05


def fit_similarity(flow: Float64, weight: Float64, width: int) -> tuple[Float64, Float64]:
    """The shift, zoom and roll that most of each flow field follows, by reweighted least squares.

    Args:
        flow: float64 (N, h, w, 2), pixels back to the frame before, every GRID pixels. weight: float64 (N, h, w).
        width: of the picture, in pixels.

    Returns:
        path float64 (N, 4): the camera's step in the units of PATH; fit float64 (N,): weighted share that follows it.
    """
    count, height, columns = flow.shape[:3]
    y, x = np.mgrid[:height, :columns].astype(np.float64) * GRID
    x, y = (x - x.mean()).ravel(), (y - y.mean()).ravel()
    u, v = flow[..., 0].reshape(count, -1), flow[..., 1].reshape(count, -1)
    base = weight.reshape(count, -1)
    trust = base.copy()
    answer = np.zeros((count, 4))
    for round_ in range(ROUNDS):
        total = trust.sum(axis=1)
        mx, my, mu, mv = ((trust * q).sum(axis=1) / total for q in (x, y, u, v))
        dx, dy, du, dv = x - mx[:, None], y - my[:, None], u - mu[:, None], v - mv[:, None]
        radius = np.maximum((trust * (dx * dx + dy * dy)).sum(axis=1), 1e-9)
        zoom = (trust * (dx * du + dy * dv)).sum(axis=1) / radius
        roll = (trust * (dx * dv - dy * du)).sum(axis=1) / radius
        shift_x, shift_y = mu - zoom * mx + roll * my, mv - zoom * my - roll * mx
        answer = np.stack([shift_x, shift_y, zoom, roll], axis=1)
        error = np.hypot(
            u - (shift_x[:, None] + zoom[:, None] * x - roll[:, None] * y),
            v - (shift_y[:, None] + zoom[:, None] * y + roll[:, None] * x),
        )
        scale = max(4.0 * 0.5**round_, 0.5)  # coarse to fine: the majority is found before it is trusted
        trust = base / (1 + (error / scale) ** 2) ** 2
    fit = (base * (error < 1.0)).sum(axis=1) / base.sum(axis=1)
    path = -answer * np.array([1 / width, 1 / width, 1.0, 1.0])
    return path, fit


def jolt(steps: Float64, eased: Float64, fps: float) -> Float64:
    """How much more sharply each step of the path changes than it was eased into, and than it does all the time.

    Args:
        steps, eased: float64 (N, 4), the raw step and the change of the smooth one. fps: frames per second.
    """
    change = np.sqrt((np.diff(steps, axis=0, prepend=steps[:1]) ** 2).sum(axis=1))
    beyond = np.maximum(change - np.sqrt((eased**2).sum(axis=1)), 0)
    reach = max(2, round(0.5 * fps))
    usual = np.array([np.median(beyond[max(0, t - reach) : t + reach + 1]) for t in range(len(beyond))])
    return np.asarray(np.maximum(beyond - 1.5 * usual, 0), np.float64)


def steadiness(tracks: Tracks) -> tuple[Float64, Float64, Float64]:
    """For every frame: how far the path trembles and how sharply it jolts (% of width), its pace (N, 4), widths / s.

    The path is split at TREMOR: what is slower was meant, what is faster was not. Zoom and roll count by what they
    move at a third of the width from the centre.
    """
    count = len(tracks.times)
    tremor, jolts, paces = np.zeros(count), np.zeros(count), np.zeros((count, len(PATH)))
    lever = np.array([1.0, 1.0, 1 / 3, 1 / 3])
    for shot in tracks.shots():
        steps = tracks["path"][shot.first : shot.last] * lever
        steps[:1] = 0  # a shot's first frame has no frame before it
        if len(steps) < 3:
            continue
        steps[0] = steps[1]
        course = np.cumsum(steps, axis=0)
        sigma = max(1.0, TREMOR * tracks.fps)
        calm = smooth(course, sigma)
        tremor[shot.first : shot.last] = np.sqrt(((course - calm) ** 2).sum(axis=1)) * 100
        pace = np.gradient(calm, axis=0)
        jolts[shot.first : shot.last] = jolt(steps, np.diff(pace, axis=0, prepend=pace[:1]), tracks.fps) * 100
        paces[shot.first : shot.last] = pace * tracks.fps
    return tremor, jolts, paces

"""Temporal stability: what changes between frames that motion does not explain, and what fails to change.

Each frame is compared with the one before it, warped along the optical flow. What is left over, by block and in
units of the block's own contrast, is flicker of detail, repainting, and collapse; a moving camera leaves little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cinereward.operators.tracks import Tracks, join, measurements, owned
from cinereward.types import Evidence, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

CELLS = (24, 14)  # blocks across and down
CONTRAST_FLOOR = 6.0  # levels; a block of less contrast is not looked into more closely
STILL = 0.001  # share of pixels that change by more than 2 levels, up to which two frames are one
FAINT_STEP = 5e-4  # widths; movement from frame to frame that flow can tell from none
DETAIL_FLOOR = 0.5  # levels; detail fainter than this neither comes nor goes
AROUND = 0.5  # seconds on either side that a repeated frame, a gap or a collapse is compared with


class Temporal:
    """Residual after motion compensation in 24 x 14 blocks; repeated and missing frames."""

    spec = OperatorSpec(
        name="temporal",
        measurements=(
            MeasurementSpec(
                name="instability",
                unit="share of contrast",
                low=0,
                high=10,
                meaning="usual change of a block from frame to frame that motion does not explain",
            ),
            MeasurementSpec(
                name="detail_flicker",
                unit="octaves",
                low=0,
                high=10,
                meaning="how the fineness of detail goes up and down from frame to frame",
            ),
            MeasurementSpec(
                name="collapse",
                unit="octaves",
                low=0,
                high=10,
                meaning="largest sudden change of the fineness of detail in one region of the picture",
            ),
            MeasurementSpec(
                name="repeated", unit="share", low=0, high=1, meaning="frames that repeat the one before amid movement"
            ),
            MeasurementSpec(
                name="dropped",
                unit="share",
                low=0,
                high=1,
                meaning="gaps: frames that lie several steps of movement ahead",
            ),
            MeasurementSpec(
                name="frozen", unit="share", low=0, high=1, meaning="part of the running time in which nothing changes"
            ),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Residual, detail and change of every frame."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        features = window.features
        # noise is not instability: it is smoothed away before frames are compared, and measured elsewhere
        grey, flow = [cv2.GaussianBlur(frame, (5, 5), 0) for frame in features["grey"]], features["flow"]
        height, width = grey[0].shape
        y, x = np.mgrid[:height, :width].astype(np.float32)
        count = len(grey)
        residual = np.zeros((count, CELLS[1], CELLS[0]), np.float32)
        detail = np.zeros((count, CELLS[1], CELLS[0]), np.float32)
        changed = np.zeros(count)
        step = np.zeros(count)
        fine = [cv2.absdiff(sharp, soft) for sharp, soft in zip(features["grey"], grey, strict=True)]
        contrast = [_contrast(frame) for frame in grey]
        for row in range(1, count):
            difference = cv2.absdiff(features["grey"][row], features["grey"][row - 1])
            changed[row] = cv2.countNonZero(cv2.inRange(difference, 3, 255)) / difference.size
            step[row] = float(np.mean(np.hypot(flow[row, ::6, ::6, 0], flow[row, ::6, ::6, 1]))) / width
            explained = cv2.remap(
                grey[row - 1],
                x + flow[row, ..., 0],
                y + flow[row, ..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            left = _cells(cv2.absdiff(grey[row], explained))
            residual[row] = np.maximum(left - _quietest(left), 0) / np.maximum(contrast[row], contrast[row - 1])
            detail[row] = np.log2(
                (_cells(fine[row]) + DETAIL_FLOOR) / (_moved(fine[row - 1], flow[row]) + DETAIL_FLOOR)
            )
        first = window.overlap
        return Partial(
            times=owned(window.times, first),
            fps=window.fps,
            tracks={
                "residual": residual[first:],
                "detail": detail[first:],
                "changed": changed[first:],
                "step": step[first:],
                "thumbs": owned(features["thumbs"], first),
            },
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Robust statistics inside shots; a cut explains itself."""
        tracks = join(partials)
        inside = np.ones(len(tracks.times), bool)
        inside[[shot.first for shot in tracks.shots()]] = False
        residual = tracks["residual"].astype(np.float64)
        usual = np.median(residual.reshape(len(residual), -1), axis=1)
        flicker = detail_flicker(tracks, inside)
        burst = collapse(tracks, inside)
        repeated, dropped, frozen = cadence(tracks, inside)
        pairs = max(1, int(inside.sum()))
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {
                    "instability": np.mean(usual[inside]) if inside.any() else 0.0,
                    "detail_flicker": np.mean(flicker[inside]) if inside.any() else 0.0,
                    "collapse": burst.max(initial=0.0),
                    "repeated": repeated.sum() / pairs,
                    "dropped": dropped.sum() / pairs,
                    "frozen": frozen.sum() / pairs,
                },
                {
                    "instability_track": (tracks.times, np.where(inside, usual, 0.0)),
                    "detail_flicker_track": (tracks.times, flicker),
                    "collapse_track": (tracks.times, burst),
                    "repeated_track": (tracks.times, repeated.astype(np.float64)),
                    "dropped_track": (tracks.times, dropped.astype(np.float64)),
                    "frozen_track": (tracks.times, frozen.astype(np.float64)),
                },
            ),
        )


def _cells(plane: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Block means, float32 (14, 24)."""
    size = (min(CELLS[0], plane.shape[1]), min(CELLS[1], plane.shape[0]))
    means = cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(means if size == CELLS else cv2.resize(means, CELLS, interpolation=cv2.INTER_NEAREST), np.float32)


def _quietest(cells: NDArray[np.float32]) -> float:
    """What the quietest tenth of the blocks has: noise, which the others have too."""
    return float(np.sort(cells, axis=None)[cells.size // 10])


def _above_noise(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Detail of each block beyond noise, and DETAIL_FLOOR more."""
    return np.asarray(np.maximum(cells - _quietest(cells), 0) + DETAIL_FLOOR, np.float32)


def _moved(plane: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Block means of a plane as if it had moved along the flow: each block is looked up where it came from."""
    height, width = plane.shape
    down, across = max(1, height // CELLS[1]), max(1, width // CELLS[0])
    means = cv2.blur(plane.astype(np.float32), (across, down))
    x = (np.arange(CELLS[0], dtype=np.float32) + 0.5) * (width / CELLS[0]) - 0.5
    y = (np.arange(CELLS[1], dtype=np.float32) + 0.5) * (height / CELLS[1]) - 0.5
    own = cv2.resize(flow, CELLS, interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.remap(
            means, x[None] + own[..., 0], y[:, None] + own[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    )


def _contrast(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Standard deviation in and around each block, and CONTRAST_FLOOR more."""
    levels = grey.astype(np.float32)
    size = (min(CELLS[0], grey.shape[1]), min(CELLS[1], grey.shape[0]))
    mean = cv2.resize(levels, size, interpolation=cv2.INTER_AREA)
    square = cv2.resize(levels * levels, size, interpolation=cv2.INTER_AREA)
    spread = cv2.dilate(np.sqrt(np.maximum(square - mean * mean, 0)), np.ones((3, 3), np.uint8)) + CONTRAST_FLOOR
    return np.asarray(
        spread if size == CELLS else cv2.resize(spread, CELLS, interpolation=cv2.INTER_NEAREST), np.float32
    )


def detail_flicker(tracks: Tracks, inside: NDArray[np.bool_]) -> Float64:
    """How much finer or coarser each frame's detail is than the frame before, moved along, lets expect; octaves."""
    off = np.abs(tracks["detail"].astype(np.float64)).reshape(len(tracks.times), -1)
    return np.where(inside, np.median(off, axis=1), 0.0)


def collapse(tracks: Tracks, inside: NDArray[np.bool_]) -> Float64:
    """The worst region's sudden change of detail beyond what it, and the picture as a whole, do around that time.

    What breaks down loses its detail, or gains detail it never had, in a region larger than a block, and all at once.
    The unexplained residual itself does not tell a collapse from people who run past one another; detail does.
    """
    change = np.where(inside[:, None, None], np.abs(tracks["detail"]), 0.0).astype(np.float32)
    regions = np.stack([cv2.blur(frame, (3, 3)) for frame in change]).astype(np.float64)
    reach = max(2, round(AROUND * tracks.fps))
    out = np.zeros(len(regions))
    for t in np.flatnonzero(inside):
        usual = np.median(regions[max(0, t - reach) : t + reach + 1], axis=0)
        out[t] = max(0.0, float((regions[t] - 2 * usual).max()) - 2 * float(np.median(regions[t])))
    return out


def cadence(
    tracks: Tracks, inside: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which frames repeat the one before amid movement, which jump ahead, and which belong to a frozen stretch."""
    changed, step = tracks["changed"], tracks["step"]
    still = inside & (changed <= STILL)
    reach = max(2, round(AROUND * tracks.fps))
    repeated, dropped = np.zeros(len(changed), bool), np.zeros(len(changed), bool)
    for t in np.flatnonzero(inside).tolist():
        near = np.arange(max(0, t - reach), min(len(changed), t + reach + 1))
        near = near[inside[near] & (near != t)]
        moving = near[~still[near]]
        if len(moving) < 2:
            continue
        usual = float(np.median(step[moving]))
        spread = float(np.median(np.abs(step[moving] - usual)))
        repeated[t] = still[t] and usual > FAINT_STEP
        dropped[t] = step[t] > 1.5 * usual + 3 * spread + FAINT_STEP and _isolated(step, inside, t)
    return repeated, dropped, still & ~repeated


def _isolated(step: Float64, inside: NDArray[np.bool_], t: int) -> bool:
    """Whether the frames next to t move far less than t does: a gap, and not the beginning of a fast movement."""
    neighbours = [step[n] for n in (t - 1, t + 1) if 0 <= n < len(step) and inside[n]]
    return bool(neighbours) and max(neighbours) < 0.75 * step[t]

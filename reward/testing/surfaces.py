"""Faults of surfaces, put into finished frames: too much sharpening, plastic smoothness, one patch stamped all over.

Every fault is `fault(frames, severity, *, fps=24.0, seed=0)`: frames uint8 (T, H, W, 3), RGB, in and out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.testing.scenes import Seed

    UInt8 = NDArray[np.uint8]

RADIUS = 1.5  # pixels: standard deviation of the unsharp mask
STAMP = 0.03  # share of the picture that one stamp covers, about


def oversharpened(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Sharpen every frame. severity: the amount of the unsharp mask of 1.5 pixels; 0.5 is usual."""
    out = np.empty_like(frames)
    for into, frame in zip(out, frames, strict=True):
        levels = frame.astype(np.float32)
        sharp = levels + severity * (levels - cv2.GaussianBlur(levels, (0, 0), RADIUS))
        into[...] = np.clip(np.rint(sharp), 0, 255)
    return out


def smoothed(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Take the fine structure of surfaces and leave edges, as beauty filters do. severity: the filter's share, 0 to 1.

    Source: "Bilateral filtering for gray and color images", Tomasi & Manduchi, ICCV 1998; here of 50 levels and 3
    pixels, twice.
    """
    out = np.empty_like(frames)
    for into, frame in zip(out, frames, strict=True):
        plain = frame
        for _ in range(2):
            plain = np.asarray(cv2.bilateralFilter(plain, 9, 50, 3), np.uint8)
        into[...] = np.rint(frame + severity * (plain.astype(np.float32) - frame))
    return out


def stamped(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Repeat one richly textured patch at fixed places all over the picture. severity: the share covered, 0 to 1."""
    height, width = frames.shape[1:3]
    copies = max(1, round(severity / STAMP))
    side = round(np.sqrt(severity * height * width / copies))
    while side > 1 and (height // side) * (width // side) < copies:
        side -= 1
    side = min(side, height, width)
    rows, columns = height // side, width // side
    top, left = _richest(frames[0], side)
    rng = np.random.default_rng(seed)
    out = frames.copy()
    for place in rng.permutation(rows * columns)[:copies]:
        # places lie in a loose grid, so that stamps neither overlap nor stand in line
        y = place // columns * (height // rows) + int(rng.integers(0, height // rows - side + 1))
        x = place % columns * (width // columns) + int(rng.integers(0, width // columns - side + 1))
        out[:, y : y + side, x : x + side] = frames[:, top : top + side, left : left + side]
    return out


def _richest(frame: UInt8, side: int) -> tuple[int, int]:
    """Top and left of the square with the most fine structure."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64)
    fine = np.minimum((grey - cv2.GaussianBlur(grey, (0, 0), 2.0)) ** 2, 400.0)
    sums = np.pad(fine.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    found = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(found.argmax()), found.shape)
    return int(top), int(left)

"""How noisy a plane is where nothing else goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 16  # pixels
FLATTEST = 0.1  # share of the blocks that are taken for flat
KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)  # blind to planes and to straight edges


def noise_level(plane: NDArray[Any]) -> float:
    """Standard deviation of the noise, in the plane's own levels.

    Blocks are chosen by how flat they are when smoothed, and measured by their second differences, so that the choice
    does not favour blocks that happen to be quiet. Blocks at either end of an 8-bit scale are left out: noise is cut there.
    Source: "Fast noise variance estimation", Immerkaer, CVIU 64, 1996.

    Args:
        plane: uint8 or float32 (H, W).
    """
    levels = np.asarray(plane, np.float32)
    size = (max(1, plane.shape[1] // BLOCK), max(1, plane.shape[0] // BLOCK))
    rough = cv2.resize(np.abs(cv2.filter2D(levels, cv2.CV_32F, KERNEL)), size, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(levels, size, interpolation=cv2.INTER_AREA)
    spread = cv2.resize(np.square(cv2.blur(levels, (5, 5))), size, interpolation=cv2.INTER_AREA) - np.square(mean)
    usable = np.ones(mean.shape, bool)
    if plane.dtype == np.uint8:
        usable = (mean > 12) & (mean < 243)
        if usable.mean() < 0.05:
            return 0.0  # all black or white: whatever noise there was is cut off
    flat = spread[usable]
    chosen = flat <= np.quantile(flat, FLATTEST)
    return float(np.median(rough[usable][chosen]) * np.sqrt(np.pi / 2) / 6)

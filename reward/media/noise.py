"""How noisy a plane is where nothing else goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 16  # pixels
FLATTEST = 0.1  # share of the blocks that are taken for flat
SECOND = np.array([1, -2, 1], np.float32)  # along both axes: blind to planes and to straight edges


def noise_level(plane: NDArray[Any]) -> float:
    """Standard deviation of the noise, in the plane's own levels.

    Blocks are chosen by how flat they are when smoothed, and measured by their second differences, so that the choice
    does not favour blocks that happen to be quiet. Blocks at either end of the scale are left out: noise is cut there.
    Source: "Fast noise variance estimation", Immerkaer, CVIU 64, 1996.

    Args:
        plane: uint8 (H, W).
    """
    size = (max(1, plane.shape[1] // BLOCK), max(1, plane.shape[0] // BLOCK))
    rough = np.abs(cv2.sepFilter2D(plane, cv2.CV_16S, SECOND, SECOND))
    soft = cv2.blur(plane, (5, 5))
    edges = cv2.convertScaleAbs(cv2.Sobel(soft, cv2.CV_16S, 1, 1))
    rough, edges, mean = (
        cv2.resize(part.astype(np.float32), size, interpolation=cv2.INTER_AREA) for part in (rough, edges, soft)
    )
    usable = (mean > 12) & (mean < 243)
    if usable.mean() < 0.05:
        return 0.0  # all black or white: whatever noise there was is cut off
    flat = edges[usable]
    chosen = flat <= np.quantile(flat, FLATTEST)
    return float(np.median(rough[usable][chosen]) * np.sqrt(np.pi / 2) / 6)

"""How blurred each block of a picture is, by re-blurring; what sharpness and depth of field are both read from.

An edge of blur s has its gradient energy lowered by a further Gaussian, the less so the more blurred it was. With
Gaussians of 1 and 2 pixels the energies stand as s^2 + 4 to s^2 + 1, for any contrast.
Source: after "Defocus map estimation from a single image", Zhuo & Sim, Pattern Recognition 44, 2011.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

BLOCK = 24  # pixels of the full-size luma
WORST = 8.0  # pixels of blur at which nothing is resolved; a picture without any edge has it too
FINE, COARSE = 1.0, 2.0  # pixels
FAINT = 0.25  # least gradient energy (levels / pixel)^2 beyond noise of a block that is looked at


def _gradient_energy(luma: NDArray[np.uint8], sigma: float) -> NDArray[np.float32]:
    """Squared gradient of the smoothed picture in (levels / pixel) ** 2, at every second pixel."""
    dx, dy = (part[::2, ::2].astype(np.float32) for part in cv2.spatialGradient(cv2.GaussianBlur(luma, (0, 0), sigma)))
    return np.asarray((dx * dx + dy * dy) / 64, np.float32)


def _noise_gain(sigma: float) -> float:
    """The energy that white noise of unit variance leaves, found by the response to one bright pixel."""
    impulse = np.zeros((65, 65), np.float64)
    impulse[32, 32] = 1
    smooth = cv2.GaussianBlur(impulse, (0, 0), sigma)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_64F, *axis, scale=0.125) for axis in ((1, 0), (0, 1)))
    return float((dx**2 + dy**2).sum())


NOISE_GAIN = {sigma: _noise_gain(sigma) for sigma in (FINE, COARSE)}
ROUNDING = 0.375 / 12  # the energy that rounding the smoothed picture to whole levels leaves


def block_blur(luma: NDArray[np.uint8], noise: float) -> tuple[Float64, Float64]:
    """Blur of each block in pixels (standard deviation of a Gaussian), and how much edge there is to tell it by.

    Args:
        luma: uint8 (H, W). noise: standard deviation of its noise in levels; its share of the energy is taken off.

    Returns:
        blur float64 (h, w) in [0, WORST]; weight float64 (h, w), 0 where a block has no edge.
    """
    size = (max(1, luma.shape[1] // BLOCK), max(1, luma.shape[0] // BLOCK))
    low, high = int(luma.min()), int(luma.max())
    gain = 255 // max(high - low, 8)
    if gain > 1:  # a veiled or dim picture is not a blurred one: it is stretched, and its rounding with it
        luma = np.asarray(cv2.convertScaleAbs(luma, alpha=gain, beta=-low * gain), np.uint8)
        noise = gain * float(np.hypot(noise, 0.289))
    fine, coarse = (
        cv2.resize(_gradient_energy(luma, sigma), size, interpolation=cv2.INTER_AREA).astype(np.float64)
        - NOISE_GAIN[sigma] * noise**2
        - ROUNDING
        for sigma in (FINE, COARSE)
    )
    faint = FAINT + 2 * NOISE_GAIN[COARSE] * noise**2
    weight = np.where(coarse > faint, np.sqrt(np.maximum(coarse, 0)), 0.0)
    ratio = np.clip(fine / np.maximum(coarse, 1e-9), 1.0001, COARSE**2)
    blur = np.sqrt(np.clip((COARSE**2 - ratio) / (ratio - 1), 0, WORST**2))
    return blur, weight

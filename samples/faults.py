"""Faults put into finished frames, one function a fault; none changes its input.

Frames are uint8 (T, H, W, 3), RGB; spans are seconds from the clip's start.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


def shake(frames: Frames, *, amount: float = 0.02, turn: float = 0.6, seed: int = 0) -> Frames:
    """Jerk the camera anew on every frame.

    Args:
        frames: uint8 (T, H, W, 3).
        amount: standard deviation of the shift, in frame heights.
        turn: standard deviation of the roll, in degrees.
        seed: of the jerks.

    Returns:
        Frames of the same shape, enlarged just enough that no border shows.
    """
    rng = np.random.default_rng(seed)
    count, height, width = frames.shape[:3]
    shifts = np.clip(rng.normal(0, amount, (count, 2)), -2 * amount, 2 * amount) * height
    turns = np.clip(rng.normal(0, turn, count), -2 * turn, 2 * turn)
    scale = 1 + 4 * amount * 1.05 + np.sin(np.radians(2 * turn)) * width / height
    shaken = np.empty_like(frames)
    for i in range(count):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(turns[i]), float(scale))
        matrix[:, 2] += shifts[i]
        shaken[i] = cv2.warpAffine(
            frames[i], matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
    return shaken


def flicker(frames: Frames, *, low: float = 0.6, high: float = 1.7, hold: int = 1, seed: int = 0) -> Frames:
    """Draw the exposure anew every `hold` frames between two gains; gains above 1 clip the highlights."""
    gains = np.random.default_rng(seed).uniform(low, high, len(frames)).repeat(hold)[: len(frames)]
    lit = [np.clip(frame.astype(np.float32) * gain, 0, 255) for frame, gain in zip(frames, gains, strict=True)]
    return np.round(np.stack(lit)).astype(np.uint8)


def defocus(frames: Frames, fps: float, *, spans: Sequence[tuple[float, float]], radius: float = 0.012) -> Frames:
    """Throw the picture out of focus, from one frame to the next, within the spans; `radius` in frame heights."""
    soft = frames.copy()
    reach = max(radius * frames.shape[1], 0.5)
    for start, end in spans:
        for i in range(round(start * fps), min(round(end * fps), len(frames))):
            soft[i] = cv2.GaussianBlur(frames[i], (0, 0), reach)
    return soft


def freeze(frames: Frames, fps: float, *, start: float, end: float) -> Frames:
    """Hold the frame at `start` until `end`."""
    held = frames.copy()
    first = round(start * fps)
    held[first : round(end * fps)] = frames[first]
    return held

"""Heads in the frame: where the crown is, what an edge cuts off, the room above, and how large it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinereward.operators.skeletons import ACROSS, EARS, EYES, HIPS, LEAST_TALL, NOSE, SHOULDERS, TOLD, heights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

HEAD = 0.13  # of a body's height, crown to chin
ABOVE = 0.182  # of a body's height, from the shoulders to the crown
UNDER = {NOSE: 0.67, EYES[0]: 0.5, EYES[1]: 0.5, EARS[0]: 0.55, EARS[1]: 0.55}  # heads that these lie below the crown
HALF_WIDE = 0.35  # of a head's height
CLOSE = (0.75, 1.1)  # height of a head in frames from which a crown may be cut, and at which it always may


def crowns(joints: Float64) -> tuple[Float64, Float64]:
    """The crown of each head, float64 (N, 2), and its height from crown to chin, float64 (N,); NaN: not to be told.

    Shoulders must be told. Where the face is not, the crown lies as far above them as on any body.

    Args:
        joints: float64 (N, 17, 3), x and y in frame heights.
    """
    told = np.asarray(joints[..., 2] >= TOLD)
    shoulders = told[:, SHOULDERS].all(axis=1)
    shoulder = joints[:, SHOULDERS, :2].mean(axis=1)
    across = np.linalg.norm(joints[:, 5, :2] - joints[:, 6, :2], axis=1) / ACROSS
    tall = heights(joints)[:, 8]
    tall = np.where(shoulders & ~np.isfinite(tall), across, np.fmax(tall, np.where(shoulders, 0.8 * across, np.nan)))
    size = HEAD * np.where(shoulders & (tall > LEAST_TALL), tall, np.nan)
    hips = np.asarray(told[:, HIPS].all(axis=1))
    upright = np.where(hips[:, None], shoulder - joints[:, HIPS, :2].mean(axis=1), np.array([[0.0, -1.0]]))
    up = upright / np.maximum(np.linalg.norm(upright, axis=1, keepdims=True), 1e-9)
    guesses = np.full((len(joints), len(UNDER), 2), np.nan)
    for column, (joint, below) in enumerate(UNDER.items()):
        seen = told[:, joint] & np.isfinite(size)
        guesses[seen, column] = joints[seen, joint, :2] + (below * size[seen, None]) * up[seen]
    crown = shoulder + up * (ABOVE / HEAD * size)[:, None]
    faced = np.isfinite(guesses[..., 0]).any(axis=1)
    crown[faced] = np.nanmean(guesses[faced], axis=1)
    crown[~np.isfinite(size)] = np.nan
    return crown, size


def cut_off(crown: Float64, size: Float64, aspect: float) -> Float64:
    """The share of each head that lies outside the frame, float64 (N,); 0 where it cannot be told.

    A face that fills the frame may be cut at the crown.
    """
    over = np.clip(-crown[:, 1] / size, 0, 1)
    near = np.minimum(crown[:, 0], aspect - crown[:, 0])
    beside = np.clip((HALF_WIDE * size - near) / (2 * HALF_WIDE * size), 0, 1)
    fills = np.clip((CLOSE[1] - size) / (CLOSE[1] - CLOSE[0]), 0, 1)
    return np.asarray(np.nan_to_num(np.maximum(over, beside) * fills))


def room_off(crown: Float64, size: Float64) -> Float64:
    """How far the room above each head is from what is usual, in frame heights, float64 (N,).

    NaN where there is no head, or none in a close to medium shot: the further away a body, the freer its place.
    """
    most = np.interp(size, [0.1, 0.25, 0.5], [0.4, 0.25, 0.15])
    off = np.maximum(np.maximum(0.02 - crown[:, 1], crown[:, 1] - most), 0)
    return np.where((size > 0.1) & (size < CLOSE[0]), off, np.nan)


def drift_of_size(sizes: Float64) -> float:
    """How unsteady the size of a head is within a shot about a steady course, in octaves.

    Args:
        sizes: float64 (n,), heights of one head at successive sampled frames, NaN where it is not told.
    """
    known = np.flatnonzero(np.isfinite(sizes) & (sizes > 0))
    if len(known) < 4:
        return 0.0
    course = np.log2(sizes[known])
    line = np.polynomial.Polynomial.fit(known.astype(np.float64), course, 2 if len(known) > 6 else 1)
    return float(np.sqrt(np.mean((course - line(known.astype(np.float64))) ** 2)))

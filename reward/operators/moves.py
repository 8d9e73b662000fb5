"""The names of camera moves: what share of the running time the camera pans, tilts, pushes in, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cinereward.media.shots import Shot
from cinereward.operators.tracks import smooth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

MOVES = {
    "static": "running time in which the camera stands",
    "pan": "running time in which the camera moves or turns sideways",
    "tilt": "running time in which it moves or turns up or down",
    "pan_left": "running time in which it moves or turns to the left",
    "pan_right": "running time in which it moves or turns to the right",
    "tilt_up": "running time in which it moves or turns up",
    "tilt_down": "running time in which it moves or turns down",
    "push": "running time in which it comes nearer or zooms in",
    "pull": "running time in which it goes away or zooms out",
    "roll": "running time in which it turns about the line of sight",
    "handheld": "running time in which it sways as a held camera does",
}
STILL = 0.012  # widths / s up to which a camera stands: the picture takes more than a minute to leave the frame
PART = 0.5  # of the whole movement, from which an axis counts as moved along: a diagonal is a pan and a tilt
MEANT = 0.8  # seconds: movement slower than this scale is a move, the sway about it is a hand's
SWAY = (0.15, 6.0)  # % of width, RMS about the meant move: less is a tripod, more is no longer sway


def shares(pace: Float64, shots: Sequence[Shot], fps: float) -> dict[str, float]:
    """The share of the running time of each of MOVES; several may hold at once, so they need not sum to 1.

    Args:
        pace: float64 (N, 4), sideways, up and down, zoom and roll, in widths / s a third of the width off the centre;
            above 0 where the camera goes to the left, goes up, comes nearer.
        shots: of the clip, in order. fps: frames per second.
    """
    count = len(pace)
    meant, held = np.zeros_like(pace), np.zeros(count, bool)
    for shot in shots:
        inside = pace[shot.first : shot.last]
        if len(inside) < 3:
            continue
        meant[shot.first : shot.last] = smooth(inside, max(1.0, MEANT * fps / 2))
        held[shot.first : shot.last] = _sways(inside, fps)
    speed = np.sqrt((meant**2).sum(axis=1))
    moves = speed > STILL
    along = (np.abs(meant) >= PART * np.maximum(speed, 1e-9)[:, None]) & moves[:, None]
    found = {
        "static": ~moves & ~held,
        "pan": along[:, 0],
        "tilt": along[:, 1],
        "pan_left": along[:, 0] & (meant[:, 0] > 0),
        "pan_right": along[:, 0] & (meant[:, 0] < 0),
        "tilt_up": along[:, 1] & (meant[:, 1] > 0),
        "tilt_down": along[:, 1] & (meant[:, 1] < 0),
        "push": along[:, 2] & (meant[:, 2] > 0),
        "pull": along[:, 2] & (meant[:, 2] < 0),
        "roll": along[:, 3],
        "handheld": held,
    }
    return {name: float(np.mean(found[name])) for name in MOVES}


def _sways(pace: Float64, fps: float) -> bool:
    """Whether a shot's path wanders about the meant move on two axes at least, both ways and more than once."""
    course = np.cumsum(pace, axis=0) / fps
    about = course - smooth(course, max(1.0, MEANT * fps))
    size = np.sqrt(np.mean(about**2, axis=0)) * 100
    turns = (np.diff(np.sign(pace - np.median(pace, axis=0)), axis=0) != 0).sum(axis=0)
    wanders = (size > SWAY[0] / 2) & (turns >= max(2.0, 0.5 * len(pace) / fps))
    return bool(wanders.sum() >= 2 and SWAY[0] < float(np.hypot.reduce(size)) < SWAY[1])

"""Faults of editing, put into finished clips of several shots; the cuts are found in the pictures.

Every fault is `fault(frames, severity, *, fps=24.0, seed=0)`: frames uint8 (T, H, W, 3), RGB, in and out. A clip of one
shot comes back as it was from the faults that need a cut.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cinereward.media.features import THUMB
from cinereward.media.shots import find_cuts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.testing.scenes import Seed

    UInt8 = NDArray[np.uint8]

GAMMA = 2.2


def shots_regraded(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Give every second shot another cast. severity: the shift of a* and b*, in CIELAB units."""
    direction = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    shift = np.array([0, np.cos(direction), np.sin(direction)], np.float32) * np.float32(severity)
    out = frames.copy()
    for index, (first, last) in enumerate(_shots(frames, fps)):
        for t in range(first, last) if index % 2 else ():
            lab = cv2.cvtColor(frames[t].astype(np.float32) / 255, cv2.COLOR_RGB2LAB) + shift
            out[t] = np.rint(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255)
    return out


def shots_relit(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Film every second shot in less light. severity: how much less, in stops."""
    levels = np.rint(255 * ((np.arange(256) / 255) ** GAMMA / 2**severity) ** (1 / GAMMA)).astype(np.uint8)
    out = frames.copy()
    for index, (first, last) in enumerate(_shots(frames, fps)):
        if index % 2:
            out[first:last] = levels[frames[first:last]]
    return out


def shots_mirrored(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Film some shots from across the line: left and right change places. severity: the share of the shots, 0 to 1.

    At least one shot of a clip of several is mirrored and never all; first every second one, then the others.
    """
    shots = _shots(frames, fps)
    if len(shots) < 2:
        return frames.copy()
    count = min(len(shots) - 1, max(1, int(severity * len(shots) + 1e-9)))
    rng = np.random.default_rng(seed)
    order = [*(2 * rng.permutation(len(shots) // 2) + 1), *(2 * rng.permutation(-(-len(shots) // 2)))]
    out = frames.copy()
    for index in order[:count]:
        first, last = shots[index]
        out[first:last] = frames[first:last, :, ::-1]
    return out


def flash_framed(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Leave black or white frames at the cut nearest to the middle. severity: how many, in place of the next shot's."""
    cuts = [first for first, _ in _shots(frames, fps)[1:]]
    out = frames.copy()
    if cuts:
        cut = min(cuts, key=lambda t: abs(t - len(frames) // 2))
        out[cut : cut + round(severity)] = 255 * int(np.random.default_rng(seed).integers(0, 2))
    return out


def overcut(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Chop the shots and shuffle the pieces, so that every joint is a cut. severity: cuts a second.

    What makes no whole piece, and pieces that could only follow one of their own shot, are left out: fewer frames come
    back.
    """
    shots = _shots(frames, fps)
    length = max(1, round(fps / severity))
    if len(shots) < 2:
        return frames.copy()
    pieces = [[range(t, t + length) for t in range(a, b - length + 1, length)] for a, b in shots]
    rng = np.random.default_rng(seed)
    order: list[int] = []
    before = -1
    while True:
        # the shot with the most pieces left goes first, or nothing would be left to part them in the end
        left = [0 if n == before else len(some) for n, some in enumerate(pieces)]
        if max(left) == 0:
            return frames[order] if order else frames.copy()
        before = int(rng.choice(np.flatnonzero(np.array(left) == max(left))))
        order += pieces[before].pop(0)


def evened(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Trim the longer shots at their ends. severity: the share of what they are longer than the shortest, 0 to 1."""
    shots = _shots(frames, fps)
    least = min(last - first for first, last in shots)
    kept = [range(a, a + round((b - a) - severity * (b - a - least))) for a, b in shots]
    return frames[list(itertools.chain(*kept))]


def hurried(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Play faster by leaving frames out: fewer come back. severity: times the speed."""
    at = np.arange(0, len(frames) - 0.5, severity)
    return np.asarray(frames[np.minimum(np.rint(at).astype(int), len(frames) - 1)])


def _shots(frames: UInt8, fps: float) -> list[tuple[int, int]]:
    """First frame and end of every shot."""
    thumbs = np.stack([cv2.resize(frame, THUMB, interpolation=cv2.INTER_AREA) for frame in frames])
    return list(itertools.pairwise([0, *find_cuts(thumbs, fps).tolist(), len(frames)]))

"""What video generators do wrong, put into finished frames: shapes that swim, turn, pop up, stick, melt, and loop.

Every fault is `fault(frames, severity, *, fps=24.0, seed=0)`: frames uint8 (T, H, W, 3), RGB, in and out. Where a fault
begins, and what things become, is drawn from the seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from cinereward.testing.faults import _bytes, _warped
from cinereward.testing.scenes import Seed, texture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    UInt8 = NDArray[np.uint8]

SWELL = 0.5  # seconds in which a shape swims from one form into another
TURN = 0.6  # seconds in which a part fades into something else
SAG = 0.4  # part of the running time in which the picture is still sound, before it melts


def morphing(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Let every shape swim smoothly into other shapes. severity: RMS displacement, in % of the width."""
    rng = np.random.default_rng(seed)
    reach = severity / 100 * frames.shape[2] / np.sqrt(2)
    course = _swim(frames.shape, fps, rng)
    return np.stack([_warped(frame, *(reach * form)) for frame, form in zip(frames, course, strict=True)])


def crossfading(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Let a part of the picture fade, in place, into another part of it. severity: the part, 0 to 1 of the picture."""
    rng = np.random.default_rng(seed)
    cover = _blob(frames.shape[1:3], severity, rng, soft=0.25)[..., None]
    begins = rng.uniform(0.25, 0.5) * len(frames)
    ramp = np.clip((np.arange(len(frames)) - begins) / max(1.0, min(TURN * fps, 0.4 * len(frames))), 0, 1)
    shift = np.rint(rng.uniform(0.35, 0.65, 2) * frames.shape[1:3]).astype(int)
    out = frames.copy()
    for t in np.flatnonzero(ramp).tolist():
        other = np.roll(frames[t, :, ::-1], shift, axis=(0, 1)).astype(np.float32)
        out[t] = _bytes(frames[t] + ramp[t] * cover * (other - frames[t]))
    return out


def popping(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Let a thing appear from one frame to the next and vanish again. severity: its size, 0 to 1 of the picture."""
    rng = np.random.default_rng(seed)
    size = frames.shape[1:3]
    cover = _blob(size, severity, rng, soft=0.0)[..., None]
    source = frames[0].astype(np.float32)
    shade = texture(size[0], size[1], rng, finest=2.0)[..., None] * 25
    thing = np.clip(255 - source.mean(axis=(0, 1)) + rng.uniform(-30, 30, 3) + shade, 0, 255)
    first = round(rng.uniform(0.25, 0.4) * len(frames))
    last = round(rng.uniform(0.65, 0.8) * len(frames))
    out = frames.copy()
    for t in range(first, last):
        out[t] = _bytes(frames[t] + cover * (thing - frames[t]))
    return out


def sticking(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Leave the first frame's texture on the screen while the picture moves. severity: the share of it, 0 to 1."""
    soft = max(1.0, frames.shape[2] / 80)
    first = frames[0].astype(np.float32)
    stuck = first - cv2.GaussianBlur(first, (0, 0), soft)
    out = np.empty_like(frames)
    for into, frame in zip(out, frames, strict=True):
        levels = frame.astype(np.float32)
        detail = levels - cv2.GaussianBlur(levels, (0, 0), soft)
        into[...] = _bytes(levels + severity * (stuck - detail))
    return out


def melting(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Let the picture melt towards the end. severity: RMS displacement of the last frame, in % of the width."""
    rng = np.random.default_rng(seed)
    count, width = len(frames), frames.shape[2]
    growth = np.clip((np.arange(count) / max(1, count - 1) - SAG) / (1 - SAG), 0, 1) ** 1.5
    out = frames.copy()
    for t, form in enumerate(_swim(frames.shape, fps, rng)):
        reach = growth[t] * severity / 100 * width
        if reach > 0:
            melted = _warped(frames[t], *(reach / np.sqrt(2) * form))
            out[t] = cv2.GaussianBlur(melted, (0, 0), max(0.1, 0.25 * reach))
    return out


def looping(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Show the same moment again and again. severity: how many times it is seen in the clip, 1 or more."""
    moment = max(1, round(len(frames) / severity))
    return np.asarray(frames[np.arange(len(frames)) % moment])


# --- what they share ---


def _swim(shape: tuple[int, ...], fps: float, rng: np.random.Generator) -> Iterator[Float32]:
    """For each frame a field (2, H, W) of waves about a sixth of the width long; every SWELL s it is another. RMS 1."""
    count, height, width = shape[:3]
    at = np.arange(count) / (SWELL * fps) + rng.uniform(0, 1)
    forms = [np.stack([_waves(height, width, rng) for _ in range(2)]) for _ in range(int(at.max(initial=0)) + 2)]
    for where in at:
        angle = (where - int(where)) * np.pi / 2
        yield np.asarray(np.cos(angle) * forms[int(where)] + np.sin(angle) * forms[int(where) + 1], np.float32)


def _waves(height: int, width: int, rng: np.random.Generator) -> Float32:
    return texture(height, width, rng, slope=0.0, finest=max(1.0, width / 13))


def _blob(size: tuple[int, ...], share: float, rng: np.random.Generator, soft: float) -> Float32:
    """How much of each pixel a rounded blob of `share` of the picture covers; `soft`: of its radius, its edge."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = np.sqrt(share * height * width / np.pi)
    reach = np.minimum(radius, np.array([width, height]) / 2)
    middle = rng.uniform(reach, np.array([width, height]) - reach)
    edge = max(1.0, soft * radius)
    angle = np.arctan2(y - middle[1], x - middle[0])
    lobed = radius * (1 + 0.12 * np.sin(3 * angle + rng.uniform(0, 6)))
    return np.asarray(np.clip((lobed - np.hypot(x - middle[0], y - middle[1])) / edge + 0.5, 0, 1), np.float32)

"""Faults of framing and depth: a subject out of focus, a flat stage, a crowd of distractors, a head out of the frame.

Each is `fault(frames, severity, *, fps=24.0, seed=0)`, as in faults.py; where the subject or the face is known, it can
be given as a box (x, y, width, height) in pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from cinereward.media.faces import find_faces
from cinereward.testing.scenes import Seed, texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    UInt8 = NDArray[np.uint8]

Box: TypeAlias = tuple[float, float, float, float]
CROWN, CHIN = 0.3, 0.95  # of a head about its face box, in heights of the box: above its top, below its top
DISTRACTOR = (0.04, 0.06)  # radius, in widths
SMALL_SIDE = 240  # pixels of the shorter side where a face is looked for


def subject_defocused(
    frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0, box: Box | None = None
) -> UInt8:
    """Put the subject out of focus and leave the rest as sharp as it was.

    severity: standard deviation of the Gaussian, in pixels. box: of the subject; None: a face where one is found, and
    else the middle of the picture.
    """
    height, width = frames.shape[1:3]
    if box is None:
        face = find_face(frames)
        middle = (0.22 * width, 0.17 * height, 0.56 * width, 0.66 * height)
        box = middle if face is None else _enlarged(face, 1.6, middle[2:])
    y, x = np.mgrid[:height, :width].astype(np.float32) + 0.5
    away = np.hypot((x - box[0] - box[2] / 2) / (box[2] / 2), (y - box[1] - box[3] / 2) / (box[3] / 2))
    cover = np.clip((1.08 - away) / 0.16, 0, 1)[..., None].astype(np.float32)
    out = np.empty_like(frames)
    for into, frame in zip(out, frames, strict=True):
        soft = cv2.GaussianBlur(frame, (0, 0), severity).astype(np.float32)
        into[...] = np.rint(frame + cover * (soft - frame))
    return out


def planar(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Light near, middle and far alike. severity: share of the separation of the planes that is taken away, 0 to 1.

    What is larger than an eighth of the width is drawn towards the clip's mean light, as a gain, so that colours and
    detail keep their contrast.
    """
    luma = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) + 8.0
    level = float(np.exp(np.log(luma).mean()))
    size = frames.shape[2] / 16
    out = np.empty_like(frames)
    for into, frame, light in zip(out, frames, luma, strict=True):
        plane = cv2.GaussianBlur(light, (0, 0), size, borderType=cv2.BORDER_REFLECT_101)
        gain = (level / plane) ** np.float32(severity)
        into[...] = np.clip(np.rint((frame + 8.0) * gain[..., None] - 8.0), 0, 255)
    return out


def cluttered(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Stand bright, clean-edged things about the subject, as striking as it is. severity: their number."""
    rng = np.random.default_rng(seed)
    height, width = frames.shape[1:3]
    levels = frames.astype(np.float32)
    detail = texture(height, width, rng)
    for _ in range(round(severity)):
        radius = width * rng.uniform(*DISTRACTOR)
        centre = _beside(height, width, radius, rng)
        corners = int(rng.integers(3, 7)) if rng.random() < 0.6 else 40
        around = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 2 * np.pi)
        outline = centre + radius * np.stack([np.cos(around), np.sin(around)], axis=1)
        cover = np.zeros((height, width), np.uint8)
        cv2.fillPoly(cover, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
        behind = levels[:, cover > 0].mean(axis=(0, 1)) if (cover > 0).any() else np.full(3, 128.0)
        # away from what is behind it, in light and in hue
        colour = np.where(behind.mean() > 128, 40.0, 215.0) + rng.uniform(-40, 40, 3)
        share = cover[..., None].astype(np.float32) / 255
        levels += share * (colour.astype(np.float32) + 10 * detail[..., None] - levels)
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)


def beheaded(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0, box: Box | None = None) -> UInt8:
    """Move the frame down until the head leaves it at the top; what comes in below is the picture's own reflection.

    severity: share of the head, crown to chin, that lies outside. box: of the face; None: found by a cascade.

    Raises:
        ValueError: no face is given and none is found.
    """
    face = box if box is not None else find_face(frames)
    if face is None:
        raise ValueError("no face was found in the frames; give its box (x, y, width, height) in pixels")
    top, height = face[1] - CROWN * face[3], (CROWN + CHIN) * face[3]
    down = int(np.clip(round(top + severity * height), 0, frames.shape[1] - 1))
    return np.concatenate([frames[:, down:], frames[:, ::-1][:, :down]], axis=1)


def find_face(frames: UInt8) -> Box | None:
    """The largest face in the first of a few frames that shows one: (x, y, width, height) in pixels, or None."""
    scale = min(1.0, SMALL_SIDE / min(frames.shape[1:3]))
    for row in np.unique(np.linspace(0, len(frames) - 1, 5).astype(int)):
        grey = cv2.cvtColor(frames[row], cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = find_faces(np.asarray(small, np.uint8))
        if len(found):
            x, y, width, height = (float(side) / scale for side in max(found, key=lambda face: face[2]))
            return x, y, width, height
    return None


def _enlarged(box: Box, by: float, most: tuple[float, float]) -> Box:
    """The box grown about its middle, to `most` (width, height) at the most."""
    x, y, width, height = box
    wide, high = min(by * width, most[0]), min(by * height, most[1])
    return x + (width - wide) / 2, y + (height - high) / 2, wide, high


def _beside(height: int, width: int, radius: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A place (x, y) for a distractor: anywhere but in the middle, where the subject stands."""
    size = np.array([width, height], np.float64)
    room = np.minimum(radius, size / 2)
    for _ in range(50):
        place = rng.uniform(room, size - room)
        if np.hypot(*((place / size - 0.5) / (0.24, 0.3))) > 1:
            break
    return np.asarray(place)

"""Detectors whose boxes are planted: what a network would see, by the index of the frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cinereward.networks.yolo import JOINTS, Boxes
from cinereward.testing import measure
from cinereward.testing.scenes import clip
from cinereward.types import Evidence, Window

NAMES = ("person", "dog", "cat", "car")
FPS, SIZE = 24, (90, 160)
STEP = 1 / 6  # s between sampled frames
Thing = tuple[str, tuple[float, float, float, float], float]  # class; left, top, right, bottom in shares; score


class Planted:
    """Tells what `tell` says of each frame. tell: from a frame's index to things, or to (things, joints (N, 17, 3))."""

    def __init__(self, tell: Callable[[int], Any], names: tuple[str, ...] = NAMES) -> None:
        self.names, self._tell = names, tell

    def __call__(self, windows: Sequence[Window]) -> list[dict[int, Boxes]]:
        return [{int(row): self._boxes(window, int(row)) for row in window.features["keys"]} for window in windows]

    def _boxes(self, window: Window, row: int) -> Boxes:
        told = self._tell(window.start_frame + row)
        things, joints = told if isinstance(told, tuple) else (told, None)
        height, width = window.frames.shape[1:3]
        return Boxes(
            xyxy=np.array([box for _, box, _ in things], np.float32).reshape(-1, 4) * [width, height, width, height],
            scores=np.array([score for *_, score in things], np.float32),
            classes=np.array([self.names.index(name) for name, *_ in things], np.int64),
            keypoints=None if joints is None else joints.reshape(-1, JOINTS, 3) * [width, height, 1],
        )


def still(seconds: float = 4.0, colour: tuple[int, int, int] | None = None, seed: int = 0) -> np.ndarray:
    """Frames of one textured picture, uint8 (T, 90, 160, 3); or of one colour."""
    picture = np.random.default_rng(seed).integers(60, 200, (*SIZE, 3), np.uint8)
    if colour is not None:
        picture[:] = colour
    return np.repeat(picture[None], round(seconds * FPS), axis=0)


def look(operator: Any, frames: np.ndarray | None = None, prompt: str = "", length: int = 16) -> Evidence:
    """What an operator measures on frames with a prompt."""
    return measure(operator, clip(still() if frames is None else frames, prompt=prompt, fps=FPS), length)


def worst_time(found: Evidence, name: str) -> float:
    """When a track is highest, in seconds."""
    track = found[f"{name}_track"]
    return float(track.times[int(np.argmax(track.value))])


def moved(box: tuple[float, float, float, float], across: float, down: float = 0.0) -> tuple[float, ...]:
    """A box shifted by shares of the frame, cut off at its edges."""
    left, top, right, bottom = box
    return tuple(float(np.clip(v, 0, 1)) for v in (left + across, top + down, right + across, bottom + down))

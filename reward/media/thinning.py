"""What is kept of a clip for a judge while it is decoded: a few frames a second, made small, and the sound."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np

from cinereward.media.features import Features, stride
from cinereward.types import Window


def every(fps: float, count: int, rate: float, most: int) -> int:
    """Every how many frames one is kept: about `rate` a second, and at most `most` of a clip of `count` frames."""
    return max(stride(fps, rate), -(-count // most))


def thin(window: Window, step: int, pixels: int, *, sound: bool) -> Window:
    """The window's own frames whose index in the clip is a multiple of `step`, made small; perhaps none.

    Args:
        window: of the clip. step: see `every`. pixels: area of a frame at most; frames are never enlarged.
        sound: whether the window keeps its sound.

    Returns:
        A window without overlap; its frames need not follow one another in the clip.
    """
    rows = np.arange(window.overlap, len(window.frames))
    rows = rows[(rows + window.start_frame) % step == 0]
    height, width = window.frames.shape[1:3]
    scale = min(1.0, (pixels / (height * width)) ** 0.5)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    frames = np.zeros((len(rows), size[1], size[0], 3), np.uint8)
    for at, row in enumerate(rows):
        frame = window.frames[row]
        frames[at] = frame if scale == 1.0 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    frames.flags.writeable = False
    first = window.start_frame + (int(rows[0]) if len(rows) else window.overlap)
    heard = window.sound if sound else None
    return dataclasses.replace(
        window,
        frames=frames,
        times=window.times[rows],
        start_frame=first,
        overlap=0,
        sound=heard,
        features=Features(frames, first, 0, window.fps, heard),
    )


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How much is kept of a clip. rate: frames a second. most: frames of a clip. pixels: area of a frame at most."""

    rate: float
    most: int
    pixels: int
    sound: bool

    def __call__(self, window: Window, count: int) -> Window:
        """What is kept of a window of a clip of `count` frames."""
        return thin(window, every(window.fps, count, self.rate, self.most), self.pixels, sound=self.sound)

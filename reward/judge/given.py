"""The reference that a generator was given, as the one picture that a judge is shown of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.errors import ClipError, JudgeError
from cinereward.media.intake import CHANNELS, is_array
from cinereward.media.reader import open_clip
from cinereward.types import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UInt8 = NDArray[np.uint8]


def first_picture(reference: Any, pixels: int) -> UInt8 | None:
    """A reference's picture, or its first, of at most so many pixels.

    Args:
        reference: a PIL image, an array or tensor (H, W, C) or (C, H, W), a film of four axes, a path, the bytes of a
            file, a Clip, a list of these, of which the first is shown; or None. pixels: area, at most.

    Returns:
        uint8 (H, W, 3), RGB; None where there is no reference.

    Raises:
        JudgeError: it cannot be read. It is not left out in silence: what is asked about it could not be answered.
    """
    if reference is None:
        return None
    try:
        return fitted(_picture(reference), pixels)
    except Exception as error:  # PIL and the decoders each raise their own
        raise JudgeError(
            f"the reference, a {type(reference).__name__}, cannot be read ({' '.join(str(error).split())[:200]}); "
            "give an image, a path to one, an array (H, W, 3), or a Clip"
        ) from error


def fitted(picture: UInt8, pixels: int) -> UInt8:
    """A picture (H, W, 3) of at most so many pixels; never enlarged."""
    height, width = picture.shape[:2]
    scale = min(1.0, (pixels / (height * width)) ** 0.5)
    if scale == 1.0:
        return picture
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _picture(reference: Any) -> UInt8:
    if isinstance(reference, list | tuple) and reference:
        return _picture(reference[0])
    if hasattr(reference, "convert"):
        return np.asarray(reference.convert("RGB"), np.uint8)
    if isinstance(reference, Clip):
        return _first_frame(reference)
    if is_array(reference):
        if len(reference.shape) != 3:
            return _first_frame(Clip(reference, fps=8.0))
        first, last = (reference.shape[axis] in CHANNELS for axis in (0, 2))
        return _first_frame(Clip(reference[None], layout="TCHW" if first and not last else "THWC", fps=8.0))
    if not isinstance(reference, str | Path | bytes):
        raise ClipError("it is neither a picture nor a film")
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(reference) if isinstance(reference, bytes) else Path(reference)) as image:
            return np.asarray(image.convert("RGB"), np.uint8)
    except (UnidentifiedImageError, ImportError):  # once imported, ultralytics makes Image.open ask for more libraries
        return _first_frame(Clip(reference))


def _first_frame(clip: Clip) -> UInt8:
    first: UInt8 = next(open_clip(clip).windows(1)).frames[0].copy()
    return first

"""A clip's reference as pictures: an image, a film, or several of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import ClipError, OperatorError
from cinereward.media.intake import is_array
from cinereward.media.reader import open_clip
from cinereward.types import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UInt8 = NDArray[np.uint8]

MOST = 6  # pictures that are taken of a reference, evenly over a film
WINDOW = 16  # frames that are held at a time while a film is read


def pictures_of(reference: Any) -> list[UInt8]:
    """The pictures of a reference, uint8 (H, W, 3) each, RGB; at most MOST.

    Args:
        reference: a path, the bytes of a file, a PIL image, an array or tensor (H, W, C) or (C, H, W), or of four axes
            a film; a Clip; or a list of these.

    Raises:
        OperatorError: it cannot be read as any of these.
    """
    try:
        if isinstance(reference, list | tuple):
            every = [picture for one in reference[:MOST] for picture in pictures_of(one)]
        else:
            every = _read(reference)
    except OperatorError:
        raise
    except Exception as error:  # PIL and the decoders each raise their own
        raise OperatorError(
            f"the reference, a {type(reference).__name__}, cannot be read ({' '.join(str(error).split())[:200]}); "
            "give an image, a path to one, an array (H, W, 3), or a Clip"
        ) from error
    if not every:
        raise OperatorError("the reference is an empty list; give an image, a Clip, or None")
    return [every[at] for at in np.unique(np.linspace(0, len(every) - 1, min(MOST, len(every))).round().astype(int))]


def _read(reference: Any) -> list[UInt8]:
    if isinstance(reference, Clip):
        return _film(reference)
    if hasattr(reference, "convert"):
        return [np.asarray(reference.convert("RGB"), np.uint8)]
    if is_array(reference):
        return _array(reference)
    if not isinstance(reference, str | Path | bytes):
        raise ClipError(f"it is a {type(reference).__name__}")
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(reference) if isinstance(reference, bytes) else Path(reference)) as image:
            return [np.asarray(image.convert("RGB"), np.uint8)]
    except (UnidentifiedImageError, ImportError):  # once imported, ultralytics makes Image.open ask for more libraries
        return _film(Clip(reference))


def _array(reference: Any) -> list[UInt8]:
    if len(reference.shape) == 3:
        layout = "TCHW" if reference.shape[0] in (1, 3, 4) and reference.shape[2] not in (1, 3, 4) else "THWC"
        return _film(Clip(reference[None], layout=layout, fps=1.0))
    return _film(Clip(reference, fps=8.0))


def _film(clip: Clip) -> list[UInt8]:
    """The sampled frames of a film; of a long one every second, every fourth ..., so that few are held."""
    kept: list[UInt8] = []
    every = 1
    count = 0
    for window in open_clip(clip, sound=False).windows(WINDOW):
        for row in window.features["keys"]:
            if count % every == 0:
                kept.append(window.frames[row].copy())
                if len(kept) > 4 * MOST:
                    kept, every = kept[::2], 2 * every
            count += 1
    return kept

"""Tensors, arrays and PIL images: what shape they have, and how they become uint8 RGB without touching a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.errors import ClipError
from cinereward.media.pictures import checked_fps
from cinereward.types import LAYOUTS, Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS = (1, 3, 4)
RANGE_SLACK = 1e-3  # decoders overshoot [0, 1] by rounding; more than this is another scale
GREY_OR_RGB = "give grey as 1 channel, colour as 3"


def is_array(video: Any) -> bool:
    """Whether this is a NumPy array or something that has an array's shape, dtype and slices (a torch tensor)."""
    return hasattr(video, "shape") and hasattr(video, "dtype") and hasattr(video, "__getitem__")


def find_layout(shape: Sequence[int], layout: str | None) -> str:
    """Tell which axes are time, channels, height and width.

    Raises:
        ClipError: the shape is not of four axes, has no axis of 1, 3 or 4 channels, or could be read in two ways.
            (1, 3, H, W) is one RGB frame: nobody has three frames of one channel with the channel first.
    """
    if len(shape) == 5:
        raise ClipError(f"video has shape {tuple(shape)}: five axes; give one Clip for each video of the batch")
    if len(shape) != 4:
        raise ClipError(f"video has shape {tuple(shape)}; expected four axes: (T, C, H, W) or (T, H, W, C)")
    if layout is not None:
        channels = shape[layout.index("C")]
        if channels not in CHANNELS:
            fits = " or ".join(f'"{name}"' for name in LAYOUTS if shape[name.index("C")] in CHANNELS)
            hint = f"give layout={fits}" if fits else GREY_OR_RGB
            raise ClipError(
                f"video has shape {tuple(shape)}: {channels} channels in layout {layout}; expected 1, 3 or 4; {hint}"
            )
        return layout
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first and last:
        raise ClipError(f"video has shape {tuple(shape)}, which is TCHW as well as THWC; say which with layout=")
    # one frame of one channel is the same either way
    if first and shape[0] in CHANNELS and tuple(shape[:2]) not in ((1, 1), (1, 3)):
        raise ClipError(f"video has shape {tuple(shape)}, which is TCHW as well as CTHW; say which with layout=")
    if not first and not last:
        hint = 'it looks like layout="CTHW"' if shape[0] in CHANNELS else GREY_OR_RGB
        raise ClipError(f"video has shape {tuple(shape)}; expected 1, 3 or 4 channels at axis 1 or 3; {hint}")
    return "TCHW" if first else "THWC"


class ArrayFrames:
    """The frames of a tensor, an array or a list of PIL images, a chunk at a time."""

    def __init__(self, clip: Clip) -> None:
        if clip.fps is None:
            raise ClipError("tensors, arrays and images carry no frame rate; give Clip(..., fps=...)")
        self.fps = checked_fps(clip.fps)
        self._video = clip.video
        if is_array(clip.video):
            self._layout = find_layout(clip.video.shape, clip.layout)
            self._axes = [self._layout.index(axis) for axis in "THWC"]
            self.count = int(clip.video.shape[self._axes[0]])
            self.size = (int(clip.video.shape[self._axes[1]]), int(clip.video.shape[self._axes[2]]))
        else:
            self._layout = "PIL"
            self.count = len(clip.video)
            self.size = _size_of_images(clip.video)
        if self.count == 0:
            raise ClipError("the video has no frame; give at least one")

    def chunks(self, length: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
        """Yield uint8 (t, H, W, 3) and times (t,) for up to `length` frames at a time."""
        for start in range(0, self.count, length):
            stop = min(start + length, self.count)
            frames = self._images(start, stop) if self._layout == "PIL" else self._slice(start, stop)
            yield frames, np.arange(start, stop) / self.fps

    def _images(self, start: int, stop: int) -> NDArray[np.uint8]:
        try:
            return np.stack([np.asarray(image.convert("RGB")) for image in self._video[start:stop]])
        except (OSError, ValueError) as error:  # PIL reads a file when its pixels are first asked for
            raise ClipError(
                f"an image near frame {start} cannot be read ({str(error)[:160]}); save it again"
            ) from error

    def _slice(self, start: int, stop: int) -> NDArray[np.uint8]:
        key = tuple(slice(start, stop) if axis == "T" else slice(None) for axis in self._layout)
        try:
            part = self._video[key]
            if hasattr(part, "detach"):  # a torch tensor, on any device and of any float type
                part = part.detach().cpu()
                part = (part.float() if part.dtype.is_floating_point else part).numpy()
            part = np.asarray(part)
        except Exception as error:  # meta, sparse, quantised: each raises what it likes
            raise ClipError(
                f"video is a {type(self._video).__name__} of {self._video.dtype} that cannot become an array "
                f"({type(error).__name__}: {' '.join(str(error).split())[:160]}); expected plain values in memory; "
                "give a dense uint8 or float tensor (.to_dense(), .dequantize()) that is not on the meta device"
            ) from error
        out = np.empty((stop - start, *self.size, 3), np.uint8)
        for index, source in enumerate(np.transpose(part, self._axes)):
            out[index] = _rgb(_bytes(source, start + index))
        return out


def _bytes(frame: NDArray[Any], index: int) -> NDArray[np.uint8]:
    """A frame (H, W, C) as uint8; float [0, 1] is rounded to the nearest of 256 levels. index: of the frame."""
    if frame.dtype == np.uint8:
        return np.asarray(frame, np.uint8)
    if not np.issubdtype(frame.dtype, np.floating):
        raise ClipError(f"video holds {frame.dtype}; expected uint8 in 0 to 255 or float in [0, 1]; {_cast(frame)}")
    planes = [np.ascontiguousarray(frame[..., c], np.float32) for c in range(frame.shape[-1])]
    # NaN and infinity survive neither comparison
    if not all(plane.min() >= -RANGE_SLACK and plane.max() <= 1 + RANGE_SLACK for plane in planes):
        raise ClipError(_out_of_range(np.stack(planes), index))
    levels = [cv2.convertScaleAbs(plane, alpha=255.0) for plane in planes]
    return np.asarray(cv2.merge(levels), np.uint8).reshape(frame.shape)


def _cast(frame: NDArray[Any]) -> str:
    """What to do with a dtype that holds no pictures."""
    if frame.dtype == np.bool_:
        return "give .astype(np.uint8) * 255"
    if np.issubdtype(frame.dtype, np.integer):
        return "if the values lie in 0 to 255, give .astype(np.uint8), or .to(torch.uint8) of a tensor"
    return "give real numbers of one of these kinds"


def _out_of_range(values: NDArray[np.float32], index: int) -> str:
    if not np.isfinite(values).all():
        return (
            f"video holds NaN or infinite values in frame {index}; floats must lie in [0, 1]; "
            "leave the clip out, or decode it in float32 if half precision overflowed"
        )
    low, high = float(values.min()), float(values.max())
    hint = "scale them to it"
    if -1.1 < low < -RANGE_SLACK and high < 1.1:
        hint = "(x + 1) / 2 brings [-1, 1] there"
    elif low >= -RANGE_SLACK and 2 < high < 256:
        hint = "if they run from 0 to 255, divide by 255"
    return f"video holds values from {low:.3g} to {high:.3g} in frame {index}; floats must lie in [0, 1]; {hint}"


def _rgb(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A uint8 frame (H, W, 1 | 3 | 4) as RGB; alpha is dropped, as video decoders drop it."""
    channels = frame.shape[-1]
    if frame.strides[-1] == 1 and channels == 3:
        return frame
    planes = [np.ascontiguousarray(frame[..., min(c, channels - 1)]) for c in range(3)]
    return np.asarray(cv2.merge(planes), np.uint8)


def _size_of_images(images: Any) -> tuple[int, int]:
    kinds = {type(image).__name__ for image in images if not hasattr(image, "convert")}
    if kinds:
        videos = all(isinstance(item, str | bytes | list | tuple) or hasattr(item, "__fspath__") for item in images)
        hint = "give one Clip for each video" if videos else "make one of them with np.stack or torch.stack"
        told = f"video is a list of {', '.join(sorted(kinds))}; expected PIL images, or one array or tensor"
        raise ClipError(f"{told}; {hint}")
    sizes = {image.size for image in images}
    if len(sizes) > 1:
        raise ClipError(f"the images differ in size: {sorted(sizes)[:3]}; expected one size; resize or crop them to it")
    return (images[0].height, images[0].width) if images else (0, 0)


def split_diffusers(output: Any, prompts: Sequence[str] | str, fps: float, sample_rate: int | None) -> list[Clip]:
    """See `Clip.from_diffusers`."""
    frames = getattr(output, "frames", output)
    videos = list(frames)
    texts = [prompts] * len(videos) if isinstance(prompts, str) else list(prompts)
    if len(texts) != len(videos):
        raise ClipError(
            f"{len(videos)} videos and {len(texts)} prompts; give one prompt for each video, or one for all"
        )
    sound = getattr(output, "audio", None)
    sound = getattr(output, "audios", None) if sound is None else sound
    sounds = [None] * len(videos) if sound is None else list(sound)
    if len(sounds) != len(videos):
        raise ClipError(f"{len(videos)} videos and {len(sounds)} sounds; expected one sound for each video")
    if sound is not None and sample_rate is None:
        raise ClipError("the pipeline returned sound; give its sample_rate in Hz")
    return [
        Clip(
            video,
            prompt=text,
            layout=_layout_of_diffusers(video),
            fps=fps,
            audio=audio,
            sample_rate=sample_rate if audio is not None else None,
        )
        for video, text, audio in zip(videos, texts, sounds, strict=True)
    ]


def _layout_of_diffusers(video: Any) -> str | None:
    """Diffusers returns no CTHW: (4, 3, H, W), which could be one, is four frames of it."""
    shape = tuple(video.shape) if is_array(video) else ()
    return "TCHW" if len(shape) == 4 and shape[1] in CHANNELS and shape[3] not in CHANNELS else None

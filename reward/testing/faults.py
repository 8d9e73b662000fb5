"""Faults put into finished frames, each with a severity in its own physical unit; none changes its input.

Every fault is `fault(frames, severity, *, fps=24.0, seed=0)`: frames uint8 (T, H, W, 3), RGB, in and out. The ladder
(ladder.py) lists them with five severities from mild to severe, and with what they must lower.
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from cinereward.testing.scenes import Seed, texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

# --- the picture ---


def blurred(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Blur every frame. severity: standard deviation of the Gaussian, in pixels."""
    return np.stack([cv2.GaussianBlur(frame, (0, 0), severity) for frame in frames])


def focus_jump(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Lose focus from one frame to the next, halfway, for good. severity: as for `blurred`."""
    half = len(frames) // 2
    return np.concatenate([frames[:half], blurred(frames[half:], severity)])


def noisy(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Add white noise to the luma, new on every frame. severity: standard deviation, in levels of 255."""
    rng = np.random.default_rng(seed)
    shape = frames.shape[1:3]
    return np.stack([_bytes(frame + rng.normal(0, severity, shape)[..., None]) for frame in frames])


def colour_noisy(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Add white noise to the colour and leave the luma. severity: mean deviation of R - G and B - G, in levels."""
    rng = np.random.default_rng(seed)
    # rows: what one unit of red and of blue noise add to R, G, B when luma stays
    keep = np.array([[1, -0.299 / 0.587, 0], [0, -0.114 / 0.587, 1]])
    spread = np.hypot(*(keep[:, ::2] - keep[:, 1:2])).mean()
    noise = (rng.normal(0, severity / spread, (*frame.shape[:2], 2)) @ keep for frame in frames)
    return np.stack([_bytes(frame + plane) for frame, plane in zip(frames, noise, strict=True)])


def compressed(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Compress each frame by itself. severity: the quality of JPEG, 1 to 100, where less is worse."""
    options = [cv2.IMWRITE_JPEG_QUALITY, round(severity)]
    out = np.empty_like(frames)
    for into, frame in zip(out, frames, strict=True):
        _, packed = cv2.imencode(".jpg", np.ascontiguousarray(frame[..., ::-1]), options)
        into[...] = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[..., ::-1]
    return out


def h264(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Encode and decode as H.264; an odd row or column is carried over. severity: the constant rate factor, 0 to 51."""
    height, width = (side // 2 * 2 for side in frames.shape[1:3])
    if min(height, width) < 16:
        raise ValueError(f"frames of {frames.shape[2]} x {frames.shape[1]} pixels; H.264 needs 16 x 16")
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # x264's choices depend on the number of threads, and its assembly does not choose alike twice
        stream.options = {"crf": str(severity), "preset": "veryfast", "x264-params": "threads=1:no-asm=1"}
        for frame in frames:
            whole = np.ascontiguousarray(frame[:height, :width])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(whole, format="rgb24")))
        out.mux(stream.encode(None))
    file.seek(0)
    seen = frames.copy()
    with av.open(file, "r") as back:
        for into, picture in zip(seen, back.decode(video=0), strict=True):
            into[:height, :width] = picture.to_ndarray(format="rgb24")
    return seen


def banded(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Round levels to few. severity: the step between those that are left, in levels."""
    levels = np.arange(256)
    return _table(frames, np.rint(levels / severity) * severity)


def overexposed(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Open the aperture. severity: the gain, above 1; what passes 255 is lost."""
    return _table(frames, np.arange(256) * severity)


def underexposed(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Close the aperture. severity: the gain, below 1, where less is worse."""
    return _table(frames, np.arange(256) * severity)


def crushed(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Sink the shadows and stretch the rest over the scale. severity: the level that becomes black."""
    return _table(frames, (np.arange(256) - severity) * 255 / (255 - severity))


def flattened(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Take contrast away. severity: the share of it that is left, where less is worse."""
    return _table(frames, 128 + (np.arange(256) - 128) * severity)


def flickering(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Change the light from frame to frame. severity: RMS of the gain about 1, in %."""
    course = _centred(np.random.default_rng(seed).normal(size=(len(frames), 1)))
    return np.stack([_bytes(frame * (1 + g * severity / 100)) for frame, g in zip(frames, course[:, 0], strict=True)])


# --- the camera ---


def shaken(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Shake the camera, anew on every frame. severity: RMS distance from where it should be, in % of the width."""
    course = _centred(np.random.default_rng(seed).normal(size=(len(frames), 2)))
    return _moved(frames, course / np.sqrt(2) * severity / 100 * frames.shape[2])


def jolted(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Kick the tripod, once, halfway: the picture jumps and stays. severity: the jump, in % of the width."""
    direction = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    step = (np.arange(len(frames)) >= len(frames) // 2)[:, None] - 0.5
    return _moved(frames, step * [np.cos(direction), np.sin(direction)] * severity / 100 * frames.shape[2])


# --- time ---


def boiling(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Let every shape wobble by itself, anew on every frame. severity: RMS displacement, in % of the width."""
    rng = np.random.default_rng(seed)
    size = frames.shape[1:3]
    swell = severity / 100 * frames.shape[2] / np.sqrt(2)
    return np.stack([_warped(frame, swell * _waves(size, rng), swell * _waves(size, rng)) for frame in frames])


def repainted(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Paint the texture anew on every frame, as rough as it was. severity: the share of it that is new, 0 to 1."""
    rng = np.random.default_rng(seed)
    height, width = frames.shape[1:3]
    out = np.empty_like(frames)
    for t, frame in enumerate(frames):
        levels = frame.astype(np.float32)
        base = cv2.GaussianBlur(levels, (0, 0), max(1.0, width / 80))
        detail = levels - base
        rough = np.sqrt(cv2.GaussianBlur((detail**2).mean(axis=2), (0, 0), max(1.0, width / 60)))
        new = texture(height, width, rng, slope=0.6) * rough
        out[t] = _bytes(base + (1 - severity) * detail + severity * new[..., None])
    return out


def collapsed(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Let a part of the picture melt, halfway, for an eighth of a second. severity: the part, 0 to 1 of the picture."""
    rng = np.random.default_rng(seed)
    height, width = frames.shape[1:3]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = np.sqrt(severity * height * width / np.pi)
    reach = np.minimum(radius, np.array([width, height]) / 2)
    middle = rng.uniform(reach, np.array([width, height]) - reach)
    cover = np.clip(radius - np.hypot(x - middle[0], y - middle[1]) + 0.5, 0, 1)[..., None]
    out = frames.copy()
    start = len(frames) // 2
    for t in range(start, min(len(frames), start + max(1, round(fps / 8)))):
        melted = _warped(frames[t], *(0.08 * width * _waves((height, width), rng) for _ in range(2)))
        out[t] = _bytes(frames[t] + cover * (melted.astype(np.float32) - frames[t]))
    return out


def repeated(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Show the frame before once more in the place of some. severity: the share of frames, 0 to 0.5."""
    out = frames.copy()
    for t in _scattered(len(frames), severity, seed):
        out[t] = frames[t - 1]
    return out


def dropped(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Leave frames out and close the gaps: fewer come back. severity: the share of frames, 0 to 0.5."""
    return np.delete(frames, _scattered(len(frames), severity, seed), axis=0)


def frozen(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Hold the picture to the end. severity: the share of the running time that is held, 0 to 1."""
    out = frames.copy()
    first = len(frames) - round(severity * len(frames))
    out[first:] = frames[max(0, first - 1)]
    return out


# --- what they share ---


def _bytes(levels: NDArray[np.floating]) -> UInt8:
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)


def _table(frames: UInt8, levels: NDArray[np.floating]) -> UInt8:
    """Every level of 0 to 255 through a table (256,)."""
    return np.asarray(_bytes(levels)[frames])


def _centred(course: Float64) -> Float64:
    """A random course (T, n) with mean 0 and RMS 1 in each column, so that a severity is exact."""
    course = course - course.mean(axis=0)
    return np.asarray(course / np.maximum(np.sqrt(np.mean(course**2, axis=0)), 1e-9))


def _moved(frames: UInt8, shifts: Float64) -> UInt8:
    """Each frame shifted by (x, y) pixels, float64 (T, 2)."""
    out = np.empty_like(frames)
    for into, frame, (x, y) in zip(out, frames, shifts, strict=True):
        size = frame.shape[1::-1]
        matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
        into[...] = cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return out


def _waves(size: tuple[int, ...], rng: np.random.Generator) -> Float32:
    """A random field (H, W) of waves about a twelfth of the width long; mean 0, deviation 1."""
    height, width = size
    return texture(height, width, rng, slope=0.0, finest=max(1.0, width / 24))


def _warped(frame: UInt8, dx: NDArray[np.floating], dy: NDArray[np.floating]) -> UInt8:
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    at_x, at_y = (x + dx).astype(np.float32), (y + dy).astype(np.float32)
    warped = cv2.remap(frame, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.uint8)


def _scattered(count: int, share: float, seed: Seed) -> NDArray[np.int64]:
    """`share` of the frames, rounded, neither the first two nor the last, no two neighbours, in order."""
    wanted = min(round(share * count), max(0, (count - 2) // 2))
    rng = np.random.default_rng(seed)
    slack = count - 3 - max(0, 2 * wanted - 1)
    return np.asarray(2 + 2 * np.arange(wanted) + np.sort(rng.integers(0, slack + 1, wanted)), np.int64)

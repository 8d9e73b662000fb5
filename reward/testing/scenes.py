"""Moving scenes made in code: textured, lit and sharp like footage, with a camera path known to the last digit.

A scene is a wide painted canvas that a camera looks at. Everything is drawn at twice the size and averaged down, so
that a movement by a fraction of a pixel neither blurs nor sharpens the picture, as it does not on a sensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import cv2
import numpy as np

from cinereward.types import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

Move = Literal["static", "pan", "push", "roll", "handheld"]
Seed: TypeAlias = int | np.random.Generator

SPEEDS = {"static": 0.0, "pan": 0.1, "push": 0.1, "roll": 0.1, "handheld": 0.008}
FINER = 2  # pixels of the canvas to a pixel of the picture
SUBJECT = 0.24  # diameter of the subject, in widths


def camera_path(count: int, fps: float, move: Move, speed: float, seed: Seed = 0) -> Float64:
    """Where the camera stands at each frame.

    Args:
        count: frames.
        fps: frames per second.
        move: see `scene`. speed: see `scene`.
        seed: of the sway of "handheld".

    Returns:
        float64 (count, 4): x and y in widths, zoom as the logarithm of scale, roll in radians; all 0 in the middle
        of a steady movement.
    """
    if move not in SPEEDS:
        raise ValueError(f"move is {move!r}; expected one of {', '.join(SPEEDS)}")
    time = (np.arange(count) - (count - 1) / 2) / fps
    path = np.zeros((count, 4))
    if move == "handheld":
        rng = np.random.default_rng(seed)
        for axis, share in enumerate((1.0, 1.0, 0.3, 0.6)):
            for hertz in (0.25, 0.45, 0.7):
                phase = rng.uniform(0, 2 * np.pi)
                path[:, axis] += share * speed * np.sin(2 * np.pi * hertz * time + phase) / (1 + hertz)
    else:
        axis = {"static": 0, "pan": 0, "push": 2, "roll": 3}[move]
        path[:, axis] = speed * time
    return path


def scene(
    seconds: float = 1.5,
    fps: float = 24.0,
    size: tuple[int, int] = (128, 192),
    seed: Seed = 0,
    move: Move = "pan",
    *,
    speed: float | None = None,
    subject: float = 0.12,
    grain: float = 0.0,
    path: Float64 | None = None,
) -> UInt8:
    """Film a scene; another seed gives another place, another subject and another light.

    Args:
        seconds: duration; at least one frame is made. fps: frames per second.
        size: (height, width) in pixels.
        seed: an int or a NumPy generator.
        move: "static", "pan" (sideways), "push" (zoom in), "roll" (about the line of sight), or "handheld" (slow sway).
        speed: of the move: pan in widths / s, push in log scale / s (0.1: a tenth larger each second), roll in
            radians / s, handheld as the amplitude of the sway in widths; None: SPEEDS[move].
        subject: speed of the thing that crosses the scene, in widths / s; 0: there is none.
        grain: standard deviation of the film's grain, in levels. path: float64 (T, 4) as `camera_path` returns; in
            the place of `move` and `speed`.

    Returns:
        uint8 (T, H, W, 3), RGB, T = round(seconds * fps); luma lies within 12 to 243, so that nothing is clipped.
    """
    height, width = size
    if min(size) < 1 or seconds <= 0 or fps <= 0:
        raise ValueError(f"size {size}, {seconds} s at {fps} fps; expected positive numbers")
    rng = np.random.default_rng(seed)
    count = max(1, round(seconds * fps))
    if path is None:
        path = camera_path(count, fps, move, SPEEDS.get(move, 0.0) if speed is None else speed, rng)
    if path.shape != (count, 4):
        raise ValueError(f"path has shape {path.shape}; expected ({count}, 4): x, y, zoom, roll of every frame")
    reach = np.abs(path[:, :2]).max(axis=0) * width * 2
    wider = math.exp(max(0.0, -float(path[:, 2].min())))
    swing = 0.5 * float(np.abs(np.sin(path[:, 3])).max())
    canvas = paint(
        math.ceil(FINER * (height * wider + reach[1] + swing * width * 2 + 8)),
        math.ceil(FINER * (width * wider + reach[0] + swing * height * 2 + 8)),
        FINER * width,
        rng,
    )
    sprite, alpha = _subject(round(FINER * SUBJECT * width), rng)
    course = _course(count, fps, subject, height / width, rng)
    frames = np.empty((count, height, width, 3), np.uint8)
    for t in range(count):
        picture = _look(canvas, path[t], (0.0, 0.0), width, height, cv2.BORDER_REFLECT_101)
        if subject > 0:
            cover = _look(alpha, path[t], course[t], width, height, cv2.BORDER_CONSTANT)[..., None]
            thing = _look(sprite, path[t], course[t], width, height, cv2.BORDER_REPLICATE)
            picture = picture + cover * (thing - picture)
        levels = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float64)
        if grain > 0:
            levels += rng.normal(0, grain, (height, width, 1))
        frames[t] = np.clip(np.rint(levels), 0, 255)
    return frames


def shots(takes: Sequence[UInt8], fps: float = 24.0) -> tuple[UInt8, Float64]:
    """Join takes by hard cuts.

    Args:
        takes: uint8 (T, H, W, 3) each, of one size.
        fps: frames per second.

    Returns:
        frames uint8 (sum of T, H, W, 3); cuts float64 (len(takes) - 1,), seconds at which a new shot begins.
    """
    sizes = {take.shape[1:] for take in takes}
    if len(sizes) != 1:
        raise ValueError(f"takes of sizes {sorted(sizes)}; expected at least one, all of one size")
    return np.concatenate(list(takes)), np.cumsum([len(take) for take in takes])[:-1] / fps


def clip(frames: Any, fps: float = 24.0, **arguments: Any) -> Clip:
    """A Clip of frames (T, H, W, 3), an array or a tensor; further arguments are Clip's."""
    return Clip(frames, fps=fps, layout="THWC", **arguments)


def texture(height: int, width: int, rng: np.random.Generator, *, slope: float = 1.0, finest: float = 1.0) -> Float32:
    """Noise whose amplitude falls with frequency as f ** -slope, as it does in photographs; mean 0, deviation 1.

    Args:
        height, width: in pixels. rng: the generator.
        slope: 0 is white, 1 is natural, 2 is soft.
        finest: detail shorter than twice this many pixels is left out.

    Returns:
        float32 (height, width).
    """
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = 1.0
    amplitude = frequency**-slope * np.exp(-((frequency * finest / 0.4) ** 4))
    amplitude[0, 0] = 0.0
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) * amplitude
    noise = np.fft.irfft2(spectrum, s=(height, width))
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-9), np.float32)


def paint(height: int, width: int, unit: int, rng: np.random.Generator) -> Float32:
    """A place: light that falls off, rough ground, a smooth part, and things with clean edges.

    Args:
        height, width: of the canvas, in pixels. unit: pixels that make one width of the picture. rng: the generator.

    Returns:
        float32 (height, width, 3), levels within 12 to 243.
    """
    y, x = np.mgrid[:height, :width].astype(np.float32) / unit
    angle = rng.uniform(0, 2 * np.pi)
    slant = np.cos(angle) * x + np.sin(angle) * y
    slant = (slant - slant.mean()) / max(float(np.ptp(slant)), 1e-6)
    rough = 1 / (1 + np.exp(-30 * (slant + 0.12 * texture(height, width, rng, slope=1.8))))
    detail = texture(height, width, rng, finest=FINER)
    tint = rng.uniform(-28, 28, (2, 3)).astype(np.float32)
    light = 118 + 95 * slant + 9 * texture(height, width, rng, slope=2.0)
    canvas = light[..., None] + tint[0] + rough[..., None] * (tint[1] - tint[0] + 27 * detail[..., None])
    for _ in range(max(8, round(16 * height * width / (0.67 * unit * unit)))):
        _place(canvas, detail, unit, rng)
    return np.asarray(128 + 115 * np.tanh((canvas - 128) / 95), np.float32)


def _place(canvas: Float32, detail: Float32, unit: int, rng: np.random.Generator) -> None:
    """Put one thing, a polygon or an ellipse with its own colour and roughness, into the canvas."""
    height, width = canvas.shape[:2]
    centre = rng.uniform(0, (width, height))
    radius = unit * rng.uniform(0.03, 0.13)
    corners = int(rng.integers(3, 7)) if rng.random() < 0.7 else 40
    around = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners < 40 else np.linspace(0, 2 * np.pi, corners)
    outline = centre + radius * np.stack([np.cos(around), rng.uniform(0.5, 1.0) * np.sin(around)], axis=1)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    colour = (128 + rng.uniform(-120, 120) + rng.uniform(-30, 30, 3)).astype(np.float32)
    inside = cv2.boundingRect(mask)
    rows, columns = slice(inside[1], inside[1] + inside[3]), slice(inside[0], inside[0] + inside[2])
    cover = mask[rows, columns, None].astype(np.float32) / 255
    fill = colour + rng.choice([0.0, 8.0, 20.0]) * detail[rows, columns, None]
    canvas[rows, columns] += cover * (fill - canvas[rows, columns])


def _subject(side: int, rng: np.random.Generator) -> tuple[Float32, Float32]:
    """A round textured thing: float32 (side, side, 3) levels, and (side, side) how much of it covers."""
    side = max(side, 4)
    y, x = (np.mgrid[:side, :side].astype(np.float32) + 0.5) / side * 2 - 1
    radius = np.hypot(x, y)
    cover = np.clip((0.92 - radius) * side / 2 + 0.5, 0, 1)
    shade = 40 * np.sqrt(np.clip(1 - radius**2, 0, 1)) - 30 * (x + y)
    colour = (118 + rng.uniform(-30, 30, 3)).astype(np.float32)
    levels = colour + (shade + 22 * texture(side, side, rng, finest=FINER))[..., None]
    return np.asarray(np.clip(levels, 14, 241), np.float32), np.asarray(cover, np.float32)


def _course(count: int, fps: float, speed: float, aspect: float, rng: np.random.Generator) -> Float64:
    """The subject's place at each frame, float64 (count, 2), in widths from the middle of the scene."""
    time = (np.arange(count) - (count - 1) / 2) / fps
    direction = rng.uniform(-0.4, 0.4) + (np.pi if rng.random() < 0.5 else 0)
    start = rng.uniform(-0.15, 0.15, 2) * (1, aspect)
    return np.asarray(start + time[:, None] * speed * np.array([np.cos(direction), np.sin(direction) * 0.5]))


def _look(
    plane: Float32, pose: Float64, at: Sequence[float] | Float64, width: int, height: int, border: int
) -> Float32:
    """What the camera sees of a plane that stands `at` (widths): float32 (FINER * height, FINER * width, ...)."""
    x, y, zoom, roll = pose
    scale = math.exp(-zoom)
    turn = scale * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    middle = (np.array(plane.shape[1::-1]) - 1) / 2
    unit = FINER * width
    seen = (np.array([FINER * width, FINER * height]) - 1) / 2
    shift = middle + (np.array([x, y]) - np.asarray(at)) * unit - turn @ seen
    matrix = np.hstack([turn, shift[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (FINER * width, FINER * height)
    return np.asarray(cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=border), np.float32)

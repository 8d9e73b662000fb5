"""Faults of light, colour and style put into finished frames; none changes its input.

As in faults.py: `fault(frames, severity, *, fps=24.0, seed=0)`, frames uint8 (T, H, W, 3), RGB, in and out. Colours are
changed in CIELAB (D65, sRGB primaries); light in stops, as factors of linear luminance (gamma 2.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from cinereward.testing.scenes import Seed, texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    UInt8 = NDArray[np.uint8]

GAMMA = 2.2
PULSE = 1.2  # Hz
LAMP = 0.16  # reach of the lamp, in widths
FINE, COARSE = 1 / 40, 1 / 8  # of the width: between them lies the light that gives roundness
STRANGERS = (1.4, -1.2, 2.5, -2.3)  # radians from the mean hue
FOREIGN = 38.0  # least chroma of a stranger, in CIELAB units

# --- light ---


def light_jumped(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Switch the light, once, halfway, from one frame to the next, for good: up or down. severity: in stops."""
    sign = 1 if np.random.default_rng(seed).random() < 0.5 else -1
    half = len(frames) // 2
    return np.concatenate([frames[:half], _lit(frames[half:], sign * severity)])


def lamp_pulsing(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Let a part of the picture glow and dim by itself. severity: how far to either side of its level, in stops."""
    rng = np.random.default_rng(seed)
    height, width = frames.shape[1:3]
    y, x = np.mgrid[:height, :width]
    middle = rng.uniform(0.25, 0.75, 2) * (width, height)
    reach = np.hypot(x - middle[0], y - middle[1]) / (LAMP * width)
    cover = np.exp(-0.5 * (reach / 0.6) ** 4)[..., None]
    phase = rng.uniform(0, 2 * np.pi)
    swing = severity * np.sin(2 * np.pi * PULSE * np.arange(len(frames)) / fps + phase)
    return np.stack([_bytes(frame * 2 ** (cover * stops / GAMMA)) for frame, stops in zip(frames, swing, strict=True)])


def unmodelled(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Even out light and shade at the size of things, as flat light does. severity: the share taken away, 0 to 1."""
    width = frames.shape[2]
    out = np.empty_like(frames)
    for into, frame in zip(out, frames, strict=True):
        stops = np.log2(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) + 8)
        fine, coarse = (cv2.GaussianBlur(stops, (0, 0), max(0.5, share * width)) for share in (FINE, COARSE))
        into[...] = _bytes((frame + 8.0) * 2 ** (severity * (coarse - fine))[..., None] - 8)
    return out


# --- colour ---


def tinted(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Shift every colour towards one hue, greys too. severity: how far, in CIELAB units.

    The hue never lies against the picture's own mean colour: that would take a cast away.
    """
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    shift = severity * np.array([0, np.cos(angle), np.sin(angle)], np.float32)
    if float(_lab(frames[len(frames) // 2]).mean(axis=(0, 1)) @ shift) < 0:
        shift = -shift
    return np.stack([_rgb(_lab(frame) + shift) for frame in frames])


def oversaturated(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Drive all colours up. severity: the gain of chroma, above 1."""
    return np.stack([_rgb(_lab(frame) * np.array([1, severity, severity], np.float32)) for frame in frames])


def desaturated(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Wash all colours out. severity: the share of chroma that is left, where less is worse."""
    return oversaturated(frames, severity)


def clashing(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Paint patches of the picture in four hues foreign to it. severity: the share of the picture, 0 to 1."""
    rng = np.random.default_rng(seed)
    height, width = frames.shape[1:3]
    field = texture(height, width, rng, slope=1.6, finest=max(1.0, width / 30))
    edge = float(np.quantile(field, 1 - severity))
    cover = cv2.GaussianBlur((field > edge).astype(np.float32), (0, 0), max(0.5, width / 300))[..., None]
    quarters = [texture(height, width, rng, slope=2.0, finest=max(1.0, width / 10)) > 0 for _ in range(2)]
    middle = _lab(frames[len(frames) // 2])[..., 1:].reshape(-1, 2)
    own = float(np.arctan2(*(middle * np.hypot(*middle.T)[:, None]).sum(axis=0)[::-1]))
    left, upper = quarters
    a, b, c, d = STRANGERS
    angles = own + np.where(left, np.where(upper, a, b), np.where(upper, c, d))
    hue = np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)
    out = np.empty_like(frames)
    for into, frame in zip(out, frames, strict=True):
        lab = _lab(frame)
        chroma = np.maximum(np.hypot(lab[..., 1], lab[..., 2]), FOREIGN)[..., None]
        painted = _rgb(np.concatenate([lab[..., :1], hue * chroma], axis=-1)).astype(np.float32)
        into[...] = _bytes(frame + cover * (painted - frame))
    return out


def colour_jumped(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Change the white balance, once, halfway, from one frame to the next, for good. severity: in CIELAB units."""
    half = len(frames) // 2
    return np.concatenate([frames[:half], tinted(frames[half:], severity, seed=seed)])


# --- style ---


def restyled(frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
    """Turn the picture, little by little, into a painted one. severity: the share of that by the end, 0 to 1."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    shares = severity * np.linspace(0, 1, len(frames))
    out = np.empty_like(frames)
    for into, frame, share in zip(out, frames, shares, strict=True):
        into[...] = _bytes(frame + share * (_painted(frame, angle).astype(np.float32) - frame))
    return out


def _painted(frame: UInt8, angle: float) -> UInt8:
    """The frame in flat strokes, hard contrast, dark outlines and a narrow palette."""
    flat = frame
    for _ in range(2):
        flat = np.asarray(cv2.bilateralFilter(flat, 9, 40, 5), np.uint8)
    lab = _lab(flat)
    level = 50 + 60 * np.tanh((lab[..., :1] - 50) / 36)
    level = (np.rint(level / 12) * 12).astype(np.float32)
    tone = 14 * np.array([np.cos(angle), np.sin(angle)], np.float32)
    painted = _rgb(np.concatenate([level, 1.5 * lab[..., 1:] + tone * (1 - level / 100)], axis=-1))
    grey = cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY).astype(np.float32)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return _bytes(painted * (1 - 0.7 * np.clip(slope / 160, 0, 1))[..., None])


# --- what they share ---


def _lab(frame: UInt8) -> Float32:
    return np.asarray(cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def _rgb(lab: Float32) -> UInt8:
    return _bytes(cv2.cvtColor(np.ascontiguousarray(lab, np.float32), cv2.COLOR_LAB2RGB) * 255.0)


def _lit(frames: UInt8, stops: float) -> UInt8:
    """The frames under `stops` more light."""
    return np.asarray(_bytes(np.arange(256) * 2 ** (stops / GAMMA))[frames], np.uint8)


def _bytes(levels: NDArray[np.floating]) -> UInt8:
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)

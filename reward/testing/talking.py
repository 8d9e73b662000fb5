"""A face that speaks, made in code: the voice is synthesised, and the mouth opens as the voice says.

The face is a warped photograph in the public domain that comes with scikit-image (NASA's portrait of Eileen
Collins), so that face cascades find it. Nothing is downloaded.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from cinereward.testing.scenes import Seed, paint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

OPENING_RATE = 200  # values a second of how far the mouth is open
SHARES = ((1.0,), (0.58, 0.42), (0.38, 0.26, 0.36), (0.3, 0.19, 0.29, 0.22))  # of the running time, by shots
FRAMINGS = ((0.86, 0.46, 0.5), (1.12, 0.54, 0.53), (0.66, 0.36, 0.44), (0.98, 0.6, 0.52))  # scale; place of the face
ROOM = 0.0006  # RMS of a quiet room's tone
VOICE = 0.08  # RMS of the voice where it speaks
LEADS = 0.02  # s by which the mouth moves before it is heard


class Phone(NamedTuple):
    """A sound of speech: resonances in Hz, mouth's opening, voicing, hiss, and the band of the hiss in Hz."""

    formants: tuple[float, float, float]
    opening: float
    voiced: float
    hiss: float = 0.0
    band: tuple[float, float] = (2000.0, 6000.0)


# Formants of the vowels: "Control methods used in a study of the vowels", Peterson & Barney, 1952.
VOWELS = (
    Phone((730, 1090, 2440), 1.0, 1.0),
    Phone((660, 1720, 2410), 0.85, 0.95),
    Phone((530, 1840, 2480), 0.6, 0.85),
    Phone((270, 2290, 3010), 0.35, 0.7),
    Phone((570, 840, 2410), 0.65, 0.85),
    Phone((300, 870, 2240), 0.25, 0.65),
    Phone((500, 1500, 2500), 0.5, 0.8),
)
CONSONANTS = (
    Phone((250, 900, 2200), 0.0, 0.25),  # m
    Phone((250, 900, 2200), 0.0, 0.05),  # b, p
    Phone((300, 1700, 2600), 0.15, 0.05, 0.25, (3000.0, 7000.0)),  # t, d
    Phone((300, 1900, 2400), 0.2, 0.05, 0.2, (1500.0, 4000.0)),  # k, g
    Phone((300, 1700, 2600), 0.12, 0.02, 0.5, (4500.0, 10000.0)),  # s
    Phone((300, 1800, 2500), 0.2, 0.02, 0.5, (2200.0, 7000.0)),  # sh
    Phone((300, 1200, 2300), 0.06, 0.05, 0.2, (1500.0, 10000.0)),  # f, v
    Phone((350, 1300, 2700), 0.25, 0.45),  # l
    Phone((280, 1600, 2500), 0.15, 0.3),  # n
)
REST = Phone((500, 1500, 2500), 0.02, 0.0)


def speech(seconds: float, rate: int = 48_000, seed: Seed = 0) -> tuple[Float32, Float64]:
    """Speak: syllables, words and pauses of a formant synthesiser that voice detectors take for speech.

    Args:
        seconds: duration. rate: samples a second. seed: of the voice and of what it says.

    Returns:
        samples: float32 (round(seconds * rate),), about -23 dB RMS where it speaks, with a quiet room's tone.
        opening: float64 (N,) in [0, 1], how far the mouth is open, OPENING_RATE values a second; value k stands at
        k / OPENING_RATE s. A pause closes it.

    Source: "Software for a cascade/parallel formant synthesizer", Klatt, 1980: a source, resonances and shaped noise.
    """
    if seconds <= 0 or rate < 8_000:
        raise ValueError(f"{seconds} s at {rate} Hz; expected more than 0 s and at least 8000 Hz")
    rng = np.random.default_rng(seed)
    count = int(np.ceil(seconds * OPENING_RATE)) + 1
    plan = _utterance(count, rng)
    formants = _eased(np.array([sound.formants for sound in plan], np.float64), 0.02)
    opening = _eased(np.array([sound.opening for sound in plan]), 0.03)
    voiced = _eased(np.array([sound.voiced for sound in plan]), 0.014)
    grid, at = np.arange(count) / OPENING_RATE, np.arange(round(seconds * rate)) / rate
    pitch = rng.uniform(110, 205)
    track = pitch * np.exp(_eased(rng.normal(0, 1.0, count), 0.08) * 0.5 + 0.1 * (opening - 0.5))
    voice = _voice(formants * (0.9 + 0.15 * (pitch > 150)), voiced, track, grid, at)
    breath = np.interp(at, grid, voiced) * _noise(len(at), (1500.0, 0.45 * rate), rate, rng)
    samples = voice / max(float(np.sqrt(np.mean(voice**2))), 1e-9) + 0.03 * breath
    for band in sorted({sound.band for sound in plan if sound.hiss}):
        loud = _eased(np.array([sound.hiss * (sound.band == band) for sound in plan]), 0.008)
        samples += np.interp(at, grid, loud) * _noise(len(at), band, rate, rng)
    talk = np.interp(at, grid, _eased(np.array([float(sound is not REST) for sound in plan]), 0.05)) > 0.5
    level = float(np.sqrt(np.mean(samples[talk] ** 2))) if talk.any() else 1.0
    samples = VOICE * samples / max(level, 1e-9) + ROOM * _noise(len(at), (40.0, 4000.0), rate, rng)
    return np.asarray(np.clip(samples, -0.98, 0.98), np.float32), np.clip(opening, 0.0, 1.0)


def talking(
    seconds: float,
    fps: float = 24.0,
    size: tuple[int, int] = (240, 426),
    seed: Seed = 0,
    shots: int = 1,
    *,
    rate: int = 48_000,
    ambience: float = 0.0,
) -> tuple[UInt8, Float32, int]:
    """Film somebody who speaks: head sway, blinks, and a mouth in step with the voice, before a blurred place.

    Args:
        seconds: duration. fps: frames per second. size: (height, width) in pixels.
        seed: of the voice, the place and the movements.
        shots: 1 to 4 framings of the same place in one light, joined by hard cuts at `talking_cuts`.
        rate: samples a second. ambience: RMS of a murmur beneath the voice (RMS 0.08); 0: there is only a quiet room.

    Returns:
        frames: uint8 (T, H, W, 3), RGB, T = round(seconds * fps). samples: float32 (N,), mono. rate: as given.
    """
    if min(size) < 16 or fps <= 0:
        raise ValueError(f"size {size} at {fps} fps; expected at least 16 pixels each way and more than 0 fps")
    said, moved, placed = np.random.default_rng(seed).spawn(3)
    samples, opening = speech(seconds, rate, said)
    if ambience > 0:
        at = np.arange(len(samples)) / rate
        swell = 1 + 0.25 * np.sin(2 * np.pi * 0.13 * at + moved.uniform(0, 6))
        samples = np.clip(samples + ambience * swell * _noise(len(at), (60.0, 1800.0), rate, moved), -0.98, 0.98)
    count = max(1, round(seconds * fps))
    times = np.arange(count) / fps
    mouth = np.interp(times + LEADS, np.arange(len(opening)) / OPENING_RATE, opening)
    lids, sway = _blinks(times, moved), _sway(times, moved)
    height, width = size
    place = 0.8 * paint(2 * height, 2 * width, width, placed) + 12
    canvas: Float32 = np.asarray(cv2.GaussianBlur(place, (0, 0), width / 45), np.float32)
    edges = [*np.rint(talking_cuts(seconds, shots) * fps).astype(int), count]
    frames = np.empty((count, height, width, 3), np.uint8)
    for t in range(count):
        framing = FRAMINGS[int(np.searchsorted(edges, t, side="right"))]
        frames[t] = _frame(canvas, framing, size, float(mouth[t]), float(lids[t]), sway[t])
    return frames, np.asarray(samples, np.float32), rate


def talking_cuts(seconds: float, shots: int) -> Float64:
    """When the shots of `talking` begin, without the first: float64 (shots - 1,), in s."""
    if not 1 <= shots <= len(SHARES):
        raise ValueError(f"{shots} shots; expected 1 to {len(SHARES)}")
    return np.asarray(seconds * np.cumsum(SHARES[shots - 1])[:-1])


# --- the voice ---


def _utterance(count: int, rng: np.random.Generator) -> list[Phone]:
    """What is said, one sound for every value of the opening: phrases of syllables, and pauses."""
    plan = [REST] * round(OPENING_RATE * rng.uniform(0.12, 0.3))
    while len(plan) < count:
        for _ in range(int(rng.integers(4, 11))):
            consonant = CONSONANTS[rng.integers(len(CONSONANTS))]
            vowel = VOWELS[rng.integers(len(VOWELS))]
            plan += [consonant] * round(OPENING_RATE * rng.uniform(0.05, 0.09))
            plan += [vowel] * round(OPENING_RATE * rng.uniform(0.09, 0.2))
        plan += [REST] * round(OPENING_RATE * rng.choice([0.16, 0.3, 0.55], p=[0.4, 0.35, 0.25]))
    return plan[:count]


def _eased(values: Float64, sigma: float) -> Float64:
    """Steps smoothed by a bell of `sigma` seconds, along the first axis."""
    reach = max(1, round(3 * sigma * OPENING_RATE))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (sigma * OPENING_RATE)) ** 2)
    columns = values.reshape(len(values), -1).T
    padded = [np.pad(column, reach, mode="edge") for column in columns]
    return np.stack([np.convolve(column, bell / bell.sum(), "valid") for column in padded], axis=1).reshape(
        values.shape
    )


def _voice(formants: Float64, loud: Float64, pitch: Float64, grid: Float64, at: Float64) -> Float64:
    """Harmonics of the pitch, each as loud as the resonances let it be: float64 (N,)."""
    phase = 2 * np.pi * np.cumsum(np.interp(at, grid, pitch)) * (at[1] - at[0] if len(at) > 1 else 0.0)
    out = np.zeros(len(at))
    resonances: list[tuple[Any, float]] = [
        *((formants[:, i], width) for i, width in enumerate((70.0, 100.0, 160.0))),
        (3400.0, 250.0),
    ]
    for harmonic in range(1, int(7_000 / pitch.min()) + 1):
        hertz = harmonic * pitch
        gain = loud * (hertz < min(7_000, 0.5 / (at[1] - at[0]) if len(at) > 1 else 0)) / harmonic
        for centre, width in resonances:
            gain = gain * centre**2 / np.hypot(centre**2 - hertz**2, width * hertz)
        out += np.interp(at, grid, gain) * np.sin(harmonic * phase)
    return out


def _noise(count: int, band: tuple[float, float], rate: int, rng: np.random.Generator) -> Float64:
    """Noise of RMS 1 between two frequencies, with soft flanks."""
    hertz = np.fft.rfftfreq(count, 1 / rate)
    low, high = band[0], min(band[1], 0.48 * rate)
    shape = 1 / np.sqrt((1 + (low / np.maximum(hertz, 1e-3)) ** 6) * (1 + (hertz / high) ** 6))
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * shape, count)
    return np.asarray(noise / max(float(np.sqrt(np.mean(noise**2))), 1e-12))


# --- the face; pixels of the photograph ---

FACE = (222.5, 118.0)
MOUTH, LIPS, TEETH = (222.5, 142.0), 20.0, 7.0  # middle of the upper lip's edge; half the width; height
LOWEST, HIGHEST = -6.8, 8.5  # how far the lower lip is moved where the mouth is shut, and where it is wide open
EYES = ((203.0, 100.5), (247.0, 102.5))
NECK = (222.5, 200.0)
OUTLINE = (
    "155 90,159 60,175 35,200 20,230 15,265 24,290 48,301 80,300 100,292 120,280 133,270 138,262 160,256 174,"
    "280 190,300 220,305 240,325 245,345 270,357 310,365 345,385 344,415 345,450 365,480 405,495 450,505 480,"
    "503 530,20 530,20 400,30 350,42 300,65 250,112 205,115 185,128 163,150 150,182 149,180 133,170 128,"
    "167 115,159 107"
)


@cache
def _portrait(scale: float = 1.0) -> tuple[Float32, Float32]:
    """The photograph, float32 (512, 512, 3) or smaller, and where in it the person is, float32 in [0, 1]."""
    from skimage.data import astronaut

    outline = np.array([[float(x) for x in point.split()] for point in OUTLINE.split(",")])
    mask = np.zeros((512, 512), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    soft = np.clip(2 * cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 2.0) - 1, 0, 1)  # inside the outline
    photo = np.asarray(astronaut(), np.float32)  # type: ignore[no-untyped-call]  # scikit-image has no types
    side = round(512 * scale)
    if scale < 1:
        small = [cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in (photo, soft)]
        photo, soft = (np.asarray(plane, np.float32) for plane in small)
    return photo, np.asarray(soft, np.float32)


def _blinks(times: Float64, rng: np.random.Generator) -> Float64:
    """How far the lids are shut, 0 to 1: a blink of 0.25 s every 2 to 5 s."""
    shut, at = np.zeros(len(times)), rng.uniform(0.6, 2.5)
    while at < times[-1] + 0.2:
        shut = np.maximum(shut, np.clip(1.6 * (1 - np.abs(times - at) / 0.14), 0, 1))
        at += rng.uniform(2, 5)
    return shut


def _sway(times: Float64, rng: np.random.Generator) -> Float64:
    """Head: turn in radians, x, y; body: x, y in pixels of the photograph: float64 (T, 5)."""
    out = np.zeros((len(times), 5))
    for column, swing in enumerate((0.035, 2.2, 1.6, 2.5, 1.0)):
        for hertz in (0.23, 0.51, 1.1):
            out[:, column] += swing / (1 + 2 * hertz) * np.sin(2 * np.pi * hertz * times + rng.uniform(0, 2 * np.pi))
    return out


def _frame(
    canvas: Float32,
    framing: tuple[float, float, float],
    size: tuple[int, int],
    opening: float,
    lids: float,
    sway: Float64,
) -> UInt8:
    """One frame: the place, and before it the person."""
    height, width = size
    scale = framing[0] * height / 240
    y, x = np.mgrid[:height, :width].astype(np.float32)
    turn, head_x, head_y, body_x, body_y = (float(value) for value in sway)
    x = (x - framing[1] * width) / scale + (FACE[0] - body_x)
    y = (y - framing[2] * height) / scale + (FACE[1] - body_y)
    stays = 1 - _step((y - 160) / 55)
    cos, sin = math.cos(turn), math.sin(turn)
    across, up = x - (NECK[0] + head_x), y - (NECK[1] + head_y)
    x = x + stays * (cos * across + sin * up + NECK[0] - x)
    y = y + stays * (cos * up - sin * across + NECK[1] - y)
    y = _blinked(x, y, lids)
    person, cover = _spoken(x, y, opening, min(1.0, scale))
    zoom = 1 + 0.4 * (framing[0] - 0.66)
    middle = (np.array(canvas.shape[1::-1]) - 1) / 2 + (np.array([0.5, 0.5]) - framing[1:]) * width * 0.2
    shift = middle - 1 / zoom * np.array([width / 2, height / 2]) - sway[3:] * 0.5
    matrix = np.array([[1 / zoom, 0, shift[0]], [0, 1 / zoom, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    place = cv2.warpAffine(canvas, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(np.clip(np.rint(place + cover[..., None] * (person - place)), 0, 255), np.uint8)


def _step(x: NDArray[np.floating]) -> Float32:
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def _blinked(x: Float32, y: Float32, lids: float) -> Float32:
    """Where each point's skin comes from with the lids let down: y of the photograph."""
    if lids <= 0:
        return y
    for eye_x, eye_y in EYES:
        across = np.clip(1 - ((x - eye_x) / 12) ** 2, 0, 1)
        top = eye_y - 4 * across
        edge = top + 8 * lids * across
        y = np.where((y >= top) & (y < edge), top - 0.5 * (edge - y), y)
    return y


def _spoken(x: Float32, y: Float32, opening: float, scale: float) -> tuple[Float32, Float32]:
    """The person with the mouth open by `opening`, and where in the frame they are.

    Args:
        x, y: where each pixel lies in the photograph, float32 (H, W). scale: pixels of the frame to one of it, up to 1.
    """
    photo, mask = _portrait(scale)
    scale = len(photo) / 512
    down = LOWEST + opening * (HIGHEST - LOWEST)
    u, v = x - MOUTH[0], y - MOUTH[1] + 2 * ((x - MOUTH[0]) / LIPS) ** 2
    lips = np.clip(1 - (u / LIPS) ** 2, 0, 1)
    chin = 0.75 * np.cos(np.clip(u / 46, -1, 1) * np.pi / 2) ** 2
    jaw = _step((v - 9) / 20)
    moved = down * (lips + jaw * (chin - lips)) * (1 - _step((v - 30) / 34)) * (v > 0)
    moved = moved.astype(np.float32)

    def seen(plane: Float32, y: Float32) -> Float32:
        at_x, at_y = ((scale * (at + 0.5) - 0.5).astype(np.float32) for at in (x, y))
        return np.asarray(cv2.remap(plane, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    upper, lower = seen(photo, y), seen(photo, y - moved)
    edge = (TEETH + 1 + down) * lips  # where the lower lip begins
    throat = np.array([52, 20, 22], np.float32) + 26 * np.clip(1 - v / 12, 0, 1)[..., None]
    dark = (_step((v - (TEETH - 1.5) * lips) / 2) * (np.abs(u) < LIPS))[..., None]
    upper = upper + dark * (throat - upper)
    below = _step((v - edge) / 1.6 + 0.5)[..., None]
    return upper + below * (lower - upper), seen(mask, y - moved)

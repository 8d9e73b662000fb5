"""The talking clip: what it says, when the mouth opens, and that a face is found in it."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from cinereward.media.features import Features
from cinereward.testing.talking import OPENING_RATE, speech, talking, talking_cuts

FPS = 12.0


@cache
def take(seed: int = 0, shots: int = 1) -> tuple[np.ndarray, np.ndarray, int]:
    return talking(3.0, FPS, seed=seed, shots=shots, rate=16_000)


def envelope(samples: np.ndarray, rate: int) -> np.ndarray:
    """RMS of the sound about each value of the opening."""
    at = np.arange(int(len(samples) / rate * OPENING_RATE)) * rate // OPENING_RATE
    power = np.convolve(samples.astype(np.float64) ** 2, np.ones(rate // 50) / (rate // 50), "same")
    return np.sqrt(power[at])


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_speech_has_the_length_that_is_asked_for(rate: int) -> None:
    samples, opening = speech(1.3, rate)
    assert (samples.dtype, len(samples)) == (np.float32, round(1.3 * rate))
    assert len(opening) >= 1.3 * OPENING_RATE
    assert np.abs(samples).max() < 1
    assert opening.min() >= 0
    assert opening.max() <= 1


@pytest.mark.parametrize("seed", range(4))
def test_the_mouth_opens_as_the_voice_swells(seed: int) -> None:
    samples, opening = speech(6.0, 16_000, seed)
    loud = envelope(samples, 16_000)
    together = np.corrcoef(loud, opening[: len(loud)])[0, 1]
    assert together > 0.6
    for late in (40, 60, 100):  # 0.2 s and more
        assert np.corrcoef(np.roll(loud, late), opening[: len(loud)])[0, 1] < together - 0.3


def test_pauses_are_quiet_and_shut_the_mouth() -> None:
    samples, opening = speech(6.0, 16_000, 2)
    loud = envelope(samples, 16_000)
    quiet = loud < 0.002
    assert 0.03 < quiet.mean() < 0.5
    assert np.quantile(opening[: len(loud)][quiet], 0.9) < 0.2


def test_speech_lies_where_voices_do() -> None:
    samples, _ = speech(4.0, 16_000, 1)
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / 16_000)
    assert power[(hertz > 100) & (hertz < 4000)].sum() > 0.8 * power.sum()


def test_a_seed_gives_the_same_clip_and_another_seed_another() -> None:
    np.testing.assert_array_equal(speech(1.0, seed=3)[0], speech(1.0, seed=3)[0])
    assert not np.array_equal(speech(1.0, seed=3)[0], speech(1.0, seed=4)[0])


def test_a_talking_clip_has_the_shape_that_is_asked_for() -> None:
    frames, samples, rate = talking(0.5, 10, (64, 96), rate=8_000)
    assert (frames.shape, frames.dtype) == ((5, 64, 96, 3), np.uint8)
    assert (len(samples), rate) == (4_000, 8_000)


@pytest.mark.parametrize("shots", [1, 4])
def test_a_face_is_found_in_every_shot(shots: int) -> None:
    faces = Features(take(0, shots)[0], 0, 0, FPS, None)["faces"]
    assert all(len(boxes) >= 1 for boxes in faces.values())


def test_shots_are_cut_where_it_says() -> None:
    frames = take(0, 3)[0].astype(np.int16)
    steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    found = np.sort(np.argsort(steps)[-2:]) + 1
    np.testing.assert_array_equal(found, np.rint(talking_cuts(3.0, 3) * FPS))
    assert np.sort(steps)[-2] > 5 * np.sort(steps)[-3]


def test_the_mouth_moves_and_the_forehead_does_not() -> None:
    frames = take(1)[0]
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]).astype(np.float64)
    moving = np.abs(np.diff(grey, axis=0)).mean(axis=0)
    mouth, nose = moving[138:150, 180:212], moving[116:128, 188:204]  # the face is at (196, 120), 0.86 of its size
    assert mouth.mean() > 1.5 * nose.mean()


def test_ambience_fills_the_pauses() -> None:
    quiet, loud = (talking(1.0, 4, (32, 48), ambience=level, rate=8_000)[1] for level in (0.0, 0.02))
    assert np.abs(loud[:600]).mean() > 5 * np.abs(quiet[:600]).mean()


@pytest.mark.parametrize("asked", [{"shots": 5}, {"shots": 0}, {"size": (8, 8)}, {"fps": 0}, {"seconds": 0}], ids=str)
def test_what_cannot_be_made_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        talking(**{"seconds": 1.0, **asked})  # type: ignore[arg-type]

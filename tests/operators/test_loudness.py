"""Loudness against the EBU's own cases, whose answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cinereward.operators.loudness import Loudness
from cinereward.testing import OperatorConformance, clip, measure
from cinereward.types import Clip, Evidence

RATE = 48_000
FPS = 4.0
TONE = 1_000.0


def heard(sound: NDArray[np.floating] | None, rate: int = RATE, seconds: float | None = None) -> Evidence:
    """The evidence on sound beneath black frames."""
    if seconds is None:
        seconds = 1.0 if sound is None else np.shape(sound)[-1] / rate
    frames = np.zeros((max(1, round(seconds * FPS)), 16, 16, 3), np.uint8)
    sounded = {} if sound is None else {"audio": sound, "sample_rate": rate}
    return measure(Loudness(), clip(frames, FPS, **sounded))


def tones(*parts: tuple[float, float], channels: int = 2, hertz: float = TONE) -> NDArray[np.float32]:
    """Sines one after another, each (dBFS of its peak, seconds)."""
    level = np.concatenate([np.full(round(seconds * RATE), 10 ** (decibels / 20)) for decibels, seconds in parts])
    wave = level * np.sin(2 * np.pi * hertz * np.arange(len(level)) / RATE)
    return np.tile(wave.astype(np.float32), (channels, 1))


def value(name: str, sound: NDArray[np.floating] | None, **arguments: Any) -> float:
    return float(heard(sound, **arguments)[name].value)


class TestLoudnessConforms(OperatorConformance):
    def operator(self) -> Loudness:
        return Loudness()

    def clips(self) -> list[Clip]:
        noise = 0.1 * np.random.default_rng(0).standard_normal((2, 44_100))
        long = clip(np.zeros((30, 16, 16, 3), np.uint8), 24, audio=noise, sample_rate=22_050, clip_id="two channels")
        return [*super().clips(), long]


# EBU Tech 3341, table 1: cases 1 to 5; the answer is -23.0 LUFS but for the second, each within 0.1 LU.
CASES = {
    "-23 dBFS": (((-23, 20),), -23.0),
    "-33 dBFS": (((-33, 20),), -33.0),
    "soft ends": (((-36, 10), (-23, 60), (-36, 10)), -23.0),
    "soft and silent ends": (((-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)), -23.0),
    "a loud middle": (((-26, 20), (-20, 20.1), (-26, 20)), -23.0),
}


@pytest.mark.parametrize("case", CASES)
def test_integrated_loudness_is_the_ebus(case: str) -> None:
    parts, expected = CASES[case]
    assert value("integrated", tones(*parts)) == pytest.approx(expected, abs=0.1)


def test_the_channels_of_surround_have_their_weights() -> None:
    # EBU Tech 3341, case 6: left and right -28, centre -24, surrounds -30 dBFS
    front, centre, side = (tones((level, 20), channels=n) for level, n in ((-28, 2), (-24, 1), (-30, 2)))
    assert value("integrated", np.concatenate([front, centre, side])) == pytest.approx(-23.0, abs=0.1)
    bass = np.concatenate([front, centre, tones((0, 20), channels=1), side])
    assert value("integrated", bass) == pytest.approx(-23.0, abs=0.1)


# EBU Tech 3342, table 1: cases 1 to 4, each within 1 LU.
RANGES = {10: (-20, -30), 5: (-20, -15), 20: (-40, -20), 15: (-50, -35, -20, -35, -50)}


@pytest.mark.parametrize("expected", RANGES)
def test_the_range_is_the_ebus(expected: int) -> None:
    assert value("range", tones(*((level, 20) for level in RANGES[expected]))) == pytest.approx(expected, abs=1.0)


# EBU Tech 3341, cases 15 to 19: cycles a sample, phase in degrees, amplitude, dBTP; within +0.2 and -0.4 dB.
PEAKS = [(4, 0, 0.5, -6), (4, 45, 0.5, -6), (6, 60, 0.5, -6), (8, 67.5, 0.5, -6), (4, 45, 1.41, 3)]


@pytest.mark.parametrize(("samples", "phase", "amplitude", "expected"), PEAKS)
def test_the_true_peak_lies_between_the_samples(samples: int, phase: float, amplitude: float, expected: float) -> None:
    wave = amplitude * np.sin(2 * np.pi * np.arange(RATE) / samples + np.deg2rad(phase))
    fade = np.minimum(1, np.minimum(np.arange(RATE), np.arange(RATE)[::-1]) / 1000)
    assert -0.4 <= value("peak", wave * fade) - expected <= 0.2


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 96_000])
def test_the_rate_does_not_matter(rate: int) -> None:
    # BS.1770-4, annex 1: 997 Hz at 0 dBFS in one front channel is -3.01 LUFS
    wave = np.sin(2 * np.pi * 997 * np.arange(3 * rate) / rate)
    assert value("integrated", 0.1 * wave, rate=rate) == pytest.approx(-23.01, abs=0.1)


def test_turned_down_by_ten_decibels_is_ten_lower() -> None:
    noise = 0.2 * np.random.default_rng(1).standard_normal(4 * RATE)
    loud, soft = heard(noise), heard(noise * 10**-0.5)
    for name in ("integrated", "peak"):
        assert float(loud[name].value) - float(soft[name].value) == pytest.approx(10, abs=1e-3)
    assert float(loud["range"].value) == pytest.approx(float(soft["range"].value), abs=1e-3)


def test_the_track_follows_the_level() -> None:
    track = heard(tones((-40, 8), (-20, 8)))["integrated_track"]
    assert track.times is not None
    early, late = (np.interp(at, track.times, track.value) for at in (3.0, 13.0))
    assert early == pytest.approx(-40, abs=0.1)
    assert late == pytest.approx(-20, abs=0.1)


def test_silence_is_a_lack_with_a_number() -> None:
    found = heard(np.zeros(2 * RATE))
    assert (found["integrated"].value, found["integrated"].note) == (-70.0, "silence")
    assert found["peak"].value == -120.0


def test_no_sound_is_a_lack_with_a_number() -> None:
    found = heard(None)
    assert (found["integrated"].value, found["integrated"].note) == (-70.0, "no sound")
    assert np.isnan(float(found["range"].value))
    assert found["range"].note == "no sound"


@pytest.mark.parametrize("samples", [1, 100, 4_800, 19_000])
def test_sound_shorter_than_a_block_is_measured_as_it_is(samples: int) -> None:
    found = heard(tones((-20, 1))[:, :samples], seconds=0.5)
    assert float(found["integrated"].value) == pytest.approx(-20.0 if samples > 4_000 else -70.0, abs=0.6)


def test_sound_after_the_last_picture_does_not_count() -> None:
    assert value("integrated", tones((-30, 4), (-3, 4)), seconds=4.0) == pytest.approx(-30, abs=0.1)

"""The faults of sound: each puts in what it says, as much as it says, and leaves its input as it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cinereward.testing import sounds

RATE = 16_000
SECONDS = 4
COUNT = RATE * SECONDS
Samples = NDArray[np.float32]

SEVERITIES = {
    "clipped": 15,
    "hissing": 18,
    "humming": 18,
    "muffled": 2500,
    "reverberant": 1.1,
    "faint": 22,
    "sound_late": 300,
    "sound_early": 220,
    "off_beat": 130,
    "dropping_out": 0.12,
    "sound_looping": 0.6,
    "falling_silent": 0.5,
}


def bursts(channels: int = 0) -> Samples:
    """Noise that swells and fades twice a second."""
    at = np.arange(COUNT) / RATE
    noise = np.random.default_rng(3).standard_normal((max(1, channels), COUNT))
    sound = (0.1 * noise * (1 + np.sin(4 * np.pi * at)) / 2).clip(-0.9, 0.9).astype(np.float32)
    return sound if channels else sound[0]


def fault(name: str) -> Callable[..., Samples]:
    found: Callable[..., Samples] = getattr(sounds, name)
    return found


def rms(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.asarray(samples, np.float64) ** 2)))


def decibels(ratio: float) -> float:
    return float(20 * np.log10(ratio))


@pytest.mark.parametrize("channels", [0, 1, 2])
@pytest.mark.parametrize("name", SEVERITIES)
def test_sound_keeps_its_shape_and_the_input_its_values(name: str, channels: int) -> None:
    given = bursts(channels)
    before = given.copy()
    given.flags.writeable = False
    came = fault(name)(given, SEVERITIES[name], rate=RATE)
    assert (came.shape, came.dtype) == (given.shape, np.float32)
    assert np.isfinite(came).all()
    assert np.array_equal(given, before)
    assert not np.array_equal(came, before)


@pytest.mark.parametrize("name", SEVERITIES)
def test_a_seed_gives_the_same_bits_again(name: str) -> None:
    first, second = (fault(name)(bursts(2), SEVERITIES[name], rate=RATE, seed=5) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", SEVERITIES)
@pytest.mark.parametrize("count", [1, 7, 400])
def test_short_and_silent_sound_is_taken(name: str, count: int) -> None:
    for given in (np.zeros(count, np.float32), np.full(count, 0.1, np.float32)):
        came = fault(name)(given, SEVERITIES[name], rate=RATE)
        assert came.shape == given.shape
        assert np.isfinite(came).all()


def test_overdrive_cuts_off_at_the_peak_that_there_was() -> None:
    given = bursts()
    came = sounds.clipped(given, 12)
    peak = float(np.abs(given).max())
    assert np.abs(came).max() == pytest.approx(peak)
    inside = np.abs(came) < peak
    assert np.allclose(came[inside], given[inside] * 10 ** (12 / 20), rtol=1e-5)
    assert np.array_equal(~inside, np.abs(given) * 10 ** (12 / 20) >= peak)


@pytest.mark.parametrize("name", ["hissing", "humming"])
@pytest.mark.parametrize("severity", [6, 30])
def test_what_is_added_lies_as_far_under_the_sound_as_it_says(name: str, severity: float) -> None:
    given = bursts()
    added = fault(name)(given, severity, rate=RATE).astype(np.float64) - given
    assert decibels(rms(given) / rms(added)) == pytest.approx(severity, abs=0.01)


def test_hum_is_fifty_hertz_and_its_harmonics() -> None:
    added = sounds.humming(bursts(), 6, rate=RATE).astype(np.float64) - bursts()
    power = np.abs(np.fft.rfft(added)) ** 2
    lines = power[50 * SECONDS :: 50 * SECONDS][:8]
    assert lines.sum() / power.sum() > 0.999
    assert lines / lines[0] == pytest.approx(1 / np.arange(1, 9) ** 2, rel=0.01)


def test_noise_of_two_channels_differs() -> None:
    added = sounds.hissing(bursts(2), 6) - bursts(2)
    assert abs(float(np.corrcoef(added)[0, 1])) < 0.05


def test_muffled_sound_is_three_decibels_down_at_the_edge() -> None:
    given = 0.5 * np.sin(2 * np.pi * np.array([[500], [2500], [5000]]) * np.arange(COUNT) / RATE).astype(np.float32)
    came = sounds.muffled(given, 2500, rate=RATE)
    middle = slice(RATE, 3 * RATE)
    gains = [decibels(rms(b[middle]) / rms(a[middle])) for a, b in zip(given, came, strict=True)]
    assert gains[0] == pytest.approx(0, abs=0.01)
    assert gains[1] == pytest.approx(-3.01, abs=0.05)
    assert gains[2] < -45


@pytest.mark.parametrize("severity", [0.4, 1.1, 2.6])
def test_a_room_dies_away_in_the_time_it_says(severity: float) -> None:
    click = np.zeros(RATE * 4, np.float32)
    click[0] = 0.5
    tail = sounds.reverberant(click, severity, rate=RATE).astype(np.float64)[200:]
    left = np.cumsum(tail[::-1] ** 2)[::-1]  # Schroeder's backward integration
    level = 10 * np.log10(left / left[0] + 1e-12)
    at = [int(np.argmax(level < decibel)) / RATE for decibel in (-5, -25)]
    assert 3 * (at[1] - at[0]) == pytest.approx(severity, rel=0.1)


def test_a_room_is_as_loud_as_the_sound() -> None:
    assert rms(sounds.reverberant(bursts(), 1.1, rate=RATE)) == pytest.approx(rms(bursts()), rel=1e-3)


def test_faint_sound_is_turned_down() -> None:
    assert np.allclose(sounds.faint(bursts(), 20), bursts() / 10, rtol=1e-6)


def test_late_and_early_sound_are_shifted_and_padded_with_silence() -> None:
    given = bursts(2)
    late, early = sounds.sound_late(given, 125, rate=RATE), sounds.sound_early(given, 125, rate=RATE)
    assert np.array_equal(late[:, 2000:], given[:, :-2000])
    assert np.array_equal(early[:, :-2000], given[:, 2000:])
    assert not late[:, :2000].any()
    assert not early[:, -2000:].any()


def test_music_off_the_beat_comes_round() -> None:
    assert np.array_equal(sounds.off_beat(bursts(), 100, rate=RATE), np.roll(bursts(), 1600))


@pytest.mark.parametrize("share", [0.03, 0.4])
def test_dropouts_take_their_share_of_the_time(share: float) -> None:
    came = sounds.dropping_out(np.full(COUNT, 0.5, np.float32), share, rate=RATE, seed=2)
    assert np.mean(came == 0) == pytest.approx(share, abs=2e-4)
    starts = np.flatnonzero((came[1:] == 0) & (came[:-1] > 0))
    assert len(starts) >= share * SECONDS / 0.25 - 1
    assert np.abs(np.diff(came)).max() < 0.02  # no clicks


def test_a_loop_repeats_its_piece() -> None:
    came = sounds.sound_looping(bursts(), 0.5, rate=RATE)
    period = RATE // 2
    assert np.array_equal(came[period:], came[:-period])
    start = COUNT // 3
    assert np.array_equal(came[100 : period - 100], bursts()[start + 100 : start + period - 100])


@pytest.mark.parametrize("share", [0.15, 1.0])
def test_sound_falls_silent_for_its_share_of_the_time(share: float) -> None:
    came = sounds.falling_silent(bursts(), share, rate=RATE)
    end = COUNT - round(share * COUNT)
    assert not came[end:].any()
    assert np.array_equal(came[: max(0, end - 200)], bursts()[: max(0, end - 200)])

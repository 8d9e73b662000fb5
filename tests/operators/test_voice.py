"""The voice: each fault of a recording moves the measure that names it, and what is not speech is told from it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from cinereward.operators.voice import Voice
from cinereward.testing import OperatorConformance, clip, measure, sounds
from cinereward.testing.talking import speech
from cinereward.types import Clip, Evidence

RATE, FPS, SECONDS = 32_000, 8.0, 4.0
SEEDS = (1, 2)
COUNT = int(RATE * SECONDS)
Samples = NDArray[np.floating]

# fault: severities as in configs/ladder.yaml, mild to severe; the measure that names it; whether it rises
FAULTS = {
    "clipped": ((6, 10, 15, 20, 28), "clipping", True),
    "hissing": ((30, 24, 18, 12, 6), "snr", False),
    "humming": ((30, 24, 18, 12, 6), "hum", True),
    "muffled": ((5000, 3500, 2500, 1600, 900), "bandwidth", False),
    "reverberant": ((0.4, 0.7, 1.1, 1.7, 2.6), "reverberation", True),
}


@cache
def said(seed: int) -> NDArray[np.float32]:
    samples = speech(SECONDS, RATE, seed)[0]
    samples.flags.writeable = False
    return samples


def heard(sound: Samples | None, rate: int = RATE, seconds: float = SECONDS) -> Evidence:
    frames = np.zeros((max(1, round(seconds * FPS)), 16, 16, 3), np.uint8)
    sounded = {} if sound is None else {"audio": np.asarray(sound, np.float32), "sample_rate": rate}
    return measure(Voice(), clip(frames, FPS, **sounded))


def values(found: Evidence) -> dict[str, float]:
    return {name: float(found[name].value) for name in found if not name.endswith("_track")}


@cache
def clean(seed: int) -> dict[str, float]:
    return values(heard(said(seed)))


@cache
def faulty(fault: str, severity: float, seed: int) -> dict[str, float]:
    return values(heard(getattr(sounds, fault)(said(seed), severity, rate=RATE, seed=seed)))


class TestVoiceConforms(OperatorConformance):
    def operator(self) -> Voice:
        return Voice()

    def clips(self) -> list[Clip]:
        frames = np.zeros((36, 16, 16, 3), np.uint8)
        mono = clip(frames, 24, audio=speech(1.5, 22_050, 1)[0], sample_rate=22_050, clip_id="mono")
        both = np.stack([speech(1.4, 44_100, 2)[0]] * 2)
        stereo = clip(frames, 24, audio=both, sample_rate=44_100, clip_id="stereo, ends early")
        return [super().clips()[0], mono, stereo]


# --- what is speech ---


@pytest.mark.parametrize("seed", SEEDS)
def test_somebody_speaks(seed: int) -> None:
    assert 0.5 < clean(seed)["speech"] <= 1


def tone() -> Samples:
    return 0.2 * np.sin(2 * np.pi * 440 * np.arange(COUNT) / RATE)


def chords() -> Samples:
    """A bar of plucked chords, again and again."""
    at = np.arange(COUNT) / RATE
    out = np.zeros(COUNT)
    for beat, root in enumerate(np.tile([220.0, 174.6, 196.0, 164.8], 2)):
        since = np.maximum(at - 0.5 * beat, 0)
        for interval in (1, 1.25, 1.5, 2):
            out += (since > 0) * (since < 0.5) * np.exp(-4 * since) * np.sin(2 * np.pi * root * interval * since)
    return 0.1 * out


def noise() -> Samples:
    return 0.1 * np.random.default_rng(0).standard_normal(COUNT)


@pytest.mark.parametrize("other", [tone, chords, noise])
def test_what_is_not_speech_is_not_taken_for_it(other: object) -> None:
    found = heard(other())  # type: ignore[operator]
    assert float(found["speech"].value) < 0.05
    assert found["speech"].note == "no speech"


def test_the_share_is_that_of_the_running_time() -> None:
    half = np.concatenate([said(1), np.zeros(COUNT)])
    assert values(heard(half, seconds=2 * SECONDS))["speech"] == pytest.approx(clean(1)["speech"] / 2, abs=0.03)
    assert values(heard(said(1), seconds=2 * SECONDS))["speech"] == pytest.approx(clean(1)["speech"] / 2, abs=0.03)


def test_the_track_says_where() -> None:
    track = heard(np.concatenate([np.zeros(COUNT), said(1)]), seconds=2 * SECONDS)["speech_track"]
    assert track.times is not None
    assert np.mean(track.value[track.times < SECONDS]) < 0.05
    assert np.mean(track.value[track.times > SECONDS]) > 0.5


@pytest.mark.parametrize(("sound", "note"), [(None, "no sound"), (np.zeros(COUNT), "silence")])
def test_no_speech_is_a_lack_with_a_number(sound: Samples | None, note: str) -> None:
    found = heard(sound)
    for name in ("speech", "snr", "bandwidth"):
        assert (found[name].value, found[name].note) == (0.0, note)
    assert not any(np.isnan(value) for value in values(found).values())


# --- how it was recorded ---


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_moves_the_measure_that_names_it(fault: str, seed: int) -> None:
    severities, name, rises = FAULTS[fault]
    course = [clean(seed)[name], *(faulty(fault, severity, seed)[name] for severity in severities)]
    steps = np.diff(course) * (1 if rises else -1)
    assert np.all(steps > 0), course


def test_overdrive_takes_the_peaks() -> None:
    course = [clean(1)["crest"], *(faulty("clipped", severity, 1)["crest"] for severity in FAULTS["clipped"][0])]
    assert np.all(np.diff(course) < 0), course


def test_a_ceiling_is_found_at_any_level() -> None:
    soft = values(heard(0.1 * sounds.clipped(said(1), 10, rate=RATE)))
    assert soft["clipping"] == pytest.approx(faulty("clipped", 10, 1)["clipping"], rel=0.02)


@pytest.mark.parametrize("decibels", [15, 25])
def test_the_snr_is_that_of_noise_of_the_speechs_own_spectrum(decibels: float) -> None:
    spectrum = np.fft.rfft(said(1))
    phases = np.exp(2j * np.pi * np.random.default_rng(0).random(len(spectrum)))
    like = np.fft.irfft(np.abs(spectrum) * phases, COUNT)
    assert values(heard(said(1) + like * 10 ** (-decibels / 20)))["snr"] == pytest.approx(decibels, abs=4)


def test_mains_of_sixty_hertz_are_found() -> None:
    hum = 0.01 * np.sin(2 * np.pi * 60 * np.arange(COUNT) / RATE)
    assert values(heard(said(1) + hum))["hum"] > clean(1)["hum"] + 10


def test_a_bandwidth_is_that_of_the_filter() -> None:
    assert faulty("muffled", 2500, 1)["bandwidth"] == pytest.approx(2500, rel=0.3)


def test_a_tone_that_moves_is_no_hum() -> None:
    glide = 0.02 * np.sin(2 * np.pi * np.cumsum(np.linspace(90, 130, COUNT)) / RATE)
    assert values(heard(said(1) + glide))["hum"] < clean(1)["hum"] + 6


# --- what must not move it ---


@pytest.mark.parametrize("decibels", [10, 30, 40])
def test_the_level_does_not_matter(decibels: float) -> None:
    soft = faulty("faint", decibels, 1)
    for name, before in clean(1).items():
        assert soft[name] == pytest.approx(before, rel=0.02, abs=0.15), name


def test_the_rate_does_not_matter() -> None:
    half = np.fft.irfft(np.fft.rfft(said(1))[: COUNT // 4 + 1], COUNT // 2) / 2
    other = values(heard(half, RATE // 2))
    for name, tolerance in {"speech": 0.02, "bandwidth": 200, "reverberation": 0.005, "snr": 1, "crest": 0.5}.items():
        assert other[name] == pytest.approx(clean(1)[name], abs=tolerance), name


def test_channels_that_are_alike_are_one() -> None:
    both = values(heard(np.stack([said(1)] * 2)))
    for name, before in clean(1).items():
        assert both[name] == pytest.approx(before, rel=1e-3, abs=1e-3), name


def test_muted_pauses_hide_no_noise() -> None:
    noisy = sounds.hissing(said(1), 12, rate=RATE)
    soft = np.convolve(np.abs(said(1)), np.ones(1600) / 1600, "same") < 0.01
    gated = values(heard(np.where(soft, 0, noisy)))
    assert gated["snr"] == pytest.approx(faulty("hissing", 12, 1)["snr"], abs=1.5)


@pytest.mark.parametrize("share", [0.06, 0.22])
def test_holes_make_no_better_recording(share: float) -> None:
    holed = values(heard(sounds.dropping_out(said(1), share, rate=RATE)))
    assert holed["snr"] < clean(1)["snr"] + 1
    assert holed["reverberation"] > clean(1)["reverberation"] - 0.02
    assert holed["bandwidth"] < clean(1)["bandwidth"] + 200


# --- what is short ---


@pytest.mark.parametrize("seconds", [0.05, 0.125, 0.3, 0.7])
def test_short_sound_gives_numbers_or_notes(seconds: float) -> None:
    found = heard(said(1)[RATE : RATE + round(seconds * RATE)], seconds=seconds)
    for name in values(found):
        assert found[name].note or np.isfinite(float(found[name].value)), name


def test_sound_after_the_last_picture_does_not_count() -> None:
    late = np.concatenate([np.zeros(COUNT), said(1)])
    assert values(heard(late))["speech"] == 0

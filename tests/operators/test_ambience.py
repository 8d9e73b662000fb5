from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cinereward.operators.ambience import Ambience
from cinereward.testing import clip, measure, sounds
from cinereward.testing.hearing import beat, place

from .planted import rank_correlation

RATE = 48_000
SEEDS = (0, 1, 2)
SECONDS = 4.0
LADDER = {
    "dropping_out": ("dropouts", (0.03, 0.06, 0.12, 0.22, 0.4)),
    "sound_looping": ("loop", (1.2, 0.9, 0.6, 0.4, 0.25)),
    "falling_silent": ("silence", (0.15, 0.3, 0.5, 0.75, 1.0)),
}
Samples = NDArray[np.floating[Any]]


def worth(samples: Samples | None, seconds: float = SECONDS, rate: int = RATE, length: int = 24) -> dict[str, float]:
    """What is measured of a sound under `seconds` of plain pictures, without the tracks."""
    frames = np.full((round(12 * seconds), 16, 16, 3), 90, np.uint8)
    heard = {} if samples is None else {"audio": samples, "sample_rate": rate}
    found = measure(Ambience(), clip(frames, 12.0, **heard), length)
    return {name: float(found[name].value) for name in found if not name.endswith("_track")}


@cache
def outdoors(seed: int = 0) -> Samples:
    samples = place(SECONDS, RATE, seed)
    samples.flags.writeable = False
    return samples


@cache
def clean(seed: int = 0) -> dict[str, float]:
    return worth(outdoors(seed))


def tone(seconds: float = SECONDS, hertz: float = 440.0) -> Samples:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_place_that_is_heard_has_no_fault(seed: int) -> None:
    found = clean(seed)
    assert found["silence"] == found["dropouts"] == found["loop"] == 0
    assert found["tone"] < 0.05
    assert found["liveliness"] > 1.1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", LADDER)
def test_a_fault_raises_what_names_it_step_by_step(fault: str, seed: int) -> None:
    name, severities = LADDER[fault]
    kind = getattr(sounds, fault)
    values = [clean(seed)[name]]
    values += [worth(kind(outdoors(seed), severity, rate=RATE, seed=seed))[name] for severity in severities]
    assert rank_correlation(values) == pytest.approx(1), values


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5, 0.75])
@pytest.mark.parametrize("end", ["first", "last", "middle"])
def test_silence_is_measured_as_its_share(share: float, end: str) -> None:
    samples = outdoors().copy()
    count = round(share * len(samples))
    start = {"first": 0, "last": len(samples) - count, "middle": (len(samples) - count) // 2}[end]
    samples[start : start + count] = 0
    assert worth(samples)["silence"] == pytest.approx(share, abs=0.03)


def test_a_clip_without_sound_is_silent_and_says_so() -> None:
    found = measure(Ambience(), clip(np.zeros((12, 16, 16, 3), np.uint8)))
    assert found["silence"].value == 1
    assert found["silence"].note
    assert all(found[name].value == 0 for name in ("dropouts", "loop", "tone", "liveliness"))


def test_a_muted_sound_is_silent() -> None:
    assert worth(np.zeros(round(SECONDS * RATE)))["silence"] == 1


def test_sound_that_ends_before_the_picture_leaves_silence() -> None:
    assert worth(outdoors(), seconds=2 * SECONDS)["silence"] == pytest.approx(0.5, abs=0.02)


def test_sound_after_the_last_picture_counts_for_nothing() -> None:
    late = np.concatenate([outdoors(), np.zeros(round(SECONDS * RATE), np.float32)])
    assert worth(late)["silence"] == 0


def test_a_whisper_far_below_the_clips_own_level_is_silence() -> None:
    samples = outdoors().copy()
    samples[len(samples) // 2 :] *= 10 ** (-55 / 20)
    assert worth(samples)["silence"] == pytest.approx(0.5, abs=0.05)


def test_a_quiet_place_is_not_silent() -> None:
    assert worth(outdoors() * 10 ** (-20 / 20))["silence"] == 0


def test_a_pause_of_a_tenth_of_a_second_is_no_silence() -> None:
    samples = outdoors().copy()
    samples[RATE : RATE + RATE // 10] = 0
    assert worth(samples)["silence"] == 0


@pytest.mark.parametrize("milliseconds", [20, 40, 100, 300, 1000])
def test_a_hole_is_measured_as_its_share(milliseconds: int) -> None:
    samples = outdoors().copy()
    for start in (0.8, 2.3):
        samples[round(start * RATE) : round((start + milliseconds / 1000) * RATE)] = 0
    assert worth(samples)["dropouts"] == pytest.approx(2 * milliseconds / 1000 / SECONDS, rel=0.25, abs=0.002)


def test_a_sound_that_dies_away_is_no_hole() -> None:
    samples = outdoors().copy()
    fade = np.concatenate([np.linspace(1, 0, RATE // 8), np.zeros(RATE // 10), np.linspace(0, 1, RATE // 8)])
    samples[RATE : RATE + len(fade)] *= fade**2
    assert worth(samples)["dropouts"] == 0


def test_claps_in_a_quiet_room_leave_no_holes() -> None:
    rng = np.random.default_rng(0)
    samples = 0.001 * rng.standard_normal(round(SECONDS * RATE))
    for at in (0.5, 1.1, 1.9, 3.0):
        die = np.exp(-np.arange(RATE // 2) / (0.05 * RATE))
        samples[round(at * RATE) :][: len(die)] += 0.4 * rng.standard_normal(len(die)) * die
    assert worth(samples)["dropouts"] == 0


@pytest.mark.parametrize("length", [0.25, 0.4, 0.7, 1.1, 1.7])
def test_a_loop_is_measured_in_repeats_a_second(length: float) -> None:
    samples = np.resize(outdoors()[RATE // 2 :][: round(length * RATE)], round(SECONDS * RATE))
    assert worth(samples)["loop"] == pytest.approx(1 / length, rel=0.15)


def test_a_loop_that_falls_between_two_samples_is_found() -> None:
    short = place(SECONDS, 44_100, 0)[:30_011]
    assert worth(np.resize(short, round(SECONDS * 44_100)), rate=44_100)["loop"] == pytest.approx(
        44_100 / 30_011, rel=0.2
    )


def test_a_loop_under_a_little_noise_is_found() -> None:
    samples = np.resize(outdoors()[: RATE // 2], round(SECONDS * RATE))
    noise = 0.1 * float(samples.std()) * np.random.default_rng(1).standard_normal(len(samples))
    assert worth(samples + noise)["loop"] > 1.5


def test_a_loop_in_half_of_the_clip_counts_for_less() -> None:
    samples = outdoors().copy()
    half = len(samples) // 2
    samples[half:] = np.resize(samples[half - RATE // 2 : half], len(samples) - half)
    assert 0.4 < worth(samples)["loop"] < 1.5


@pytest.mark.parametrize("kind", ["tone", "chord", "hum", "noise", "steps"])
def test_what_goes_on_evenly_is_no_loop(kind: str) -> None:
    rng = np.random.default_rng(3)
    if kind == "steps":
        samples = 0.01 * rng.standard_normal(round(SECONDS * RATE))
        for at in np.arange(0.2, SECONDS - 0.2, 0.5):
            samples[round(at * RATE) :][:4800] += 0.3 * rng.standard_normal(4800) * np.exp(-np.arange(4800) / 1200)
    else:
        pitches = {"tone": (440,), "chord": (220, 262, 330), "hum": (50, 100, 150, 200), "noise": ()}[kind]
        samples = 0.002 * rng.standard_normal(round(SECONDS * RATE)) * (100 if kind == "noise" else 1)
        samples += sum((tone(hertz=pitch) / 2 for pitch in pitches), np.zeros(len(samples)))
    assert worth(samples)["loop"] == 0


def test_music_is_hardly_a_loop() -> None:
    assert worth(beat(SECONDS, RATE, 1)[0])["loop"] < 0.1


@pytest.mark.parametrize("hertz", [110.0, 440.0, 3000.0])
def test_a_tone_is_all_tone(hertz: float) -> None:
    assert worth(tone(hertz=hertz))["tone"] > 0.9


def test_hum_is_tone() -> None:
    assert worth(sum(tone(hertz=50.0 * k) / k for k in range(1, 7)))["tone"] > 0.8


def test_music_has_more_tone_than_a_place() -> None:
    assert worth(beat(SECONDS, RATE, 0)[0])["tone"] > clean()["tone"] + 0.3


def test_white_noise_is_less_lively_than_a_place() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(SECONDS * RATE))
    assert worth(noise)["liveliness"] < 0.9 < clean()["liveliness"]


@pytest.mark.parametrize("fault", ["dropping_out", "falling_silent"])
def test_a_hole_is_no_liveliness(fault: str) -> None:
    found = worth(getattr(sounds, fault)(outdoors(), 0.15, rate=RATE, seed=0))
    assert found["liveliness"] < clean()["liveliness"] + 0.3


@pytest.mark.parametrize("gain", [0.25, 4.0])
def test_the_level_of_the_sound_changes_little(gain: float) -> None:
    found = worth(np.clip(gain * outdoors(), -4, 4))
    assert found == pytest.approx(clean(), abs=0.02)


def test_the_length_of_windows_changes_nothing() -> None:
    samples = sounds.dropping_out(outdoors(), 0.1, rate=RATE, seed=0)
    assert worth(samples, length=5) == pytest.approx(worth(samples, length=1000), abs=1e-6)


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.2, 0.5])
def test_the_shortest_sound_gives_numbers(seconds: float) -> None:
    found = worth(place(seconds, RATE), seconds=0.5)
    assert np.isfinite(list(found.values())).all()
    assert found["silence"] == pytest.approx(1 - seconds / 0.5, abs=0.11)


def test_a_long_sound_is_judged_span_by_span() -> None:
    found = worth(np.concatenate([np.resize(outdoors()[:RATE], 24 * RATE), place(16.0, RATE, 4)]), seconds=40.0)
    assert 0.3 < found["loop"] < 0.8

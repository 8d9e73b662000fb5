from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cinereward.operators.music import Music, accent_strength, beat_period, hop_times, track_beats
from cinereward.testing import clip, measure, scene, shots, sounds
from cinereward.testing.hearing import beat, place
from cinereward.testing.talking import speech

from .planted import rank_correlation

RATE = 48_000
FPS = 24.0
SECONDS = 5.0
SEEDS = (0, 1, 2)
SHIFTS = (60, 90, 130, 180, 240)
Samples = NDArray[np.floating[Any]]
Frames = NDArray[np.uint8]


@cache
def takes() -> tuple[Frames, ...]:
    return tuple(scene(SECONDS, FPS, seed=seed, size=(36, 64), move="static", subject=0.1) for seed in range(5))


def cut_at(times: list[float]) -> Frames:
    """Scenes of SECONDS in all, with hard cuts at the frames nearest to the times."""
    edges = [0, *(round(time * FPS) for time in times), round(SECONDS * FPS)]
    pieces = [takes()[index][: last - first] for index, (first, last) in enumerate(itertools.pairwise(edges))]
    return shots(pieces, FPS)[0] if len(pieces) > 1 else pieces[0]


@cache
def piece(seed: int = 0, tempo: float = 120.0) -> tuple[Samples, tuple[float, ...]]:
    samples, beats = beat(SECONDS, RATE, seed, tempo)
    samples.flags.writeable = False
    return samples, tuple(beats)


@cache
def edited(seed: int = 0, tempo: float = 120.0) -> Frames:
    """Cut on every third beat."""
    return cut_at([time for time in piece(seed, tempo)[1][2::3] if time < SECONDS - 0.4][:4])


def worth(frames: Frames, samples: Samples | None, length: int = 24) -> dict[str, float]:
    heard = {} if samples is None else {"audio": samples, "sample_rate": RATE}
    found = measure(Music(), clip(frames, FPS, **heard), length)
    return {name: float(found[name].value) for name in found if not name.endswith("_track")}


@cache
def clean(seed: int = 0, tempo: float = 120.0) -> dict[str, float]:
    return worth(edited(seed, tempo), piece(seed, tempo)[0])


# --- whether there is music ---


@pytest.mark.parametrize("seed", SEEDS)
def test_music_is_heard_as_music(seed: int) -> None:
    assert clean(seed)["presence"] > 0.7


@pytest.mark.parametrize("kind", ["place", "noise", "tone", "hum", "voice"])
def test_other_sound_is_no_music(kind: str) -> None:
    at = np.arange(round(SECONDS * RATE)) / RATE
    rng = np.random.default_rng(0)
    if kind == "place":
        samples: Samples = place(SECONDS, RATE, 1)
    elif kind == "noise":
        samples = 0.1 * rng.standard_normal(len(at))
    elif kind == "voice":
        samples = speech(SECONDS, RATE, 1)[0]
    else:
        pitches = (440,) if kind == "tone" else (50, 100, 150, 200, 250)
        samples = sum((0.1 * np.sin(2 * np.pi * pitch * at) for pitch in pitches), np.zeros(len(at)))
    assert worth(edited(), samples)["presence"] < 0.3


def test_music_for_half_of_the_time_is_half_the_music() -> None:
    samples = piece()[0].copy()
    samples[len(samples) // 2 :] = 0
    assert 0.3 * clean()["presence"] < worth(edited(), samples)["presence"] < 0.8 * clean()["presence"]


def test_a_clip_without_sound_has_no_music() -> None:
    found = measure(Music(), clip(edited(), FPS))
    assert found["presence"].value == found["alignment"].value == found["pulse"].value == 0
    assert np.isnan(found["tempo"].value)
    assert found["tempo"].note
    assert found["alignment"].note


# --- its beat ---


@pytest.mark.parametrize("tempo", [80.0, 96.0, 120.0, 140.0])
def test_the_tempo_is_found(tempo: float) -> None:
    assert clean(1, tempo)["tempo"] == pytest.approx(tempo, rel=0.02)


def test_music_has_a_plainer_pulse_than_a_place() -> None:
    assert clean()["pulse"] > worth(edited(), place(SECONDS, RATE, 0))["pulse"] + 0.3


def test_beats_are_tracked_within_twenty_milliseconds() -> None:
    found = measure(Music(), clip(edited(), FPS, audio=piece()[0], sample_rate=RATE))
    assert found["tempo"].value == pytest.approx(120, rel=0.01)
    clicks = np.zeros((500, 9), np.float32)
    clicks[40::50] = 1.0
    accents = accent_strength(clicks)
    period, pulse = beat_period(accents)
    assert period == pytest.approx(0.5)
    assert pulse > 0.9
    shown = hop_times(len(accents))[40::50]
    beats = track_beats(accents, 0.5)
    assert all(np.abs(shown - time).min() <= 0.02 for time in beats)


# --- whether the picture keeps to it ---


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("tempo", [96.0, 120.0])
def test_cuts_on_the_beat_are_aligned(seed: int, tempo: float) -> None:
    assert clean(seed, tempo)["alignment"] > 0.7


@pytest.mark.parametrize("seed", SEEDS)
def test_music_that_slips_off_the_cuts_is_less_and_less_aligned(seed: int) -> None:
    values = [clean(seed)["alignment"]]
    values += [worth(edited(seed), sounds.off_beat(piece(seed)[0], ms, rate=RATE))["alignment"] for ms in SHIFTS]
    assert rank_correlation([-value for value in values]) >= 0.9, values
    assert values[0] > max(values[1:]) + 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_early_music_is_not_aligned_either(seed: int) -> None:
    early = np.roll(piece(seed)[0], -round(0.11 * RATE))
    assert worth(edited(seed), early)["alignment"] < clean(seed)["alignment"] - 0.1


def test_off_beat_leaves_the_rest_as_it_is() -> None:
    found = worth(edited(), sounds.off_beat(piece()[0], 130, rate=RATE))
    assert found["presence"] == pytest.approx(clean()["presence"], abs=0.1)
    assert found["tempo"] == pytest.approx(clean()["tempo"], rel=0.02)


def test_cuts_anywhere_are_worth_less_than_none() -> None:
    rng = np.random.default_rng(0)
    values = []
    for _ in range(12):
        times = np.sort(rng.uniform(0.4, SECONDS - 0.4, 3))
        if np.min(np.diff(times)) > 0.3:
            values.append(worth(cut_at(times.tolist()), piece()[0])["alignment"])
    assert np.mean(values) < worth(cut_at([]), piece()[0])["alignment"]


def test_cuts_amid_noise_are_worth_chance() -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal(round(SECONDS * RATE))
    assert worth(edited(), noise)["alignment"] == pytest.approx(0.5, abs=0.25)


def test_no_cut_is_hardly_more_than_chance_and_in_doubt() -> None:
    found = measure(Music(), clip(cut_at([]), FPS, audio=piece()[0], sample_rate=RATE))
    assert found["alignment"].value == pytest.approx(0.55)
    assert found["alignment"].note
    assert (
        found["alignment"].std
        > measure(Music(), clip(edited(), FPS, audio=piece()[0], sample_rate=RATE))["alignment"].std
    )


def test_one_cut_on_the_beat_proves_less_than_three() -> None:
    beats = piece()[1]
    one, three = (worth(cut_at(list(beats[2 : 2 + 2 * count : 2])), piece()[0])["alignment"] for count in (1, 3))
    assert 0.5 < one < three


@pytest.mark.parametrize("gain", [0.1, 1.5])
def test_the_level_of_the_music_changes_little(gain: float) -> None:
    assert worth(edited(), gain * piece()[0]) == pytest.approx(clean(), abs=0.03)


def test_each_cut_is_told_with_its_time() -> None:
    track = measure(Music(), clip(edited(), FPS, audio=piece()[0], sample_rate=RATE))["alignment_track"]
    cuts = [round(time * FPS) / FPS for time in piece()[1][2::3] if time < SECONDS - 0.4][:4]
    assert track.times == pytest.approx(cuts, abs=1e-6)


def test_the_length_of_windows_changes_nothing() -> None:
    assert worth(edited(), piece()[0], length=7) == pytest.approx(clean(), abs=1e-6)


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.6])
def test_the_shortest_sound_gives_numbers_or_says_why_not(seconds: float) -> None:
    found = worth(cut_at([])[:12], beat(seconds, RATE)[0])
    assert all(np.isfinite(value) for name, value in found.items() if name != "tempo")

"""Lip-sync: a known offset is told with its sign, and what has nothing to do with the voice agrees with it little."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from cinereward.operators.lips import REACH, STEP, Lips, bands, belief, followed, peak
from cinereward.operators.tracks import join
from cinereward.testing import OperatorConformance, clip, measure, scene, windows_of
from cinereward.testing.faults import blurred, noisy
from cinereward.testing.sounds import hissing, sound_early, sound_late
from cinereward.testing.talking import speech, talking
from cinereward.types import Evidence, Partial, Sound

from .planted import rank_correlation

RATE, FPS, SECONDS = 16_000, 24.0, 5.0
LATE = (125.0, 200.0, 300.0, 450.0, 700.0)
EARLY = (80.0, 140.0, 220.0, 350.0, 550.0)
OFFSETS = np.arange(-round(REACH / STEP), round(REACH / STEP) + 1) * STEP


@cache
def take(seed: int = 0, shots: int = 1) -> tuple[np.ndarray, np.ndarray]:
    frames, samples, _ = talking(SECONDS, FPS, seed=seed, shots=shots, rate=RATE, ambience=0.004)
    frames.flags.writeable = False
    return frames, samples


@cache
def seen(seed: int = 0, shots: int = 1) -> list[Partial]:
    """What is seen of a take, in partials without sound, so that many sounds can be laid beneath it."""
    frames, samples = take(seed, shots)
    parts = Lips().measure(windows_of(clip(frames, FPS, audio=samples, sample_rate=RATE), 24))
    return [Partial(times=part.times, fps=part.fps, tracks=part.tracks) for part in parts if isinstance(part, Partial)]


def heard(samples: np.ndarray, seed: int = 0, shots: int = 1) -> dict[str, float]:
    """What is measured of a take with another sound."""
    whole = np.concatenate([np.zeros(2048), samples]).astype(np.float32)
    sound = Sound(samples=whole, original=whole[None], original_rate=RATE, start=0.0, lead=2048)
    rows = bands(sound)
    parts = [
        Partial(times=part.times, fps=part.fps, tracks=part.tracks, sounds={"bands": rows[: None if i == 0 else 0]})
        for i, part in enumerate(seen(seed, shots))
    ]
    return values(Lips().merge(parts))


def values(found: Evidence) -> dict[str, float]:
    return {name: float(found[name].value) for name in found if not name.endswith("_track")}


def evidence(frames: np.ndarray, samples: np.ndarray | None, length: int = 24) -> Evidence:
    sound: dict[str, Any] = {} if samples is None else {"audio": samples, "sample_rate": RATE}
    return measure(Lips(), clip(frames, FPS, **sound), length)


def worth(frames: np.ndarray, samples: np.ndarray | None) -> dict[str, float]:
    return values(evidence(frames, samples))


@cache
def clean(seed: int = 0, shots: int = 1) -> dict[str, float]:
    return heard(take(seed, shots)[1], seed, shots)


@cache
def shifted(by: float, seed: int = 0, shots: int = 1) -> dict[str, float]:
    fault = sound_late if by > 0 else sound_early
    return heard(fault(take(seed, shots)[1], abs(by), rate=RATE), seed, shots)


class TestConforms(OperatorConformance):
    def operator(self) -> Any:
        return Lips()


@pytest.mark.parametrize(("seed", "shots"), [(0, 1), (1, 3)])
def test_what_is_in_step_is_told_to_be(seed: int, shots: int) -> None:
    found = clean(seed, shots)
    assert abs(found["offset"]) < 30
    assert found["agreement"] > 0.45
    assert found["late"] + found["early"] < 80
    assert found["faces"] > 0.95


@pytest.mark.parametrize("by", [-220.0, -80.0, 125.0, 300.0])
def test_an_offset_is_told_with_its_sign(by: float) -> None:
    assert shifted(by)["offset"] == pytest.approx(by, abs=30)


@pytest.mark.parametrize("shots", [1, 3])
def test_late_rises_with_lateness(shots: int) -> None:
    course = [clean(1, shots)["late"], *(shifted(by, 1, shots)["late"] for by in LATE)]
    assert rank_correlation(course) == 1
    assert course[-1] > course[0] + 200


def test_early_rises_with_earliness() -> None:
    assert rank_correlation([clean()["early"], *(shifted(-by)["early"] for by in EARLY)]) == 1


def test_far_offsets_agree_little() -> None:
    assert shifted(700.0)["agreement"] < clean()["agreement"] - 0.25
    assert shifted(-550.0)["agreement"] < clean()["agreement"] - 0.25


@pytest.mark.parametrize("what", ["tone", "noise", "beats", "other speech"])
def test_another_sound_agrees_little(what: str) -> None:
    at = np.arange(round(SECONDS * RATE)) / RATE
    sounds = {
        "tone": 0.2 * np.sin(2 * np.pi * 440 * at),
        "noise": np.random.default_rng(0).normal(0, 0.1, len(at)),
        "beats": 0.3 * np.sin(2 * np.pi * 330 * at) * np.exp(-5 * (2 * at % 1)),
        "other speech": speech(SECONDS, RATE, seed=9)[0],
    }
    found = heard(sounds[what])
    assert found["agreement"] < clean()["agreement"] - 0.25
    assert found["late"] + found["early"] > 120


def test_a_still_face_agrees_with_nothing() -> None:
    frames, samples = take()
    assert worth(np.repeat(frames[:1], len(frames), axis=0), samples)["agreement"] < 0.2


def test_silence_is_a_lack_that_is_measured() -> None:
    found = evidence(take()[0], np.zeros(round(SECONDS * RATE), np.float32))
    assert found["agreement"].value == 0
    assert found["agreement"].std < 0.3
    assert "heard" in found["agreement"].note


def test_no_sound_is_told() -> None:
    found = evidence(take()[0], None)
    assert found["agreement"].value == 0
    assert np.isnan(found["offset"].value)
    assert found["offset"].note == "there is no sound"


def test_where_no_face_is_seen_the_doubt_is_great() -> None:
    found = evidence(scene(3.0, FPS, (96, 160)), take()[1])
    assert (found["agreement"].value, found["faces"].value) == (0, 0)
    assert found["agreement"].std > 0.9
    assert found["agreement"].note == "no face is seen"


@pytest.mark.parametrize("length", [1, 7, 100])
def test_the_length_of_the_windows_does_not_show(length: int) -> None:
    frames, samples = take()
    cut = evidence(frames[:48], samples[: 2 * RATE], length)
    for name, value in evidence(frames[:48], samples[: 2 * RATE]).measurements.items():
        np.testing.assert_allclose(cut[name].value, value.value, atol=1e-4, err_msg=name)  # of up to 800 ms


def test_blur_noise_and_hiss_are_other_faults() -> None:
    frames, samples = take()
    for found in (
        worth(blurred(frames, 2.0), samples),
        worth(noisy(frames, 8.0), samples),
        heard(hissing(samples, 18.0, rate=RATE)),
    ):
        assert abs(found["offset"] - clean()["offset"]) < 30
        assert found["agreement"] == pytest.approx(clean()["agreement"], abs=0.15)


def test_bars_change_little() -> None:
    frames, samples = take()
    barred = frames.copy()
    barred[:, :20] = barred[:, -20:] = 0
    assert worth(barred, samples)["offset"] == pytest.approx(clean()["offset"], abs=20)


def test_a_face_is_not_followed_across_a_cut() -> None:
    frames, samples = take(1, 3)
    windows = windows_of(clip(frames, FPS, audio=samples, sample_rate=RATE))
    tracks = join(Lips().measure(windows))
    spans = [(shot, chain) for shot in tracks.shots() for chain in followed(tracks, shot)]
    assert len({shot.first for shot, _ in spans}) == 3
    for shot, (first, path) in spans:
        assert shot.first <= first
        assert first + len(path) <= shot.last


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_few_frames_tell_nothing(count: int) -> None:
    found = evidence(take()[0][:count], take()[1][: round(count / FPS * RATE)])
    assert np.isnan(found["offset"].value)
    assert found["agreement"].value == 0


def test_belief_rests_on_what_was_seen() -> None:
    curve = 0.5 * np.exp(-0.5 * ((OFFSETS - 0.2) / 0.06) ** 2)
    short, long = belief(curve, OFFSETS, 2.0), belief(curve, OFFSETS, 20.0)
    assert short.sum() == pytest.approx(1)
    assert long @ OFFSETS == pytest.approx(0.2, abs=0.02)
    assert abs(short @ OFFSETS) < 0.1
    np.testing.assert_allclose(belief(0 * curve, OFFSETS, 20.0) @ OFFSETS, 0, atol=1e-12)


@pytest.mark.parametrize("top", [-0.303, 0.0, 0.117])
def test_a_peak_is_found_between_the_steps(top: float) -> None:
    assert peak(1 - (OFFSETS - top) ** 2, OFFSETS) == pytest.approx(top, abs=1e-6)


def test_what_the_sweeps_measure_is_what_a_clip_gives() -> None:
    found = worth(*take())
    for name, value in clean().items():
        assert found[name] == pytest.approx(value, abs=1e-4), name

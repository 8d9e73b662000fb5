from __future__ import annotations

import numpy as np
import pytest

from cinereward.testing.hearing import beat, place


@pytest.mark.parametrize("seconds", [0.01, 0.5, 2.0])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_sound_is_as_long_as_asked_and_within_range(seconds: float, rate: int) -> None:
    for samples in (place(seconds, rate), beat(seconds, rate)[0]):
        assert samples.dtype == np.float32
        assert samples.shape == (round(seconds * rate),)
        assert float(np.abs(samples).max()) == pytest.approx(0.5)


def test_the_seed_alone_decides() -> None:
    assert np.array_equal(place(0.5, seed=1), place(0.5, seed=1))
    assert not np.array_equal(place(0.5, seed=1), place(0.5, seed=2))
    assert np.array_equal(beat(0.5, seed=1)[0], beat(0.5, seed=1)[0])


@pytest.mark.parametrize("tempo", [80.0, 120.0])
def test_beats_come_at_the_tempo(tempo: float) -> None:
    _, beats = beat(6.0, 16_000, 3, tempo)
    assert np.diff(beats) == pytest.approx(60 / tempo)
    assert 0 <= beats[0] < 60 / tempo
    assert 6.0 - beats[-1] <= 60 / tempo


def test_a_beat_is_louder_than_what_comes_before_it() -> None:
    rate = 16_000
    samples, beats = beat(6.0, rate, 0)
    power = [
        [np.mean(samples[start : start + 640] ** 2) for start in (round(at * rate) - 640, round(at * rate))]
        for at in beats[1:-1]
    ]
    assert all(after > before for before, after in power)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        place(0.0)
    with pytest.raises(ValueError, match="tempo is 0"):
        beat(1.0, tempo=0.0)

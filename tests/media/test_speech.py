"""The detector of speech: what it hears, whatever the length, and what it says where its weights are not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cinereward.errors import WeightsError
from cinereward.media import speech as detector
from cinereward.media.speech import PIECES, SPEECH_HOP, speech_probability
from cinereward.testing.talking import speech

RATE = 16_000


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 5_000])
def test_there_is_one_value_a_piece(count: int) -> None:
    came = speech_probability(np.zeros(count, np.float32))
    assert (came.shape, came.dtype) == ((-(-count // SPEECH_HOP),), np.float32)
    assert np.all((came >= 0) & (came <= 1))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_hears_speech(seed: int) -> None:
    assert np.mean(speech_probability(speech(4.0, RATE, seed)[0]) > 0.5) > 0.5


def test_it_hears_none_in_noise_and_silence() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)
    assert speech_probability(noise).max() < 0.5
    assert speech_probability(np.zeros(4 * RATE, np.float32)).max() < 0.5


def test_what_comes_later_changes_nothing() -> None:
    samples = speech((PIECES + 40) * SPEECH_HOP / RATE, RATE, 1)[0]
    whole = speech_probability(samples)
    for pieces in (40, PIECES, PIECES + 1):
        # a matrix of other height is multiplied in another order
        assert speech_probability(samples[: pieces * SPEECH_HOP]) == pytest.approx(whole[:pieces], abs=1e-4)


def test_it_gives_the_same_bits_again() -> None:
    samples = speech(2.0, RATE, 4)[0]
    assert np.array_equal(speech_probability(samples), speech_probability(samples))


def test_it_takes_one_channel_only() -> None:
    with pytest.raises(ValueError, match="expected"):
        speech_probability(np.zeros((2, 1_000), np.float32))


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, numpy; from cinereward.media.speech import speech_probability as p; "
        "p(numpy.zeros(600, 'f4')); print([m for m in ('torch', 'silero_vad', 'onnxruntime') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_weights_that_are_not_there_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "find_spec", lambda name: None)
    detector._weights.cache_clear()
    with pytest.raises(WeightsError, match="install it: pip"):
        speech_probability(np.zeros(600, np.float32))
    detector._weights.cache_clear()


@pytest.mark.parametrize("held", [b"", b"\x10\0\0\0\0\0\0\0{not json", json.dumps({"a": 1}).encode()])
def test_weights_that_cannot_be_read_are_told(held: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "silero_vad_16k.safetensors").write_bytes(held)
    monkeypatch.setattr(
        detector, "find_spec", lambda name: type("Spec", (), {"submodule_search_locations": [tmp_path]})
    )
    detector._weights.cache_clear()
    with pytest.raises(WeightsError, match="cannot be read"):
        speech_probability(np.zeros(600, np.float32))
    detector._weights.cache_clear()

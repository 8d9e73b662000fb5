"""The classifier of feelings: its real loading and running on a tiny model, and the plane that feelings lie in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cinereward import weights
from cinereward.errors import WeightsError
from cinereward.networks.emotion import RATE, WINDOW, EmotionNetwork, load_emotion, places, plane
from cinereward.testing.talking import speech
from cinereward.testing.tiny_whisper import FEELINGS, tiny_emotion

Add = Callable[[Path], EmotionNetwork]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Pin a folder as speech-emotion, and load it."""
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))

    def added(folder: Path) -> EmotionNetwork:
        weights.add("speech-emotion", folder, own=True)
        return load_emotion("cpu")

    return added


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_emotion(tmp_path / "tiny")


def sounds(count: int) -> Any:
    return np.stack([speech(2.0, RATE, seed)[0] for seed in range(count)])


# --- what is told ---


def test_shares_are_those_of_the_library(add: Add, folder: Path) -> None:
    from transformers import WhisperFeatureExtractor, WhisperForAudioClassification

    model = WhisperForAudioClassification.from_pretrained(folder).eval()
    extractor: Any = WhisperFeatureExtractor.from_pretrained(folder)
    given_ = extractor(list(sounds(3)), sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        wanted = torch.softmax(model(given_["input_features"]).logits, dim=1).numpy()
    network = add(folder)
    assert network.labels == FEELINGS
    assert network(sounds(3)) == pytest.approx(wanted, abs=1e-5)
    assert np.ptp(wanted, axis=0).max() > 1e-3  # the tiny model tells sounds apart


def test_a_window_comes_out_the_same_in_any_company(add: Add, folder: Path) -> None:
    network = add(folder)
    together = network(sounds(4))
    assert np.array_equal(together[[2]], network(sounds(4)[[2]]))


@pytest.mark.parametrize("shape", [(0, WINDOW), (WINDOW,), (2, WINDOW - 1)])
def test_windows_of_another_shape_are_refused(add: Add, folder: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"expected .N, {WINDOW}."):
        add(folder)(np.zeros(shape, np.float32))


# --- the plane ---


def test_feelings_lie_where_they_belong() -> None:
    place = dict(zip(FEELINGS, places(FEELINGS), strict=True))
    assert place["happy"][0] > 0.5 > 0 > max(place[name][0] for name in ("angry", "disgust", "fearful", "sad"))
    assert place["sad"][1] < place["neutral"][1] < place["angry"][1]


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_the_plane_is_bounded_and_neutral_is_its_middle(raw: list[float]) -> None:
    shares = np.array([raw], np.float32) / max(sum(raw), 1e-6)
    assert np.all(np.abs(plane(shares, FEELINGS)) <= 1 + 1e-6)
    assert plane(np.eye(7, dtype=np.float32), FEELINGS)[FEELINGS.index("neutral")] == pytest.approx([0, 0])


def test_a_checkpoint_that_tells_the_axes_is_taken_at_its_word(add: Add, tmp_path: Path) -> None:
    network = add(tiny_emotion(tmp_path / "axes", labels=("arousal", "dominance", "valence")))
    told = network(sounds(1))
    assert plane(told, network.labels)[0] == pytest.approx(np.clip(2 * told[0, [2, 0]] - 1, -1, 1))
    assert plane(np.array([[1.0, 0.5, 0.25]], np.float32), network.labels)[0] == pytest.approx([-0.5, 1.0])


# --- loading ---


def configured(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-2000])


def headless(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    kept = {name: item for name, item in load_file(path).items() if "classifier" not in name}
    save_file(kept, path, metadata={"format": "pt"})


def other_rate(folder: Path) -> None:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sampling_rate": 8000}))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (truncated, "cannot be used"),
        (headless, "2 tensors are missing"),
        (configured(model_type="bert"), "model of type 'bert'; expected whisper"),
        (configured(d_model=32), "cannot be used"),
        (configured(id2label={str(n): f"LABEL_{n}" for n in range(7)}), "LABEL_0.*expected feelings by name"),
        (other_rate, "expected .16000, 80, 3000."),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "preprocessor_config.json cannot be used"),
        (lambda folder: (folder / "config.json").unlink(), "config.json does not say"),
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be used"),
    ],
)
def test_what_is_no_classifier_of_feelings_is_refused(
    add: Add, folder: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(folder)
    with pytest.raises(WeightsError, match=told) as error:
        add(folder)
    assert "cinereward weights add speech-emotion" in str(error.value)

"""Whisper's real loading, decoding and alignment, on a tiny model of its own architecture and format."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cinereward import weights
from cinereward.errors import OperatorError, WeightsError
from cinereward.networks.running import forget
from cinereward.networks.whisper import LONGEST, RATE, Heard, WhisperNetwork, load_whisper
from cinereward.testing.talking import speech
from cinereward.testing.tiny_whisper import tiny_whisper

Write = Callable[[Path], None]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], WhisperNetwork]:
    """Pin a file as whisper-small, and load it."""
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))

    def added(file: Path) -> WhisperNetwork:
        weights.add("whisper-small", file, own=True)
        return load_whisper("cpu")

    return added


@pytest.fixture(scope="module")
def network(path: Path) -> WhisperNetwork:
    from cinereward.networks.whisper import read_model

    located = weights.Located(name="tiny", folder=path.parent, files={path.name: path}, sha256="0" * 64, place="added")
    return WhisperNetwork("tiny", read_model(located), device="cpu")


def piece(seconds: float, seed: int = 0) -> Any:
    return speech(seconds, RATE, seed)[0]


@pytest.fixture(scope="module")
def alone(network: WhisperNetwork) -> Heard:
    return network([piece(2.0)])[0]


# --- what is heard ---


def test_words_have_times_in_order_within_the_piece(alone: Heard) -> None:
    starts = [word.start for word in alone.words]
    assert starts == sorted(starts)
    assert all(0 <= word.start <= word.end <= 2.0 and 0 <= word.probability <= 1 for word in alone.words)
    assert alone.words
    assert 0 < alone.certainty <= 1


def test_the_text_is_that_of_the_packages_own_decoding(alone: Heard, path: Path) -> None:
    import whisper
    from whisper.audio import log_mel_spectrogram, pad_or_trim

    model = whisper.load_model(str(path), device="cpu")
    columns = pad_or_trim(log_mel_spectrogram(piece(2.0), 80, padding=LONGEST), 3000)
    came = model.decode(columns, whisper.DecodingOptions(fp16=False, without_timestamps=True))
    assert (alone.text, alone.language) == (came.text, came.language)
    assert alone.logprob == pytest.approx(came.avg_logprob, abs=1e-5)
    assert alone.no_speech == pytest.approx(came.no_speech_prob, abs=1e-6)


def test_a_piece_comes_out_the_same_in_any_company(network: WhisperNetwork, alone: Heard) -> None:
    together = network([piece(1.0, 1), piece(2.0), piece(0.5, 2)])
    assert together[1] == alone
    assert together[0] != alone


def test_threads_do_not_disturb_one_another(network: WhisperNetwork, alone: Heard) -> None:
    came: list[Heard] = []
    threads = [threading.Thread(target=lambda: came.extend(network([piece(2.0)]))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert came == [alone] * 3


@pytest.mark.parametrize("samples", [1, 1600, LONGEST])
def test_pieces_from_one_sample_to_thirty_seconds_are_heard(network: WhisperNetwork, samples: int) -> None:
    heard = network([np.resize(piece(2.0), samples)])[0]
    assert len(heard.words) <= 24  # half the context of the tiny model
    assert all(word.end <= max(0.1, samples / RATE) + 0.02 for word in heard.words)


def test_a_text_without_an_end_is_cut_and_says_so(network: WhisperNetwork) -> None:
    heard = network([np.zeros(RATE, np.float32)])[0]
    assert heard.cut  # random weights never end a text
    assert heard.compression > 2.4


@pytest.mark.parametrize("shape", [(0,), (2, 100), (LONGEST + 1,)])
def test_a_piece_of_another_shape_is_refused(network: WhisperNetwork, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(N,\)"):
        network([np.zeros(shape, np.float32)])


def test_no_pieces_are_no_work(network: WhisperNetwork) -> None:
    assert network([]) == []


def test_a_full_memory_is_told(path: Path, network: WhisperNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network._model.encoder, "forward", full)
    with pytest.raises(OperatorError, match="does not fit into the memory of cpu"):
        network([piece(0.5)])


def test_english_only_models_are_sure_of_english(tmp_path: Path, add: Callable[[Path], WhisperNetwork]) -> None:
    heard = add(tiny_whisper(tmp_path / "english", n_vocab=51_864))([piece(0.5)])[0]
    assert (heard.language, heard.certainty) == ("en", 1.0)


# --- loading ---


def test_a_network_is_loaded_once(path: Path, add: Callable[[Path], WhisperNetwork]) -> None:
    forget()
    assert add(path) is add(path)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200_000])


def changed(change: Callable[[dict[str, Any]], Any]) -> Write:
    def write(path: Path) -> None:
        held = torch.load(path, weights_only=True)
        torch.save(change(held) or held, path)

    return write


def no_tensors(path: Path) -> None:
    path.write_text("<html>404</html>")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (truncated, "cannot be read"),
        (no_tensors, "cannot be read"),
        (changed(lambda held: {"weight": torch.zeros(3)}), r"expected dims and model_state_dict"),
        (changed(lambda held: [torch.zeros(3)]), "holds a list"),
        (changed(lambda held: held["dims"].update(n_vocab=50_257)), "n_vocab is 50257; expected 51864 or 51865"),
        (changed(lambda held: held["dims"].update(n_audio_layer=10**9)), "n_audio_layer is 1000000000"),
        (changed(lambda held: held["dims"].update(n_text_state=-1)), "n_text_state is -1"),
        (changed(lambda held: {**held, "dims": {"n_vocab": 51_865}}), "its dims are"),
        (changed(lambda held: held["dims"].update(n_text_layer=3)), "not those of a Whisper model"),
        (
            changed(lambda held: {**held, "model_state_dict": {"encoder.conv1.bias": torch.zeros(16)}}),
            "not those of a Whisper model",
        ),
    ],
)
def test_what_is_no_whisper_is_refused_by_name_and_hash(
    tmp_path: Path, path: Path, add: Callable[[Path], WhisperNetwork], spoil: Write, told: str
) -> None:
    bad = tmp_path / "bad.pt"
    bad.write_bytes(path.read_bytes())
    spoil(bad)
    with pytest.raises(WeightsError, match=told) as error:
        add(bad)
    assert "sha256" in str(error.value)
    assert "cinereward weights add whisper-small" in str(error.value)


def test_code_in_a_file_is_not_run(tmp_path: Path, add: Callable[[Path], WhisperNetwork]) -> None:
    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"dims": Touch(), "model_state_dict": {}}, tmp_path / "bad.pt")
    with pytest.raises(WeightsError, match="cannot be read"):
        add(tmp_path / "bad.pt")
    assert not (tmp_path / "ran").exists()

"""ONNX files are opened, or it is said what is wrong with them; what a machine lacks is told."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cinereward.errors import MissingExtraError, OperatorError, WeightsError
from cinereward.networks.onnx import CPU, CUDA, expect_shapes, open_session
from cinereward.networks.running import noting
from cinereward.testing.tiny_faces import tiny_faces

GIVEN, TOLD = (None, 3, 112, 112), [(None, 512)]
NAME = "arcface-r50"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return tiny_faces(tmp_path_factory.mktemp("onnx"))


def rows(count: int = 2) -> Any:
    return np.random.default_rng(0).normal(size=(count, 3, 112, 112)).astype(np.float32)


class FakeRuntime(SimpleNamespace):
    """An onnxruntime with a GPU provider, or with a session that does as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, session: Any, offered: tuple[str, ...] = (CUDA, CPU)) -> None:
        import onnxruntime

        self.asked: list[Any] = []

        def opened(path: str, *, sess_options: Any, providers: list[Any]) -> Any:
            self.asked = providers
            return session(path)

        super().__init__(
            SessionOptions=onnxruntime.SessionOptions,
            InferenceSession=opened,
            get_available_providers=lambda: list(offered),
        )
        monkeypatch.setitem(sys.modules, "onnxruntime", self)


def test_a_file_runs_and_gives_the_same_bits_again(files: dict[str, Path]) -> None:
    first, again = (open_session(files[NAME], device="cpu", what=NAME) for _ in range(2))
    (out,) = first.run(rows())
    assert out.shape == (2, 512)
    np.testing.assert_array_equal(again.run(rows())[0], out)
    assert (first.device, first.lack) == ("cpu", "")


def test_rows_do_not_depend_on_their_number(files: dict[str, Path]) -> None:
    opened = open_session(files[NAME], device="cpu", what=NAME)
    np.testing.assert_allclose(opened.run(rows())[0][:1], opened.run(rows()[:1])[0], rtol=1e-5)


@pytest.mark.parametrize("left", [0.0, 0.1, 0.6, 0.99])
def test_a_file_that_is_cut_short_is_refused(files: dict[str, Path], tmp_path: Path, left: float) -> None:
    data = files[NAME].read_bytes()
    short = tmp_path / "short.onnx"
    short.write_bytes(data[: int(left * len(data))])
    with pytest.raises(WeightsError, match=rf"arcface-r50: short\.onnx \({int(left * len(data))} bytes\)"):
        open_session(short, device="cpu", what=NAME)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "page.onnx"
    text.write_text("<html>404: not found</html>")
    with pytest.raises(WeightsError, match="no ONNX graph"):
        open_session(text, device="cpu", what=NAME)


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not there"):
        open_session(tmp_path / "gone.onnx", device="cpu", what=NAME)


def test_weights_of_another_network_are_told_by_their_shapes(files: dict[str, Path]) -> None:
    other = open_session(files["landmarks-106"], device="cpu", what=NAME)
    with pytest.raises(WeightsError, match=r"\?x3x192x192 and gives \?x212; expected \?x3x112x112 and \?x512"):
        expect_shapes(other, files["landmarks-106"], NAME, GIVEN, TOLD)


def test_the_right_network_is_taken(files: dict[str, Path]) -> None:
    opened = open_session(files[NAME], device="cpu", what=NAME)
    expect_shapes(opened, files[NAME], NAME, GIVEN, TOLD)
    assert [out.shape for out in opened.run(rows(2))] == [(2, 512)]


def test_without_the_gpu_provider_the_cpu_is_used_and_every_clip_is_told(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    opened = open_session(files[NAME], device="cuda", what=NAME)
    assert opened.device == "cpu"
    for _ in range(2):
        with noting() as notes:
            opened.run(rows(1))
        assert len(notes) == 1
        assert "onnxruntime without the GPU provider" in notes[0]
        assert "pip install onnxruntime-gpu" in notes[0]


def test_on_a_gpu_the_gpu_is_asked_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runtime = FakeRuntime(monkeypatch, lambda path: SimpleNamespace(get_providers=lambda: [CUDA, CPU]))
    opened = open_session(tmp_path / "any.onnx", device="cuda:1", what=NAME)
    assert (opened.device, opened.lack) == ("cuda:1", "")
    assert runtime.asked[0][0] == CUDA
    assert runtime.asked[0][1]["device_id"] == 1


def test_a_gpu_provider_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FakeRuntime(monkeypatch, lambda path: SimpleNamespace(get_providers=lambda: [CPU]))
    opened = open_session(tmp_path / "any.onnx", device="cuda", what=NAME)
    assert opened.device == "cpu"
    assert "could not start its GPU provider" in opened.lack


def test_a_full_gpu_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(path: str) -> Any:
        raise RuntimeError("CUDA failure 2: out of memory")

    FakeRuntime(monkeypatch, full)
    with pytest.raises(OperatorError, match="does not fit into the memory of cuda"):
        open_session(tmp_path / "any.onnx", device="cuda", what=NAME)


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"onnxruntime is not installed.*cinereward\[perception\]"):
        open_session(files[NAME], device="cpu", what=NAME)

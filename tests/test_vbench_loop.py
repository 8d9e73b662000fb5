"""The benchmark's loop in VBench's way gives what the operator gives, on the same files and weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.vbench_loop import DIMENSIONS, Loop, write
from cinereward import Clip, weights
from cinereward.engine import Engine
from cinereward.operators.vbench import VBench
from cinereward.testing import scene
from cinereward.testing.tiny_vision import tiny_clip, tiny_dino_vit, tiny_raft

FPS = 24.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))
    weights.add("dino-vitb16", tiny_dino_vit(tmp_path), own=True)
    weights.add("clip-vit-b32", tiny_clip(tmp_path / "clip"), own=True)
    weights.add("raft-things", tiny_raft(tmp_path, authors=True), own=True)
    return tmp_path


def test_the_loop_and_the_operator_tell_the_same(home: Path) -> None:
    film = write(home / "film.mp4", scene(0.5, FPS, (128, 160), 1, "pan"), FPS)
    engine = Engine([VBench("cpu")], window_frames=5, workers=1, batch_size=2)
    ((_, measured),) = engine.run([Clip(film)])
    assert measured.error is None and not measured.failures
    loop = Loop("cpu")
    for name in DIMENSIONS:
        assert measured.evidence["vbench"][name].value == pytest.approx(loop(name, [film])[0], abs=1e-4), name


def test_the_loop_asks_raft_of_every_pair_and_holds_slow_films_to_the_same_bound(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As VBench's code does at 45e79ec; before July 2024 it doubled the bound at 4 frames a second."""
    film = write(home / "slow.mp4", scene(2, 4.0, (128, 160), 1, "pan"), 4.0)
    pairs: list[int] = []
    loop = Loop("cpu")

    def motion(*_: object) -> float:
        pairs.append(1)
        return 3.1  # the bound is 3 pixels

    monkeypatch.setattr(loop, "_motion", motion)
    assert loop("dynamic_degree", [film]) == [1.0]
    assert len(pairs) == 7


def test_what_vbench_does_not_measure_here_is_refused(home: Path) -> None:
    with pytest.raises(ValueError, match="motion_smoothness"):
        Loop("cpu")("motion_smoothness", [])

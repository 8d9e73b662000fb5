"""Tiny DINO, CLIP, SigLIP and RAFT: the same numbers every time, small, and of the true architecture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from vision import WRITE

from cinereward.testing.tiny_vision import numbers, tiny_dino

NAMES = [name for name in WRITE if name != "yolo11m"]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    if path.is_dir():
        return load_file(path / "model.safetensors")
    found: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return found


def written(folder: Path, name: str) -> Path:
    folder.mkdir()
    return WRITE[name](folder)


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_the_same_every_time_and_leave_chance_alone(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    first = tensors(written(tmp_path / "a", name))
    torch.manual_seed(2)
    again = tensors(written(tmp_path / "b", name))
    assert all(torch.equal(first[key], again[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_a_few_megabytes_at_most(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "a", name)
    files = path.iterdir() if path.is_dir() else [path]
    assert sum(file.stat().st_size for file in files) < 4e6


def test_the_numbers_are_those_of_numpys_generator() -> None:
    came = numbers({"b.weight": torch.zeros(2, 8), "a.bias": torch.zeros(3)}, seed=5, gain=2.0)
    rng = np.random.default_rng(5)
    assert np.allclose(came["a.bias"], rng.normal(0, 0.1, 3))
    assert np.allclose(came["b.weight"], rng.normal(0, 2 / np.sqrt(8), (2, 8)))


def test_another_kind_of_dino_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dinov2"):
        tiny_dino(tmp_path, kind="dinov9")

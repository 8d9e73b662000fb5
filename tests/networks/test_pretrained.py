"""Folders of transformers: other architectures, truncated files and missing tensors are told, and nothing is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from vision import WRITE

from cinereward import weights
from cinereward.errors import WeightsError
from cinereward.networks.pretrained import pretrained
from cinereward.weights import Located

transformers = pytest.importorskip("transformers")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))
    at = tmp_path / "dino"
    at.mkdir()
    return WRITE["dinov2-base"](at)


def located(folder: Path) -> Located:
    return weights.add("dinov2-base", folder, own=True)


def test_what_is_whole_is_read(folder: Path) -> None:
    model, config = pretrained(located(folder), ["dinov2"])
    assert type(model).__name__ == "Dinov2Model"
    assert config["patch_size"] == 14


def test_another_architecture_is_told_with_what_came_and_what_was_expected(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"'dinov2'; expected clip or siglip.*cinereward weights add"):
        pretrained(located(folder), ["clip", "siglip"])


def test_a_truncated_file_is_told_with_its_hash(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    found = located(folder)
    with pytest.raises(WeightsError, match=found.sha256[:12]):
        pretrained(found, ["dinov2"])


def without(tensors: dict, name: str) -> None:  # type: ignore[type-arg]
    del tensors[name]


def narrower(tensors: dict, name: str) -> None:  # type: ignore[type-arg]
    tensors[name] = tensors[name][:-1].contiguous()


@pytest.mark.parametrize("harm", [without, narrower])
def test_a_tensor_that_lacks_or_has_another_shape_is_never_filled_in(
    folder: Path,
    harm: Callable[[dict, str], None],  # type: ignore[type-arg]
) -> None:
    tensors = load_file(folder / "model.safetensors")
    harm(tensors, "encoder.layer.1.mlp.fc1.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="cannot be used"):
        pretrained(located(folder), ["dinov2"])


@pytest.mark.parametrize("text", ["", "[]", "{}", "{not json"])
def test_a_config_that_says_nothing_is_told(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=r"config\.json"):
        pretrained(located(folder), ["dinov2"])


def test_a_pickle_in_the_place_of_safetensors_is_not_read(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be used"):
        pretrained(located(folder), ["dinov2"])


def test_code_that_a_folder_brings_is_not_run(folder: Path) -> None:
    (folder / "evil.py").write_text("raise SystemExit('run')")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    model, _ = pretrained(located(folder), ["dinov2"])
    assert type(model).__name__ == "Dinov2Model"

"""DINO: the true loading code on tiny weights, against transformers and the numbers of VBench's own code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from vision import installed

from cinereward import weights
from cinereward.errors import WeightsError
from cinereward.networks.clip import unit
from cinereward.networks.dino import SIDE, load_dino, load_dino_vit
from cinereward.networks.pixels import IMAGENET
from cinereward.networks.vit import VisionTransformer, shaped
from cinereward.testing.scenes import scene

transformers = pytest.importorskip("transformers")
FOLDERS = ("dinov2-base", "dinov3-vitb16")


@pytest.fixture(scope="module", autouse=True)
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    with installed(tmp_path_factory.mktemp("home"), *FOLDERS, "dino-vitb16") as found:
        yield found


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return scene(0.15, size=(SIDE, SIDE), seed=1)


def normalised(rows: np.ndarray) -> torch.Tensor:
    mean, std = (np.array(values, np.float32) for values in IMAGENET)
    return torch.from_numpy(((rows / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy())


@pytest.mark.parametrize("name", FOLDERS)
def test_tokens_are_what_transformers_own_model_tells(paths: dict[str, Path], name: str, rows: np.ndarray) -> None:
    model = transformers.AutoModel.from_pretrained(paths[name]).eval()
    with torch.no_grad():
        theirs = model(pixel_values=normalised(rows)).last_hidden_state.numpy()
    classes, patches = load_dino("cpu", name)(rows)
    side = {"dinov2-base": 16, "dinov3-vitb16": 14}[name]
    assert np.allclose(classes, unit(theirs[:, 0]), atol=1e-5)
    assert patches.shape == (len(rows), side, side, 64)
    assert np.allclose(patches.reshape(len(rows), side * side, 64), theirs[:, -side * side :], atol=1e-4)


@pytest.mark.parametrize("size", [(48, 64), (300, 200)])
def test_pictures_of_any_size_have_one_grid_of_patches(size: tuple[int, int]) -> None:
    _, patches = load_dino("cpu")(scene(0.05, size=size, seed=1))
    assert patches.shape[1:3] == (16, 16)


def test_a_picture_does_not_depend_on_those_beside_it(rows: np.ndarray) -> None:
    net = load_dino("cpu")
    assert np.array_equal(net.classes(rows)[2], net.classes(rows[2:3])[0])


def test_the_width_is_that_of_the_points(rows: np.ndarray) -> None:
    for net in (load_dino("cpu"), load_dino_vit("cpu")):
        assert net.classes(rows[:1]).shape == (1, net.width)


def test_the_vit_of_dino_is_that_of_transformers_where_the_picture_is_square(
    paths: dict[str, Path], rows: np.ndarray
) -> None:
    """Only there: transformers stretches the table of positions otherwise."""
    own = torch.load(paths["dino-vitb16"], weights_only=True)
    config = transformers.ViTConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=128, layer_norm_eps=1e-6
    )
    model = transformers.ViTModel(config, add_pooling_layer=False).eval()
    lacking, unknown = model.load_state_dict(under_other_names(own), strict=False)
    assert (lacking, unknown) == ([], [])
    with torch.no_grad():
        theirs = model(pixel_values=normalised(rows)).last_hidden_state[:, 0].numpy()
    assert np.allclose(load_dino_vit("cpu").classes(rows), unit(theirs), atol=1e-5)


def under_other_names(own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """DINO's tensors as transformers' ViT names them."""
    out = {"embeddings.cls_token": own["cls_token"], "embeddings.position_embeddings": own["pos_embed"]}
    for kind in ("weight", "bias"):
        out[f"embeddings.patch_embeddings.projection.{kind}"] = own[f"patch_embed.proj.{kind}"]
        out[f"layernorm.{kind}"] = own[f"norm.{kind}"]
        for block in range(2):
            a, b = f"blocks.{block}.", f"layers.{block}."
            for letter, part in zip("qkv", own[f"{a}attn.qkv.{kind}"].chunk(3), strict=True):
                out[f"{b}attention.{letter}_proj.{kind}"] = part
            out[f"{b}attention.o_proj.{kind}"] = own[f"{a}attn.proj.{kind}"]
            for theirs, ours in (("layernorm_before", "norm1"), ("layernorm_after", "norm2")):
                out[f"{b}{theirs}.{kind}"] = own[f"{a}{ours}.{kind}"]
            for layer in ("mlp.fc1", "mlp.fc2"):
                out[f"{b}{layer}.{kind}"] = own[f"{a}{layer}.{kind}"]
    return out


def test_what_fills_no_patch_is_left_out() -> None:
    model = VisionTransformer(dim=64, depth=1, patch=16, table=14, hidden=64).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 40, 70)).shape == (1, 1 + 2 * 4, 64)


def test_the_size_of_the_vit_is_read_from_its_tensors() -> None:
    tensors = VisionTransformer(dim=128, depth=3, patch=8, table=7, hidden=96).state_dict()
    assert {name: item.shape for name, item in shaped(tensors).state_dict().items()} == {
        name: item.shape for name, item in tensors.items()
    }


def pinned(folder: Path, tensors: object) -> None:
    folder.mkdir()
    torch.save(tensors, folder / "own.pth")
    weights.add("dino-vitb16", folder / "own.pth", own=True)


@pytest.mark.parametrize("harm", ["another network", "a tensor lacks", "another shape", "not tensors"])
def test_other_weights_are_told_and_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: dict[str, Path], harm: str
) -> None:
    tensors = dict(torch.load(paths["dino-vitb16"], weights_only=True))
    if harm == "another network":
        tensors = {"conv1.weight": torch.zeros(3)}
    elif harm == "a tensor lacks":
        del tensors["blocks.1.norm2.bias"]
    elif harm == "another shape":
        tensors["pos_embed"] = torch.zeros(1, 12, 64)
    else:
        tensors = {"state": [1, 2]}  # type: ignore[dict-item]
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path))
    pinned(tmp_path / "own", tensors)
    with pytest.raises(WeightsError, match=r"dino-vitb16 in .*expected the whole model"):
        load_dino_vit("cpu")


def test_a_truncated_checkpoint_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: dict[str, Path]
) -> None:
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path))
    cut = tmp_path / "cut.pth"
    cut.write_bytes(paths["dino-vitb16"].read_bytes()[:5000])
    weights.add("dino-vitb16", cut, own=True)
    with pytest.raises(WeightsError, match="cannot be read as plain tensors"):
        load_dino_vit("cpu")


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path(tmp_path / "ran").touch, ())  # type: ignore[return-value]

    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path))
    pinned(tmp_path / "own", {"cls_token": Evil()})
    with pytest.raises(WeightsError, match="cannot be read as plain tensors"):
        load_dino_vit("cpu")
    assert not (tmp_path / "ran").exists()

"""CLIP and SigLIP: the true loading code on tiny folders, against transformers' own processing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from vision import installed

from cinereward import weights
from cinereward.errors import MissingExtraError, WeightsError
from cinereward.networks import clip
from cinereward.networks.clip import ImageText, load_image_text, unit
from cinereward.networks.running import forget
from cinereward.testing.scenes import scene

transformers = pytest.importorskip("transformers")
NAMES = ("clip-vit-b32", "siglip2-base")


@pytest.fixture(scope="module", autouse=True)
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    with installed(tmp_path_factory.mktemp("home"), *NAMES) as found:
        yield found


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return scene(0.2, size=(240, 320), seed=1)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_what_transformers_own_model_tells(paths: dict[str, Path], name: str, rows: np.ndarray) -> None:
    model = transformers.AutoModel.from_pretrained(paths[name]).eval()
    # resample 2, bilinear: preprocessor_config.json of google/siglip2-base-patch16-224
    processor = transformers.CLIPImageProcessor() if "clip-" in name else transformers.SiglipImageProcessor(resample=2)
    pixels = processor(images=list(rows), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        theirs = unit(clip.pooled(model.get_image_features(pixel_values=pixels)).numpy())
    ours = load_image_text("cpu", name).pictures(rows)
    # its processor rounds to levels after the resize, ours does not, and these weights make much of little
    assert float((ours * theirs).sum(axis=1).min()) > 0.995


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_what_transformers_own_model_tells(paths: dict[str, Path], name: str) -> None:
    model = transformers.AutoModel.from_pretrained(paths[name]).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(paths[name])
    texts = ["a red kite over the sea", "a dog runs"]
    ids = tokenizer(texts, padding="max_length", max_length=16, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        theirs = unit(clip.pooled(model.get_text_features(input_ids=ids)).numpy())
    assert np.allclose(load_image_text("cpu", name).texts(texts), theirs, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_text_longer_than_the_model_reads_is_cut(name: str) -> None:
    net = load_image_text("cpu", name)
    assert np.array_equal(net.texts(["a dog " * 500]), net.texts(["a dog " * 400]))


def test_a_picture_does_not_depend_on_those_beside_it(rows: np.ndarray) -> None:
    net = load_image_text("cpu", "clip-vit-b32")
    assert np.array_equal(net.pictures(rows)[1], net.pictures(rows[1:2])[0])


def test_points_have_length_one(rows: np.ndarray) -> None:
    net = load_image_text("cpu", "siglip2-base")
    lengths = np.linalg.norm(np.concatenate([net.pictures(rows), net.texts(["a dog"])]), axis=1)
    assert np.allclose(lengths, 1, atol=1e-6)


def test_the_scale_is_the_models(paths: dict[str, Path]) -> None:
    model = transformers.AutoModel.from_pretrained(paths["clip-vit-b32"])
    assert load_image_text("cpu", "clip-vit-b32").scale == pytest.approx(float(model.logit_scale.detach().exp()))


def counting() -> tuple[ImageText, list[int]]:
    """Towers that tell the number of letters of a text, and a list of how many were read each time."""
    asked: list[int] = []

    def read(ids: np.ndarray) -> np.ndarray:
        asked.append(len(ids))
        return np.stack([ids[:, 0], np.ones(len(ids))], axis=1).astype(np.float32)

    def tokens(texts: object) -> np.ndarray:
        return np.array([[len(text)] for text in texts])  # type: ignore[attr-defined]

    return ImageText(lambda rows: np.ones((len(rows), 2), np.float32), read, tokens), asked


def test_a_text_is_read_once() -> None:
    net, asked = counting()
    first = net.texts(["a", "bcd", "a"])
    assert np.array_equal(net.texts(["bcd", "a"]), first[[1, 0]])
    assert asked == [2]


def test_texts_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "KEPT", 2)
    net, asked = counting()
    for text in ("a", "bb", "ccc", "a"):
        net.texts([text])
    assert asked == [1, 1, 1, 1]


def test_without_a_tokenizer_texts_are_refused_by_name(tmp_path: Path) -> None:
    with installed(tmp_path, "clip-vit-b32") as found:
        pass
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (found["clip-vit-b32"] / name).unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINEREWARD_HOME", str(tmp_path / "other"))
        weights.add("clip-vit-b32", found["clip-vit-b32"], own=True)
        net = load_image_text("cpu", "clip-vit-b32")
        with pytest.raises(WeightsError, match="no tokenizer"):
            net.texts(["a"])


def test_without_transformers_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    forget()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match="perception"):
        load_image_text("cpu", "siglip2-base")

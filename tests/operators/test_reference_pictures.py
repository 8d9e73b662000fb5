"""What a reference may be: images, films and lists of them; what cannot be read is told."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cinereward.errors import OperatorError
from cinereward.operators.reference_pictures import MOST, pictures_of
from cinereward.types import Clip

PICTURE = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)


def saved(folder: Path) -> Path:
    path = folder / "picture.png"
    Image.fromarray(PICTURE).save(path)
    return path


def as_bytes() -> bytes:
    out = io.BytesIO()
    Image.fromarray(PICTURE).save(out, "png")
    return out.getvalue()


WAYS: dict[str, Any] = {
    "a PIL image": lambda folder: Image.fromarray(PICTURE),
    "an array": lambda folder: PICTURE,
    "floats": lambda folder: PICTURE / np.float32(255),
    "a tensor": lambda folder: torch.from_numpy(PICTURE).permute(2, 0, 1),
    "a path": saved,
    "a path as text": lambda folder: str(saved(folder)),
    "bytes": lambda folder: as_bytes(),
    "a list": lambda folder: [PICTURE],
    "a clip": lambda folder: Clip(PICTURE[None], fps=24, layout="THWC"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_picture_comes_back_whatever_way_it_is_given(tmp_path: Path, way: str) -> None:
    (came,) = pictures_of(WAYS[way](tmp_path))
    assert np.array_equal(came, PICTURE)


def test_a_film_gives_a_few_pictures_from_its_whole_length() -> None:
    film = np.repeat(np.arange(240, dtype=np.uint8)[:, None, None, None], 3, axis=3) * np.ones((1, 16, 16, 1), np.uint8)
    came = pictures_of(Clip(film, fps=24, layout="THWC"))
    levels = [int(picture.mean()) for picture in came]
    assert len(came) == MOST
    assert levels == sorted(levels)
    assert levels[0] == 0
    assert levels[-1] > 200


def test_a_file_of_film_is_read(folder: Path) -> None:
    assert len(pictures_of(folder / "plain.mp4")) > 1


@pytest.mark.parametrize(
    "reference", [b"no picture", "nowhere.png", 7, [], np.zeros(5), object(), np.full((4, 4, 3), np.nan)]
)
def test_what_cannot_be_read_is_told_as_an_operators_error(reference: Any) -> None:
    with pytest.raises(OperatorError, match="the reference"):
        pictures_of(reference)

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cinereward.errors import JudgeError
from cinereward.judge.given import first_picture
from cinereward.types import Clip
from tests.clips import frames
from tests.command import write

FRAMES = frames(1, 5)
PIXELS = 10_000


def png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(FRAMES[0]).save(out, "png")
    return out.getvalue()


@pytest.mark.parametrize(
    "reference",
    [
        FRAMES[0],
        FRAMES[0].transpose(2, 0, 1),
        FRAMES,
        FRAMES.transpose(0, 3, 1, 2),
        FRAMES[0] / 255,
        Image.fromarray(FRAMES[0]),
        Clip(FRAMES, layout="THWC", fps=24.0),
        png(),
        [FRAMES[0], FRAMES[1]],
    ],
    ids=["HWC", "CHW", "THWC", "TCHW", "float", "PIL", "Clip", "bytes", "list"],
)
def test_a_reference_of_any_kind_is_shown_by_its_first_picture(reference: Any) -> None:
    came = first_picture(reference, PIXELS)
    assert came is not None
    assert came.dtype == np.uint8
    assert np.array_equal(came, FRAMES[0])


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "given.png"
    path.write_bytes(png())
    for reference in (path, str(path)):
        came = first_picture(reference, PIXELS)
        assert came is not None
        assert np.array_equal(came, FRAMES[0])


def test_a_film_is_read(tmp_path: Path) -> None:
    came = first_picture(write(tmp_path / "given.mp4"), PIXELS)
    assert came is not None
    assert came.shape == (48, 64, 3)


def test_a_film_is_read_where_another_library_has_changed_how_pictures_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'pi_heif'")  # as ultralytics does, once it is imported

    monkeypatch.setattr(Image, "open", opened)
    came = first_picture(write(tmp_path / "given.mp4"), PIXELS)
    assert came is not None and came.shape == (48, 64, 3)


def test_no_reference_is_none() -> None:
    assert first_picture(None, PIXELS) is None


def test_a_large_picture_is_made_small_and_a_small_one_left() -> None:
    large = first_picture(np.zeros((900, 1600, 3), np.uint8), PIXELS)
    assert large is not None
    assert 0.9 * PIXELS < large.shape[0] * large.shape[1] <= PIXELS
    assert large.shape[1] / large.shape[0] == pytest.approx(16 / 9, rel=0.03)


@pytest.mark.parametrize("reference", [7, [], b"no picture", "missing.png", np.zeros((4, 4))], ids=repr)
def test_what_cannot_be_read_is_told_and_never_left_out(reference: Any) -> None:
    with pytest.raises(JudgeError, match=r"the reference, a .*, cannot be read"):
        first_picture(reference, PIXELS)

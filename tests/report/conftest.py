"""Small files whose frames say which they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

FPS = 24
FRAMES = 48  # two seconds


def level(frame: int) -> int:
    """How bright a frame is: neighbours differ by 4 of 255."""
    return 20 + 4 * frame


def encode(path: Path, codec: str = "libx264", *, width: int = 320, height: int = 180, pixels: str = "yuv420p") -> Path:
    """Two seconds of grey that grows brighter from frame to frame, beside a still white stripe."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for frame in range(FRAMES):
            picture = np.full((height, width, 3), level(frame), np.uint8)
            picture[:, : width // 16] = 255
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a file of this name, once."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str, codec: str = "libx264", **given: int | str) -> Path:
        path = folder / name
        return path if path.exists() else encode(path, codec, **given)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def mp4(made: Callable[..., Path]) -> Path:
    return made("plain.mp4")


@pytest.fixture(scope="session")
def webm(made: Callable[..., Path]) -> Path:
    return made("plain.webm", "libvpx")

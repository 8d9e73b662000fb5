"""What the tests of media share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cinereward.errors import ClipError
from cinereward.media import open_clip
from cinereward.types import Clip, Window

from .making import Frames


def windows_of(video: Any, length: int = 5, *, sound: bool = False, **fields: Any) -> list[Window]:
    """All windows of a clip."""
    return list(open_clip(Clip(video, **fields), sound=sound).windows(length))


def frames_of(video: Any, length: int = 5, **fields: Any) -> Frames:
    """All frames of a clip, each once."""
    return np.concatenate([window.frames[window.overlap :] for window in windows_of(video, length, **fields)])


def sound_of(video: Any, length: int = 5, **fields: Any) -> tuple[np.ndarray, np.ndarray]:
    """The mono samples (N,) and the original (channels, M) of a clip, its stretches put together."""
    sounds = [window.sound for window in windows_of(video, length, sound=True, **fields)]
    mono = np.concatenate([s.samples[s.lead :] for s in sounds if s is not None])
    return mono, np.concatenate([s.original[:, s.original_lead :] for s in sounds if s is not None], axis=1)


def refusal(call: Callable[[], Any]) -> str:
    """The message of the ClipError that a call ends in."""
    with pytest.raises(ClipError) as caught:
        call()
    return str(caught.value)


@pytest.fixture
def only_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine for which decord has no wheel."""
    monkeypatch.setattr("cinereward.media.pictures.FileFrames._decord", lambda self: None)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a test's files go."""
    return tmp_path

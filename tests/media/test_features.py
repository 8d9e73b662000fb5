"""Features: what they hold, and that the length of the window never shows in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from cinereward.media import features
from cinereward.media.features import FEATURES, HOP, KEY_RATE, LUMA_SIDE, SMALL_PIXELS, small_size, stride
from cinereward.types import Window

from .conftest import windows_of
from .making import moving, texture

COUNT = 30
FRAMES = moving(COUNT, 96, 128)
SOUND = np.random.default_rng(1).normal(0, 0.2, round(44_100 * COUNT / 24)).clip(-1, 1).astype(np.float32)
LENGTHS = [1, 2, 5, 24]


def clip(length: int) -> list[Window]:
    return windows_of(FRAMES, length, sound=True, fps=24, audio=SOUND, sample_rate=44_100)


def rows(windows: Sequence[Window], name: str) -> np.ndarray:
    """A feature of one row a frame, over the owned frames of all windows."""
    return np.concatenate([window.features[name][window.overlap :] for window in windows])


def by_index(windows: Sequence[Window], name: str) -> dict[int, Any]:
    """A feature of chosen frames, by the frame's index in the clip."""
    return {w.start_frame + row: value for w in windows for row, value in w.features[name].items()}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", ["small", "grey", "thumbs", "flow"])
def test_rows_do_not_depend_on_the_windows_length(name: str, length: int) -> None:
    np.testing.assert_array_equal(rows(clip(length), name), rows(clip(100), name))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", ["luma", "faces"])
def test_chosen_frames_do_not_depend_on_the_windows_length(name: str, length: int) -> None:
    cut, whole = by_index(clip(length), name), by_index(clip(100), name)
    assert list(cut) == list(whole)
    for index in whole:
        np.testing.assert_array_equal(cut[index], whole[index])


@pytest.mark.parametrize("length", LENGTHS)
def test_onsets_do_not_depend_on_the_windows_length(length: int) -> None:
    cut, whole = (np.concatenate([w.features["onsets"] for w in clip(n)]) for n in (length, 100))
    np.testing.assert_allclose(cut, whole, atol=1e-6)
    assert len(whole) == COUNT * 16_000 // 24 // HOP


@pytest.mark.parametrize("length", LENGTHS)
def test_keys_are_chosen_by_absolute_index(length: int) -> None:
    found = [w.start_frame + int(row) for w in clip(length) for row in w.features["keys"]]
    assert found == list(range(0, COUNT, stride(24, KEY_RATE)))


def test_onsets_stand_where_sound_begins() -> None:
    sound = np.zeros(16_000, np.float32)
    sound[8_000:] = np.sin(np.arange(8_000) * 0.3)
    onsets = windows_of(FRAMES, sound=True, length=100, fps=24, audio=sound, sample_rate=16_000)[0].features["onsets"]
    assert np.argmax(onsets) == pytest.approx(8_000 / HOP, abs=3)


def test_a_silent_clip_has_no_onsets() -> None:
    assert len(windows_of(FRAMES, fps=24)[0].features["onsets"]) == 0


def test_flow_points_back_to_the_frame_before() -> None:
    """The picture pans: what is at x was 3 pixels further right one frame before."""
    flow = windows_of(moving(4, 96, 128, step=3), 100, fps=24)[0].features["flow"]
    np.testing.assert_allclose(np.median(flow[1:], axis=(1, 2)), [[3, 0]] * 3, atol=0.2)
    assert not flow[0].any()


@pytest.mark.parametrize("size", [(16, 16), (17, 200), (40, 900), (900, 40), (33, 57)], ids=str)
def test_every_feature_is_made_of_small_and_odd_pictures(size: tuple[int, int]) -> None:
    window = windows_of(moving(3, *size), 100, fps=24, sound=True, audio=SOUND, sample_rate=44_100)[0]
    for name in FEATURES:
        assert window.features[name] is not None
    assert window.features["flow"].shape == (*window.features["grey"].shape, 2)
    assert np.isfinite(window.features["flow"]).all()


def test_shapes_and_kinds_are_those_of_the_docstring() -> None:
    made = clip(100)[0].features
    for name, shape, kind in [
        ("small", (COUNT, 96, 128, 3), np.uint8),
        ("grey", (COUNT, 96, 128), np.uint8),
        ("thumbs", (COUNT, 18, 32, 3), np.uint8),
        ("flow", (COUNT, 96, 128, 2), np.float32),
        ("onsets", (125,), np.float32),
    ]:
        assert (made[name].shape, made[name].dtype) == (shape, kind), name
    assert {luma.shape for luma in made["luma"].values()} == {(96, 128)}


def test_a_feature_is_made_once_for_all_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name, make in FEATURES.items():
        monkeypatch.setitem(features.FEATURES, name, lambda f, n=name, m=make: (calls.append(n), m(f))[1])
    window = clip(100)[0]
    for _ in range(2):
        for name in window.features:
            window.features[name]
    assert sorted(calls) == sorted(FEATURES)


def test_nothing_is_made_that_nobody_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FEATURES:
        monkeypatch.setitem(features.FEATURES, name, lambda f: pytest.fail("made unasked"))
    assert len(clip(5)) == COUNT / 5


@pytest.mark.parametrize("size", [(1080, 1920), (1920, 1080), (2160, 3840), (480, 832)], ids=str)
def test_the_small_picture_keeps_its_shape_and_its_size(size: tuple[int, int]) -> None:
    width, height = small_size(*size)
    assert width * height == pytest.approx(SMALL_PIXELS, rel=0.01)
    assert width / height == pytest.approx(size[1] / size[0], rel=0.01)


@pytest.mark.parametrize("size", [(96, 128), (16, 16)], ids=str)
def test_small_pictures_are_never_enlarged(size: tuple[int, int]) -> None:
    assert small_size(*size) == size[::-1]


def test_luma_is_at_most_720_high_and_the_luma_of_the_frame() -> None:
    frame = texture(1, 900, 1200, 50)
    luma = windows_of(frame[None], fps=24)[0].features["luma"][0]
    assert luma.shape == (LUMA_SIDE, 960)
    truth = cv2.resize(frame @ np.array([0.299, 0.587, 0.114]), (960, LUMA_SIDE), interpolation=cv2.INTER_AREA)
    assert np.abs(luma - truth).max() <= 2


@pytest.mark.parametrize(("fps", "every"), [(8, 1), (24, 3), (23.976, 3), (30, 4), (60, 8), (3, 1)])
def test_a_stride_gives_about_the_rate(fps: float, every: int) -> None:
    assert stride(fps, 8.0) == every


def test_a_face_is_found_where_it_is() -> None:
    from skimage import data

    frame = np.ascontiguousarray(data.astronaut()[:240, 100:400])  # her face: about (224 - 100, 110)
    boxes = windows_of(frame[None], fps=24)[0].features["faces"][0]
    assert any(x < 124 < x + w and y < 110 < y + h for x, y, w, h in boxes)

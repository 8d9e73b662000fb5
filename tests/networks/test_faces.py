"""Faces are found as InsightFace finds them, once a key frame, and what is too small tells nothing."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.transform import SimilarityTransform

from cinereward import weights
from cinereward.errors import MissingExtraError, OperatorError, WeightsError
from cinereward.networks.faces import (
    LEAST,
    MOST,
    PLACES,
    TOLD,
    WEIGHTS,
    FaceNetworks,
    around,
    cropped,
    load_faces,
    placed,
    similarity,
)
from cinereward.networks.running import Runner, forget
from cinereward.testing import clip, scene, windows_of
from cinereward.testing.tiny_faces import FIVE, tiny_faces
from cinereward.types import Window


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return tiny_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def home(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The tiny files, added as somebody's own weights."""
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))
    for name, path in files.items():
        weights.add(name, path, own=True)
    return files


@cache
def film() -> Any:
    return scene(1.0, 12, (192, 256), seed=1)


def windows(length: int = 16, frames: Any = None) -> list[Window]:
    return windows_of(clip(film() if frames is None else frames, 12.0), length)


def planted(boxes: Any, calls: list[int] | None = None) -> FaceNetworks:
    """Networks whose detector finds these boxes (F, 5), whatever it is shown."""
    found = np.asarray(boxes, np.float32).reshape(-1, 5)
    whole = np.nan_to_num(found, posinf=0)
    middle, half = (whole[:, :2] + whole[:, 2:4]) / 2, (whole[:, 2:4] - whole[:, :2]) / 2
    points = (middle[:, None] + half[:, None] * FIVE).astype(np.float32)

    def detect(picture: Any) -> Any:
        if calls is not None:
            calls.append(len(picture))
        return found, points

    def crops(size: int) -> Runner:
        return Runner("crops", lambda rows: rows.reshape(len(rows), -1)[:, :size] + 1, device="cpu")

    return FaceNetworks(key="planted", detect=detect, embed=crops(512), landmark=crops(212))


# --- as InsightFace does it ---


def test_what_is_found_is_what_insightface_finds(home: dict[str, Path]) -> None:
    from insightface.app.common import Face as TheirFace
    from insightface.model_zoo import SCRFD, ArcFaceONNX, Landmark

    frame = film()[0]
    picture = np.ascontiguousarray(frame[..., ::-1])
    detector = SCRFD(model_file=str(home["scrfd-10g"]))
    detector.prepare(-1, input_size=(640, 640), det_thresh=0.5)
    recogniser = ArcFaceONNX(model_file=str(home["arcface-r50"]))
    marker = Landmark(model_file=str(home["landmarks-106"]))
    boxes, points = detector.detect(picture, input_size=(640, 640))
    ours = load_faces("cpu")(windows())[0][0]
    told = 0
    for face in ours:
        near = int(np.argmin(np.abs(boxes[:, :4] - face.box).sum(axis=1)))
        np.testing.assert_allclose(face.box, boxes[near, :4], rtol=1e-5, atol=1e-3)
        assert face.score == pytest.approx(float(boxes[near, 4]), abs=1e-5)
        np.testing.assert_allclose(face.points, points[near], rtol=1e-5, atol=1e-3)
        if face.embedding is None or face.landmarks is None:
            continue
        theirs = TheirFace(bbox=boxes[near, :4], kps=points[near], det_score=boxes[near, 4])
        with np.errstate(all="ignore"):
            numbers = recogniser.get(picture, theirs)
            marks = marker.get(picture, theirs)
        np.testing.assert_allclose(face.embedding, numbers / np.linalg.norm(numbers), atol=2e-3)
        np.testing.assert_allclose(face.landmarks, marks, atol=0.05)
        told += 1
    assert told > 0
    assert len(ours) == min(len(boxes), MOST)


@given(
    arrays(np.float64, (5, 2), elements=st.floats(-100, 100)),
    st.floats(-3.1, 3.1),
    st.floats(0.1, 10),
    st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)
def test_a_turn_a_stretch_and_a_shift_are_found_again(
    points: Any, turn: float, stretch: float, shift: tuple[float, float]
) -> None:
    known = SimilarityTransform(scale=stretch, rotation=turn, translation=shift)
    if np.ptp(points, axis=0).max() < 1e-3:
        return
    matrix = similarity(points, known(points))
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], known(points), atol=1e-6)


@given(arrays(np.float64, (5, 2), elements=st.floats(0, 200)))
def test_the_nearest_similarity_is_that_of_skimage(points: Any) -> None:
    reference = SimilarityTransform()
    if np.ptp(points, axis=0).min() < 1:
        return
    if hasattr(SimilarityTransform, "from_estimate"):
        reference = SimilarityTransform.from_estimate(points, PLACES)
    else:
        reference.estimate(points, PLACES)
    if np.linalg.det(np.cov(points.T, PLACES.T)[:2, 2:]) <= 1e-6:
        return  # skimage would have to mirror
    np.testing.assert_allclose(similarity(points, PLACES), reference.params[:2], atol=1e-6)


def test_points_that_fall_together_are_only_shifted() -> None:
    np.testing.assert_allclose(similarity(np.full((5, 2), 7.0), PLACES)[:, :2], np.eye(2))


def test_points_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected two arrays of one shape"):
        similarity(np.zeros((5, 2)), np.zeros((4, 2)))


def test_landmarks_come_back_to_where_the_crop_was_taken() -> None:
    box = np.array([40.0, 60.0, 100.0, 160.0])
    corners = np.array([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]) / 1.5
    # a crop of 1.5 times the longer side about the box's middle
    np.testing.assert_allclose(placed(corners, around(box)), [[20, 60], [120, 160], [70, 110]], atol=1e-4)


# --- what is kept ---


def test_every_key_frame_is_there_and_the_surest_face_comes_first(home: dict[str, Path]) -> None:
    given_windows = windows(7)
    for window, found in zip(given_windows, load_faces("cpu")(given_windows), strict=True):
        assert list(found) == window.features["keys"].tolist()
        for faces in found.values():
            scores = [face.score for face in faces]
            assert scores == sorted(scores, reverse=True)


def test_windows_together_give_the_bits_of_each_alone(home: dict[str, Path]) -> None:
    together = load_faces("cpu")(windows(4))
    alone = [load_faces("cpu")([window])[0] for window in windows(4)]
    for a, b in zip(together, alone, strict=True):
        for row in a:
            for one, other in zip(a[row], b[row], strict=True):
                np.testing.assert_array_equal(one.box, other.box)
                assert (one.embedding is None) == (other.embedding is None)
                if one.embedding is not None:
                    np.testing.assert_array_equal(one.embedding, other.embedding)
                    np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_a_window_is_looked_at_once_whoever_asks() -> None:
    calls: list[int] = []
    network, given_windows = planted([[20, 20, 90, 100, 0.9]], calls), windows()
    network(given_windows)
    first = len(calls)
    assert network(given_windows)[0] == network(given_windows)[0]
    assert (first, len(calls)) == (sum(len(window.features["keys"]) for window in given_windows), first)


def test_faces_of_3_pixels_are_counted_and_tell_nothing() -> None:
    (found,) = planted([[20, 20, 23, 23, 0.9], [40, 40, 40 + LEAST, 41 + LEAST, 0.8]])(windows()[:1])
    small, larger = found[0]
    assert (small.embedding, small.landmarks) == (None, None)
    assert larger.embedding is not None
    assert np.linalg.norm(larger.embedding) == pytest.approx(1, abs=1e-5)
    assert small.side == pytest.approx(3)


def test_of_200_faces_the_largest_are_kept_and_fewer_are_told_more_of() -> None:
    sides = np.linspace(4, 60, 200)
    boxes = [[n, 10, n + side, 10 + side, 0.6] for n, side in enumerate(sides)]
    (found,) = planted(boxes)(windows()[:1])
    assert len(found[0]) == MOST
    assert min(face.side for face in found[0]) == pytest.approx(sides[-MOST], abs=0.1)
    told = [face for face in found[0] if face.embedding is not None]
    assert len(told) == TOLD
    assert min(face.side for face in told) > sides[-TOLD - 1]


@pytest.mark.parametrize("broken", [[np.nan, 0, 30, 30, 0.9], [30, 0, 10, 30, 0.9], [0, 0, np.inf, 30, 0.9]])
def test_a_box_that_is_none_is_left_out(broken: list[float]) -> None:
    (found,) = planted([broken, [20, 20, 90, 100, 0.9]])(windows()[:1])
    assert len(found[0]) == 1


def test_no_face_leaves_every_key_frame_empty() -> None:
    (found,) = planted(np.zeros((0, 5)))(windows()[:1])
    assert set(found.values()) == {()}


def test_one_colour_shows_no_face(home: dict[str, Path]) -> None:
    (found,) = load_faces("cpu")(windows(4, np.full((4, 640, 640, 3), 90, np.uint8)))
    assert found == {0: (), 2: ()}


# --- loading ---


def test_the_networks_are_loaded_once(home: dict[str, Path]) -> None:
    assert load_faces("cpu") is load_faces("cpu")


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_another_network_are_refused_by_name(home: dict[str, Path], name: str, tmp_path: Path) -> None:
    other = WEIGHTS[(WEIGHTS.index(name) + 1) % 3]
    weights.add(name, home[other], own=True)
    with pytest.raises(WeightsError, match=rf"{name}: .* expected .* weights of another network"):
        load_faces("cpu")


def test_a_file_that_is_cut_short_is_refused(home: dict[str, Path], tmp_path: Path) -> None:
    short = tmp_path / "det_10g.onnx"
    short.write_bytes(home["scrfd-10g"].read_bytes()[:3000])
    weights.add("scrfd-10g", short, own=True)
    with pytest.raises(WeightsError, match="scrfd-10g"):
        load_faces("cpu")


def test_a_file_that_changes_after_it_was_added_is_refused(home: dict[str, Path], tmp_path: Path) -> None:
    mine = tmp_path / "w600k_r50.onnx"
    mine.write_bytes(home["arcface-r50"].read_bytes())
    weights.add("arcface-r50", mine, own=True)
    mine.write_bytes(home["arcface-r50"].read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="sha256"):
        load_faces("cpu")


def test_a_missing_library_names_its_extra(home: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    forget()
    monkeypatch.setitem(sys.modules, "insightface", None)
    monkeypatch.setitem(sys.modules, "insightface.model_zoo", None)
    with pytest.raises(MissingExtraError, match=r"insightface is not installed.*cinereward\[perception\]"):
        load_faces("cpu")


def test_a_gpu_that_is_full_is_told(home: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from insightface.model_zoo import SCRFD

    def full(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(SCRFD, "detect", full)
    with pytest.raises(OperatorError, match="does not fit into the memory"):
        load_faces("cpu")(windows())


def test_crops_are_what_opencv_cuts_out() -> None:
    frame = film()[0]
    matrix = np.array([[1.0, 0, -10], [0, 1.0, -20]])
    np.testing.assert_array_equal(cropped(frame, matrix, 64), frame[20:84, 10:74].transpose(2, 0, 1))

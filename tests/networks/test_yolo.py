"""YOLO's real loading code, on checkpoints of its true architecture with random weights."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cinereward import weights
from cinereward.errors import MissingExtraError, WeightsError
from cinereward.networks import yolo
from cinereward.networks.running import forget
from cinereward.operators.objects import Objects
from cinereward.operators.pose import Pose
from cinereward.testing import OperatorConformance
from cinereward.testing.operators import windows_of
from cinereward.testing.scenes import clip, scene, shots
from cinereward.testing.tiny_yolo import tiny_yolo
from cinereward.types import Clip

torch = pytest.importorskip("torch")
ultralytics = pytest.importorskip("ultralytics")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("yolo")
    return {task: tiny_yolo(folder, task=task) for task in ("detect", "pose")}


@pytest.fixture(scope="module", autouse=True)
def home(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINEREWARD_HOME", str(tmp_path_factory.mktemp("home")))
        weights.add("yolo11m", files["detect"], own=True)
        weights.add("yolo11m-pose", files["pose"], own=True)
        yield
    forget()


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return scene(0.5, size=(120, 200), seed=1)


@pytest.mark.parametrize("task", ["detect", "pose"])
@pytest.mark.parametrize("size", [(120, 200), (200, 120), (64, 64), (33, 57), (720, 1280)])
def test_boxes_are_those_of_ultralytics_own_predictor(files: dict[str, Path], task: str, size: tuple[int, int]) -> None:
    picture = scene(0.05, size=size, seed=2)[0]
    ours = (yolo.load_detector if task == "detect" else yolo.load_poser)("cpu").pictures([picture])[0]
    settings = {"conf": yolo.LEAST_SCORE, "iou": yolo.OVERLAP, "max_det": yolo.MOST, "imgsz": yolo.SIDE}
    (theirs,) = ultralytics.YOLO(str(files[task]), task=task).predict(
        np.ascontiguousarray(picture[..., ::-1]), device="cpu", verbose=False, save=False, **settings
    )
    assert 0 < len(ours) == len(theirs.boxes)
    scale = max(size) / yolo.SIDE
    np.testing.assert_allclose(ours.xyxy, theirs.boxes.xyxy.numpy(), atol=0.02 * max(scale, 1))
    np.testing.assert_allclose(ours.scores, theirs.boxes.conf.numpy(), atol=1e-4)
    np.testing.assert_array_equal(ours.classes, theirs.boxes.cls.numpy().astype(int))
    if task == "pose":
        assert ours.keypoints is not None
        np.testing.assert_allclose(ours.keypoints[..., 2], theirs.keypoints.conf.numpy(), atol=1e-3)


def test_the_classes_are_those_of_the_checkpoint() -> None:
    assert yolo.load_detector("cpu").names[:3] == ("person", "bicycle", "car")
    assert len(yolo.load_detector("cpu").names) == 80
    assert yolo.load_poser("cpu").names == ("person",)


def test_a_picture_has_the_same_boxes_whatever_is_beside_it(frames: np.ndarray) -> None:
    detector = yolo.load_detector("cpu")
    other = scene(0.1, size=(64, 96), seed=5)[0]
    alone, together = detector.pictures([frames[0]])[0], detector.pictures([other, frames[0], frames[5]])[1]
    np.testing.assert_array_equal(alone.xyxy, together.xyxy)
    np.testing.assert_array_equal(alone.scores, together.scores)


def test_windows_are_looked_at_once(frames: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, asked = yolo.load_detector("cpu"), []
    real = detector.pictures
    monkeypatch.setattr(detector, "pictures", lambda several: asked.append(len(several)) or real(several))
    windows = windows_of(clip(frames), 5)
    first, again = detector(windows), detector(windows[::-1])[::-1]
    assert asked == [3]  # 12 frames at 24 a second
    assert [one.keys() for one in first] == [dict.fromkeys(window.features["keys"]).keys() for window in windows]
    assert all(a[row] is b[row] for a, b in zip(first, again, strict=True) for row in a)


def test_no_pictures_are_no_boxes() -> None:
    assert yolo.load_detector("cpu").pictures([]) == []


def test_a_network_is_loaded_once() -> None:
    assert yolo.load_detector("cpu") is yolo.load_detector("cpu")


def test_boxes_of_odd_shapes_are_refused() -> None:
    box = np.zeros((2, 4), np.float32)
    with pytest.raises(ValueError, match=r"expected \(N, 4\)"):
        yolo.Boxes(xyxy=box, scores=np.zeros(3, np.float32), classes=np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="keypoints are"):
        yolo.Boxes(
            xyxy=box,
            scores=np.zeros(2, np.float32),
            classes=np.zeros(2, np.int64),
            keypoints=np.zeros((2, 5, 3), np.float32),
        )


# --- bad files ---


class Burglar:
    def __reduce__(self) -> Any:
        return os.mkdir, ("stolen",)


def test_a_program_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pt"
    torch.save({"model": Burglar()}, path)
    with pytest.raises(WeightsError, match="nothing was loaded"):
        yolo.read_checkpoint(path, "detect")
    assert not (tmp_path / "stolen").exists()
    torch.load(path, weights_only=False)  # what it would have done
    assert (tmp_path / "stolen").exists()


def test_a_plain_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pt"
    path.write_bytes(pickle.dumps(Burglar(), protocol=2))
    with pytest.raises(WeightsError, match=r"bad\.pt"):
        yolo.read_checkpoint(path, "detect")
    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(files: dict[str, Path], tmp_path: Path, kept: float) -> None:
    whole = files["detect"].read_bytes()
    path = tmp_path / "short.pt"
    path.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    with pytest.raises(WeightsError, match=r"short\.pt cannot be read"):
        yolo.read_checkpoint(path, "detect")


@pytest.mark.parametrize(("came", "asked"), [("pose", "detect"), ("detect", "pose")])
def test_a_network_for_another_task_is_refused(files: dict[str, Path], came: str, asked: str) -> None:
    with pytest.raises(WeightsError, match=f"holds a network for '{came}'; expected one for '{asked}'"):
        yolo.read_checkpoint(files[came], asked)


@pytest.mark.parametrize("held", [{"a": 1}, {"model": torch.zeros(2)}, [1, 2], {"model": None, "ema": torch.nn.ReLU()}])
def test_a_file_that_holds_no_network_of_theirs_is_refused(tmp_path: Path, held: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(held, path)
    with pytest.raises(WeightsError, match=r"other\.pt"):
        yolo.read_checkpoint(path, "detect")


def test_a_file_that_is_not_there_is_not_looked_for_on_the_network(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"yolo11m\.pt is no \.pt file"):
        yolo.read_checkpoint(tmp_path / "yolo11m.pt", "detect")


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_checkpoint_is_a_weights_error_or_a_network(
    files: dict[str, Path], tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    damaged = np.frombuffer(files["detect"].read_bytes(), np.uint8).copy()
    spots = rng.integers(0, len(damaged) if seed % 2 else 60_000, 40)  # the program lies in the first bytes
    damaged[spots] = rng.integers(0, 256, 40)
    path = tmp_path / "damaged.pt"
    path.write_bytes(damaged.tobytes())
    try:
        model, _ = yolo.read_checkpoint(path, "detect")
    except WeightsError as error:
        assert "damaged.pt" in str(error)
    else:
        assert isinstance(model, torch.nn.Module)


def test_a_network_of_other_joints_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = torch.load(files["pose"], weights_only=False)
    checkpoint["model"].names = {0: "person", 1: "dog"}
    path = tmp_path / "dogs.pt"
    torch.save(checkpoint, path)
    with pytest.raises(WeightsError, match="tells 56 values of each place; expected 57, of 2 classes and 17 joints"):
        yolo.read_checkpoint(path, "pose")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics.nn", None)
    with pytest.raises(MissingExtraError, match=r"ultralytics is not installed.*cinereward\[perception\]"):
        yolo.load_detector("cpu")


def test_an_ultralytics_without_safe_loading_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from ultralytics.nn import tasks

    monkeypatch.setattr(tasks._SafeLoad, "SUPPORTED", False)
    with pytest.raises(WeightsError, match="no loading with weights only"):
        yolo.load_detector("cpu")


@pytest.mark.slow
def test_importing_ultralytics_leaves_the_process_as_it_was() -> None:
    code = """
import os, socket, sys
import cv2, numpy, torch, PIL.Image
def refuse(*given, **more): raise AssertionError("the network was asked")
socket.getaddrinfo = refuse
before = dict(os.environ), numpy.get_printoptions(), cv2.getNumThreads(), torch.save, PIL.Image.open
from cinereward.networks import yolo
assert "ultralytics" not in sys.modules
yolo.ultralytics_tasks()
assert "ultralytics" in sys.modules
after = dict(os.environ), numpy.get_printoptions(), cv2.getNumThreads(), torch.save, PIL.Image.open
assert before == after, (before, after)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# --- operators with it ---


def short_clips() -> list[Clip]:
    """A network of this size looks at a frame in a tenth of a second, so that the shared clips would take minutes."""
    cut, _ = shots([scene(0.3, size=(64, 96), seed=3, move="static"), scene(0.4, size=(64, 96), seed=4)])
    takes = [scene(0.4, size=(64, 96), seed=1), scene(0.25, size=(72, 64), seed=2), cut]
    return [clip(take, prompt="two red cars and a dog", clip_id=f"clip {at}") for at, take in enumerate(takes)]


class TestObjects(OperatorConformance):
    def clips(self) -> list[Clip]:
        return short_clips()

    def operator(self) -> Objects:
        return Objects("cpu")


class TestPose(OperatorConformance):
    def clips(self) -> list[Clip]:
        return short_clips()

    def operator(self) -> Pose:
        return Pose("cpu")

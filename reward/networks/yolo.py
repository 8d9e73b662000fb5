"""YOLO of ultralytics: boxes of things, and the joints of people, on the sampled frames.

    detector = load_detector()          # "yolo11m": things of COCO's 80 kinds
    poser = load_poser()                # "yolo11m-pose": people, with 17 joints each
    found = detector(windows)           # for each window: {row of the window: Boxes}

Pictures are fitted into 640 pixels as ultralytics' own predictor does it: one resize, grey bars up to a multiple of 32.
Checkpoints (.pt) are read by ultralytics' safe loading, `weights_only=True` with a list of known classes: nothing that
lies in the file is run. The library is kept from looking for a network, and from setting things of this process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from cinereward.errors import MissingExtraError, WeightsError
from cinereward.networks.running import Runner, device_of, module_runner, once
from cinereward.networks.sharing import shared
from cinereward.types import Window

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    UInt8 = NDArray[np.uint8]

SIDE, STEP = 640, 32  # pixels of the longer side, and what both sides are multiples of
GREY = 114  # level of the bars, as in training
LEAST_SCORE = 0.1  # boxes below are not told; a track may go on through faint ones, but none begins with them
OVERLAP = 0.7  # of two boxes of one class that overlap by more than this the surer one stays, as in ultralytics
MOST = 100  # boxes of a frame that are kept, the surest
JOINTS = 17  # nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: left before right
AT_ONCE = 64  # pictures that are laid ready before they are run, so that a long clip needs no more memory
TASKS = {"DetectionModel": "detect", "PoseModel": "pose"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes:
    """What was found in one frame, the surest first.

    xyxy: float32 (N, 4), left, top, right, bottom in pixels of the full frame, inside it. scores: float32 (N,) from
    LEAST_SCORE to 1. classes: int64 (N,), indices of `Detector.names`. keypoints: float32 (N, 17, 3), x and y in
    pixels of the full frame (they may lie outside) and how surely they are seen; None where the network tells none.
    """

    xyxy: Float32
    scores: Float32
    classes: NDArray[np.int64]
    keypoints: Float32 | None = None

    def __post_init__(self) -> None:
        count = len(self.xyxy)
        shapes = [self.xyxy.shape, self.scores.shape, self.classes.shape]
        if shapes != [(count, 4), (count,), (count,)]:
            raise ValueError(f"boxes, scores and classes are {shapes}; expected (N, 4), (N,) and (N,)")
        if self.keypoints is not None and self.keypoints.shape != (count, JOINTS, 3):
            raise ValueError(f"keypoints are {self.keypoints.shape}; expected ({count}, {JOINTS}, 3)")

    def __len__(self) -> int:
        return len(self.xyxy)


class Sees(Protocol):
    """What operators ask: anything that finds boxes in the sampled frames of windows."""

    names: tuple[str, ...]

    def __call__(self, windows: Sequence[Window]) -> list[dict[int, Boxes]]:
        """For each window, from the rows of its "keys" to what is seen there."""
        ...


class Detector:
    """A YOLO network as a function of windows.

    Args:
        runner: from uint8 (B, h, w, 3) to float32 (B, MOST, 6 or 57): xyxy, score, class and joints; score 0: none.
        names: of the classes. key: names the weights by their content. joints: whether it tells any.
    """

    def __init__(self, runner: Runner, names: Sequence[str], *, key: str, joints: bool = False) -> None:
        self.names, self.key, self.joints = tuple(names), key, joints
        self._runner = runner

    def __call__(self, windows: Sequence[Window]) -> list[dict[int, Boxes]]:
        """What is seen in the sampled frames (feature "keys"): for each window, from rows to boxes.

        Worked out once a window, however many operators ask.
        """
        return shared(("yolo", self.key, self._runner.device), windows, self._look)

    def _look(self, windows: Sequence[Window]) -> list[dict[int, Boxes]]:
        rows = [[int(row) for row in window.features["keys"]] for window in windows]
        frames = [window.frames[row] for window, own in zip(windows, rows, strict=True) for row in own]
        found = iter(self.pictures(frames))
        return [{row: next(found) for row in own} for own in rows]

    def pictures(self, frames: Sequence[UInt8]) -> list[Boxes]:
        """What is seen in pictures of any sizes, uint8 (H, W, 3), RGB; those of one shape are run together."""
        out: dict[int, Boxes] = {}
        by_shape: dict[tuple[int, int], list[int]] = {}
        for at, frame in enumerate(frames):
            by_shape.setdefault((frame.shape[0], frame.shape[1]), []).append(at)
        for shape, where in by_shape.items():
            for first in range(0, len(where), AT_ONCE):
                some = where[first : first + AT_ONCE]
                (told,) = self._runner(np.stack([letterbox(frames[at]) for at in some]))
                out |= {at: unfitted(rows, shape, self.joints) for at, rows in zip(some, told, strict=True)}
        return [out[at] for at in range(len(frames))]


def fitting(height: int, width: int) -> tuple[int, int, int, int]:
    """How a picture is fitted: its new width and height, and the bars at the left and at the top, in pixels.

    As ultralytics' LetterBox with `auto` does it, so that its predictor and this one see the same picture.
    """
    scale = min(SIDE / height, SIDE / width)
    inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
    return inner_w, inner_h, round((-inner_w % STEP) / 2 - 0.1), round((-inner_h % STEP) / 2 - 0.1)


def letterbox(frame: UInt8) -> UInt8:
    """A picture (H, W, 3) fitted into 640 pixels, with grey bars where its shape asks for them."""
    width, height, left, top = fitting(*frame.shape[:2])
    if (width, height) != (frame.shape[1], frame.shape[0]):
        frame = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    out = np.full((-(-height // STEP) * STEP, -(-width // STEP) * STEP, 3), GREY, np.uint8)
    out[top : top + height, left : left + width] = frame
    return out


def unfitted(rows: Float32, shape: tuple[int, int], joints: bool) -> Boxes:
    """What the network told of a fitted picture, in pixels of the frame of this shape (height, width)."""
    width, height, left, top = fitting(*shape)
    corner, scale = np.array([left, top], np.float32), np.array([width / shape[1], height / shape[0]], np.float32)
    rows = rows[rows[:, 4] > 0]
    corners = (rows[:, :4].reshape(-1, 2, 2) - corner) / scale
    corners = np.clip(corners, 0, np.array([shape[1], shape[0]], np.float32))
    points = None
    if joints:
        points = rows[:, 6:].reshape(-1, JOINTS, 3).astype(np.float32)
        points[..., :2] = (points[..., :2] - corner) / scale
    return Boxes(
        xyxy=corners.reshape(-1, 4).astype(np.float32),
        scores=rows[:, 4].astype(np.float32),
        classes=rows[:, 5].astype(np.int64),
        keypoints=points,
    )


# --- loading ---


def load_detector(device: str | None = None, weights: str = "yolo11m") -> Detector:
    """The detector of things, from weights that `cinereward weights` knows by this name.

    Raises:
        MissingExtraError: ultralytics is not installed.
        WeightsError: the weights are missing, damaged, of another kind, or hold what safe loading refuses.
    """
    return _load(device, weights, "detect")


def load_poser(device: str | None = None, weights: str = "yolo11m-pose") -> Detector:
    """The detector of people and their joints; as `load_detector`."""
    return _load(device, weights, "pose")


def _load(device: str | None, weights: str, task: str) -> Detector:
    from cinereward.weights import locate

    tasks = ultralytics_tasks()
    found, device = locate(weights), device_of(device)

    def make() -> Detector:
        model, names = read_checkpoint(found.path, task, tasks)
        runner = module_runner(f"{weights} ({task})", model, device=device, call=_seen(len(names)))
        return Detector(runner, names, key=f"{found.sha256} {task}", joints=task == "pose")

    return once(("yolo", task, found.sha256, device), make)


def read_checkpoint(path: Path, task: str, tasks: Any = None) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """The network of a checkpoint of ultralytics, and the names of its classes.

    Args:
        path: of the .pt file. task: "detect" or "pose". tasks: `ultralytics.nn.tasks`, where it is at hand.

    Raises:
        WeightsError: what the file holds is no such network, or cannot be read safely.
    """
    tasks = ultralytics_tasks() if tasks is None else tasks
    path = Path(path).resolve()
    if not path.is_file() or path.suffix != ".pt":  # by a bare name ultralytics would look for it on the network
        raise WeightsError(f"{path.name} is no .pt file of ultralytics; give the checkpoint as it was published")
    try:
        checkpoint, _ = tasks.torch_safe_load(str(path), safe_only=True)
        model = checkpoint.get("ema") or checkpoint.get("model")
    except Exception as error:  # what a damaged file makes of the loader has no end of names
        raise WeightsError(
            f"{path.name} cannot be read as a checkpoint of ultralytics without running what lies in it "
            f"({_brief(error)}); nothing was loaded; get the file again: cinereward weights fetch"
        ) from error
    came = TASKS.get(type(model).__name__)
    if came != task:
        held = f"a network for {came!r}" if came else f"a {type(model).__name__}"
        raise WeightsError(
            f"{path.name} holds {held}; expected one for {task!r}, such as yolo11m; check which file it is"
        )
    try:
        model = model.float().eval()
        named = model.names if isinstance(model.names, dict) else dict(enumerate(model.names))
        names = tuple(str(named[at]) for at in range(len(named)))
        for module in model.modules():
            if hasattr(module, "inplace"):
                module.inplace = True
        rows = _rows_told(model)
    except Exception as error:
        raise WeightsError(
            f"{path.name} holds a network that does not run ({_brief(error)}); it may be of another release of "
            "ultralytics, or damaged; get the file again: cinereward weights fetch"
        ) from error
    expected = 4 + len(names) + (3 * JOINTS if task == "pose" else 0)
    if rows != expected:
        raise WeightsError(
            f"{path.name} tells {rows} values of each place; expected {expected}, of {len(names)} classes"
            f"{f' and {JOINTS} joints' if task == 'pose' else ''}; give a YOLO 8 or 11 trained on COCO"
        )
    return model, names


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _rows_told(model: torch.nn.Module) -> int:
    """How many values a network tells of each place, tried on one small grey picture."""
    import torch

    with torch.inference_mode():
        told = model(torch.full((1, 3, 2 * STEP, 2 * STEP), 0.5))
    return int((told[0] if isinstance(told, list | tuple) else told).shape[1])


def _seen(classes: int) -> Any:
    """What is asked of the network: float32 (B, MOST, ...) of uint8 (B, h, w, 3), padded with zeros."""
    import torch
    import torchvision  # noqa: F401  non_max_suppression takes its kernel where it is loaded: now, on every machine
    from ultralytics.utils.nms import non_max_suppression

    def call(module: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
        kind = next(module.parameters()).dtype
        told = module(pictures.permute(0, 3, 1, 2).to(kind).div(255))
        told = told[0] if isinstance(told, list | tuple) else told
        kept = non_max_suppression(
            told.float(),
            conf_thres=LEAST_SCORE,
            iou_thres=OVERLAP,
            max_det=MOST,
            nc=classes,
            max_time_img=1e9,  # what is found must not depend on how busy the machine is
        )
        out = told.new_zeros((len(kept), MOST, 6 + told.shape[1] - 4 - classes), dtype=torch.float32)
        for row, boxes in zip(out, kept, strict=True):
            row[: len(boxes)] = boxes
        return torch.as_tensor(out)

    return call


def ultralytics_tasks() -> Any:
    """`ultralytics.nn.tasks`, imported without a look at the network."""
    try:
        if "ultralytics" in sys.modules:  # the user's own import stands as it is
            from ultralytics.nn import tasks
        else:
            with _left_alone():
                from ultralytics.nn import tasks
    except ImportError as error:
        raise MissingExtraError("ultralytics", "perception") from error
    if not getattr(getattr(tasks, "_SafeLoad", None), "SUPPORTED", False):
        raise WeightsError(
            "this ultralytics has no loading with weights only, and a checkpoint may hold any program; "
            'get a later one: pip install --upgrade "cinereward[perception]"'
        )
    return tasks


@contextmanager
def _left_alone() -> Iterator[None]:
    """Import ultralytics offline, and undo what its import changes for everybody else in this process.

    It looks for a network; it patches PIL.Image.open (which may then install a package) and torch.save; it sets how
    arrays are printed, the threads of OpenCV and a handful of environment variables.
    """
    import PIL.Image
    import torch

    environment, printed, threads = dict(os.environ), np.get_printoptions(), cv2.getNumThreads()
    opening, saving = PIL.Image.open, torch.save
    os.environ.update({"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"})
    try:
        yield
    finally:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
        np.set_printoptions(**printed)
        torch.set_printoptions(profile="default")  # type: ignore[no-untyped-call]
        cv2.setNumThreads(threads)
        PIL.Image.open, torch.save = opening, saving

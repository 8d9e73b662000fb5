"""Faces by InsightFace: where they are, who they are, and the shape of their features; looked for once a key frame.

    networks = load_faces()
    for window, found in zip(windows, networks(windows)):
        for row, faces in found.items():  # rows of window.features["keys"], about 6 a second by absolute index
            ...

SCRFD finds them in 640 x 640 pixels, ArcFace tells who they are by 512 numbers, and 106 landmarks say how they look.
What was found is kept with the window, for whoever asks next: identity, expression, lips, the emotion of speech.
Sources: "Sample and Computation Redistribution for Efficient Face Detection", Guo et al., 2021; "ArcFace: Additive
Angular Margin Loss for Deep Face Recognition", Deng et al., 2019; InsightFace's own code for the crops and their
scales.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from cinereward import weights
from cinereward.errors import MissingExtraError, OperatorError
from cinereward.networks.onnx import expect_shapes, open_session
from cinereward.networks.running import Runner, device_of, once, out_of_memory
from cinereward.networks.sharing import shared
from cinereward.types import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

WEIGHTS = ("scrfd-10g", "arcface-r50", "landmarks-106")
LICENCE = "InsightFace's weights are for non-commercial research only"
SIDE = 640  # pixels of the detector's picture
SURE = 0.5  # least score of a face
MOST = 16  # faces of a frame that are kept, by size times score
TOLD = 6  # of them that are embedded: the rest of a crowd is only counted
LEAST = 20.0  # pixels of the shorter side of a face's box; of less no identity can be read
PLACES = np.array(  # of eyes, nose and corners of the mouth in ArcFace's 112 x 112 pixels
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
ROOM = 1.5  # sides of a face's box that the landmarks' picture shows


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """One face in one frame.

    box: float32 (4,), x0, y0, x1, y1 in pixels of the full frame; it may reach beyond the frame. score: of the
    detector, 0.5 to 1. points: float32 (5, 2), its left and right eye in the picture, nose, corners of the mouth.
    embedding: float32 (512,) of unit length, landmarks: float32 (106, 2) in pixels; both None where the face is too
    small to tell, or is not among the largest of a crowd.
    """

    box: Float32
    score: float
    points: Float32
    embedding: Float32 | None = None
    landmarks: Float32 | None = None

    @property
    def side(self) -> float:
        """Geometric mean of the box's sides, in pixels."""
        width, height = np.maximum(self.box[2:] - self.box[:2], 0)
        return float(np.sqrt(width * height))


Found: TypeAlias = dict[int, tuple[Face, ...]]  # row of the window -> its faces, the surest first
FaceSource: TypeAlias = Callable[[Sequence[Window]], Sequence[Found]]  # FaceNetworks, or what a test plants


class FaceNetworks:
    """The three networks on one device.

    Args:
        key: names the weights by content, and the device.
        detect: from a BGR picture uint8 (H, W, 3) to boxes and scores (F, 5) and points (F, 5, 2).
        embed: from float32 (N, 3, 112, 112) to (N, 512). landmark: from float32 (N, 3, 192, 192) to (N, 212), -1 to 1.
        scales: mean and divisor of the levels for the two.
    """

    def __init__(
        self,
        *,
        key: str,
        detect: Callable[[UInt8], tuple[Float32, Float32]],
        embed: Runner,
        landmark: Runner,
        scales: tuple[tuple[float, float], tuple[float, float]] = ((127.5, 127.5), (127.5, 128.0)),
    ) -> None:
        self.key = key
        self._detect, self._embed, self._landmark, self._scales = detect, embed, landmark, scales

    def __call__(self, windows: Sequence[Window]) -> list[Found]:
        """The faces of each window's key frames; every key row is there, with () where no face is."""
        return shared(("faces", self.key), windows, self._find)

    def _find(self, windows: Sequence[Window]) -> list[Found]:
        seen = [(n, int(row)) for n, window in enumerate(windows) for row in window.features["keys"]]
        boxes = [self._looked(windows[n].frames[row]) for n, row in seen]
        crops, shapes, where = [], [], []
        for at, ((n, row), (found, points)) in enumerate(zip(seen, boxes, strict=True)):
            frame = windows[n].frames[row]
            for which in _to_embed(found):
                crops.append(cropped(frame, similarity(points[which], PLACES), 112))
                shapes.append(cropped(frame, around(found[which, :4]), 192))
                where.append((at, which))
        faces = [
            [Face(box=box[:4], score=float(box[4]), points=five) for box, five in zip(found, points, strict=True)]
            for found, points in boxes
        ]
        for (at, which), face in zip(where, self._told(faces, where, crops, shapes), strict=True):
            faces[at][which] = face
        out: list[Found] = [{} for _ in windows]
        for (n, row), there in zip(seen, faces, strict=True):
            out[n][row] = tuple(sorted(there, key=lambda face: (-face.score, *face.box.tolist())))
        return out

    def _looked(self, frame: UInt8) -> tuple[Float32, Float32]:
        """The boxes and scores (F, 5) and the points (F, 5, 2) that are kept of one frame."""
        found, points = self._detect(np.ascontiguousarray(frame[..., ::-1]))
        real = np.isfinite(found).all(axis=1) & np.isfinite(points).all(axis=(1, 2))
        real &= (found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1])
        found, points = found[real], points[real]
        order = np.argsort(-_weight(found), kind="stable")[:MOST]
        return found[order].astype(np.float32), points[order].astype(np.float32)

    def _told(
        self, faces: list[list[Face]], where: list[tuple[int, int]], crops: list[Float32], shapes: list[Float32]
    ) -> list[Face]:
        if not where:
            return []
        (mean, scale), (mean_of_shapes, scale_of_shapes) = self._scales
        (who,) = self._embed((np.stack(crops) - np.float32(mean)) / np.float32(scale))
        (marks,) = self._landmark((np.stack(shapes) - np.float32(mean_of_shapes)) / np.float32(scale_of_shapes))
        out = []
        for (at, which), numbers, told in zip(where, who, marks, strict=True):
            face = faces[at][which]
            length = float(np.linalg.norm(numbers))
            known = np.isfinite(length) and length > 0 and bool(np.isfinite(told).all())
            out.append(
                Face(
                    box=face.box,
                    score=face.score,
                    points=face.points,
                    embedding=np.asarray(numbers / length, np.float32) if known else None,
                    landmarks=placed(told.reshape(106, 2), around(face.box)) if known else None,
                )
            )
        return out


def _weight(found: Float32) -> Float64:
    return np.asarray((found[:, 2:4] - found[:, :2]).astype(np.float64).prod(axis=1) * found[:, 4])


def _to_embed(found: Float32) -> list[int]:
    """Which of a frame's faces, the largest first, are told more of."""
    sides = (found[:, 2:4] - found[:, :2]).min(axis=1) if len(found) else np.zeros(0)
    return [which for which in range(len(found)) if sides[which] >= LEAST][:TOLD]


# --- crops, as InsightFace takes them ---


def similarity(points: NDArray[Any], onto: NDArray[Any]) -> Float64:
    """The turn, even stretch and shift that brings points nearest onto others, without mirroring: float64 (2, 3).

    Source: "Least-squares estimation of transformation parameters between two point patterns", Umeyama, 1991.

    Args:
        points, onto: (N, 2), N of 2 or more. Where all points fall together, they are shifted and no more.
    """
    a, b = np.asarray(points, np.float64), np.asarray(onto, np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 2:
        raise ValueError(f"points {a.shape} and onto {b.shape}; expected two arrays of one shape (N, 2)")
    middle_a, middle_b = a.mean(axis=0), b.mean(axis=0)
    x, y = a - middle_a, b - middle_b
    spread = float((x * x).sum())
    if spread < 1e-12:
        turn = np.eye(2)
    else:  # in the plane it is a complex number: sum of conj(x) y over sum of |x|^2
        along, across = float((x * y).sum()), float((x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]).sum())
        turn = np.array([[along, -across], [across, along]]) / spread
    return np.column_stack([turn, middle_b - turn @ middle_a])


def around(box: NDArray[Any]) -> Float64:
    """The scale and shift that puts a box into the middle of 192 x 192 pixels, with ROOM about it: float64 (2, 3)."""
    x0, y0, x1, y1 = (float(side) for side in box)
    scale = 192 / (max(x1 - x0, y1 - y0) * ROOM)
    return np.array([[scale, 0, 96 - scale * (x0 + x1) / 2], [0, scale, 96 - scale * (y0 + y1) / 2]])


def placed(marks: NDArray[Any], matrix: Float64) -> Float32:
    """Landmarks of the 192 x 192 picture, -1 to 1, in pixels of the frame that `matrix` (2, 3) made it from."""
    back = cv2.invertAffineTransform(matrix)
    there = (np.asarray(marks, np.float64) + 1) * 96
    return np.asarray(there @ back[:, :2].T + back[:, 2], np.float32)


def cropped(frame: UInt8, matrix: Float64, side: int) -> Float32:
    """The picture under an affine map, black outside: float32 (3, side, side), RGB, 0 to 255."""
    picture = cv2.warpAffine(frame, matrix, (side, side), borderValue=0.0)
    return np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)


# --- loading ---


def load_faces(device: str | None = None) -> FaceNetworks:
    """The networks, from the verified files; loaded once a process and device.

    Args:
        device: "cpu", "cuda", "cuda:1"; None: the first GPU, or the CPU.

    Raises:
        MissingExtraError: insightface or onnxruntime is missing.
        WeightsError: a file is missing, is cut short, or is of another network.
    """
    where = device_of(device)
    files = [weights.locate(name) for name in WEIGHTS]
    key = "-".join([*(located.sha256 for located in files), where])
    return once(("faces", key), lambda: _load(key, [located.path for located in files], where))


def _load(key: str, paths: Sequence[Path], device: str) -> FaceNetworks:
    try:
        from insightface.model_zoo import SCRFD, ArcFaceONNX, Landmark
    except ImportError as error:
        raise MissingExtraError("insightface", "perception") from error
    named = dict(zip(WEIGHTS, paths, strict=True))
    opened = {name: open_session(path, device=device, what=name) for name, path in named.items()}
    told = [(2 * (SIDE // stride) ** 2, size) for size in (1, 4, 10) for stride in (8, 16, 32)]
    expect_shapes(opened["scrfd-10g"], named["scrfd-10g"], "scrfd-10g", (1, 3, SIDE, SIDE), told)
    expect_shapes(opened["arcface-r50"], named["arcface-r50"], "arcface-r50", (None, 3, 112, 112), [(None, 512)])
    expect_shapes(opened["landmarks-106"], named["landmarks-106"], "landmarks-106", (None, 3, 192, 192), [(None, 212)])
    finder = SCRFD(session=opened["scrfd-10g"].session)  # given no file, it opens no further sessions by itself
    finder.prepare(0, det_thresh=SURE, input_size=(SIDE, SIDE))
    teller, marker = (  # these read from the graph how levels are to be scaled
        kind(model_file=str(named[name]), session=opened[name].session)
        for name, kind in (("arcface-r50", ArcFaceONNX), ("landmarks-106", Landmark))
    )

    def detect(picture: UInt8) -> tuple[Float32, Float32]:
        opened["scrfd-10g"].tell()
        try:
            found, points = finder.detect(picture, input_size=(SIDE, SIDE))
        except Exception as error:
            if out_of_memory(error):
                raise OperatorError(f"scrfd-10g: one picture does not fit into the memory of {device}") from error
            raise
        return found, points

    def runner(name: str) -> Runner:
        one = opened[name]
        return Runner(name, one.run, device=one.device)

    scales = ((teller.input_mean, teller.input_std), (marker.input_mean, marker.input_std))
    return FaceNetworks(
        key=key, detect=detect, embed=runner("arcface-r50"), landmark=runner("landmarks-106"), scales=scales
    )

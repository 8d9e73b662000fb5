"""InsightFace's three ONNX files with small random weights: the true inputs and outputs, and nonsense comes out.

The detector gives the nine outputs of det_10g (scores, boxes, points at strides 8, 16 and 32), w600k_r50 512 numbers,
and 2d106det 106 landmarks about a plain face. All answer to the picture, and to nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

FILES = {"scrfd-10g": "det_10g.onnx", "arcface-r50": "w600k_r50.onnx", "landmarks-106": "2d106det.onnx"}
HEADS = {  # names of det_10g's outputs: scores, boxes, points
    8: ("448", "451", "454"),
    16: ("471", "474", "477"),
    32: ("494", "497", "500"),
}
FIVE = np.array([[-0.35, -0.3], [0.35, -0.3], [0.0, 0.1], [-0.28, 0.45], [0.28, 0.45]])  # in halves of a face's box


def tiny_faces(folder: Path, seed: int = 0) -> dict[str, Path]:
    """Write the three files into a folder: the name of the weights -> the file.

    Raises:
        MissingExtraError: there is no onnx.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {"scrfd-10g": _detector(seed), "arcface-r50": _recogniser(seed + 1), "landmarks-106": _marker(seed + 2)}
    out = {}
    for name, model in made.items():
        out[name] = folder / FILES[name]
        out[name].write_bytes(model.SerializeToString())
    return out


def plain_face() -> Float64:
    """106 landmarks of a face at rest, float64 (106, 2), in halves of its box from the middle; in InsightFace's order.

    0 to 32 the outline, 33 to 42 and 87 to 96 the eyes, 43 to 51 and 97 to 105 the brows, 52 to 71 the mouth, 72 to 86
    the nose. Within each the order is not the true one; only the groups are.
    """

    def ring(count: int, x: float, y: float, width: float, height: float) -> Float64:
        turn = 2 * np.pi * np.arange(count) / count
        return np.stack([x + width * np.cos(turn), y + height * np.sin(turn)], axis=1)

    def bow(count: int, x: float, y: float, width: float, height: float) -> Float64:
        along = np.linspace(-1, 1, count)
        return np.stack([x + width * along, y - height * (1 - along**2)], axis=1)

    jaw = np.pi * np.linspace(-0.05, 1.05, 33)
    outline = np.stack([0.9 * np.cos(jaw), -0.1 + 1.05 * np.sin(jaw)], axis=1)
    bridge = np.stack([np.zeros(6), np.linspace(-0.3, 0.1, 6)], axis=1)
    nose = np.concatenate([bridge, bow(9, 0.0, 0.2, 0.18, -0.05)])
    left, right = ring(10, -0.35, -0.3, 0.14, 0.06), ring(10, 0.35, -0.3, 0.14, 0.06)
    brows = bow(9, -0.35, -0.48, 0.2, 0.06), bow(9, 0.35, -0.48, 0.2, 0.06)
    mouth = np.concatenate([ring(12, 0.0, 0.45, 0.28, 0.12), ring(8, 0.0, 0.45, 0.2, 0.04)])
    return np.concatenate([outline, left, brows[0], mouth, nose, right, brows[1]])


# --- the graphs ---


def _helper() -> Any:
    try:
        from onnx import helper
    except ImportError as error:
        raise MissingExtraError("onnx", "perception") from error
    return helper


def _model(
    name: str,
    nodes: Sequence[Any],
    given: tuple[str, Sequence[Any]],
    told: Mapping[str, Sequence[Any]],
    held: Mapping[str, NDArray[Any]],
) -> Any:
    from onnx import TensorProto, numpy_helper

    lib = _helper()
    kinds = {np.dtype(np.int64): np.int64}
    arrays = [
        numpy_helper.from_array(np.asarray(value, kinds.get(value.dtype, np.float32)), key)
        for key, value in held.items()
    ]
    graph = lib.make_graph(
        list(nodes),
        name,
        [lib.make_tensor_value_info(given[0], TensorProto.FLOAT, list(given[1]))],
        [lib.make_tensor_value_info(key, TensorProto.FLOAT, list(shape)) for key, shape in told.items()],
        arrays,
    )
    return lib.make_model(graph, opset_imports=[lib.make_opsetid("", 13)], ir_version=8)


def _detector(seed: int) -> Any:
    """Each stride pools the picture; a cell whose colour stands out of its neighbours is taken for a face."""
    lib, rng = _helper(), np.random.default_rng(seed)
    nodes: list[Any] = []
    held: dict[str, NDArray[Any]] = {f"shape{size}": np.array([-1, size], np.int64) for size in (1, 4, 10)}
    held["edges"] = np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    told: dict[str, Sequence[Any]] = {}
    for stride, (scores, boxes, points) in HEADS.items():
        cells = 2 * (640 // stride) ** 2
        pool = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes.append(lib.make_node("AveragePool", ["input.1"], [f"cell{stride}"], **pool))
        nodes.append(lib.make_node("Pad", [f"cell{stride}", "edges"], [f"padded{stride}"], mode="edge"))
        # against the eight around it: the sum of the weights is 0, so that a plain picture shows no face
        ring = rng.normal(0, 1, (2, 3, 1, 1)) * np.where(np.arange(9).reshape(3, 3) == 4, 8, -1)
        heads = {
            scores: (1, 2.0 * ring, np.full(2, -4.0), 3),
            boxes: (4, rng.normal(0, 0.5, (8, 3, 1, 1)), np.full(8, 2.5), 1),
            points: (10, rng.normal(0, 0.1, (20, 3, 1, 1)), np.tile(2.5 * FIVE.ravel(), 2), 1),
        }
        for name, (size, weight, bias, kernel) in heads.items():
            held |= {f"w{name}": weight, f"b{name}": bias}
            source = f"padded{stride}" if kernel == 3 else f"cell{stride}"
            given = [source, f"w{name}", f"b{name}"]
            nodes.append(lib.make_node("Conv", given, [f"c{name}"], kernel_shape=[kernel, kernel]))
            nodes.append(lib.make_node("Transpose", [f"c{name}"], [f"t{name}"], perm=[0, 2, 3, 1]))
            last = f"r{name}" if name == scores else name
            nodes.append(lib.make_node("Reshape", [f"t{name}", f"shape{size}"], [last]))
            told[name] = (cells, size)
        nodes.append(lib.make_node("Sigmoid", [f"r{scores}"], [scores]))
    order = {heads[kind]: told[heads[kind]] for kind in range(3) for heads in HEADS.values()}
    return _model("det_10g", nodes, ("input.1", (1, 3, "?", "?")), order, held)


def _recogniser(seed: int) -> Any:
    lib, rng = _helper(), np.random.default_rng(seed)
    held = {"w": rng.normal(0, 1 / 12, (147, 512)), "b": rng.normal(0, 0.01, 512)}
    nodes = [
        lib.make_node("AveragePool", ["input.1"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
        lib.make_node("Flatten", ["pooled"], ["flat"]),
        lib.make_node("Gemm", ["flat", "w", "b"], ["683"]),
    ]
    # the true file, too, says one row and gives as many as it is given
    return _model("w600k_r50", nodes, ("input.1", ("None", 3, 112, 112)), {"683": (1, 512)}, held)


def _marker(seed: int) -> Any:
    lib, rng = _helper(), np.random.default_rng(seed)
    held = {
        "one": np.ones(3), "zero": np.zeros(3), "mean": np.full(3, 127.5), "variance": np.full(3, 128.0**2),
        "w": rng.normal(0, 0.01, (108, 212)), "b": plain_face().ravel() / 1.5,
    }  # fmt: skip
    nodes = [
        lib.make_node("BatchNormalization", ["data", "one", "zero", "mean", "variance"], ["even"], name="bn_data"),
        lib.make_node("AveragePool", ["even"], ["pooled"], kernel_shape=[32, 32], strides=[32, 32]),
        lib.make_node("Flatten", ["pooled"], ["flat"]),
        lib.make_node("Gemm", ["flat", "w", "b"], ["fc1"]),
    ]
    return _model("2d106det", nodes, ("data", ("None", 3, 192, 192)), {"fc1": ("None", 212)}, held)

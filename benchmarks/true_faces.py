"""InsightFace's three networks at their true size with random weights, as ONNX, for timing.

The widths are those of SCRFD-10G (ResNetV1e of 3, 4, 2, 3 blocks, PAFPN, heads of three convolutions), of ArcFace's
IResNet-50, and of a MobileNet of about 2d106det's size. What the detector says is planted: one face in the middle of
every frame, so that what follows on a face is timed too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from cinereward.testing.tiny_faces import FIVE, HEADS, plain_face

SIDE = 640
PLANTED = 32  # stride of the cells that see the face
HALF = 2.5  # of its box's side, in such cells
WHISPER = 1e-4  # what the true network has to say, beside what is planted


class Graph:
    """Nodes and weights of an ONNX graph that grows layer by layer; every method returns the name of what it made."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[Any] = []
        self.held: list[Any] = []
        self._rng = np.random.default_rng(seed)
        self._made = 0

    def hold(self, values: Any, kind: Any = np.float32) -> str:
        """A constant."""
        name = f"c{len(self.held)}"
        self.held.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def add(self, kind: str, *given: str, out: str | None = None, **attributes: Any) -> str:
        """A node of one output."""
        self._made += 1
        name = out or f"n{self._made}"
        self.nodes.append(helper.make_node(kind, list(given), [name], **attributes))
        return name

    def conv(self, x: str, into: int, out: int, size: int = 3, stride: int = 1, group: int = 1) -> str:
        """A convolution with its bias; a batch norm behind it is folded in, as in the published files."""
        fan = into // group * size * size
        weight = self._rng.standard_normal((out, into // group, size, size), np.float32) * (2 / fan) ** 0.5
        shape = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [size // 2] * 4, "group": group}
        return self.add("Conv", x, self.hold(weight), self.hold(np.zeros(out)), **shape)

    def norm(self, x: str, width: int) -> str:
        """A batch norm that stands by itself."""
        one, zero = self.hold(np.ones(width)), self.hold(np.zeros(width))
        return self.add("BatchNormalization", x, one, zero, zero, one)

    def prelu(self, x: str, width: int) -> str:
        """PReLU."""
        return self.add("PRelu", x, self.hold(np.full((width, 1, 1), 0.25)))

    def dense(self, x: str, into: int, out: int, bias: Any = None, gain: float = 1.0, name: str | None = None) -> str:
        """A fully connected layer of a flat input."""
        weight = self._rng.standard_normal((into, out), np.float32) * (gain / into**0.5)
        return self.add("Gemm", x, self.hold(weight), self.hold(np.zeros(out) if bias is None else bias), out=name)

    def write(self, path: Path, name: str, given: Sequence[Any], told: dict[str, Sequence[Any]]) -> Path:
        """The file, with the input's name, type and shape, and the outputs'."""
        outputs = [helper.make_tensor_value_info(key, TensorProto.FLOAT, list(shape)) for key, shape in told.items()]
        source = helper.make_tensor_value_info(given[0], TensorProto.FLOAT, list(given[1]))
        graph = helper.make_graph(self.nodes, name, [source], outputs, self.held)
        opsets = [helper.make_opsetid("", 13)]
        path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
        return path


def scrfd(folder: Path) -> Path:
    """SCRFD-10G: 4.2 million weights, as the published file has."""
    graph = Graph(0)
    widths, blocks = (56, 88, 88, 224), (3, 4, 2, 3)
    x, width = "input.1", 3
    for out, stride in ((28, 2), (28, 1), (56, 1)):
        x, width = graph.add("Relu", graph.conv(x, width, out, stride=stride)), out
    x = graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    levels = []
    for stage, (out, count) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            inner = graph.conv(graph.add("Relu", graph.conv(x, width, out, stride=stride)), out, out)
            if stride == 2:
                x = graph.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            if width != out:
                x = graph.conv(x, width, out, size=1)
            x, width = graph.add("Relu", graph.add("Add", inner, x)), out
        levels.append(x)
    told: dict[str, Sequence[Any]] = {}
    for (stride, names), level in zip(HEADS.items(), _pyramid(graph, levels[1:], widths[1:]), strict=True):
        told |= _head(graph, level, stride, names)
    order = {heads[kind]: told[heads[kind]] for kind in range(3) for heads in HEADS.values()}
    return graph.write(folder / "det_10g.onnx", "det_10g", ("input.1", (1, 3, "?", "?")), order)


def _pyramid(graph: Graph, levels: Sequence[str], widths: Sequence[int]) -> list[str]:
    """PAFPN of 56 channels: down from the coarse, up again from the fine."""
    sides = [graph.conv(level, width, 56, size=1) for level, width in zip(levels, widths, strict=True)]
    double = graph.hold([1, 1, 2, 2])
    for at in (1, 0):
        larger = graph.add("Resize", sides[at + 1], "", double, mode="nearest")
        sides[at] = graph.add("Add", sides[at], larger)
    outs = [graph.conv(side, 56, 56) for side in sides]
    for at in (1, 2):
        outs[at] = graph.add("Add", outs[at], graph.conv(outs[at - 1], 56, 56, stride=2))
    return [outs[0], *(graph.conv(out, 56, 56) for out in outs[1:])]


def _head(graph: Graph, level: str, stride: int, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    x, width = level, 56
    for _ in range(3):
        x, width = graph.add("Relu", graph.conv(x, width, 80)), 80
    side = SIDE // stride
    cells = 2 * side**2
    scores = np.full((cells, 1), -6.0)
    if stride == PLANTED:
        scores[2 * (side // 2 * side + side // 2)] = 6.0
    planted = {1: scores, 4: np.full((cells, 4), HALF), 10: np.tile(HALF * FIVE.ravel(), (cells, 1))}
    told = {}
    for name, (size, values) in zip(names, planted.items(), strict=True):
        out = graph.add("Transpose", graph.conv(x, 80, 2 * size), perm=[0, 2, 3, 1])
        flat = graph.add("Reshape", out, graph.hold([-1, size], np.int64))
        quiet = graph.add("Mul", flat, graph.hold(WHISPER))
        last = graph.add("Add", quiet, graph.hold(values), out=None if size == 1 else name)
        if size == 1:
            graph.add("Sigmoid", last, out=name)
        told[name] = (cells, size)
    return told


def arcface(folder: Path) -> Path:
    """IResNet-50: 43.6 million weights, 12.6 GFLOPs at 112 x 112."""
    graph = Graph(1)
    x, width = graph.prelu(graph.conv("input.1", 3, 64), 64), 64
    for out, count in ((64, 3), (128, 4), (256, 14), (512, 3)):
        for block in range(count):
            stride = 2 if block == 0 else 1
            inner = graph.prelu(graph.conv(graph.norm(x, width), width, out), out)
            inner = graph.conv(inner, out, out, stride=stride)
            same = graph.conv(x, width, out, size=1, stride=2) if block == 0 else x
            x, width = graph.add("Add", inner, same), out
    flat = graph.add("Flatten", graph.norm(x, 512))
    graph.dense(flat, 512 * 7 * 7, 512, name="683")
    return graph.write(folder / "w600k_r50.onnx", "w600k_r50", ("input.1", ("None", 3, 112, 112)), {"683": (1, 512)})


def landmarks(folder: Path) -> Path:
    """A MobileNet of 1.2 million weights at 192 x 192 that answers with a plain face, moved a little by the picture."""
    graph = Graph(2)
    one, zero = graph.hold(np.ones(3)), graph.hold(np.zeros(3))
    mean, variance = graph.hold(np.full(3, 127.5)), graph.hold(np.full(3, 128.0**2))
    x = graph.add("BatchNormalization", "data", one, zero, mean, variance, name="bn_data")
    x, width = graph.prelu(graph.conv(x, 3, 16, stride=2), 16), 16
    plan = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), *(((256, 1),) * 5), (512, 2), (512, 1))
    for out, stride in plan:
        x = graph.prelu(graph.conv(x, width, width, stride=stride, group=width), width)
        x, width = graph.prelu(graph.conv(x, width, out, size=1), out), out
    x = graph.conv(x, width, 64, size=3, stride=2)
    face = np.concatenate([plain_face().ravel() / 1.5])
    graph.dense(graph.add("Flatten", x), 64 * 9, 212, bias=face, gain=0.01, name="fc1")
    return graph.write(folder / "2d106det.onnx", "2d106det", ("data", ("None", 3, 192, 192)), {"fc1": ("None", 212)})

"""ONNX files as sessions: on the GPU where ONNX Runtime can, else on the CPU, and that is told.

ONNX Runtime's two packages (with and without the GPU) share one import name, so that the wrong one is easily installed;
a session then says what it lacks, for the evidence of every clip that it measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import MissingExtraError, OperatorError, WeightsError
from cinereward.networks.running import note, out_of_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

THREADS = 4  # of one session on a CPU: fixed, since a sum may be split by their number; they sleep when idle
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A session, where it runs ("cpu", "cuda:0"), and what to tell of it: "" where it runs where it was meant to."""

    session: Any
    device: str
    lack: str = ""

    def run(self, rows: Array) -> list[Array]:
        """All outputs for one input array, in the graph's order."""
        self.tell()
        return [np.asarray(out) for out in self.session.run(None, {self.session.get_inputs()[0].name: rows})]

    def tell(self) -> None:
        """Note what it lacks, for the clips that are being measured."""
        if self.lack:
            note(self.lack)


def open_session(path: Path, *, device: str, what: str) -> Opened:
    """Open an ONNX file.

    Args:
        path: of a file that was verified. device: "cpu", "cuda", "cuda:1". what: names the model in errors.

    Raises:
        MissingExtraError: there is no onnxruntime.
        WeightsError: the file is no ONNX graph, is cut short, or holds what this ONNX Runtime does not know.
        OperatorError: it does not fit into the memory of the device.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "perception") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # errors; what matters of the rest is told below
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers, lack = _providers(device, onnxruntime)
    try:
        session = onnxruntime.InferenceSession(str(path), sess_options=options, providers=providers)
    except Exception as error:  # its classes have no common base
        if out_of_memory(error):
            raise OperatorError(
                f"{what} does not fit into the memory of {device}; free some, or use the CPU"
            ) from error
        told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise WeightsError(
            f"{what}: {path.name} ({_size(path)}) is no ONNX graph that can be opened ({told}); "
            "expected the whole file; get it again, and check it with: cinereward weights verify"
        ) from error
    on_gpu = CUDA in session.get_providers()
    if device.startswith("cuda") and not on_gpu and not lack:
        lack = (
            f"onnxruntime could not start its GPU provider on {device}, {what} runs on the CPU; "
            "its CUDA and cuDNN must be those that onnxruntime-gpu asks for"
        )
    return Opened(session=session, device=device if on_gpu else "cpu", lack=lack)


def _providers(device: str, onnxruntime: Any) -> tuple[list[Any], str]:
    """What to ask for on this device, and what is missing for it."""
    if not device.startswith("cuda"):
        return [CPU], ""
    if CUDA not in onnxruntime.get_available_providers():
        return [CPU], (
            "onnxruntime without the GPU provider: faces are found on the CPU, which is slow; "
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu"
        )
    if hasattr(onnxruntime, "preload_dlls"):  # finds the CUDA libraries that came with torch
        onnxruntime.preload_dlls()
    index = int(device.partition(":")[2] or 0)
    # an exhaustive search times the algorithms, and may choose others in the next run
    return [(CUDA, {"device_id": index, "cudnn_conv_algo_search": "HEURISTIC"}), CPU], ""


def expect_shapes(
    opened: Opened,
    path: Path,
    what: str,
    given: Sequence[int | None],
    told: Sequence[Sequence[int | None]],
) -> None:
    """Check that a graph is of the architecture that is meant.

    Args:
        given: shape of its only input. told: those of its outputs; None where any size is right, or it is not fixed.

    Raises:
        WeightsError: it has other inputs or outputs.
    """
    inputs = [_shape(item) for item in opened.session.get_inputs()]
    outputs = [_shape(item) for item in opened.session.get_outputs()]
    fits = len(inputs) == 1 and len(outputs) == len(told) and _fits(inputs[0], given)
    if not (fits and all(_fits(came, meant) for came, meant in zip(outputs, told, strict=True))):
        raise WeightsError(
            f"{what}: {path.name} takes {_list(inputs)} and gives {_list(outputs)}; expected {_list([given])} and "
            f"{_list(told)}; these are the weights of another network: see cinereward weights list"
        )


def _shape(item: Any) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) and size > 0 else None for size in item.shape)


def _fits(came: Sequence[int | None], meant: Sequence[int | None]) -> bool:
    return len(came) == len(meant) and all(a == b or None in (a, b) for a, b in zip(came, meant, strict=True))


def _list(shapes: Sequence[Sequence[int | None]]) -> str:
    return " and ".join("x".join("?" if size is None else str(size) for size in shape) for shape in shapes) or "nothing"


def _size(path: Path) -> str:
    try:
        return f"{path.stat().st_size} bytes"
    except OSError:
        return "not there"

"""Where somebody speaks: Silero's voice activity detector in NumPy, with the weights that its package brings.

Importing `silero_vad` would set PyTorch's number of threads for the whole process, and TorchScript, which is
deprecated, optimises its first calls, so that their bits change. The same network in NumPy does neither, and is three
times as fast.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cinereward.errors import WeightsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

SPEECH_HOP = 512  # samples at 16 kHz to one value: 32 ms
CONTEXT = 64  # samples that the network sees of the piece before
PIECES = 256  # handled at a time, which bounds memory
LAYERS = (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1))  # name, stride
UNITS = 128  # of the recurrent layer


def speech_probability(samples: Float32) -> Float32:
    """How surely somebody speaks, for each piece of 32 ms.

    Args:
        samples: float32 (N,), mono, 16 kHz, at an ordinary level: it hears less in what is faint.

    Returns:
        float32 (ceil(N / 512),) in [0, 1]; 0.5 is the detector's own threshold.

    Raises:
        WeightsError: the package silero-vad is not there, or has no weights that can be read.
        ValueError: the samples are not of one dimension.

    Source: "Silero VAD: pre-trained enterprise-grade voice activity detector", Silero Team, 2024, MIT licence,
    https://github.com/snakers4/silero-vad.
    """
    if samples.ndim != 1:
        raise ValueError(f"samples have shape {samples.shape}; expected (N,)")
    count = -(-len(samples) // SPEECH_HOP)
    if count == 0:
        return np.zeros(0, np.float32)
    weights = _weights()
    padded = np.pad(samples.astype(np.float32), (CONTEXT, count * SPEECH_HOP - len(samples)))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + SPEECH_HOP)[::SPEECH_HOP]
    recurrent = np.ascontiguousarray(weights["lstm_cell.weight_hh"])
    hidden, cell = np.zeros(UNITS, np.float32), np.zeros(UNITS, np.float32)
    seen = np.empty((count, UNITS), np.float32)
    for first in range(0, count, PIECES):
        for row, gates in enumerate(_encoded(pieces[first : first + PIECES], weights), first):
            put, keep, new, out = np.split(gates + recurrent @ hidden, 4)
            cell = _sigmoid(keep) * cell + _sigmoid(put) * np.tanh(new)
            hidden = _sigmoid(out) * np.tanh(cell)
            seen[row] = hidden
    last = weights["final_conv.weight"].ravel()
    return np.asarray(_sigmoid(np.maximum(seen, 0) @ last + weights["final_conv.bias"]), np.float32)


def _encoded(pieces: Float32, weights: dict[str, Float32]) -> Float32:
    """What the recurrent layer is told of each piece (n, 576): its four gates before what it remembers (n, 512)."""
    padded = np.pad(pieces, ((0, 0), (0, CONTEXT)), mode="reflect")[:, None]
    parts = _convolved(padded, weights["stft_conv.weight"], 128, 0)
    half = parts.shape[1] // 2
    x = np.sqrt(parts[:, :half] ** 2 + parts[:, half:] ** 2)
    for name, stride in LAYERS:
        x = _convolved(x, weights[f"{name}.weight"], stride, 1) + weights[f"{name}.bias"][:, None]
        x = np.maximum(x, 0)
    biases = weights["lstm_cell.bias_ih"] + weights["lstm_cell.bias_hh"]
    return np.asarray(x[:, :, 0] @ weights["lstm_cell.weight_ih"].T + biases, np.float32)


def _convolved(x: Float32, kernel: Float32, stride: int, padding: int) -> Float32:
    """(n, channels, t) by a kernel (out, channels, width): (n, out, t')."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    views = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2], axis=2)[:, :, ::stride]
    n, channels, steps, width = views.shape
    rows = np.ascontiguousarray(views.transpose(0, 2, 1, 3)).reshape(n * steps, channels * width)
    return np.asarray((rows @ kernel.reshape(len(kernel), -1).T).reshape(n, steps, -1).transpose(0, 2, 1))


def _sigmoid(x: Float32) -> Float32:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float32)


@cache
def _weights() -> dict[str, Float32]:
    """The network's arrays by name, from the package's safetensors file; nothing of the package is imported.

    Raises:
        WeightsError: see `speech_probability`.
    """
    found = find_spec("silero_vad")
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    path = Path(folders[0]) / "data" / "silero_vad_16k.safetensors" if folders else None
    if path is None or not path.is_file():
        raise WeightsError(f"{path or 'silero-vad'} is not there; install it: pip install 'silero-vad>=6.2.1'")
    raw = path.read_bytes()
    try:
        start = 8 + int.from_bytes(raw[:8], "little")
        table = json.loads(raw[8:start])
        return {
            name: np.frombuffer(
                raw[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]], "<f4"
            ).reshape(entry["shape"])
            for name, entry in table.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); install it anew: silero-vad>=6.2.1") from error

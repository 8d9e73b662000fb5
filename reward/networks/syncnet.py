"""SyncNet: how far a mouth is from a sound, in a space where those that belong together lie near each other.

    network = load_syncnet()
    distances = compare(network, crops, samples)  # (N, 31), of a face track at 25 pictures a second and its sound
    told = synchrony(distances)  # told.distance, told.confidence, told.offset

Two towers: five pictures (0.2 s) of a face, and twenty rows of cepstra (0.2 s) of the sound. Layer names are those of
the well-known checkpoint, syncnet_v2.model; its numbers of channels are read from the file.
Source: "Out of time: automated lip sync in the wild", Chung & Zisserman, 2016; https://github.com/joonson/syncnet_python,
MIT licence, whose numbers these equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cinereward import weights as _weights
from cinereward.errors import MissingExtraError, WeightsError
from cinereward.networks.running import Runner, device_of, module_runner, once

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    Int16 = NDArray[np.int16]
    Int64 = NDArray[np.int64]
    UInt8 = NDArray[np.uint8]

RATE, FPS, SIDE = 16_000, 25, 224  # Hz; pictures a second; pixels of a face's picture
PICTURES, ROWS, EACH = 5, 20, 4  # pictures and rows of cepstra that are seen at a time; rows to a picture
SAMPLES = RATE // FPS  # to a picture
REACH = 15  # pictures by which the sound is shifted to either side
CEPSTRA, FILTERS, FRAME, HOP, FFT = 13, 26, 400, 160, 512  # of the sound: 25 ms every 10 ms
PREEMPHASIS, LIFTER = 0.97, 22
BLOCK = 4096  # frames of sound, and
PIECE = 64  # stretches of pictures, that are handled at a time, which bounds memory
SCALE = 128.0  # a power of two: pictures are divided by it and weights multiplied, so that half precision holds both
TOWERS = {"netcnnaud": "sound", "netcnnlip": "lips"}
HEADS = ("netfcaud", "netfclip")
CONVOLUTIONS = (0, 4, 8, 11, 14, 18)  # places of the convolutions in a tower; each has its norm one further
KERNELS = {
    "netcnnaud": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3), (5, 4)),
    "netcnnlip": ((5, 7, 7), (1, 5, 5), (1, 3, 3), (1, 3, 3), (1, 3, 3), (1, 6, 6)),
}


@dataclass(frozen=True, kw_only=True)
class Widths:
    """How many channels the six convolutions of each tower have, and how many numbers its two full layers give."""

    sound: tuple[int, ...] = (64, 192, 384, 256, 256, 512)
    lips: tuple[int, ...] = (96, 256, 256, 256, 256, 512)
    hidden: int = 512
    features: int = 1024


TRUE = Widths()


class Synchrony(NamedTuple):
    """What the distances of one face and one sound come to, as the field reports it.

    distance: LSE-D, the least mean distance over all shifts. confidence: LSE-C, by how much it lies below the median
    shift's. offset: pictures by which the sound is early, as the original counts; -REACH to REACH.
    """

    distance: float
    confidence: float
    offset: int


class SyncNet:
    """The two towers on one device.

    Args:
        lips: from uint8 (N, 5, 224, 224, 3), BGR, to (N, D). sounds: from float32 (N, 1, 13, 20) to (N, D).
    """

    def __init__(self, lips: Runner, sounds: Runner) -> None:
        self._lips, self._sounds = lips, sounds

    def lips(self, pictures: UInt8) -> Float32:
        """What a mouth does, for every five pictures that follow one another.

        Args:
            pictures: uint8 (T, 224, 224, 3), BGR as OpenCV reads it, 25 a second, T of 5 or more.

        Returns:
            float32 (T - 4, D); row k saw the pictures k to k + 4.
        """
        if pictures.ndim != 4 or pictures.shape[1:] != (SIDE, SIDE, 3) or pictures.dtype != np.uint8:
            raise ValueError(f"pictures are {pictures.dtype} {pictures.shape}; expected uint8 (T, {SIDE}, {SIDE}, 3)")
        if len(pictures) < PICTURES:
            raise ValueError(f"{len(pictures)} pictures; expected {PICTURES} or more, 0.2 s")
        stretches = sliding_window_view(pictures, PICTURES, axis=0).transpose(0, 4, 1, 2, 3)
        pieces = range(0, len(stretches), PIECE)
        return np.concatenate([self._lips(stretches[first : first + PIECE].copy())[0] for first in pieces])

    def sounds(self, cepstra: Float64, pictures: Int64) -> Float32:
        """What is heard in the 0.2 s that begin with each of these pictures.

        Args:
            cepstra: float64 (M, 13), of `mfcc`, up to row 4 k + 19. pictures: int (N,), indices k at 25 a second.

        Returns:
            float32 (N, D).
        """
        if cepstra.ndim != 2 or cepstra.shape[1] != CEPSTRA:
            raise ValueError(f"cepstra have shape {cepstra.shape}; expected (M, {CEPSTRA})")
        if len(pictures) == 0 or pictures.min() < 0 or pictures.max() * EACH + ROWS > len(cepstra):
            raise ValueError(f"pictures {pictures} of {len(cepstra)} rows of sound; expected {ROWS} rows for each")
        stretches = cepstra[pictures[:, None] * EACH + np.arange(ROWS)].transpose(0, 2, 1)[:, None]
        return self._sounds(stretches.astype(np.float32))[0]


# --- the sound ---


def mfcc(samples: Int16) -> Float64:
    """Cepstra of sound, one row every 10 ms, the energy's logarithm in the place of the first.

    Source: python_speech_features.mfcc with its defaults, which the original calls; MIT licence.

    Args:
        samples: int16 (N,), mono, 16 kHz, N of 1 or more. The level counts: it is part of the numbers.

    Returns:
        float64 (M, 13), M = 1 + ceil(max(N - 400, 0) / 160); the last row is filled up with silence.
    """
    if samples.ndim != 1 or samples.dtype != np.int16 or len(samples) == 0:
        raise ValueError(f"samples are {samples.dtype} {samples.shape}; expected int16 (N,), N of 1 or more")
    count = 1 + max(0, -(-(len(samples) - FRAME) // HOP))
    bank, cosines = _filters(), _cosines()
    lift = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    out = np.empty((count, CEPSTRA))
    for first in range(0, count, BLOCK):
        rows = min(BLOCK, count - first)
        begin, length = first * HOP, (rows - 1) * HOP + FRAME
        given = samples[max(begin - 1, 0) : begin + length].astype(np.float64)
        before = given[:1] / PREEMPHASIS if begin else np.zeros(0)  # of the very first sample nothing is taken away
        loud = np.append(before, given)
        even = np.append(loud[:1], loud[1:] - PREEMPHASIS * loud[:-1])[2 if begin else 0 :]
        frames = sliding_window_view(np.pad(even, (0, length - len(even))), FRAME)[::HOP]
        power = np.abs(np.fft.rfft(frames, FFT)) ** 2 / FFT
        energy, bands = power.sum(axis=1), power @ bank.T
        cepstra = np.log(np.where(bands == 0, np.finfo(float).eps, bands)) @ cosines.T * lift
        cepstra[:, 0] = np.log(np.where(energy == 0, np.finfo(float).eps, energy))
        out[first : first + rows] = cepstra
    return out


@cache
def _filters() -> Float64:
    """Triangles that are even on the mel scale, from 0 to 8 kHz, on whole lines of the spectrum: (26, 257)."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    edges = np.floor((FFT + 1) * hertz / RATE)
    line = np.arange(FFT // 2 + 1)[None]
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = np.where((line >= low) & (line < middle), (line - low) / np.maximum(middle - low, 1), 0.0)
    falling = np.where((line >= middle) & (line < high), (high - line) / np.maximum(high - middle, 1), 0.0)
    return np.asarray(rising + falling)


@cache
def _cosines() -> Float64:
    """The first rows of the orthonormal discrete cosine transform of type 2: (13, 26)."""
    at = np.pi / FILTERS * np.outer(np.arange(CEPSTRA), np.arange(FILTERS) + 0.5)
    scale = np.full((CEPSTRA, 1), (2 / FILTERS) ** 0.5)
    scale[0] = (1 / FILTERS) ** 0.5
    return np.asarray(scale * np.cos(at))


# --- both ---


def distances(lips: Float32, sounds: Float32, reach: int = REACH) -> Float32:
    """How far each stretch of pictures is from the sound at every shift.

    Beyond the sound's ends its features are taken to be zero, as the original does.

    Args:
        lips: float32 (N, D). sounds: float32 (N, D), of the same moments.

    Returns:
        float32 (N, 2 reach + 1); column k is the sound k - reach pictures later.
    """
    if lips.shape != sounds.shape or lips.ndim != 2:
        raise ValueError(f"lips {lips.shape} and sounds {sounds.shape}; expected two arrays of one shape (N, D)")
    return placed_distances(lips, np.pad(sounds, ((reach, reach), (0, 0))), reach)


def placed_distances(lips: Float32, padded: Float32, reach: int = REACH) -> Float32:
    """As `distances`, with the features of sound for `reach` pictures before and after: float32 (N + 2 reach, D)."""
    if len(padded) != len(lips) + 2 * reach:
        raise ValueError(f"{len(padded)} rows of sound for {len(lips)} of pictures; expected {2 * reach} more")
    out = np.empty((len(lips), 2 * reach + 1), np.float32)
    for shift in range(2 * reach + 1):
        apart = lips - padded[shift : shift + len(lips)] + np.float32(1e-6)  # as torch's pairwise_distance
        out[:, shift] = np.linalg.norm(apart, axis=1)
    return out


def synchrony(far: NDArray[Any]) -> Synchrony:
    """LSE-D, LSE-C and the offset of distances (N, 2 reach + 1), N of 1 or more."""
    if far.ndim != 2 or len(far) == 0 or far.shape[1] % 2 == 0:
        raise ValueError(f"distances have shape {far.shape}; expected (N, 2 reach + 1), N of 1 or more")
    mean = far.mean(axis=0)
    best = int(np.argmin(mean))
    return Synchrony(float(mean[best]), float(np.median(mean) - mean[best]), far.shape[1] // 2 - best)


def compare(network: SyncNet, pictures: UInt8, samples: Int16) -> Float32:
    """All distances of one face and its sound, by the original's rules about lengths.

    Args:
        pictures: uint8 (T, 224, 224, 3), BGR, 25 a second. samples: int16 (N,), 16 kHz, from the same moment on.

    Returns:
        float32 (M, 31), M = min(T, N // 640) - 5.

    Raises:
        ValueError: there are 5 pictures or fewer, or less than 0.24 s of sound.
    """
    count = min(len(pictures), len(samples) // SAMPLES) - PICTURES
    if count < 1:
        told = f"{len(pictures)} pictures and {len(samples)} samples"
        raise ValueError(f"{told}; expected at least {PICTURES + 1} pictures and {(PICTURES + 1) * SAMPLES} samples")
    lips = network.lips(pictures[: count + PICTURES - 1])
    return distances(lips, network.sounds(mfcc(samples), np.arange(count)))


# --- loading ---


def layout(widths: Widths) -> dict[str, tuple[int, ...]]:
    """The checkpoint's tensors and their shapes, in its order."""
    out: dict[str, tuple[int, ...]] = {}

    def norm(place: str, size: int) -> None:
        out.update({f"{place}.{kind}": (size,) for kind in ("weight", "bias", "running_mean", "running_var")})
        out[f"{place}.num_batches_tracked"] = ()

    for tower, head in zip(TOWERS, HEADS, strict=True):
        before = 1 if tower == "netcnnaud" else 3
        for at, width, kernel in zip(CONVOLUTIONS, getattr(widths, TOWERS[tower]), KERNELS[tower], strict=True):
            out |= {f"{tower}.{at}.weight": (width, before, *kernel), f"{tower}.{at}.bias": (width,)}
            norm(f"{tower}.{at + 1}", width)
            before = width
        out |= {f"{head}.0.weight": (widths.hidden, before), f"{head}.0.bias": (widths.hidden,)}
        norm(f"{head}.1", widths.hidden)
        out |= {f"{head}.3.weight": (widths.features, widths.hidden), f"{head}.3.bias": (widths.features,)}
    return out


def load_syncnet(device: str | None = None, weights: str = "syncnet") -> SyncNet:
    """SyncNet with verified weights, loaded once a process and device.

    Args:
        device: "cpu", "cuda", ...; None: the first GPU, or the CPU. weights: a name of the manifest, or your own; one
            file, .safetensors or what `torch.save` writes of a state dict.

    Raises:
        MissingExtraError: PyTorch or safetensors is not installed.
        WeightsError: the weights are missing, truncated, or of another architecture.
    """
    try:
        where = device_of(device)
    except ImportError as error:
        raise MissingExtraError("torch", "perception") from error
    located = _weights.locate(weights)
    return once(("syncnet", located.sha256, where), lambda: build(read_state(located.path), where))


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name, each as it is.

    Raises:
        MissingExtraError: the file is .safetensors and that package is not installed.
        WeightsError: the file cannot be read, holds something else, or is of another architecture.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            try:
                from safetensors.torch import load_file
            except ImportError as error:
                raise MissingExtraError("safetensors", "perception") from error
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except MissingExtraError:
        raise
    except Exception as error:  # PyTorch, pickle, zipfile and safetensors have a dozen kinds for a file cut short
        told = f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else 'no more is told'}"
        raise _unfit(path, f"cannot be read ({told})", "a state dict of SyncNet") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise _unfit(path, f"holds a {type(state).__name__} of other things", "a state dict of tensors")
    check_layout({name: tuple(item.shape) for name, item in state.items()}, path)
    return dict(state)


def check_layout(shapes: Mapping[str, Sequence[int]], path: Path) -> Widths:
    """The widths of a checkpoint with these shapes.

    Raises:
        WeightsError: it is of another architecture.
    """
    places = [f"{tower}.{at}.weight" for tower in TOWERS for at in CONVOLUTIONS]
    wanted = [*places, "netfcaud.0.weight", "netfcaud.3.weight"]
    if lacking := [name for name in wanted if not shapes.get(name)]:
        some = ", ".join(sorted(shapes)[:3]) or "nothing"
        raise _unfit(path, f"has {some}, ... and lacks {lacking[0]}", "the layers of SyncNet (syncnet_v2.model)")
    sound, lips = (tuple(int(shapes[name][0]) for name in part) for part in (places[:6], places[6:]))
    hidden, features = (int(shapes[f"netfcaud.{at}.weight"][0]) for at in (0, 3))
    widths = Widths(sound=sound, lips=lips, hidden=hidden, features=features)
    expected = layout(widths)
    for name, shape in expected.items():
        if name not in shapes and not name.endswith("num_batches_tracked"):  # which older files do not have
            raise _unfit(path, f"lacks {name}", f"{name} of shape {shape}")
        if tuple(shapes.get(name, shape)) != shape:
            raise _unfit(path, f"has {name} of shape {tuple(shapes[name])}", f"shape {shape}")
    if odd := [name for name in shapes if name not in expected]:
        raise _unfit(path, f"has {odd[0]}, which SyncNet has not", f"{len(expected)} tensors")
    return widths


def _unfit(path: Path, came: str, expected: str) -> WeightsError:
    advice = "get syncnet_v2.model anew and name it: cinereward weights add syncnet PATH"
    return WeightsError(f"{path.name} {came}; expected {expected}; {advice}")


def build(state: Mapping[str, torch.Tensor], device: str) -> SyncNet:
    """The towers with the weights of a checked state dict, on a device.

    Each norm is folded into the layer before it: that is exact up to rounding, and keeps what lies between them small
    enough for half precision.
    """
    from torch import nn

    def folded(layer: Any, place: str, norm: str | None) -> Any:
        weight, bias = state[f"{place}.weight"].double(), state[f"{place}.bias"].double()
        if norm is not None:
            gain = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + 1e-5).sqrt()
            weight = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
            bias = (bias - state[f"{norm}.running_mean"].double()) * gain + state[f"{norm}.bias"].double()
        layer.weight.data.copy_(weight * SCALE if place == "netcnnlip.0" else weight)
        layer.bias.data.copy_(bias)
        return layer

    def tower(name: str, head: str, kind: Any, options: Sequence[Mapping[str, Any]], pools: Mapping[int, Any]) -> Any:
        layers: list[Any] = []
        for at, kernel, option in zip(CONVOLUTIONS, KERNELS[name], options, strict=True):
            width, before = state[f"{name}.{at}.weight"].shape[:2]
            layers += [folded(kind(before, width, kernel, **option), f"{name}.{at}", f"{name}.{at + 1}"), nn.ReLU()]
            layers += [pools[at]] if at in pools else []
        hidden, before = state[f"{head}.0.weight"].shape
        last = nn.Linear(hidden, state[f"{head}.3.weight"].shape[0])
        layers += [nn.Flatten(), folded(nn.Linear(before, hidden), f"{head}.0", f"{head}.1"), nn.ReLU()]
        return nn.Sequential(*layers, folded(last, f"{head}.3", None))

    same: dict[str, Any] = {"padding": 1}
    heard = tower(
        "netcnnaud", "netfcaud", nn.Conv2d, [same] * 5 + [{}], {4: nn.MaxPool2d(3, (1, 2)), 14: nn.MaxPool2d(3, 2)}
    )
    inner: dict[str, Any] = {"padding": (0, 1, 1)}
    three, two = (1, 3, 3), (1, 2, 2)
    options = [{"stride": two}, {"stride": two, **inner}, inner, inner, inner, {}]
    pools = {0: nn.MaxPool3d(three, two), 4: nn.MaxPool3d(three, two, (0, 1, 1)), 14: nn.MaxPool3d(three, two)}
    seen = tower("netcnnlip", "netfclip", nn.Conv3d, options, pools)

    def look(module: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
        kind = next(module.parameters()).dtype
        came: torch.Tensor = module(rows.permute(0, 4, 1, 2, 3).to(kind) / SCALE)
        return came

    return SyncNet(
        module_runner("syncnet, pictures", seen, device=device, call=look),
        module_runner("syncnet, sound", heard, device=device),
    )

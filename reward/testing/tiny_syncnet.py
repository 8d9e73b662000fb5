"""A SyncNet with random weights, in the file format of the well-known checkpoint (`syncnet_v2.model`).

The numbers come from NumPy's generator, which gives the same ones with every version of PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.networks.syncnet import TRUE, Widths, layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDS = ("netfcaud.3", "netfclip.3")
TINY = Widths(sound=(4, 6, 8, 8, 8, 12), lips=(4, 6, 6, 6, 6, 12), hidden=16, features=24)
PIXEL = 64.0  # the spread of what the pictures hold: 0 to 255
CEPSTRUM = 8.0  # and of what the sound's rows hold
SMALL = 0.05  # of the last layers' weights: a face lies nearer to a sound than to nothing, as in the true one


def random_syncnet(seed: int = 0, widths: Widths = TRUE) -> dict[str, NDArray[Any]]:
    """Random weights under the names of the checkpoint, float32; the counters of batches int64.

    Their spread keeps that of the signal from layer to layer, so that inputs that differ give outputs that differ.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    middle = 0.75 * rng.standard_normal(widths.features)
    out: dict[str, NDArray[Any]] = {}
    for name, shape in layout(widths).items():
        place, kind = name.rsplit(".", 1)
        if kind == "num_batches_tracked":
            out[name] = np.array(1, np.int64)
        elif len(shape) > 1:
            scale = (2.0 / np.prod(shape[1:])) ** 0.5
            scale /= {"netcnnlip.0": PIXEL, "netcnnaud.0": CEPSTRUM}.get(place, 1.0)
            scale *= SMALL if place in ENDS else 1.0
            out[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
        elif place in ENDS:
            out[name] = (middle + 0.02 * rng.standard_normal(shape)).astype(np.float32)
        elif kind in ("weight", "running_var"):
            out[name] = rng.uniform(0.7, 1.3, shape).astype(np.float32)
        else:
            out[name] = (0.1 * rng.standard_normal(shape)).astype(np.float32)
    return out


def tiny_syncnet(folder: Path, seed: int = 0, widths: Widths = TINY) -> Path:
    """Write a checkpoint of the true architecture, by default a few kilobytes wide, as `torch.save` writes it.

    Args:
        folder: is made where it is not there. seed: of the weights. widths: TRUE makes 54 MB of it.

    Returns:
        The file.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "syncnet_v2.model"
    torch.save({name: torch.from_numpy(value) for name, value in random_syncnet(seed, widths).items()}, path)
    return path

"""DINO: what a picture shows, as one point, and as one point for each of its patches. Learned without words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.networks.clip import unit
from cinereward.networks.pixels import IMAGENET, Fit
from cinereward.networks.pretrained import broken, pretrained
from cinereward.networks.running import device_of, module_runner, once
from cinereward.networks.statedict import read_tensors
from cinereward.weights import locate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.weights import Located

    Float32 = NDArray[np.float32]
    UInt8 = NDArray[np.uint8]

KINDS = ("dinov2", "dinov2_with_registers", "dinov3_vit")
SIDE = 224  # pixels; 16 x 16 patches of DINOv2, 14 x 14 of DINOv3


class Dino:
    """Pictures as points.

    Args:
        see: from uint8 (N, H, W, 3) to class tokens float32 (N, D) and patch tokens float32 (N, h, w, D), whose grid
            lies evenly over the picture. width: D.
        name: the weights and their sha256, for keys.
    """

    def __init__(self, see: Callable[[UInt8], tuple[Float32, Float32]], *, width: int, name: str = "dino") -> None:
        self._see, self.width, self.name = see, width, name

    def __call__(self, rows: UInt8) -> tuple[Float32, Float32]:
        """Class tokens (N, D), of length 1, and patch tokens (N, h, w, D), as they come; N of 1 or more."""
        classes, patches = self._see(rows)
        return unit(classes), patches

    def classes(self, rows: UInt8) -> Float32:
        """Class tokens alone: float32 (N, D) of length 1, of RGB uint8 (N, H, W, 3) of any size."""
        return self(rows)[0]


def load_dino(device: str | None = None, weights: str = "dinov2-base") -> Dino:
    """DINOv2 or DINOv3 from a verified local folder; a picture is pressed into 224 x 224 pixels.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: the weights are not there, broken, or of another architecture.
    """
    located, on = locate(weights), device_of(device)
    return once(("dino", located.sha256, on), lambda: _load(located, on))


def _load(located: Located, device: str) -> Dino:
    model, _ = pretrained(located, KINDS)
    before = 1 + int(getattr(model.config, "num_register_tokens", 0))
    side = SIDE // int(model.config.patch_size)
    fit = Fit(short=SIDE, square=True)

    def call(module: Any, rows: Any) -> Any:
        tokens = module(pixel_values=fit(rows).to(module.dtype)).last_hidden_state
        return tokens[:, 0], tokens[:, before:].unflatten(1, (side, side))

    runner = module_runner(located.name, model, device=device, call=call)
    name = f"{located.name} {located.sha256[:12]}"
    return Dino(lambda rows: _two(runner(rows)), width=int(model.config.hidden_size), name=name)


def load_dino_vit(device: str | None = None, weights: str = "dino-vitb16") -> Dino:
    """DINO's ViT-B/16 from its own checkpoint (a state dict), fed as VBench feeds it.

    The shorter side becomes 224 pixels, bilinear and without averaging, and nothing is cut off.

    Raises:
        WeightsError: the weights are not there, broken, or of another architecture.
    """
    located, on = locate(weights), device_of(device)
    return once(("dino vit", located.sha256, on), lambda: _load_vit(located, on))


def _load_vit(located: Located, device: str) -> Dino:
    from cinereward.networks.vit import shaped

    tensors = read_tensors(located)
    try:
        model = shaped(tensors)
        model.load_state_dict(tensors)
    except (KeyError, ValueError, RuntimeError, IndexError) as error:
        raise broken(located, f"these are not the tensors of DINO's ViT: {error}") from error
    fit = Fit(short=SIDE, mode="bilinear", antialias=False, mean=IMAGENET[0], std=IMAGENET[1])

    def call(module: Any, rows: Any) -> Any:
        pixels = fit(rows)
        grid = (pixels.shape[2] // model.patch, pixels.shape[3] // model.patch)
        tokens = module(pixels.to(module.norm.weight.dtype))
        return tokens[:, 0], tokens[:, 1:].unflatten(1, grid)

    runner = module_runner(located.name, model, device=device, call=call)
    name = f"{located.name} {located.sha256[:12]}"
    return Dino(lambda rows: _two(runner(rows)), width=model.cls_token.shape[2], name=name)


def _two(came: tuple[Any, ...]) -> tuple[Float32, Float32]:
    return came[0], came[1]

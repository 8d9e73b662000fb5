"""Checkpoints that are a plain table of tensors: a .pth read with `weights_only=True`, or safetensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinereward.networks.pretrained import broken

if TYPE_CHECKING:
    import torch

    from cinereward.weights import Located


def read_tensors(located: Located) -> dict[str, torch.Tensor]:
    """The tensors of the one file that was located, on the CPU, by name; "module." before every name is taken off.

    Raises:
        WeightsError: the file is truncated, holds more than tensors, or is another kind of file.
    """
    import torch

    path = located.path
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            came = load_file(path)
        else:
            came = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and safetensors each raise their own on a broken file
        raise broken(
            located, f"{path.name} cannot be read as plain tensors ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(came, dict) or not all(isinstance(item, torch.Tensor) for item in came.values()):
        raise broken(
            located, f"{path.name} holds a {type(came).__name__} of more than tensors; a state dict is expected"
        )
    return {str(name).removeprefix("module."): item for name, item in came.items()}

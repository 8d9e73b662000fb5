"""RAFT: optical flow, from each pixel of one picture to where it went in another.

Two layouts of the same network are read: torchvision's raft_large, and the checkpoint of RAFT's authors
("raft-things", which VBench uses), whose tensors are renamed. torchvision works out the flow at full size after every
one of its updates; here that is done once, after the last.
Source: "RAFT: Recurrent all-pairs field transforms for optical flow", Teed & Deng, 2020.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import MissingExtraError
from cinereward.networks.pretrained import broken
from cinereward.networks.running import Runner, device_of, once
from cinereward.networks.statedict import read_tensors
from cinereward.weights import locate

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from cinereward.weights import Located

    Float32 = NDArray[np.float32]
    UInt8 = NDArray[np.uint8]

UPDATES = 12  # torchvision's number; VBench takes 20
LEAST_SIDE = 128  # pixels; below, RAFT's pyramid has a level of one cell, and gives no number
CELL = 8  # pixels of the picture for one of the network
MOST_CELLS = 4e8  # pairs of cells that are compared at once on a GPU: 1.6 GB, twice that while they are used
MOST_PAIRS = 16

# of the authors' names, in order; the third norm of a block is its second way's norm by another name
RENAMED = (
    (r"^fnet\.", "feature_encoder."),
    (r"^cnet\.", "context_encoder."),
    (r"^(\w+_encoder)\.conv1\.", r"\1.convnormrelu.0."),
    (r"^(\w+_encoder)\.norm1\.", r"\1.convnormrelu.1."),
    (r"^(\w+_encoder)\.conv2\.", r"\1.conv."),
    (r"\.(layer\d\.\d)\.conv(\d)\.", r".\1.convnormrelu\2.0."),
    (r"\.(layer\d\.\d)\.norm(\d)\.", r".\1.convnormrelu\2.1."),
    (r"^update_block\.encoder\.convc(\d)\.", r"update_block.motion_encoder.convcorr\1.0."),
    (r"^update_block\.encoder\.convf(\d)\.", r"update_block.motion_encoder.convflow\1.0."),
    (r"^update_block\.encoder\.conv\.", "update_block.motion_encoder.conv.0."),
    (r"^update_block\.gru\.conv([zrq])(\d)\.", r"update_block.recurrent_block.convgru\2.conv\1."),
    (r"^update_block\.mask\.0\.", "mask_predictor.convrelu.0."),
    (r"^update_block\.mask\.2\.", "mask_predictor.conv."),
)


class Raft:
    """Flow between pictures.

    Args:
        see: from pairs, uint8 (N, 2, H, W, 3) with sides of 128 or more, to flow float32 (N, H', W', 2) over the
            picture padded evenly to multiples of 8.
        name: the weights and their sha256, for keys.
    """

    def __init__(self, see: Callable[[UInt8], Float32], *, name: str = "raft") -> None:
        self._see, self.name = see, name

    def padded(self, pairs: UInt8) -> Float32:
        """Flow with the rim that makes both sides multiples of 8, as RAFT's own code leaves it.

        Args:
            pairs: uint8 (N, 2, H, W, 3), RGB, N of 1 or more.

        Returns:
            float32 (N, H', W', 2), pixels right and down, from the first picture to the second.
        """
        height, width = pairs.shape[2:4]
        scale = max(1.0, LEAST_SIDE / min(height, width))
        if scale == 1.0:
            return self._see(pairs)
        import cv2

        size = (max(LEAST_SIDE, round(width * scale)), max(LEAST_SIDE, round(height * scale)))
        large = [[cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR) for picture in pair] for pair in pairs]
        flow = unpadded(self._see(np.asarray(large, np.uint8)), size[1], size[0])
        small = np.stack([cv2.resize(field, (width, height), interpolation=cv2.INTER_AREA) for field in flow])
        return np.asarray(small * np.array([width / size[0], height / size[1]]), np.float32)

    def __call__(self, pairs: UInt8) -> Float32:
        """Flow float32 (N, H, W, 2) of pairs uint8 (N, 2, H, W, 3); see `padded`."""
        return unpadded(self.padded(pairs), *pairs.shape[2:4])

    def flow_pairs(self, frames: UInt8) -> Float32:
        """Flow in the convention of the feature "flow": from each frame back to the one before.

        Args:
            frames: uint8 (T, h, w, 3) or, without colour, (T, h, w).

        Returns:
            float32 (T, h, w, 2), in pixels; row 0 is 0.
        """
        pictures = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, axis=-1)
        flow = np.zeros((*pictures.shape[:3], 2), np.float32)
        if len(pictures) > 1:
            flow[1:] = self(np.stack([pictures[1:], pictures[:-1]], axis=1))
        return flow


def rim(side: int) -> tuple[int, int]:
    """How many pixels are put before and after a side to make it a multiple of 8."""
    more = -side % CELL
    return more // 2, more - more // 2


def unpadded(flow: Float32, height: int, width: int) -> Float32:
    """The flow without its rim: float32 (N, height, width, 2)."""
    if flow.shape[1:3] == (height, width):
        return flow
    top, left = rim(height)[0], rim(width)[0]
    return flow[:, top : top + height, left : left + width]


def load_raft(device: str | None = None, weights: str = "raft-large", *, updates: int = UPDATES) -> Raft:
    """RAFT from a verified local file, in torchvision's layout or in that of its authors.

    Args:
        weights: "raft-large", or "raft-things" for VBench's. updates: how often the flow is bettered.

    Raises:
        MissingExtraError: torchvision is not installed.
        WeightsError: the weights are not there, broken, or of another architecture.
    """
    located, on = locate(weights), device_of(device)
    return once(("raft", located.sha256, on, updates), lambda: _load(located, on, updates))


def _load(located: Located, device: str, updates: int) -> Raft:
    tensors = renamed(read_tensors(located))
    try:
        module = shaped(tensors)
        module.load_state_dict(tensors)
    except ImportError as error:
        raise MissingExtraError("torchvision", "perception") from error
    except (KeyError, IndexError, RuntimeError) as error:
        raise broken(located, f"these are not the tensors of RAFT (large): {error}") from error
    module = module.to(device).eval().requires_grad_(False)
    name = f"{located.name} {located.sha256[:12]}"
    runners: dict[int, Runner] = {}

    def forward(rows: Any) -> Any:
        import torch

        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=device.startswith("cuda")):
            return estimate(module, torch.from_numpy(rows).to(device), updates).cpu().numpy()

    def see(pairs: UInt8) -> Float32:
        chunk = 1 if device == "cpu" else at_once(*pairs.shape[2:4])
        runner = runners.setdefault(chunk, Runner(located.name, forward, device=device, chunk=chunk))
        return np.asarray(runner(pairs)[0], np.float32)

    return Raft(see, name=name)


def at_once(height: int, width: int) -> int:
    """Pairs in one chunk on a GPU: by the size of the picture alone, so that a clip's flow follows nothing else."""
    cells = -(-height // CELL) * -(-width // CELL)
    return int(np.clip(MOST_CELLS / cells**2, 1, MOST_PAIRS))


def renamed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors under torchvision's names, whichever of the two layouts they came in."""
    if not any(name.startswith("fnet.") for name in tensors):
        return dict(tensors)
    out = {}
    for name, tensor in tensors.items():
        if re.search(r"\.layer\d\.\d\.norm3\.", name):
            continue
        for pattern, new in RENAMED:
            name = re.sub(pattern, new, name)
        out[name] = tensor
    return out


def shaped(tensors: Mapping[str, torch.Tensor]) -> Any:
    """An empty RAFT (large) whose layers are as wide as these tensors, under torchvision's names.

    Raises:
        KeyError: a tensor is missing. ImportError: there is no torchvision.
    """
    from torch import nn
    from torchvision.models.optical_flow import raft

    def wide(name: str) -> int:
        return int(tensors[f"{name}.weight"].shape[0])

    def encoder(name: str, norm: Any) -> Any:
        layers = [wide(f"{name}.layer{n}.0.convnormrelu1.0") for n in (1, 2, 3)]
        widths = (wide(f"{name}.convnormrelu.0"), *layers, wide(f"{name}.conv"))
        return raft.FeatureEncoder(layers=widths, norm_layer=norm)

    motion, hidden = "update_block.motion_encoder", wide("update_block.recurrent_block.convgru1.convz")
    correlation = raft.CorrBlock(num_levels=4, radius=4)
    seen = raft.MotionEncoder(
        in_channels_corr=correlation.out_channels,
        corr_layers=(wide(f"{motion}.convcorr1.0"), wide(f"{motion}.convcorr2.0")),
        flow_layers=(wide(f"{motion}.convflow1.0"), wide(f"{motion}.convflow2.0")),
        out_channels=wide(f"{motion}.conv.0") + 2,
    )
    context = wide("context_encoder.conv") - hidden
    update = raft.UpdateBlock(
        motion_encoder=seen,
        recurrent_block=raft.RecurrentBlock(input_size=seen.out_channels + context, hidden_size=hidden),
        flow_head=raft.FlowHead(in_channels=hidden, hidden_size=wide("update_block.flow_head.conv1")),
    )
    return raft.RAFT(
        feature_encoder=encoder("feature_encoder", nn.InstanceNorm2d),
        context_encoder=encoder("context_encoder", nn.BatchNorm2d),
        corr_block=correlation,
        update_block=update,
        mask_predictor=raft.MaskPredictor(in_channels=hidden, hidden_size=wide("mask_predictor.convrelu.0")),
    )


def estimate(module: Any, pairs: torch.Tensor, updates: int) -> torch.Tensor:
    """Flow float32 (N, H', W', 2) of pairs uint8 (N, 2, H, W, 3), padded to multiples of 8 by its own rim."""
    import torch
    from torch.nn.functional import pad, relu
    from torchvision.models.optical_flow._utils import upsample_flow

    planes = 2 * (pairs.permute(1, 0, 4, 2, 3).to(torch.float32) / 255.0) - 1.0
    first, second = (pad(item, (*rim(pairs.shape[3]), *rim(pairs.shape[2])), mode="replicate") for item in planes)
    maps = [module.feature_encoder(item).float() for item in (first, second)]
    with torch.autocast(pairs.device.type, enabled=False):
        module.corr_block.build_pyramid(*maps)
    made = module.context_encoder(first)
    state, context = torch.split(made, [hidden := module.update_block.hidden_state_size, made.shape[1] - hidden], dim=1)
    state, context = torch.tanh(state), relu(context)
    start = _grid(maps[0]).expand(len(pairs), -1, -1, -1)
    block = module.update_block
    remembered = recurrent(block.recurrent_block, context)
    at = start
    for _ in range(updates):
        with torch.autocast(pairs.device.type, enabled=False):  # places in half precision would be a quarter cell off
            alike = module.corr_block.index_pyramid(centroids_coords=at)
        state = remembered(state, block.motion_encoder(at - start, alike))
        at = at + block.flow_head(state).float()
    mask = module.mask_predictor(state).float()
    module.corr_block.corr_pyramid = []  # hundreds of megabytes
    flow: torch.Tensor = upsample_flow(flow=at - start, up_mask=mask)
    return flow.permute(0, 2, 3, 1)


def recurrent(block: Any, context: torch.Tensor) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The recurrent block with its context put in: from state and motion to the next state.

    A third of its convolutions sees the context, which is the same in every update: that part is worked out once.
    """
    import torch
    from torch.nn.functional import conv2d

    gates = []
    for gru in (block.convgru1, block.convgru2):
        hidden, last = gru.convz.weight.shape[0], gru.convz.weight.shape[0] + context.shape[1]
        both = torch.cat([gru.convz.weight, gru.convr.weight]), torch.cat([gru.convz.bias, gru.convr.bias])
        for weight, bias in (both, (gru.convq.weight, gru.convq.bias)):
            rest = torch.cat([weight[:, :hidden], weight[:, last:]], dim=1)
            gates.append((rest, conv2d(context, weight[:, hidden:last], bias, padding=gru.convz.padding)))

    def step(state: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
        for at, gru in enumerate((block.convgru1, block.convgru2)):
            (both, known), (third, known_third) = gates[2 * at : 2 * at + 2]
            update, reset = torch.sigmoid(
                conv2d(torch.cat([state, motion], dim=1), both, padding=gru.convz.padding) + known
            ).chunk(2, dim=1)
            seen = torch.cat([reset * state, motion], dim=1)
            new = torch.tanh(conv2d(seen, third, padding=gru.convz.padding) + known_third)
            state = (1 - update) * state + update * new
        return state

    return step


def _grid(like: torch.Tensor) -> torch.Tensor:
    """Where each cell of maps (N, D, h, w) lies: float32 (1, 2, h, w), right and down."""
    import torch

    height, width = like.shape[2:]
    sides = (torch.arange(side, device=like.device) for side in (height, width))
    down, across = torch.meshgrid(*sides, indexing="ij")
    return torch.stack([across, down])[None].to(torch.float32)

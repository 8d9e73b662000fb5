"""VBench's four measures in VBench's way: each decodes the file anew and asks its network as VBench's code does.

DINO is asked frame by frame, CLIP a clip at a time, RAFT pair by pair with the flow at full size after every update; on
a GPU CLIP runs in half precision, as OpenAI's package loads it there, and the others do not. The networks are loaded
beforehand, from the weights of the operator `vbench`.
Source: Vchitect/VBench, vbench/subject_consistency.py, background_consistency.py, temporal_flickering.py,
dynamic_degree.py and utils.py, at commit 45e79ec.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import decord
import numpy as np
import torch
from torch.nn.functional import cosine_similarity, normalize, pad
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize

from cinereward import weights
from cinereward.networks import pixels, raft
from cinereward.networks.clip import pooled
from cinereward.networks.statedict import read_tensors
from cinereward.networks.vit import shaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSIONS = ("subject_consistency", "background_consistency", "temporal_flickering", "dynamic_degree")
UPDATES = 20


def write(path: Path, frames: NDArray[np.uint8], fps: float) -> Path:
    """Write frames uint8 (T, H, W, 3) as H.264 of high quality."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=round(fps), options={"crf": "12", "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        out.mux(stream.encode())
    return path


class Loop:
    """The networks on a device; called with a dimension and files it gives a value for each."""

    def __init__(self, device: str) -> None:
        from transformers import CLIPModel

        self.device = device
        tensors = read_tensors(weights.locate("dino-vitb16"))
        self._dino = shaped(tensors)
        self._dino.load_state_dict(tensors)
        folder = weights.locate("clip-vit-b32").folder
        self._clip = CLIPModel.from_pretrained(folder, local_files_only=True)
        tensors = raft.renamed(read_tensors(weights.locate("raft-things")))
        self._raft = raft.shaped(tensors)
        self._raft.load_state_dict(tensors)
        for module in (self._dino, self._clip, self._raft):
            module.to(device).eval().requires_grad_(False)
        if device.startswith("cuda"):
            self._clip.half()

    def __call__(self, dimension: str, files: Sequence[Path]) -> list[float]:
        """The measure of each file."""
        if dimension not in DIMENSIONS:
            raise ValueError(f"{dimension!r} is none of {', '.join(DIMENSIONS)}")
        with torch.no_grad():
            return [float(getattr(self, dimension)(path)) for path in files]

    def subject_consistency(self, path: Path) -> float:
        """Half the cosine to the frame before, half that to the first, of DINO."""
        fit = Compose([Resize(224, antialias=False), lambda x: x.float() / 255, Normalize(*pixels.IMAGENET)])
        points = []
        for picture in fit(_video(path)):
            tokens = self._dino(picture[None].to(self.device))
            points.append(normalize(tokens[:, 0], dim=-1))
        return _consistency(points)

    def background_consistency(self, path: Path) -> float:
        """The same of CLIP."""
        resize = Resize(224, interpolation=InterpolationMode.BICUBIC, antialias=False)
        fit = Compose([resize, CenterCrop(224), lambda x: x.float() / 255, Normalize(*pixels.CLIP)])
        pictures = fit(_video(path)).to(self.device, self._clip.dtype)
        points = normalize(pooled(self._clip.get_image_features(pixel_values=pictures)), dim=-1)
        return _consistency(list(points[:, None]))

    def temporal_flickering(self, path: Path) -> float:
        """1 less the mean difference of neighbours."""
        frames = _captured(path)[0]
        apart = [
            np.mean(cv2.absdiff(np.array(one, dtype=np.float32), np.array(other, dtype=np.float32)))
            for one, other in pairwise(frames)
        ]
        return (255.0 - float(np.mean(apart))) / 255.0

    def dynamic_degree(self, path: Path) -> bool:
        """Whether enough pairs of frames move enough."""
        frames, fps = _captured(path)
        pictures = [
            torch.from_numpy(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).permute(2, 0, 1).float()[None].to(self.device)
            for frame in frames
        ][:: max(1, round(fps / 8))]
        least = 6.0 * (min(pictures[0].shape[-2:]) / 256.0)
        speeds = [self._motion(one, other) for one, other in pairwise(pictures)]  # of all pairs: it counts afterwards
        return len(speeds) > 0 and sum(speed > least for speed in speeds) >= round(4 * (len(pictures) / 16.0))

    def _motion(self, one: torch.Tensor, other: torch.Tensor) -> float:
        height, width = one.shape[-2:]
        sides = (*raft.rim(width), *raft.rim(height))
        one, other = (pad(2 * (item / 255.0) - 1, sides, mode="replicate") for item in (one, other))
        flow: Any = self._raft(one, other, num_flow_updates=UPDATES)[-1][0].permute(1, 2, 0).cpu().numpy()
        speed = np.sqrt(np.square(flow[..., 0]) + np.square(flow[..., 1])).flatten()
        return float(np.mean(np.abs(np.sort(-speed))[: int(len(speed) * 0.05)]))


def _consistency(points: Sequence[torch.Tensor]) -> float:
    total = 0.0
    for at in range(1, len(points)):
        before = max(0.0, cosine_similarity(points[at - 1], points[at]).item())
        first = max(0.0, cosine_similarity(points[0], points[at]).item())
        total += (before + first) / 2
    return total / (len(points) - 1)


def _video(path: Path) -> torch.Tensor:
    """All frames as decord reads them: float32 (T, 3, H, W), 0 to 255."""
    reader = decord.VideoReader(str(path), num_threads=1)
    frames = reader.get_batch(range(len(reader))).asnumpy()
    return torch.Tensor(frames).permute(0, 3, 1, 2)


def _captured(path: Path) -> tuple[list[NDArray[np.uint8]], float]:
    """All frames as OpenCV reads them, BGR, and how many there are in a second."""
    video = cv2.VideoCapture(str(path))
    fps, frames = video.get(cv2.CAP_PROP_FPS), []
    while True:
        there, frame = video.read()
        if not there:
            break
        frames.append(frame)
    video.release()
    return frames, fps

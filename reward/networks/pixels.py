"""Pictures as networks want them: resized, cropped and normalised on the network's own device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of RGB in [0, 1]
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a picture is made to fit.

    short: pixels of the shorter side; the other follows, rounded down. crop: the middle `short` x `short` of it.
    square: both sides become `short`, whatever the proportions. antialias: average what is made smaller; models were
    trained so, but VBench's code does not. mean, std: of RGB in [0, 1].
    """

    short: int
    crop: bool = False
    square: bool = False
    mode: str = "bicubic"
    antialias: bool = True
    mean: tuple[float, ...] = IMAGENET[0]
    std: tuple[float, ...] = IMAGENET[1]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after the resize, before the crop."""
        if self.square:
            return self.short, self.short
        small, large = min(height, width), max(height, width)
        other = int(self.short * large / small)
        return (self.short, other) if height <= width else (other, self.short)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Float32 (N, 3, h, w) of uint8 (N, H, W, 3)."""
        import torch
        from torch.nn.functional import interpolate

        planes = rows.permute(0, 3, 1, 2).to(torch.float32)
        height, width = self.size(*rows.shape[1:3])
        if (height, width) != tuple(rows.shape[1:3]):
            planes = interpolate(
                planes, size=(height, width), mode=self.mode, antialias=self.antialias, align_corners=False
            )
        if self.crop:
            top, left = round((height - self.short) / 2), round((width - self.short) / 2)
            planes = planes[:, :, top : top + self.short, left : left + self.short]
        mean, std = (torch.tensor(values, device=rows.device)[:, None, None] for values in (self.mean, self.std))
        return (planes / 255.0 - mean) / std

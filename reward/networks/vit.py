"""The vision transformer of DINO, as its authors publish it: the same names of tensors, the same numbers.

transformers' ViT stretches the table of positions a little otherwise (by size, not by factor), which is seen in the
third digit where a picture is not square. VBench's subject consistency is told by this one.
Source: facebookresearch/dino, vision_transformer.py; "Emerging properties in self-supervised vision transformers",
Caron et al., 2021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

HEAD = 64  # width of a head in every ViT of DINO


class Attention(nn.Module):
    """Self-attention; `qkv` holds queries, keys and values side by side."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.heads = max(1, dim // HEAD)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float (N, L, D) of (N, L, D)."""
        count, length, dim = x.shape
        q, k, v = self.qkv(x).reshape(count, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: torch.Tensor = self.proj(mixed.transpose(1, 2).reshape(count, length, dim))
        return out


class Block(nn.Module):
    """Attention and two layers, each beside the way straight through."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, hidden), "fc2": nn.Linear(hidden, dim)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float (N, L, D) of (N, L, D)."""
        x = x + self.attn(self.norm1(x))
        out: torch.Tensor = x + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm2(x))))
        return out


class VisionTransformer(nn.Module):
    """DINO's ViT without its head.

    Args:
        dim: width. depth: blocks. patch: pixels. table: rows and columns of the table of positions. hidden: width of
            the inner layers.
    """

    def __init__(
        self, *, dim: int = 768, depth: int = 12, patch: int = 16, table: int = 14, hidden: int = 3072
    ) -> None:
        super().__init__()
        self.patch, self.table = patch, table
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + table * table, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, patch, stride=patch)})
        self.blocks = nn.ModuleList(Block(dim, hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Tokens float (N, 1 + h * w, D), the class first, of pixels (N, 3, H, W); what fills no patch is left out."""
        patches = self.patch_embed["proj"](pixels)
        x = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        x = x + self.positions(*pixels.shape[2:])
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.norm(x)
        return out

    def positions(self, height: int, width: int) -> torch.Tensor:
        """The table of positions stretched over a picture of so many pixels, (1, 1 + h * w, D)."""
        down, across = height // self.patch, width // self.patch
        if down * across == self.table**2 and height == width:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, self.table, self.table, -1).permute(0, 3, 1, 2)
        # the 0.1 is DINO's, against rounding; PyTorch then samples by these factors, not by the sizes
        factors = ((down + 0.1) / self.table, (across + 0.1) / self.table)
        grid = functional.interpolate(grid.float(), scale_factor=factors, mode="bicubic").to(grid.dtype)
        return torch.cat([self.pos_embed[:, :1], grid.permute(0, 2, 3, 1).reshape(1, down * across, -1)], dim=1)


def shaped(tensors: Mapping[str, torch.Tensor]) -> VisionTransformer:
    """An empty transformer of the size that these tensors have.

    Raises:
        KeyError, ValueError: these are not the tensors of such a transformer.
    """
    proj, table = tensors["patch_embed.proj.weight"], tensors["pos_embed"].shape[1] - 1
    side = math.isqrt(table)
    if proj.ndim != 4 or side * side != table:
        raise ValueError(f"patch_embed.proj.weight is {tuple(proj.shape)} and pos_embed has {table} places")
    depth = len({name.split(".")[1] for name in tensors if name.startswith("blocks.")})
    hidden = tensors["blocks.0.mlp.fc1.weight"].shape[0]
    return VisionTransformer(dim=proj.shape[0], depth=depth, patch=proj.shape[2], table=side, hidden=hidden)

"""DINO, CLIP, SigLIP and RAFT of their true architecture and file format, narrow and with random weights.

The weights come from NumPy's generator, so that they are the same whatever PyTorch is installed: the numbers that
VBench's own code gave with them are kept in the tests. Needs the extra `perception`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.testing.tiny_text import word_tokenizer

if TYPE_CHECKING:
    import torch

WIDTH = 64  # one head, in OpenAI's way of counting
GAIN = 2.5  # of the weights; with 1 all pictures look alike
SPACE = 32  # dimensions that words and pictures share


def numbers(tensors: Mapping[str, torch.Tensor], seed: int, gain: float = GAIN) -> dict[str, torch.Tensor]:
    """Random values in the shapes of these tensors, drawn in the order of their names; counters stay."""
    import torch

    rng = np.random.default_rng(seed)
    out = {}
    for name, tensor in sorted(tensors.items()):
        shape = tuple(tensor.shape)
        if not tensor.is_floating_point() or tensor.ndim == 0 or "logit" in name:
            out[name] = tensor.clone()
            continue
        if "running_var" in name or (tensor.ndim == 1 and name.endswith("weight")):
            drawn = rng.uniform(0.8, 1.2, shape)
        elif tensor.ndim == 1:
            drawn = rng.normal(0, 0.1, shape)
        else:
            drawn = rng.normal(0, gain / np.sqrt(np.prod(shape[1:])), shape)
        out[name] = torch.from_numpy(drawn.astype(np.float32))
    return out


def tiny_dino(folder: Path, *, kind: str = "dinov2", seed: int = 0) -> Path:
    """Write a folder of transformers with DINOv2 ("dinov2") or DINOv3 ("dinov3").

    Returns:
        The folder, with config.json and model.safetensors.
    """
    lib = import_module("transformers")
    if kind not in ("dinov2", "dinov3"):
        raise ValueError(f"kind is {kind!r}; give 'dinov2' or 'dinov3'")
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    if kind == "dinov2":
        model = lib.Dinov2Model(lib.Dinov2Config(**sizes, mlp_ratio=2, patch_size=14, image_size=56))
    else:
        model = lib.DINOv3ViTModel(
            lib.DINOv3ViTConfig(
                **sizes, intermediate_size=2 * WIDTH, patch_size=16, image_size=64, num_register_tokens=4
            )
        )
    return _saved(model, folder, seed)


def tiny_dino_vit(folder: Path, *, seed: int = 0) -> Path:
    """Write a state dict of DINO's own ViT, patches of 16 pixels, as dino_vitbase16_pretrain.pth is one; its path."""
    import torch

    from cinereward.networks.vit import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        model = VisionTransformer(dim=WIDTH, depth=2, patch=16, table=14, hidden=2 * WIDTH)
    path = Path(folder) / "tiny_dino_vit.pth"
    torch.save(numbers(model.state_dict(), seed), path)
    return path


def tiny_clip(folder: Path, *, seed: int = 0) -> Path:
    """Write a folder of transformers with a CLIP of patches of 32 pixels, and a tokenizer of a few words."""
    lib = import_module("transformers")
    tokenizer = word_tokenizer(start="<s>")
    text, vision = _towers(len(tokenizer), patch=32)
    text |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    config = lib.CLIPConfig(text_config=text, vision_config=vision, projection_dim=SPACE)
    tokenizer.save_pretrained(folder)
    return _saved(lib.CLIPModel(config), folder, seed)


def tiny_siglip(folder: Path, *, seed: int = 0) -> Path:
    """Write a folder of transformers with a SigLIP of patches of 16 pixels, and a tokenizer of a few words."""
    lib = import_module("transformers")
    tokenizer = word_tokenizer()
    text, vision = _towers(len(tokenizer), patch=16)
    text["projection_size"] = WIDTH  # SigLIP has one width for both towers
    tokenizer.save_pretrained(folder)
    return _saved(lib.SiglipModel(lib.SiglipConfig(text_config=text, vision_config=vision)), folder, seed)


def tiny_raft(folder: Path, *, authors: bool = False, narrow: bool = True, seed: int = 0) -> Path:
    """Write a state dict of RAFT (large).

    Args:
        authors: in the layout of RAFT's authors, as raft-things.pth; else in torchvision's. narrow: 8 channels where
            the true network has up to 256; False: its true size, 21 MB.

    Returns:
        The file's path.
    """
    import torch

    from cinereward.networks.raft import shaped

    tensors = numbers(_raft_tensors(narrow), seed, gain=1.2)
    tensors = {
        name: 0.02 * item if name.startswith("update_block.flow_head.conv2") else item for name, item in tensors.items()
    }
    shaped(tensors).load_state_dict(tensors)
    path = Path(folder) / ("tiny_raft_things.pth" if authors else "tiny_raft.pth")
    torch.save(_authors(tensors) if authors else tensors, path)
    return path


def _raft_tensors(narrow: bool) -> dict[str, Any]:
    """Tensors in the shapes of torchvision's raft_large, or of a narrow one."""
    raft = import_module("torchvision.models.optical_flow.raft")
    if not narrow:
        whole: dict[str, Any] = raft.raft_large(weights=None).state_dict()
        return whole
    slim = (8, 8, 8, 8, 8)
    made = raft._raft(
        feature_encoder_layers=slim,
        feature_encoder_block=raft.ResidualBlock,
        feature_encoder_norm_layer=raft.InstanceNorm2d,
        context_encoder_layers=(8, 8, 8, 8, 16),
        context_encoder_block=raft.ResidualBlock,
        context_encoder_norm_layer=raft.BatchNorm2d,
        corr_block_num_levels=4,
        corr_block_radius=4,
        motion_encoder_corr_layers=(8, 8),
        motion_encoder_flow_layers=(8, 8),
        motion_encoder_out_channels=8,
        recurrent_block_hidden_state_size=8,
        recurrent_block_kernel_size=((1, 5), (5, 1)),
        recurrent_block_padding=((0, 2), (2, 0)),
        flow_head_hidden_size=8,
        use_mask_predictor=False,
    )
    made.mask_predictor = raft.MaskPredictor(in_channels=8, hidden_size=8)
    tensors: dict[str, Any] = made.state_dict()
    return tensors


def _authors(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The same tensors under the names of RAFT's authors, each behind "module." as in their file."""
    parts = {
        "feature_encoder.": "fnet.",
        "context_encoder.": "cnet.",
        "mask_predictor.convrelu.0.": "update_block.mask.0.",
        "mask_predictor.conv.": "update_block.mask.2.",
        "motion_encoder.conv.0.": "encoder.conv.",
        "motion_encoder.convcorr1.0.": "encoder.convc1.",
        "motion_encoder.convcorr2.0.": "encoder.convc2.",
        "motion_encoder.convflow1.0.": "encoder.convf1.",
        "motion_encoder.convflow2.0.": "encoder.convf2.",
        **{f"recurrent_block.convgru{n}.conv{x}.": f"gru.conv{x}{n}." for n in (1, 2) for x in "zrq"},
        "net.conv.": "net.conv2.",
        "net.convnormrelu.0.": "net.conv1.",
        "net.convnormrelu.1.": "net.norm1.",
        **{f".convnormrelu{n}.0.": f".conv{n}." for n in (1, 2)},
        **{f".convnormrelu{n}.1.": f".norm{n}." for n in (1, 2)},
    }
    out = {}
    for name, tensor in tensors.items():
        for new, old in parts.items():
            name = name.replace(new, old)
        out[f"module.{name}"] = tensor
        if ".downsample.1." in name:
            out["module." + name.replace(".downsample.1.", ".norm3.")] = tensor
    return out


def _towers(words: int, patch: int) -> tuple[dict[str, Any], dict[str, Any]]:
    sizes = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": 1}
    text = {**sizes, "vocab_size": words, "max_position_embeddings": 16}
    return text, {**sizes, "image_size": 224, "patch_size": patch}


def _saved(model: Any, folder: Path, seed: int) -> Path:
    model.load_state_dict(numbers(model.state_dict(), seed))
    model.eval().save_pretrained(folder, safe_serialization=True)
    return Path(folder)

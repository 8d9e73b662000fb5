"""Networks of true size with random weights, in the true file formats, for timing where no weights can be had.

What they see is nonsense; what they cost is true, as far as cost does not depend on what is seen. So the detectors are
made to see a little: YOLO a few boxes, SCRFD one face a frame. A Whisper of random weights never says that it is done,
which is its worst case.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import true_faces
from cinereward import weights
from cinereward.errors import WeightsError
from cinereward.networks.syncnet import TRUE
from cinereward.testing.tiny_syncnet import tiny_syncnet
from cinereward.testing.tiny_text import word_tokenizer
from cinereward.testing.tiny_vision import tiny_raft
from cinereward.testing.tiny_whisper import FEELINGS, tiny_whisper

BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
SMALL = {"n_audio_state": 768, "n_audio_head": 12, "n_audio_layer": 12} | {
    "n_text_ctx": 448,
    "n_text_state": 768,
    "n_text_head": 12,
    "n_text_layer": 12,
}
BOXES = 0.0005  # the share of YOLO's places, 8400 at 640 x 640, that see something


def provide(names: Iterable[str], home: Path) -> dict[str, str]:
    """Write what is asked for under `home`, which becomes $CINEREWARD_HOME; what is there already stays.

    Args:
        names: of weights, as in configs/weights.yaml.

    Returns:
        name -> why it could not be made.
    """
    os.environ["CINEREWARD_HOME"] = str(home)
    lacking = {}
    for name in dict.fromkeys(names):
        try:
            weights.locate(name)
        except WeightsError:
            if name not in BUILDERS:
                lacking[name] = f"nothing here writes a {name}"
                continue
            folder = home / "random" / name
            folder.mkdir(parents=True, exist_ok=True)
            weights.add(name, BUILDERS[name](folder), own=True)
    return lacking


def _dinov2(folder: Path) -> Path:
    lib = import_module("transformers")
    return _saved(lib.Dinov2Model(lib.Dinov2Config(image_size=518, patch_size=14)), folder)


def _dino(folder: Path) -> Path:
    import torch

    from cinereward.networks.vit import VisionTransformer

    path = folder / "dino_vitbase16_pretrain.pth"
    torch.save(VisionTransformer(dim=768, depth=12, patch=16, table=14, hidden=3072).state_dict(), path)
    return path


def _clip(folder: Path) -> Path:
    lib, tokenizer = import_module("transformers"), word_tokenizer(start="<s>")
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    text = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8, "num_hidden_layers": 12} | ids
    vision = {**BASE, "image_size": 224, "patch_size": 32}
    return _saved(lib.CLIPModel(lib.CLIPConfig(text_config=text, vision_config=vision, projection_dim=512)), folder)


def _siglip(folder: Path) -> Path:
    lib, tokenizer = import_module("transformers"), word_tokenizer()
    tokenizer.save_pretrained(folder)
    text = {**BASE, "vocab_size": 256_000, "max_position_embeddings": 64, "projection_size": 768}
    vision = {**BASE, "image_size": 224, "patch_size": 16}
    return _saved(lib.SiglipModel(lib.SiglipConfig(text_config=text, vision_config=vision)), folder)


def _emotion(folder: Path) -> Path:
    lib = import_module("transformers")
    config = lib.WhisperConfig(
        d_model=1280,
        encoder_layers=32,
        encoder_attention_heads=20,
        encoder_ffn_dim=5120,
        num_mel_bins=128,
        id2label=dict(enumerate(FEELINGS)),
        label2id={label: number for number, label in enumerate(FEELINGS)},
    )
    lib.WhisperFeatureExtractor(feature_size=128).save_pretrained(folder)
    return _saved(lib.WhisperForAudioClassification(config), folder)


def _saved(model: Any, folder: Path) -> Path:
    model.eval().save_pretrained(folder, safe_serialization=True)
    return folder


def _yolo(task: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import torch
        from ultralytics.cfg import DEFAULT_CFG_DICT
        from ultralytics.nn.tasks import DetectionModel, PoseModel, yaml_model_load
        from ultralytics.utils import ROOT, YAML

        posed = task == "pose"
        plan = yaml_model_load("yolo11m-pose.yaml" if posed else "yolo11m.yaml") | {"nc": 1 if posed else 80}
        model = (PoseModel if posed else DetectionModel)(plan, ch=3, verbose=False)
        _open_its_eyes(model.eval())
        coco = YAML.load(ROOT / "cfg" / "datasets" / "coco.yaml")["names"]
        model.names, model.task = {0: "person"} if posed else dict(coco), task
        model.args = {**DEFAULT_CFG_DICT, "task": task}
        path = folder / ("yolo11m-pose.pt" if posed else "yolo11m.pt")
        torch.save({"epoch": -1, "model": model.half(), "ema": None, "train_args": model.args}, path)
        return path

    return write


def _open_its_eyes(model: Any) -> None:
    """Set the scores' biases so that a few places of a picture of noise see something."""
    import torch

    with torch.no_grad():
        picture = torch.rand(1, 3, 640, 640, generator=torch.Generator().manual_seed(0))
        scores = model(picture)[1]["scores"].amax(dim=1)
        high, spread = float(scores.quantile(1 - BOXES)), float(scores.std())
        for branch in model.model[-1].cv3:
            branch[-1].weight.div_(spread)
            branch[-1].bias.sub_(high).div_(spread)


BUILDERS: Mapping[str, Callable[[Path], Path]] = {
    "dinov2-base": _dinov2,
    "dino-vitb16": _dino,
    "clip-vit-b32": _clip,
    "siglip2-base": _siglip,
    "raft-large": lambda folder: tiny_raft(folder, narrow=False),
    "raft-things": lambda folder: tiny_raft(folder, narrow=False, authors=True),
    "yolo11m": _yolo("detect"),
    "yolo11m-pose": _yolo("pose"),
    "scrfd-10g": true_faces.scrfd,
    "arcface-r50": true_faces.arcface,
    "landmarks-106": true_faces.landmarks,
    "syncnet": lambda folder: tiny_syncnet(folder, widths=TRUE),
    "whisper-small": lambda folder: tiny_whisper(folder, **SMALL),
    "speech-emotion": _emotion,
}

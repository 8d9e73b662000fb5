"""YOLO 11 of its true architecture, narrow and with random weights, in the checkpoint format of ultralytics.

The last layer of the scores is drawn so that a few boxes a frame are seen, of any class. Needs the extra `perception`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from cinereward.networks.yolo import ultralytics_tasks

DEPTH, WIDTH, WIDEST = 0.5, 0.0625, 1024  # of the smallest published one, "n": 0.5, 0.25, 1024
SEEN = {"detect": 0.02, "pose": 0.08}  # of all places, those with a score of a half or more
CONTRAST = 2.0  # standard deviation of the scores, as logits


def tiny_yolo(folder: Path, *, task: str = "detect", seed: int = 0) -> Path:
    """Write a checkpoint of YOLO 11 that ultralytics, and its safe loading, take for one of their own.

    Args:
        folder: for "tiny_yolo_detect.pt" or "tiny_yolo_pose.pt". task: "detect", COCO's 80 classes; or "pose", people
            with 17 joints. seed: of the weights.

    Returns:
        The file's path; about 1 MB.
    """
    import torch

    tasks: Any = ultralytics_tasks()
    utils: Any = importlib.import_module("ultralytics.utils")
    if task not in ("detect", "pose"):
        raise ValueError(f"task is {task!r}; give 'detect' or 'pose'")
    posed = task == "pose"
    plan = tasks.yaml_model_load("yolo11n-pose.yaml" if posed else "yolo11n.yaml")
    plan |= {"scales": {"n": [DEPTH, WIDTH, WIDEST]}, "nc": 1 if posed else 80}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = (tasks.PoseModel if posed else tasks.DetectionModel)(plan, ch=3, verbose=False)
        _open_its_eyes(model, SEEN[task])
    coco = utils.YAML.load(utils.ROOT / "cfg" / "datasets" / "coco.yaml")["names"]
    model.names = {0: "person"} if posed else dict(coco)
    model.task, model.args = task, {**utils.DEFAULT_CFG_DICT, "task": task}
    path = Path(folder) / f"tiny_yolo_{task}.pt"
    checkpoint: dict[str, Any] = {
        "epoch": -1,
        "model": model.eval().half(),
        "ema": None,
        "optimizer": None,
        "train_args": model.args,
        "license": "AGPL-3.0",
    }
    torch.save(checkpoint, path)
    return path


def _open_its_eyes(model: Any, seen: float) -> None:
    """Let the layers take their statistics from patches of colour, coarse and fine, and most places score low."""
    import torch

    sizes = [(cells, cells) for cells in (2, 5, 12, 40)]
    patches = [torch.nn.functional.interpolate(torch.rand(2, 3, *size), size=(160, 160)) for size in sizes]
    layers: list[Any] = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    head = model.model[-1]
    for layer in layers:
        layer.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.cat(patches))
        for layer in layers:
            layer.momentum = 0.03  # as ultralytics sets it
            layer.running_var.clamp_(min=0.05)
        for branch in head.cv3:
            branch[-1].weight.copy_(torch.randn_like(branch[-1].weight))
            branch[-1].bias.zero_()
        raw = model.eval()(torch.cat(patches))[1]["scores"].amax(dim=1)
        spread, high = float(raw.std()), float(raw.quantile(1 - seen))
        for branch in head.cv3:
            branch[-1].weight.mul_(CONTRAST / spread)
            branch[-1].bias.fill_(-high * CONTRAST / spread)

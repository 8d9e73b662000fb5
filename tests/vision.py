"""Tiny DINO, CLIP, SigLIP, RAFT and YOLO, pinned in a home of their own, so that the true loading code finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cinereward import weights
from cinereward.networks.running import forget
from cinereward.testing.tiny_vision import tiny_clip, tiny_dino, tiny_dino_vit, tiny_raft, tiny_siglip
from cinereward.testing.tiny_yolo import tiny_yolo

WRITE: dict[str, Callable[[Path], Path]] = {
    "dinov2-base": tiny_dino,
    "dinov3-vitb16": lambda folder: tiny_dino(folder, kind="dinov3"),
    "dino-vitb16": tiny_dino_vit,
    "clip-vit-b32": tiny_clip,
    "siglip2-base": tiny_siglip,
    "raft-large": tiny_raft,
    "raft-things": lambda folder: tiny_raft(folder, authors=True),
    "yolo11m": tiny_yolo,
}


@contextmanager
def installed(home: Path, *names: str) -> Iterator[dict[str, Path]]:
    """Write and pin these weights; gives the file or folder of each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINEREWARD_HOME", str(home))
        paths = {}
        for name in names:
            folder = home / "tiny" / name
            folder.mkdir(parents=True)
            paths[name] = WRITE[name](folder)
            weights.add(name, paths[name], own=True)
        yield paths
    forget()

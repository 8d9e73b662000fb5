"""Tiny weights for every operator of the perception suite, of the true architectures and file formats.

    home = tiny_perception(tmp_path)                  # a few MB, some seconds
    monkeypatch.setenv("CINEREWARD_HOME", str(home))
    reward = RewardModel.from_profile("perception", device="cpu")

The networks are random: what they say means nothing, and how it is read, batched and scored is real.
"""

from __future__ import annotations

import os
from pathlib import Path

from cinereward import weights
from cinereward.testing.tiny_faces import tiny_faces
from cinereward.testing.tiny_syncnet import tiny_syncnet
from cinereward.testing.tiny_vision import tiny_clip, tiny_dino, tiny_dino_vit, tiny_raft, tiny_siglip
from cinereward.testing.tiny_whisper import tiny_emotion, tiny_whisper
from cinereward.testing.tiny_yolo import tiny_yolo


def tiny_files(folder: Path) -> dict[str, Path]:
    """Write all of them under a folder: the name of the weights -> its file or folder."""

    def place(name: str) -> Path:
        (folder / name).mkdir(parents=True, exist_ok=True)
        return folder / name

    return {
        "dinov2-base": tiny_dino(place("dinov2-base")),
        "dinov3-vitb16": tiny_dino(place("dinov3-vitb16"), kind="dinov3"),
        "dino-vitb16": tiny_dino_vit(place("dino-vitb16")),
        "clip-vit-b32": tiny_clip(place("clip-vit-b32")),
        "siglip2-base": tiny_siglip(place("siglip2-base")),
        "raft-large": tiny_raft(place("raft-large")),
        "raft-things": tiny_raft(place("raft-things"), authors=True),
        "yolo11m": tiny_yolo(place("yolo11m")),
        "yolo11m-pose": tiny_yolo(place("yolo11m-pose"), task="pose"),
        **tiny_faces(place("faces")),
        "syncnet": tiny_syncnet(place("syncnet")),
        "whisper-small": tiny_whisper(place("whisper-small")),
        "speech-emotion": tiny_emotion(place("speech-emotion")),
    }


def tiny_perception(home: Path) -> Path:
    """Write them under a folder and pin them there as one's own weights; the folder is then a CINEREWARD_HOME."""
    before = os.environ.get("CINEREWARD_HOME")
    os.environ["CINEREWARD_HOME"] = str(home)
    try:
        for name, path in tiny_files(home / "tiny").items():
            weights.add(name, path, own=True)
    finally:
        if before is None:
            del os.environ["CINEREWARD_HOME"]
        else:
            os.environ["CINEREWARD_HOME"] = before
    return home

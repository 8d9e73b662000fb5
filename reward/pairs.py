"""Preference pairs: two clips of one prompt, the better one first. One schema for training, mining and calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class PairSide:
    """One side of a preference pair: which clip, where it lies, and its rewards by dimension (NaN: not scored)."""

    id: str
    path: str
    sha256: str
    rewards: Mapping[str, float]

    def __post_init__(self) -> None:
        if odd := {name: x for name, x in self.rewards.items() if not (math.isnan(x) or 0.0 <= x <= 1.0)}:
            raise ValueError(f"{self.id}: rewards hold {odd}; expected 0 to 1; give NaN for what was not scored")


@dataclass(frozen=True, kw_only=True)
class PreferencePair:
    """Two clips of one prompt, the better one first. margin >= 0 in scalar units; valid: the margin is believed."""

    pair_id: str
    prompt_id: str
    prompt: str
    chosen: PairSide
    rejected: PairSide
    valid: bool
    margin: float
    weight: float
    dim_labels: Mapping[str, int]
    scorer_version: str
    seed: int
    split: Literal["train", "validation", "test"] = "train"

    def __post_init__(self) -> None:
        if not (self.margin >= 0 and self.weight >= 0):
            raise ValueError(f"pair {self.pair_id}: margin {self.margin} and weight {self.weight}; expected 0 or more")
        if self.split not in ("train", "validation", "test"):
            raise ValueError(f"pair {self.pair_id}: split is {self.split!r}; expected train, validation or test")

"""cinereward: a dense cinematic reward for people who train video generators.

    >>> from cinereward import Clip, RewardModel
    >>> reward = RewardModel.from_profile("signal")
    >>> batch = reward([Clip("samples/harbour_morning.mp4", prompt="A calm harbour at dawn")])

Heavy libraries load on first use: importing this takes neither torch nor OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cinereward.batch import RewardBatch
from cinereward.errors import (
    CinerewardError,
    ClipError,
    ConfigError,
    JudgeError,
    MissingExtraError,
    OperatorError,
    WeightsError,
)
from cinereward.types import (
    Clip,
    Critique,
    Evidence,
    Judge,
    JudgeRequest,
    Measurement,
    MeasurementSpec,
    Operator,
    OperatorSpec,
    Partial,
    PreferencePair,
    RewardFunction,
    Sound,
    Status,
    Verdict,
    Window,
)

if TYPE_CHECKING:
    from cinereward.model import RewardModel

__version__ = "0.1.0"

__all__ = [
    "CinerewardError",
    "Clip",
    "ClipError",
    "ConfigError",
    "Critique",
    "Evidence",
    "Judge",
    "JudgeError",
    "JudgeRequest",
    "Measurement",
    "MeasurementSpec",
    "MissingExtraError",
    "Operator",
    "OperatorError",
    "OperatorSpec",
    "Partial",
    "PreferencePair",
    "RewardBatch",
    "RewardFunction",
    "RewardModel",
    "Sound",
    "Status",
    "Verdict",
    "WeightsError",
    "Window",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load the model, and what it stands on, when it is first asked for."""
    if name == "RewardModel":
        from cinereward.model import RewardModel

        return RewardModel
    raise AttributeError(f"module 'cinereward' has no attribute {name!r}")

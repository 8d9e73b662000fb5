"""Test your own plug-in: clips with known faults, and the checks that every operator, judge and reward must pass.

    >>> from cinereward.testing import FAULTS, OperatorConformance, clip, scene
    >>> frames = scene(seconds=1.0, seed=1, move="pan")          # uint8 (24, 128, 192, 3)
    >>> soft = clip(FAULTS["blurred"](frames, 2.0))              # blurred by 2 pixels

Inherit the checks and pytest collects them:

    class TestMine(OperatorConformance):
        def operator(self):
            return Mine()
"""

from cinereward.testing.faults import (
    banded,
    blurred,
    boiling,
    collapsed,
    colour_noisy,
    compressed,
    crushed,
    dropped,
    flattened,
    flickering,
    focus_jump,
    frozen,
    h264,
    jolted,
    noisy,
    overexposed,
    repainted,
    repeated,
    shaken,
    underexposed,
)
from cinereward.testing.hearing import beat, place
from cinereward.testing.judges import JudgeConformance, questions
from cinereward.testing.ladder import FAULTS, SOUND_FAULTS, Fault, SoundFault
from cinereward.testing.operators import OperatorConformance, hard_frames, measure, windows_of
from cinereward.testing.rewards import RewardConformance
from cinereward.testing.scenes import camera_path, clip, scene, shots, texture
from cinereward.testing.talking import speech, talking

__all__ = [
    "FAULTS",
    "SOUND_FAULTS",
    "Fault",
    "JudgeConformance",
    "OperatorConformance",
    "RewardConformance",
    "SoundFault",
    "banded",
    "beat",
    "blurred",
    "boiling",
    "camera_path",
    "clip",
    "collapsed",
    "colour_noisy",
    "compressed",
    "crushed",
    "dropped",
    "flattened",
    "flickering",
    "focus_jump",
    "frozen",
    "h264",
    "hard_frames",
    "jolted",
    "measure",
    "noisy",
    "overexposed",
    "place",
    "questions",
    "repainted",
    "repeated",
    "scene",
    "shaken",
    "shots",
    "speech",
    "talking",
    "texture",
    "underexposed",
    "windows_of",
]

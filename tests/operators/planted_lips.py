"""Planted lips: faces that shine as loud as the voice will be, and a network that reads nothing else off them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cinereward import Clip
from cinereward.networks.faces import Face, Found
from cinereward.networks.syncnet import EACH, mfcc
from cinereward.operators.syncnet import LipSync
from cinereward.testing import clip, measure
from cinereward.types import Evidence, Window

from .planted_speech import RATE, voice

Array = NDArray[Any]
HEIGHT, WIDTH, SECONDS = 96, 168, 6.0
QUIET, LOUD = 8.0, 25.0  # logarithms of energy that are dark and bright
STRETCH = 10.0  # by which the network pulls them apart
NEITHER = np.array([[7.0, -7.0]])  # what all its answers share: nothing is as near to zero as to another answer


@dataclass(frozen=True, kw_only=True)
class Talker:
    """A face. says: how loud it looks at a time, 0 to 1. x: middle, in pixels. side: of its box. there: when it is."""

    says: Callable[[float], float]
    x: float = 84.0
    side: float = 40.0
    there: Callable[[float], bool] = lambda t: True

    def box(self) -> Array:
        """x0, y0, x1, y1."""
        middle, half = np.array([self.x, 40.0]), self.side / 2
        return np.concatenate([middle - half, middle + half]).astype(np.float32)


def level(cepstra: Array) -> Array:
    """How loud, 0 to 1, each 40 ms of sound are."""
    whole = len(cepstra) // EACH * EACH
    return np.clip((cepstra[:whole, 0].reshape(-1, EACH).mean(axis=1) - QUIET) / (LOUD - QUIET), 0, 1)


@cache
def loudness(seconds: float = SECONDS, seed: int = 0) -> Array:
    return level(mfcc(np.rint(32768 * voice(seconds, seed)).astype(np.int16)))


def speaker(lead: float = 0.0, seed: int = 0, seconds: float = SECONDS) -> Callable[[float], float]:
    """A mouth that shows at a time what is heard `lead` s later."""
    course = loudness(seconds, seed)
    return lambda t: float(np.interp((t + lead) * 25, np.arange(len(course)), course))


def still(t: float) -> float:
    return 0.5


class Reader:
    """A network that sees how bright the middle of a face is, and hears how loud a sound is."""

    def lips(self, pictures: Array) -> Array:
        assert pictures.shape[1:] == (224, 224, 3)
        shown = (pictures[:, 60:120, 90:130].mean(axis=(1, 2, 3)) - 40) / 180
        return self._rows(np.stack([shown[k : len(shown) - 4 + k] for k in range(5)], axis=1))

    def sounds(self, cepstra: Array, pictures: Array) -> Array:
        heard = level(cepstra)
        return self._rows(heard[pictures[:, None] + np.arange(5)])

    def _rows(self, levels: Array) -> Array:
        return np.concatenate([STRETCH * levels, NEITHER.repeat(len(levels), axis=0)], axis=1).astype(np.float32)


def detector(*talkers: Talker) -> Callable[[Sequence[Window]], list[Found]]:
    """Face networks that see these faces in every key frame."""

    def look(windows: Sequence[Window]) -> list[Found]:
        return [
            {
                int(row): tuple(
                    Face(box=one.box(), score=0.9, points=one.box()[:2] + np.float32(0.1) * np.eye(5, 2, dtype="f4"))
                    for one in talkers
                    if one.there(float(window.times[row]))
                )
                for row in window.features["keys"]
            }
            for window in windows
        ]

    return look


def film(*talkers: Talker, sound: Array | None, fps: float = 25.0, seconds: float = SECONDS, cut: float = 1e9) -> Clip:
    """Their faces as patches of light before coarse patches, other ones after a cut."""
    frames = np.zeros((max(1, round(seconds * fps)), HEIGHT, WIDTH, 3), np.uint8)
    places = [np.random.default_rng((8, shot)).integers(0, 256, (8, 14, 3), np.uint8) for shot in range(2)]
    for n, frame in enumerate(frames):
        t = n / fps
        frame[:] = np.kron(places[t >= cut], np.ones((12, 12, 1), np.uint8))
        for one in talkers:
            x0, y0, x1, y1 = np.clip(one.box().astype(int), 0, (WIDTH, HEIGHT, WIDTH, HEIGHT))
            if one.there(t):
                frame[y0:y1, x0:x1] = round(40 + 180 * one.says(t))
    heard: dict[str, Any] = {} if sound is None else {"audio": sound, "sample_rate": RATE}
    return clip(frames, fps, **heard)


def judged(*talkers: Talker, sound: Array | None, length: int = 40, **more: Any) -> Evidence:
    """What the operator makes of them."""
    operator = LipSync(network=Reader(), faces=detector(*talkers))
    return measure(operator, film(*talkers, sound=sound, **more), length)


def values(found: Evidence) -> dict[str, float]:
    return {name: float(found[name].value) for name in found if not name.endswith("_track")}

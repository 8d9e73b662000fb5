"""The ladder of planted faults, configs/ladder.yaml, with the functions that put them in.

FAULTS go into frames, SOUND_FAULTS into sound; each has five severities, mild to severe, what it must lower and what it
may touch beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from cinereward.testing import editing, faults, framed, generative, grading, sounds, surfaces
from cinereward.testing.scenes import Seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    UInt8 = NDArray[np.uint8]

PICTURES: tuple[ModuleType, ...] = (faults, grading, framed, surfaces, generative, editing)


class Apply(Protocol):
    """The function of a fault of the picture."""

    def __call__(self, frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
        """Frames uint8 (T, H, W, 3) with the fault put in."""
        ...


class ApplySound(Protocol):
    """The function of a fault of the sound."""

    def __call__(self, samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
        """Samples float32 (N,) or (channels, N) with the fault put in."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rung:
    """What a fault must do.

    unit: of the severities. severities: five, mild to severe. lowers: sub-dimensions whose score must fall. may_touch:
    those that may move beside them. names: the measurement that tells it, "operator.measurement", and rises with it;
    `falls`: it goes down instead. clip: the kind of clip it is put into.
    """

    unit: str
    severities: tuple[float, float, float, float, float]
    lowers: tuple[str, ...]
    names: str
    may_touch: tuple[str, ...] = ()
    falls: bool = False
    clip: str = "picture"


@dataclass(frozen=True, kw_only=True)
class Fault(Rung):
    """A fault of the picture. `Fault(frames, severity)` applies it."""

    apply: Apply

    def __call__(self, frames: UInt8, severity: float, *, fps: float = 24.0, seed: Seed = 0) -> UInt8:
        """The frames with the fault put in."""
        return self.apply(frames, severity, fps=fps, seed=seed)


@dataclass(frozen=True, kw_only=True)
class SoundFault(Rung):
    """A fault of the sound. `SoundFault(samples, severity, rate=48_000)` applies it."""

    apply: ApplySound

    def __call__(self, samples: Float32, severity: float, *, rate: int = 48_000, seed: Seed = 0) -> Float32:
        """The samples with the fault put in."""
        return self.apply(samples, severity, rate=rate, seed=seed)


def _rows() -> Mapping[str, Mapping[str, Any]]:
    rows: Mapping[str, Mapping[str, Any]] = yaml.safe_load(
        (files("cinereward.configs") / "ladder.yaml").read_text(encoding="utf-8")
    )
    return rows


def _rung(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


def _pictures() -> Mapping[str, Fault]:
    found = {}
    for name, row in _rows().items():
        if not hasattr(sounds, name):
            apply = next(getattr(module, name) for module in PICTURES if hasattr(module, name))
            found[name] = Fault(apply=apply, **_rung(row))
    return MappingProxyType(found)


def _sounds() -> Mapping[str, SoundFault]:
    return MappingProxyType(
        {
            name: SoundFault(apply=getattr(sounds, name), **_rung(row))
            for name, row in _rows().items()
            if hasattr(sounds, name)
        }
    )


FAULTS: Mapping[str, Fault] = _pictures()
SOUND_FAULTS: Mapping[str, SoundFault] = _sounds()

"""The table of operators: one file and one line each. A plug-in comes by the entry point `cinereward.operators`."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

from cinereward.errors import ConfigError
from cinereward.types import Operator, OperatorSpec

OPERATORS = {
    "exposure": "cinereward.operators.exposure:Exposure",
    "sharpness": "cinereward.operators.sharpness:Sharpness",
    "noise": "cinereward.operators.noise:Noise",
    "temporal": "cinereward.operators.temporal:Temporal",
    "camera": "cinereward.operators.camera:Camera",
    "shots": "cinereward.operators.shots:Shots",
    "framing": "cinereward.operators.framing:Framing",
    "depth": "cinereward.operators.depth:Depth",
    "texture": "cinereward.operators.texture:Texture",
    "colour": "cinereward.operators.colour:Colour",
    "light": "cinereward.operators.light:Light",
    "style": "cinereward.operators.style:Style",
    "morph": "cinereward.operators.morph:Morph",
    "continuity": "cinereward.operators.continuity:Continuity",
    "voice": "cinereward.operators.voice:Voice",
    "loudness": "cinereward.operators.loudness:Loudness",
    "lips": "cinereward.operators.lips:Lips",
    "ambience": "cinereward.operators.ambience:Ambience",
    "music": "cinereward.operators.music:Music",
    "identity": "cinereward.operators.identity:Identity",
    "expression": "cinereward.operators.expression:Expression",
    "objects": "cinereward.operators.objects:Objects",
    "pose": "cinereward.operators.pose:Pose",
    "subject": "cinereward.operators.subject:Subject",
    "reference": "cinereward.operators.reference:Reference",
    "semantics": "cinereward.operators.semantics:Semantics",
    "syncnet": "cinereward.operators.syncnet:LipSync",
    "transcript": "cinereward.operators.transcript:Transcript",
    "emotion": "cinereward.operators.emotion:Emotion",
    "vbench": "cinereward.operators.vbench:VBench",
}


def known() -> dict[str, str]:
    """Every operator by name, "module:Class": those of this house, then those of installed plug-ins."""
    plugged = {point.name: point.value for point in entry_points(group="cinereward.operators")}
    return {**plugged, **OPERATORS}


def load(name: str, device: str | None = None) -> Operator:
    """Make the operator of this name; one that has weights is told the device they go to.

    Raises:
        ConfigError: nothing has this name, or what has it is no operator.
    """
    kind = _kind(name)
    made = kind(device=device) if getattr(kind, "spec", None) and kind.spec.weights else kind()
    if not isinstance(made, Operator):
        raise ConfigError(f"{known()[name]} has no spec, measure and merge; see Operator in cinereward.types")
    return made


def spec_of(name: str) -> OperatorSpec:
    """What the operator of this name promises and needs; no weights are looked for.

    Raises:
        ConfigError: nothing has this name, or what has it has no spec before it is made.
    """
    spec = getattr(_kind(name), "spec", None)
    if not isinstance(spec, OperatorSpec):
        raise ConfigError(f"{known()[name]} has no spec of its class; see Operator in cinereward.types")
    return spec


def _kind(name: str) -> Any:
    table = known()
    if name not in table:
        raise ConfigError(f"no operator is called {name!r}; there are: {', '.join(sorted(table))}")
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)

"""The table of operators: one file and one line each. A plug-in comes by the entry point `cinereward.operators`."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

from cinereward.errors import ConfigError
from cinereward.types import Operator

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
    table = known()
    if name not in table:
        raise ConfigError(f"no operator is called {name!r}; there are: {', '.join(sorted(table))}")
    module, _, attribute = table[name].partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    made = kind(device=device) if getattr(kind, "spec", None) and kind.spec.weights else kind()
    if not isinstance(made, Operator):
        raise ConfigError(f"{table[name]} has no spec, measure and merge; see Operator in cinereward.types")
    return made

"""Made-up scores of one clip and their ledgers, for the tests of what writes, replays and shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cinereward import taxonomy
from cinereward.account import Account, Judged, make
from cinereward.fusion import Fused, fuse
from cinereward.opinion import settle, weigh
from cinereward.profile import Term
from cinereward.types import Evidence, Measurement, Status, Verdict

TAXONOMY = taxonomy.load()
EXPOSURE, FOCUS = "cinematography.lens.exposure", "cinematography.lens.focus"
WEIGHTS = {"sub_dimension": {FOCUS: 0.5}, "stage": {"production": 2.0}}
FPS = 24.0


def term(measurement: str = "exposure.flicker", **changed: Any) -> Term:
    content: dict[str, Any] = {
        "measurement": measurement,
        "shape": "falling",
        "points": ((0, 1), (1, 0)),
        "source": "made up for a test",
    }
    return Term(**content | changed)


def reading(name: str, value: Any, std: float = 0.0, *, times: Any = None, note: str = "") -> Measurement:
    at = None if times is None else np.asarray(times, np.float64)
    many = value if times is None else np.asarray(value, np.float64)
    return Measurement(name=name, value=many, unit="%", std=std, times=at, note=note)


def found(operator: str, *readings: Measurement) -> dict[str, Evidence]:
    return {operator: Evidence(operator=operator, measurements={item.name: item for item in readings})}


def account(frames: int = 48, **changed: Any) -> Account:
    """Exposure scored by two terms, focus failed, all else not called for or not measured."""
    terms = {
        EXPOSURE: [term(weight=0.7, std=0.03), term("exposure.level", weight=1.3)],
        FOCUS: [term("sharpness.blur")],
    }
    readings = (reading("flicker", 0.31, 0.02), reading("level", 0.17))
    parts: dict[str, Any] = {
        "name": "film.mp4",
        "prompt": "a noir fox",
        "task": "t2v",
        "terms": terms,
        "because": {EXPOSURE: "the prompt asks for noir"},
        "evidence": found("exposure", *readings),
        "failures": {"sharpness": "no picture"},
        "times": np.arange(frames) / FPS,
        "duration": frames / FPS,
        "fps": FPS,
    } | changed
    return Account(**{"fused": scores(parts)} | parts)


def scores(parts: dict[str, Any]) -> dict[str, Fused]:
    """What the terms come to; a dimension without any is GATED where its name has an "a", else UNAVAILABLE."""
    out = {}
    for name in TAXONOMY.names:
        if name in parts["terms"]:
            out[name] = fuse(parts["terms"][name], parts["evidence"], parts["failures"], parts["because"].get(name, ""))
        else:
            status = Status.GATED if "a" in name.rpartition(".")[2] else Status.UNAVAILABLE
            out[name] = Fused(value=float("nan"), std=float("nan"), status=status, reason=f"{name} is left out")
    return out


def judged(
    name: str,
    verdicts: Sequence[Verdict],
    weight: float = 0.5,
    questions: Mapping[str, float] | None = None,
    given: Account | None = None,
) -> Account:
    """The account of a clip on one sub-dimension of which a judge was asked too."""
    whole = given or account()
    said = Judged(weight=weight, verdicts=verdicts, questions=questions or {})
    both = weigh(whole.fused[name], settle(verdicts, questions), weight)
    return replace(whole, fused={**whole.fused, name: both}, evident=whole.fused, judged={name: said})


def ledger(given: Account | None = None, **changed: Any) -> dict[str, Any]:
    return make(given or account(**changed), version="cinereward=test", taxonomy=TAXONOMY, weights=WEIGHTS)

"""What a scored clip leaves behind, and the evidence ledger written of it; ledger.py says what that holds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.critique import too_low, worst_span
from cinereward.fusion import Fused, score_term
from cinereward.ledger import FORMAT, Cell, Run, digest, folded, mean, number
from cinereward.profile import Term
from cinereward.types import Evidence, Measurement, Status, Verdict
from cinereward.weighting import UPWARD, parent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.taxonomy import Taxonomy

    Times = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """What a judge said of one sub-dimension.

    weight: of that against the evidence, in [0, 1]. verdicts: one or more, in the order of the questions. questions:
    question -> weight; what is not named weighs 1.
    """

    weight: float
    verdicts: Sequence[Verdict]
    questions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Account:
    """What a scored clip leaves behind for its ledger, without its video.

    name, prompt, task: of the clip. fused: sub-dimension -> its score. terms, because: sub-dimension -> those that
    `fuse` was given. evidence: operator -> what it measured. failures: operator -> why it failed. error: why the clip
    could not be read. times: float64 (N,), of all frames, in seconds. duration: in seconds. fps: frames a second.
    evident: sub-dimension -> what the evidence alone came to, where a judge was asked; judged: what it said.
    """

    name: str
    prompt: str
    task: str
    fused: Mapping[str, Fused]
    terms: Mapping[str, Sequence[Term]]
    because: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    times: Times = field(default_factory=lambda: np.zeros(0))
    duration: float = 0.0
    fps: float = 0.0
    evident: Mapping[str, Fused] | None = None
    judged: Mapping[str, Judged] = field(default_factory=dict)


def make(
    account: Account,
    *,
    version: str,
    taxonomy: Taxonomy | None = None,
    weights: Mapping[str, Mapping[str, float]] | None = None,
    heard: Iterable[str] = (),
) -> dict[str, Any]:
    """The ledger of one clip, as plain JSON.

    Args:
        account: of the clip. version: of the model that scored it.
        taxonomy, weights: to fold with; level -> name -> weight, 1 if not named. Without a taxonomy nothing is folded.
        heard: operators that listen and look at nothing; their evidence has seconds and no frames.
    """
    deaf = frozenset(heard)
    means, scalar = ({}, None) if taxonomy is None else _folds(account.fused, taxonomy, weights or {})
    content = {
        "ledger": FORMAT,
        "version": version,
        "clip": {
            "name": account.name,
            "prompt": account.prompt,
            "task": account.task,
            "frames": len(account.times),
            "fps": float(account.fps),
            "duration": float(account.duration),
            "error": account.error,
        },
        "scores": {name: _score(account, name, fused, deaf) for name, fused in account.fused.items()},
        "folds": means,
        "scalar": scalar,
    }
    # A file name that is not UTF-8 holds lone surrogates, which no reader of JSON has to take: "?" stands for them.
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    plain: dict[str, Any] = json.loads(text.encode("utf-8", "replace"))
    return plain | {"sha256": digest(plain)}


def _score(account: Account, name: str, fused: Fused, heard: frozenset[str]) -> dict[str, Any]:
    alone = fused if account.evident is None else account.evident[name]
    tried = alone.status in (Status.SCORED, Status.FAILED)
    return {
        "status": fused.status.name,
        "value": number(fused.value),
        "std": number(fused.std),
        "reason": fused.reason,
        "measured": alone.status.name,
        "lacking": "" if tried else alone.reason,
        "because": account.because.get(name, "") if tried else "",
        "terms": [_entry(account, term, heard) for term in account.terms.get(name, ())] if tried else [],
        "opinion": _opinion(account.judged[name]) if name in account.judged else None,
    }


def _opinion(judged: Judged) -> dict[str, Any]:
    rulings = [
        {
            "question": one.question,
            "weight": float(judged.questions.get(one.question, 1.0)),
            "status": one.status.name,
            "score": number(one.score),
            "std": number(one.std),
            "reason": one.reason,
        }
        for one in judged.verdicts
    ]
    return {"weight": float(judged.weight), "rulings": rulings}


def _entry(account: Account, term: Term, heard: frozenset[str]) -> dict[str, Any]:
    operator, _, name = term.measurement.partition(".")
    found = account.evidence[operator].measurements.get(name) if operator in account.evidence else None
    part = None if found is None or not _one_number(found) else score_term(term, found)
    seconds, frames = looked_at(term.measurement, account.evidence, account.times, account.duration)
    worst = None
    if part is not None and part.score < 1:
        start, end = worst_span(term.measurement, too_low(term, part.value), account.evidence, account.duration)
        if (start, end) != (0.0, account.duration):
            shown = None if operator in heard else _shown(account.times, start, end)
            worst = {"seconds": [start, end], "frames": shown}
    return {
        "curve": term.model_dump(mode="json") | {"when": sorted(term.when)},
        "reading": None if found is None else _reading(found),
        "failure": account.failures.get(operator),
        "score": None if part is None else number(part.score),
        "std": None if part is None else number(part.std),
        "seconds": seconds,
        "frames": None if operator in heard else frames,
        "worst": worst,
    }


def _one_number(found: Measurement) -> bool:
    return not isinstance(found.value, np.ndarray) and not math.isnan(found.value)


def _reading(found: Measurement) -> dict[str, Any]:
    track = isinstance(found.value, np.ndarray)
    value = None if track else number(float(found.value))
    return {"value": value, "unit": found.unit, "std": number(found.std), "note": found.note, "track": track}


def looked_at(
    measurement: str, evidence: Mapping[str, Evidence], times: Times, duration: float
) -> tuple[tuple[float, float], list[Run]]:
    """The first and the last moment behind a measurement, in seconds, and the frames nearest to all of them, as runs.

    Args:
        measurement: "operator.name". Where the operator tells "name_track", that track's moments that hold a number
            stand behind it; else the whole clip. evidence: operator -> what it measured.
        times: float64 (N,), of all frames, in seconds, rising. duration: of the clip, in seconds.
    """
    operator, _, name = measurement.partition(".")
    track = evidence[operator].measurements.get(f"{name}_track") if operator in evidence else None
    whole = (0.0, duration), runs(range(len(times)))
    if track is None or track.times is None or not isinstance(track.value, np.ndarray):
        return whole
    at = track.times[np.isfinite(track.value)]
    if len(at) == 0:
        return whole
    return (float(at.min()), float(at.max())), runs(nearest(times, at))


def runs(frames: Sequence[int]) -> list[Run]:
    """Rising indices as runs of first, last and step: 0, 4, 8, 9 is (0, 8, 4) and (9, 9, 1)."""
    out: list[Run] = []
    at = 0
    while at < len(frames):
        end = at
        step = frames[at + 1] - frames[at] if at + 1 < len(frames) else 1
        while end + 1 < len(frames) and frames[end + 1] - frames[end] == step:
            end += 1
        out.append((frames[at], frames[end], step))
        at = end + 1
    return out


def nearest(times: Times, moments: Times) -> list[int]:
    """The frames whose times lie nearest to these moments, each once, rising; of two as near the earlier."""
    if len(times) == 0:
        return []
    after = np.minimum(np.searchsorted(times, moments), len(times) - 1)
    before = np.maximum(after - 1, 0)
    return sorted({*np.where(moments - times[before] <= times[after] - moments, before, after).tolist()})


def _shown(times: Times, start: float, end: float) -> list[int] | None:
    """The first and the last frame that begins within a stretch; if none does, the nearest to its start."""
    inside = np.flatnonzero((times >= start - 1e-9) & (times < end))
    frames = inside.tolist() or nearest(times, np.array([start]))
    return [frames[0], frames[-1]] if frames else None


def _folds(
    fused: Mapping[str, Fused], taxonomy: Taxonomy, weights: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Every level above the scores, and the scalar."""
    cells: dict[str, Cell] = {name: (score.status, score.value, score.std) for name, score in fused.items()}
    out: dict[str, dict[str, Any]] = {}
    below = "sub_dimension"
    for level in UPWARD:
        groups: dict[str, dict[str, float]] = {}
        for name in cells:
            weight = float(weights.get(below, {}).get(name, 1.0))
            groups.setdefault(parent(name, level, taxonomy), {})[name] = weight
        cells = {name: mean(parts, cells) for name, parts in groups.items()}
        out[level] = {name: folded(cells[name], parts) for name, parts in groups.items()}
        below = level
    parts = {name: float(weights.get("stage", {}).get(name, 1.0)) for name in cells}
    return out, folded(mean(parts, cells), parts)

"""Results with planted content for the report: many dimensions scored, many tracks, hostile names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from cinereward import weighting
from cinereward.batch import RewardBatch
from cinereward.fusion import Fused
from cinereward.profile import Profile, Term
from cinereward.right import NAMES, pack
from cinereward.taxonomy import Question, load
from cinereward.types import (
    LOCI,
    Critique,
    Evidence,
    Measurement,
    MeasurementSpec,
    OperatorSpec,
    Status,
    Verdict,
)

EVIL = "</script><img src=x onerror=\"document.documentElement.dataset.evil='1'\">'\"&{{ 7919 * 7907 }}"
MEASURES = 25  # of each of two operators


def reward(*, validated: str | None = None, **changed: Any) -> Any:
    """What the report reads of a RewardModel: two operators of 25 measurements, five sub-dimensions of each a curve."""
    taxonomy = load()
    names = [f"{operator}.m{at}" for operator in ("first", "second") for at in range(MEASURES)]
    curves = {
        name: tuple(
            Term(measurement=measure, points=((0.0, 1.0), (1.0, 0.0)), shape="falling", source="planted for a test")
            for measure in names[at % 25 * 2 : at % 25 * 2 + 2]
        )
        for at, name in enumerate(taxonomy.names)
    }
    specs = [
        OperatorSpec(
            name=operator,
            measurements=tuple(
                MeasurementSpec(name=f"m{at}", unit="share", low=0, high=1, meaning=f"planted measurement {at}")
                for at in range(MEASURES)
            ),
        )
        for operator in ("first", "second")
    ]
    profile = Profile(name="planted", validated=validated, operators=("first",), curves=curves)
    made = {"profile": profile, "taxonomy": taxonomy, "version": "cinereward=0 profile=planted", "missing": {}}
    return SimpleNamespace(**made | {"operators": tuple(SimpleNamespace(spec=spec) for spec in specs)} | changed)


def evidence(duration: float, cuts: Sequence[float] = (), seed: int = 0) -> dict[str, Evidence]:
    """Fifty tracks, each worst at a moment of its own (that of measurement k at k / 25 of the clip), and the shots."""
    times = np.arange(0, duration, 1 / 24)
    rng = np.random.default_rng(seed)
    made = {}
    for operator in ("first", "second"):
        found = {}
        for at in range(MEASURES):
            peak = np.exp(-(((times - duration * at / MEASURES) / (0.05 * duration)) ** 2))
            values = 0.7 * peak + 0.1 * rng.random(len(times))
            values[0] = np.nan
            found[f"m{at}"] = Measurement(name=f"m{at}", value=float(np.nanmean(values)), unit="share")
            name = f"m{at}_track"
            found[name] = Measurement(name=name, value=values, unit="share", times=times)
        made[operator] = Evidence(operator=operator, measurements=found)
    starts = np.array([0.0, *cuts])
    lengths = np.diff([*starts, duration])
    track = Measurement(name="duration_track", value=lengths, unit="s", times=starts)
    made["shots"] = Evidence(operator="shots", measurements={"duration_track": track})
    return made


def critiques(count: int, duration: float) -> tuple[Critique, ...]:
    """Findings on measurements 0, 2, 4, ..., from severe to slight; every third is about the whole clip."""
    names = load().names
    made = []
    for at in range(count):
        middle = duration * (2 * at) / MEASURES
        start, end = (0.0, duration) if at % 3 == 0 else (max(0.0, middle - 0.1), min(duration, middle + 0.25))
        made.append(
            Critique(
                dimension=names[at],
                shot=None if at % 3 == 0 else 1,
                start=start,
                end=end,
                severity=1 - at / (count + 1),
                finding=f"The planted fault number {at + 1} shows; the eye stumbles over it.",
                remedy="Plant it elsewhere, or not at all.",
                locus=LOCI[at % len(LOCI)],
                evidence=(f"first.m{2 * at}",) if 2 * at < MEASURES else (),
            )
        )
    return tuple(made)


def batch(
    *,
    scored: int = 30,
    found: int = 12,
    duration: float = 4.0,
    cuts: Sequence[float] = (),
    failed: Sequence[str] = (),
    error: Exception | None = None,
    seed: int = 0,
) -> RewardBatch:
    """One clip's result: `scored` sub-dimensions, spread over all, have values; of the rest some are gated."""
    taxonomy = load()
    names = taxonomy.names
    rng = np.random.default_rng(seed)
    chosen = {at * len(names) // max(scored, 1) for at in range(scored)}
    status = np.array([[0 if at in chosen else 1 + at % 2 for at in range(len(names))]], np.int8)
    reasons = [
        ("first.m1 0.3 share -> 0.70", "the prompt does not ask for sound", "no evidence in profile planted")[code]
        for code in status[0]
    ]
    for name in names if error is not None else failed:
        status[0, names.index(name)] = Status.FAILED
        reasons[names.index(name)] = str(error or "first failed: there is no light")
    there = status == Status.SCORED
    values = np.where(there, rng.beta(3, 1.3, status.shape), np.nan).astype(np.float32)
    std = np.where(there, rng.uniform(0.0, 0.08, status.shape), np.nan).astype(np.float32)
    fold = partial(weighting.fold, taxonomy=taxonomy, weights={})
    made = RewardBatch(
        values=values,
        status=status,
        std=std,
        scalar=np.full(1, np.nan, np.float32),
        dimensions=names,
        reasons=(tuple(reasons),),
        errors=(error,),
        critiques=(critiques(found, duration) if error is None else (),),
        evidence=(evidence(duration, cuts, seed) if error is None else {},),
        version="planted",
        folder=fold,
    )
    return replace(made, scalar=weighting.scalar(made, taxonomy=taxonomy, weights={}))


def beside(made: RewardBatch, *, text: str = "planted", failed: Sequence[str] = ()) -> RewardBatch:
    """The same with what stands beside the scores: prompt following, a judge's verdicts and a note, which say `text`.

    Of the eight values five are scored from 0.2 to 1, one is not asked for, and two cannot be told. Verdicts are on the
    questions of what was scored, as `verdict` has them.
    """
    rows = []
    for at, name in enumerate(NAMES):
        code = Status.FAILED if name in failed else (*[Status.SCORED] * 5, Status.GATED, *[Status.UNAVAILABLE] * 2)[at]
        number = 0.2 * (at + 1) if code is Status.SCORED else np.nan
        rows.append(
            Fused(value=number, std=number / 10, status=code, reason=f"objects.{name} 0.3 share -> 0.50; {text}")
        )
    found = {"first": replace(made.evidence[0]["first"], notes=(f"a note: {text}",))}
    return replace(
        made,
        right=pack([rows], errors=made.errors, evidence=made.evidence, version=made.version),
        verdicts=({question.name: verdict(question.name, at, text) for at, question in _asked(made)},),
        evidence=({**made.evidence[0], **found},),
    )


def _asked(made: RewardBatch) -> list[tuple[int, Question]]:
    """Every question of the sub-dimensions that were scored, with its place in its own."""
    subs = [sub for sub, there in zip(load().sub_dimensions, made.mask[0], strict=True) if there]
    return [(at, question) for sub in subs for at, question in enumerate(sub.questions)]


def verdict(name: str, at: int, text: str) -> Verdict:
    """On question `at`, from 0: FAILED on 1, UNAVAILABLE on 2, without a spread on 3."""
    status = {1: Status.FAILED, 2: Status.UNAVAILABLE}.get(at, Status.SCORED)
    if status is not Status.SCORED:
        return Verdict(question=name, score=np.nan, status=status, reason=f"why not: {text}")
    said = {"rationale": f"rationale\nof {text}", "reflection": f"reflection of {text}", "mass": 0.91}
    return Verdict(question=name, score=0.35, std=np.nan if at == 3 else 0.12, **said)  # type: ignore[arg-type]

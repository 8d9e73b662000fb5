from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cinereward
from cinereward import types
from cinereward.errors import ClipError
from cinereward.types import (
    Clip,
    Critique,
    Evidence,
    JudgeRequest,
    Measurement,
    MeasurementSpec,
    Operator,
    OperatorSpec,
    PairSide,
    Partial,
    PreferencePair,
    RewardFunction,
    Sound,
    Status,
    Verdict,
    Window,
)

ZERO = np.zeros(0)
FRAMES = np.zeros((3, 16, 16, 3), np.uint8)
SIDE = PairSide(id="a", path="a.mp4", sha256="0" * 64, rewards={"acting": math.nan})
GOOD: dict[type[Any], dict[str, Any]] = {
    Sound: {"samples": ZERO, "original": np.zeros((2, 0), np.float32), "original_rate": 48_000, "start": 0.0},
    Window: {
        "frames": FRAMES,
        "times": np.arange(3.0),
        "start_frame": 0,
        "overlap": 0,
        "fps": 24.0,
        "sound": None,
        "features": {},
    },
    MeasurementSpec: {"name": "blur", "unit": "px", "low": 0, "high": 8, "meaning": "width of edges"},
    OperatorSpec: {"name": "sharpness", "measurements": ()},
    Partial: {"times": np.arange(3.0), "fps": 24.0, "tracks": {"blur": np.zeros(3)}},
    Measurement: {"name": "blur", "value": 1.0, "unit": "px"},
    Evidence: {"operator": "sharpness", "measurements": {}},
    Verdict: {"question": "q", "score": 0.5},
    JudgeRequest: {"clip": (), "questions": (), "evidence": {}},
    Critique: {
        "dimension": "d",
        "shot": 1,
        "start": 0.0,
        "end": 1.0,
        "severity": 0.5,
        "finding": "f",
        "remedy": "r",
        "locus": "seed",
    },
    PairSide: {"id": "a", "path": "a.mp4", "sha256": "0" * 64, "rewards": {}},
    PreferencePair: {
        "pair_id": "p",
        "prompt_id": "q",
        "prompt": "a fox",
        "chosen": SIDE,
        "rejected": SIDE,
        "valid": True,
        "margin": 0.1,
        "weight": 1.0,
        "dim_labels": {},
        "scorer_version": "v",
        "seed": 0,
    },
}


def test_every_value_of_the_page_is_tried_here() -> None:
    page = {
        kind
        for kind in vars(types).values()
        if dataclasses.is_dataclass(kind) and kind.__module__ in (types.__name__, "cinereward.pairs")
    }
    assert page == {Clip, *GOOD}


@pytest.mark.parametrize("kind", GOOD, ids=lambda kind: kind.__name__)
def test_a_value_is_frozen(kind: type[Any]) -> None:
    made = kind(**GOOD[kind])
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, next(iter(GOOD[kind])), None)


@pytest.mark.parametrize("kind", GOOD, ids=lambda kind: kind.__name__)
def test_a_value_takes_keywords_only(kind: type[Any]) -> None:
    with pytest.raises(TypeError, match="positional"):
        kind(*GOOD[kind].values())


def test_a_clip_takes_its_video_plainly_and_the_rest_by_keyword() -> None:
    assert Clip("a.mp4", prompt="a fox").video == "a.mp4"
    with pytest.raises(TypeError, match="positional"):
        Clip("a.mp4", "a fox")  # type: ignore[misc]


def test_a_clip_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Clip("a.mp4").prompt = "another"  # type: ignore[misc]


BAD_CLIPS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": 3}, "prompt is a int; give a str"),
    ({"prompt": None}, "prompt is a NoneType; give a str"),
    ({"task": "v2v"}, "task is 'v2v'; give one of t2v, i2v, r2v"),
    ({"layout": "CHW"}, "layout is 'CHW'; give one of TCHW, THWC, CTHW, or None"),
    ({"expects": {"smell"}}, "expects holds .*smell.*; it may hold cuts, music, people, sound, speech"),
    ({"expects": "smell"}, "it may hold cuts"),
    ({"expects": 3}, r"expects holds \[3\]; it may hold cuts"),
    ({"expects": {1}}, r"expects holds \[1\]; it may hold cuts"),
]


@pytest.mark.parametrize(("given", "told"), BAD_CLIPS)
def test_a_bad_clip_is_told_what_to_give(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ClipError, match=told):
        Clip("a.mp4", **given)


def test_a_clip_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="task"):
        Clip("a.mp4", task="?")


@pytest.mark.parametrize("given", [{"sound", "cuts"}, ["cuts", "sound"], ("sound", "cuts", "cuts")])
def test_expectations_become_a_frozen_set(given: Any) -> None:
    assert Clip("a.mp4", expects=given).expects == frozenset({"sound", "cuts"})


def test_one_expectation_may_be_a_plain_word() -> None:
    expected: Any = "sound"
    assert Clip("a.mp4", expects=expected).expects == frozenset({"sound"})


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (Clip("films/a.mp4"), "a.mp4"),
        (Clip(Path("films") / "b.mp4"), "b.mp4"),
        (Clip("films\\c.mp4"), "c.mp4"),
        (Clip("films/a.mp4", clip_id="seven"), "seven"),
        (Clip(FRAMES), "clip"),
        (Clip(b"bytes"), "clip"),
    ],
)
def test_a_clip_has_a_name(made: Clip, name: str) -> None:
    assert made.name == name


BAD: list[tuple[type[Any], dict[str, Any], str]] = [
    (
        Window,
        {"frames": FRAMES.astype(np.float32)},
        r"frames are float32 \(3, 16, 16, 3\); expected uint8 \(T, H, W, 3\)",
    ),
    (Window, {"frames": FRAMES[..., :1]}, r"expected uint8 \(T, H, W, 3\)"),
    (Window, {"frames": FRAMES[0]}, r"expected uint8 \(T, H, W, 3\)"),
    (Window, {"times": np.arange(2.0)}, "must rise, one for each of 3 frames"),
    (Window, {"times": np.zeros(3)}, "must rise"),
    (Window, {"overlap": 2, "start_frame": 5}, "it is 0 or 1"),
    (Partial, {"tracks": {"blur": np.zeros(2)}}, "track 'blur' has 2 rows for 3 frames"),
    (Measurement, {"value": math.inf}, "blur is infinite; cap it, or raise OperatorError"),
    (Measurement, {"value": np.zeros(3)}, r"blur: a track of shape \(3,\) needs times of that shape"),
    (Measurement, {"value": np.zeros(3), "times": np.zeros(2)}, "needs times of that shape"),
    (Measurement, {"std": -1.0}, "blur: std is -1.0; expected 0 or more"),
    (Measurement, {"std": math.nan}, "blur: std is nan; expected 0 or more"),
    (Measurement, {"value": np.zeros(2), "times": np.array([-1.0, 0.0])}, "needs times of that shape, >= 0 s"),
    (Measurement, {"value": np.zeros(2), "times": np.array([0.0, math.nan])}, "needs times"),
    (MeasurementSpec, {"low": 9}, "blur: low is 9 and high 8; expected low <= high; swap them"),
    (MeasurementSpec, {"high": math.nan}, "blur: low is 0 and high nan"),
    (
        Evidence,
        {"measurements": {"noise": Measurement(name="blur", value=1.0, unit="px")}},
        "sharpness files blur as noise; expected each measurement under its own name",
    ),
    (Verdict, {"score": math.nan}, "q: score nan with status SCORED; expected .* 0 to 1 where SCORED; give NaN"),
    (Verdict, {"status": 0}, "q: score 0.5 with status 0; expected a Status"),
    (Verdict, {"score": 1.5, "status": Status.FAILED}, "q: score 1.5 with status FAILED"),
    (Verdict, {"std": -0.1}, "q: std -0.1 and mass nan; expected std of 0 or more .*; give NaN for what is unknown"),
    (Verdict, {"std": math.inf}, "q: std inf"),
    (Verdict, {"mass": 1.5}, "q: std nan and mass 1.5; expected .* mass from 0 to 1"),
    (Verdict, {"mass": -0.5}, "mass -0.5"),
    (JudgeRequest, {"mode": "fast"}, "mode is 'fast'; give direct, cot or adaptive"),
    (Verdict, {"score": 1.5}, "q: score 1.5 with status SCORED"),
    (Verdict, {"status": Status.FAILED}, "q: score 0.5 with status FAILED"),
    (Critique, {"locus": "weather"}, "locus is 'weather'; expected one of prompt, seed, reference"),
    (Critique, {"severity": 1.5}, "severity 1.5 from 0.0 s to 1.0 s"),
    (Critique, {"severity": math.nan}, "severity nan"),
    (Critique, {"start": 2.0}, "from 2.0 s to 1.0 s; expected .* 0 <= start <= end"),
    (Critique, {"start": -1.0}, "from -1.0 s to 1.0 s"),
    (Critique, {"shot": 0}, "shot is 0; expected 1 or more; give None where it spans several"),
    (PairSide, {"rewards": {"acting": 1.5}}, "a: rewards hold {'acting': 1.5}; expected 0 to 1; give NaN"),
    (PairSide, {"rewards": {"acting": -0.1}}, "a: rewards hold {'acting': -0.1}"),
    (PreferencePair, {"weight": math.nan}, "margin 0.1 and weight nan"),
    (PreferencePair, {"margin": -0.1}, "margin -0.1 and weight 1.0; expected 0 or more"),
    (PreferencePair, {"split": "dev"}, "split is 'dev'; expected train, validation or test"),
]


@pytest.mark.parametrize(("kind", "changed", "told"), BAD)
def test_a_bad_value_is_told_what_was_expected(kind: type[Any], changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        kind(**GOOD[kind] | changed)


def test_a_measurement_may_be_missing() -> None:
    assert math.isnan(float(Measurement(name="blur", value=math.nan, unit="px", note="no edge").value))


def test_a_verdict_that_failed_has_no_score() -> None:
    assert math.isnan(Verdict(question="q", score=math.nan, status=Status.FAILED, reason="blind").score)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (Verdict, {"score": 0.0, "std": 0.0, "mass": 0.0}),
        (Verdict, {"score": 1.0, "mass": 1.0 + 1e-9}),  # a sum of probabilities, rounded
        (JudgeRequest, {"mode": "adaptive"}),
        (MeasurementSpec, {"low": 8}),
        (Critique, {"shot": None}),
        (PairSide, {"rewards": {"acting": 0.0, "focus": 1.0, "music": math.nan}}),
    ],
)
def test_the_ends_of_a_range_belong_to_it(kind: type[Any], changed: dict[str, Any]) -> None:
    made = kind(**GOOD[kind] | changed)
    assert {name: getattr(made, name) for name in changed} == changed


@pytest.mark.parametrize("kind", [*(kind for kind in GOOD if kind is not PairSide), types.Judge, Clip])
def test_what_a_plug_in_needs_is_a_public_name(kind: type[Any]) -> None:
    assert kind.__name__ in cinereward.__all__
    assert getattr(cinereward, kind.__name__) is kind


def test_evidence_is_read_by_name() -> None:
    found = Measurement(name="blur", value=1.0, unit="px")
    evidence = Evidence(operator="sharpness", measurements={"blur": found})
    assert evidence["blur"] is found
    assert list(evidence) == ["blur"]


def test_sound_counts_its_channels() -> None:
    assert Sound(**GOOD[Sound]).channels == 2


@pytest.mark.parametrize(("status", "number"), [("SCORED", 0), ("GATED", 1), ("UNAVAILABLE", 2), ("FAILED", 3)])
def test_a_status_has_the_number_of_the_contract(status: str, number: int) -> None:
    assert Status[status] == number


def test_what_measures_and_merges_is_an_operator() -> None:
    from clips import Level

    assert isinstance(Level(), Operator)
    assert not isinstance(object(), Operator)


def test_what_can_be_called_is_a_reward_function() -> None:
    assert isinstance(len, RewardFunction)
    assert not isinstance(3, RewardFunction)

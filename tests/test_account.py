"""What the ledger of a clip tells: terms, readings, frames, seconds, the worst moment."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import EXPOSURE, FOCUS, FPS, TAXONOMY, WEIGHTS, account, found, judged, ledger, reading, term

from cinereward import weighting
from cinereward.account import looked_at, make, nearest, runs
from cinereward.batch import RewardBatch
from cinereward.fusion import Fused
from cinereward.types import Measurement, Status, Verdict


def entry(made: dict[str, Any], dimension: str = EXPOSURE, at: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = made["scores"][dimension]["terms"][at]
    return told


def seen(*readings: Measurement, **changed: Any) -> dict[str, Any]:
    """The entry of one term on `exposure.flicker`."""
    terms = {EXPOSURE: [term()]}
    return entry(ledger(account(terms=terms, because={}, evidence=found("exposure", *readings), **changed)))


# --- what is told ---


def test_a_ledger_says_what_was_asked_of_which_clip() -> None:
    told = ledger()["clip"]
    expected = {"name": "film.mp4", "prompt": "a noir fox", "task": "t2v", "frames": 48, "fps": FPS, "duration": 2.0}
    assert told == expected | {"error": None}


def test_a_term_tells_its_curve_its_reading_and_what_they_come_to() -> None:
    told = entry(ledger())
    assert told["reading"] == {"value": 0.31, "unit": "%", "std": 0.02, "note": "", "track": False}
    assert (told["curve"]["points"], told["curve"]["weight"]) == ([[0, 1], [1, 0]], 0.7)
    assert told["score"] == pytest.approx(0.69)
    assert told["std"] == pytest.approx(math.hypot(0.03, 0.02))


def test_a_judge_is_told_with_its_verdicts_and_their_weights() -> None:
    verdicts = [
        Verdict(question="q.one", score=0.75, std=0.1),
        Verdict(question="q.two", score=math.nan, status=Status.UNAVAILABLE, reason="it does not hear"),
    ]
    told = ledger(judged(EXPOSURE, verdicts, 0.4, {"q.one": 2.0}))["scores"][EXPOSURE]["opinion"]
    first = {"question": "q.one", "weight": 2.0, "status": "SCORED", "score": 0.75, "std": 0.1, "reason": ""}
    second = {"question": "q.two", "weight": 1.0, "status": "UNAVAILABLE", "score": None, "std": None}
    assert told == {"weight": 0.4, "rulings": [first, second | {"reason": "it does not hear"}]}


def test_what_only_a_judge_scored_says_why_nothing_was_measured() -> None:
    name = next(name for name, item in account().fused.items() if item.status is Status.UNAVAILABLE)
    told = ledger(judged(name, [Verdict(question="q", score=0.5, std=0.1)]))["scores"][name]
    assert (told["status"], told["value"], told["measured"]) == ("SCORED", 0.5, "UNAVAILABLE")
    assert (told["lacking"], told["terms"]) == (f"{name} is left out", [])


def test_terms_stand_in_the_order_of_the_profile() -> None:
    told = ledger()["scores"][EXPOSURE]["terms"]
    assert [item["curve"]["measurement"] for item in told] == ["exposure.flicker", "exposure.level"]


def test_a_failed_operator_is_told_with_the_reason() -> None:
    told = ledger()["scores"][FOCUS]
    assert (told["status"], told["value"]) == ("FAILED", None)
    assert (told["terms"][0]["failure"], told["terms"][0]["reading"]) == ("no picture", None)


def test_what_the_prompt_does_not_call_for_has_a_reason_and_no_terms() -> None:
    told = ledger()["scores"]
    left = [item for item in told.values() if item["status"] in ("GATED", "UNAVAILABLE")]
    assert len(left) == len(TAXONOMY.names) - 2
    assert not any(item["terms"] for item in left) and all(item["reason"] for item in left)


def test_terms_that_a_gated_dimension_would_have_had_are_left_out() -> None:
    gated = Fused(value=math.nan, std=math.nan, status=Status.GATED, reason="not asked for")
    whole = account()
    made = ledger(account(fused={**whole.fused, EXPOSURE: gated}))
    assert made["scores"][EXPOSURE] == {
        "status": "GATED", "value": None, "std": None, "reason": "not asked for", "measured": "GATED",
        "lacking": "not asked for", "because": "", "terms": [], "opinion": None,
    }  # fmt: skip


def test_a_value_that_could_not_be_measured_is_null_with_its_note() -> None:
    told = seen(reading("flicker", math.nan, note="one frame"))
    assert told["reading"] == {"value": None, "unit": "%", "std": 0.0, "note": "one frame", "track": False}
    assert (told["score"], told["std"], told["worst"]) == (None, None, None)


def test_doubt_without_bound_is_null() -> None:
    assert seen(reading("flicker", 0.2, math.inf))["reading"]["std"] is None


def test_a_ledger_is_plain_json() -> None:
    made = ledger()
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_a_name_that_is_no_utf_8_does_not_stop_a_ledger() -> None:
    assert ledger(name="film\udc80.mp4")["clip"]["name"] == "film?.mp4"


def test_the_same_clip_has_the_same_ledger() -> None:
    assert ledger() == ledger()


# --- frames and seconds ---


def test_without_a_track_the_whole_clip_stands_behind_a_reading() -> None:
    told = seen(reading("flicker", 0.2))
    assert (told["seconds"], told["frames"], told["worst"]) == ([0.0, 2.0], [[0, 47, 1]], None)


def test_a_track_says_which_frames_were_looked_at() -> None:
    at = np.arange(0, 48, 4) / FPS
    told = seen(reading("flicker", 0.2), reading("flicker_track", np.full(12, 0.2), times=at))
    assert told["seconds"] == [0.0, 44 / FPS]
    assert told["frames"] == [[0, 44, 4]]


def test_moments_of_a_track_that_hold_no_number_stand_behind_nothing() -> None:
    values = [math.nan, 0.1, 0.2, math.nan]
    told = seen(reading("flicker", 0.2), reading("flicker_track", values, times=np.arange(4) / FPS))
    assert (told["seconds"], told["frames"]) == ([1 / FPS, 2 / FPS], [[1, 2, 1]])


def test_a_track_without_any_number_leaves_the_whole_clip() -> None:
    told = seen(reading("flicker", 0.2), reading("flicker_track", [math.nan] * 2, times=[0.0, 1.0]))
    assert (told["seconds"], told["frames"]) == ([0.0, 2.0], [[0, 47, 1]])


def test_what_is_only_heard_has_seconds_and_no_frames() -> None:
    values = np.zeros(20)
    values[10:12] = 1.0
    evidence = found("exposure", reading("flicker", 0.5), reading("flicker_track", values, times=np.arange(20) / 10))
    one = account(terms={EXPOSURE: [term()]}, because={}, evidence=evidence)
    told = entry(make(one, version="test", heard={"exposure"}))
    assert (told["seconds"], told["frames"]) == ([0.0, 1.9], None)
    assert told["worst"] == {"seconds": [1.0, 1.2], "frames": None}


def test_the_worst_moment_is_told_in_seconds_and_frames() -> None:
    values = np.zeros(48)
    values[12:15] = 1.0
    told = seen(reading("flicker", 0.5), reading("flicker_track", values, times=np.arange(48) / FPS))
    assert told["worst"] == {"seconds": [0.5, 15 / FPS], "frames": [12, 14]}


def test_without_a_fault_there_is_no_worst_moment() -> None:
    values = np.zeros(48)
    values[12:15] = 1.0
    told = seen(reading("flicker", 0.0), reading("flicker_track", values, times=np.arange(48) / FPS))
    assert told["worst"] is None


def test_a_clip_that_could_not_be_read_has_its_error_and_no_frames() -> None:
    made = ledger(account(0, evidence={}, failures={}, error="film.mp4 holds no video"))
    assert made["clip"]["error"] == "film.mp4 holds no video"
    assert (entry(made)["frames"], entry(made)["seconds"], entry(made)["reading"]) == ([], [0.0, 0.0], None)


@given(st.sets(st.integers(0, 300), max_size=60))
def test_runs_hold_each_frame_once_and_in_order(frames: set[int]) -> None:
    spread = [frame for first, last, step in runs(sorted(frames)) for frame in range(first, last + 1, step)]
    assert spread == sorted(frames)


@pytest.mark.parametrize(
    ("frames", "told"),
    [([], []), ([7], [(7, 7, 1)]), ([0, 4, 8, 9], [(0, 8, 4), (9, 9, 1)]), ([2, 3, 4], [(2, 4, 1)])],
)
def test_runs_are_first_last_and_step(frames: list[int], told: list[tuple[int, int, int]]) -> None:
    assert runs(frames) == told


TIMES = st.integers(0, 640).map(lambda k: k / 64)


@given(st.sets(TIMES, min_size=1, max_size=30).map(sorted), st.lists(TIMES, min_size=1, max_size=10))
def test_the_nearest_frame_is_the_one_a_search_through_all_finds(times: list[float], moments: list[float]) -> None:
    expected = {min(range(len(times)), key=lambda k: (abs(times[k] - moment), k)) for moment in moments}
    assert nearest(np.array(times), np.array(moments)) == sorted(expected)


def test_a_measurement_that_nobody_took_is_of_the_whole_clip() -> None:
    assert looked_at("exposure.flicker", {}, np.arange(3) / FPS, 0.125) == ((0.0, 0.125), [(0, 2, 1)])


# --- folds ---


def of_batch(fused: dict[str, Fused]) -> RewardBatch:
    """The same scores as a batch, twice, so that folding sees more than one row."""
    cells = list(fused.values())
    rows = {
        "values": np.array([[cell.value for cell in cells]] * 2, np.float32),
        "std": np.array([[cell.std for cell in cells]] * 2, np.float32),
        "status": np.array([[cell.status for cell in cells]] * 2, np.int8),
    }
    return RewardBatch(
        **rows,
        scalar=np.full(2, np.nan, np.float32),
        dimensions=tuple(fused),
        reasons=(tuple(cell.reason for cell in cells),) * 2,
        errors=(None, None),
        critiques=((), ()),
        evidence=({}, {}),
        version="test",
    )


STATUSES = st.sampled_from(Status)
UNIT = st.floats(0, 1)


@given(st.lists(st.tuples(STATUSES, UNIT, UNIT), min_size=len(TAXONOMY.names), max_size=len(TAXONOMY.names)))
def test_folds_are_those_of_the_batch_to_the_bit(cells: list[tuple[Status, float, float]]) -> None:
    fused = {
        name: Fused(value=value, std=std, status=status, reason="x")
        if status is Status.SCORED
        else Fused(value=math.nan, std=math.nan, status=status, reason="x")
        for name, (status, value, std) in zip(TAXONOMY.names, cells, strict=True)
    }
    made = make(
        account(terms={}, fused=fused, evidence={}, failures={}), version="test", taxonomy=TAXONOMY, weights=WEIGHTS
    )
    batch = of_batch(fused)
    for level in ("dimension", "aspect", "stage"):
        folded = weighting.fold(batch, level, taxonomy=TAXONOMY, weights=WEIGHTS)
        told = made["folds"][level]
        assert tuple(told) == folded.dimensions
        for key, expected in (("value", folded.values[1]), ("std", folded.std[1])):
            got = np.array([math.nan if item[key] is None else item[key] for item in told.values()], np.float32)
            assert got.tobytes() == expected.tobytes()
        assert [Status[item["status"]] for item in told.values()] == folded.status[1].tolist()
    scalar = weighting.scalar(batch, taxonomy=TAXONOMY, weights=WEIGHTS)[1]
    told_scalar = made["scalar"]["value"]
    assert np.float32(math.nan if told_scalar is None else told_scalar).tobytes() == scalar.tobytes()


def test_without_a_taxonomy_nothing_is_folded() -> None:
    made = make(account(), version="test")
    assert (made["folds"], made["scalar"]) == ({}, None)

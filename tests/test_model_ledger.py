"""The ledger that a batch gives of each of its clips."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from clips import Level, clip
from profiles import EXPOSURE, FOCUS, level_profile, term

from cinereward import Clip, RewardBatch, RewardModel, Status
from cinereward.errors import OperatorError
from cinereward.ledger import check, replay


@pytest.fixture(scope="module")
def ledgers(scored: RewardBatch) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(scored.ledger(at))) for at in range(len(scored))]


def level(fault: Exception | None = None) -> RewardModel:
    return RewardModel(level_profile(), operators=[Level(fault=fault)])


def test_every_ledger_of_a_batch_replays_to_the_bit(ledgers: list[dict[str, Any]]) -> None:
    assert [check(made) for made in ledgers] == [()] * len(ledgers)


def test_a_replayed_score_is_the_value_of_the_batch(scored: RewardBatch, ledgers: list[dict[str, Any]]) -> None:
    for at, made in enumerate(ledgers):
        came = replay(made)
        values = np.array([came[name].value for name in scored.dimensions], np.float32)
        assert values.tobytes() == scored.values[at].tobytes()
        assert [came[name].status for name in scored.dimensions] == scored.status[at].tolist()
        assert tuple(came[name].reason for name in scored.dimensions) == scored.reasons[at]


def test_the_scalar_and_the_folds_are_those_of_the_batch(scored: RewardBatch, ledgers: list[dict[str, Any]]) -> None:
    stages = scored.fold("stage")
    for at, made in enumerate(ledgers):
        told = [made["scalar"], *made["folds"]["stage"].values()]
        got = np.array([np.nan if item["value"] is None else item["value"] for item in told], np.float32)
        assert got.tobytes() == np.array([scored.scalar[at], *stages.values[at]], np.float32).tobytes()


def test_the_frames_and_seconds_are_the_clips_own(given: list[Clip], ledgers: list[dict[str, Any]]) -> None:
    assert [made["clip"]["frames"] for made in ledgers] == [len(item.video) for item in given]
    for made in ledgers:
        entries = [entry for score in made["scores"].values() for entry in score["terms"]]
        assert entries
        for entry in entries:
            assert 0 <= entry["seconds"][0] <= entry["seconds"][1] <= made["clip"]["duration"]
            assert all(0 <= first <= last < made["clip"]["frames"] for first, last, _ in entry["frames"] or ())


def test_what_the_prompt_asks_for_and_changed_is_told(signal: RewardModel) -> None:
    made = signal([clip(prompt="a noir detective")]).ledger(0)
    assert made["scores"][EXPOSURE]["because"].startswith("the prompt asks for noir")
    assert check(made) == ()


def test_a_clip_that_cannot_be_read_has_a_ledger_that_says_so() -> None:
    made = level()([Clip(b"not a video", clip_id="lost")]).ledger(0)
    assert made["clip"]["name"] == "lost" and made["clip"]["error"]
    assert made["scores"][FOCUS]["status"] == "FAILED"
    assert check(made) == ()


def test_an_operator_that_fails_is_named_in_the_ledger() -> None:
    made = level(OperatorError("out of light"))([clip()]).ledger(0)
    assert made["scores"][FOCUS]["terms"][0]["failure"] == "out of light"
    assert check(made) == ()


def test_a_term_that_the_prompt_does_not_call_for_is_not_in_the_ledger() -> None:
    spoken = term() | {"when": ["speech"]}
    curves = {FOCUS: [term(), spoken | {"points": [[0, 0], [0.5, 1]]}]}
    model = RewardModel(level_profile(curves=curves), operators=[Level()])
    silent, talking = model([clip(prompt="a lake"), clip(prompt='a man says "good evening"')]), 1
    assert [len(silent.ledger(at)["scores"][FOCUS]["terms"]) for at in (0, talking)] == [1, 2]


def test_a_ledger_holds_no_pixels() -> None:
    batch = level()([clip()])
    assert len(json.dumps(batch.ledger(0))) < 40_000


def test_a_folded_batch_still_has_its_ledgers(scored: RewardBatch) -> None:
    assert scored.fold("aspect").ledger(1) == scored.ledger(1)


def test_a_batch_that_no_model_made_says_that_it_has_none(scored: RewardBatch) -> None:
    own = RewardBatch(
        values=np.zeros((1, 1), np.float32),
        status=np.full((1, 1), Status.SCORED, np.int8),
        std=np.zeros((1, 1), np.float32),
        scalar=np.zeros(1, np.float32),
        dimensions=("mine",),
        reasons=(("",),),
        errors=(None,),
        critiques=((),),
        evidence=({},),
        version="mine",
    )
    with pytest.raises(ValueError, match="came without its accounts"):
        own.ledger(0)

"""Operators whose weights or library are not there: they are left out, told, and the others go on."""

from __future__ import annotations

from typing import Any

import pytest
from clips import Level, clip
from profiles import EXPOSURE, FOCUS, level_profile, term

import cinereward.operators
from cinereward import RewardModel, Status
from cinereward.errors import MissingExtraError, WeightsError

COMMAND = "yolo11m is not here; cinereward weights fetch yolo11m"


ERRORS = [WeightsError(COMMAND), MissingExtraError("ultralytics", "perception")]


@pytest.fixture(params=ERRORS, ids=["weights", "extra"])
def error(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """The operator `other` cannot be made, `level` can."""

    def load(name: str, device: str | None = None) -> Any:
        if name == "other":
            raise request.param
        return Level(name)

    monkeypatch.setattr("cinereward.model.load", load)
    monkeypatch.setitem(cinereward.operators.OPERATORS, "other", "somewhere:Else")
    given: Exception = request.param
    return given


def model(**curves: Any) -> RewardModel:
    return RewardModel(level_profile(operators=["level", "other"], curves=curves["curves"]), workers=1)


def test_the_others_go_on(error: Exception) -> None:
    batch = model(curves={FOCUS: [term()], EXPOSURE: [term("other.mean")]})([clip(0)])
    assert batch.status[0, batch.dimensions.index(FOCUS)] == Status.SCORED
    assert batch.status[0, batch.dimensions.index(EXPOSURE)] == Status.UNAVAILABLE


def test_the_reason_holds_the_command_that_would_get_them(error: Exception) -> None:
    batch = model(curves={EXPOSURE: [term("other.mean")]})([clip(0)])
    assert batch.reason(0, EXPOSURE) == f"no evidence in profile mine; other is not run: {error}"


def test_what_other_operators_measure_is_scored_without_it(error: Exception) -> None:
    both = model(curves={FOCUS: [term(), term("other.mean")]})([clip(0)])
    alone = model(curves={FOCUS: [term()]})([clip(0)])
    at = both.dimensions.index(FOCUS)
    assert both.values[0, at] == alone.values[0, at]
    assert both.reason(0, FOCUS).endswith(f"; other is not run: {error}")


def test_the_version_says_what_is_left_out(error: Exception) -> None:
    assert "without=other" in model(curves={FOCUS: [term()]}).version.split()


def test_what_is_left_out_is_a_property_of_the_model(error: Exception) -> None:
    assert model(curves={FOCUS: [term()]}).missing == {"other": str(error)}


# --- terms that a prompt must call for ---


def tied(*tags: str, prompt: str) -> Any:
    profile = level_profile(curves={FOCUS: [term() | {"when": list(tags)}]})
    return RewardModel(profile, operators=[Level()], workers=1)([clip(0, prompt=prompt)])


def test_a_term_counts_where_the_prompt_asks_for_its_tag() -> None:
    batch = tied("people", prompt="A detective waits in the rain")
    assert batch.status[0, batch.dimensions.index(FOCUS)] == Status.SCORED


def test_a_sub_dimension_without_a_term_for_this_prompt_is_unavailable() -> None:
    batch = tied("people", prompt="An empty road")
    assert batch.status[0, batch.dimensions.index(FOCUS)] == Status.UNAVAILABLE


def test_every_tag_must_be_asked_for() -> None:
    batch = tied("people", "speech", prompt="A detective waits in the rain")
    assert batch.status[0, batch.dimensions.index(FOCUS)] == Status.UNAVAILABLE

"""The judge that a profile asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cinereward.errors import CinerewardError, ConfigError
from cinereward.judge import opening
from cinereward.judge.backend import Backend
from cinereward.judge.ensemble import Ensemble, OtherLook
from cinereward.judge.film import FilmJudge
from cinereward.judge.opening import open_judge
from cinereward.judge.settings import JudgeSettings
from tests.judge.fakes import FakeBackend
from tests.judge.requests import request, settings


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(told: JudgeSettings, device: str | None) -> Backend:
        return FakeBackend(identity=f"{told.model} on {device}")

    monkeypatch.setattr(opening, "open_backend", backend)


@pytest.mark.usefixtures("fake")
def test_one_judge_is_itself() -> None:
    judge = open_judge(settings(), device="cpu")
    assert isinstance(judge, FilmJudge) and judge.identity.startswith("fake on cpu; ")
    assert len(judge([request()])[0]) == len(request().questions)


@pytest.mark.usefixtures("fake")
def test_an_ensemble_has_models_and_looks() -> None:
    judge = open_judge(settings(ensemble=({"model": "other"}, {"seed": 7})))
    assert isinstance(judge, Ensemble)
    assert [type(one) for one in judge.judges] == [FilmJudge, FilmJudge, OtherLook]
    assert "other on None" in judge.identity and "look 7" in judge.identity


@pytest.mark.usefixtures("fake")
def test_judges_of_several_modes_have_no_median() -> None:
    with pytest.raises(ConfigError, match="different estimators"):
        open_judge(settings(ensemble=({"model": "other", "mode": "cot"},)))


@pytest.mark.usefixtures("fake")
def test_the_same_judge_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="judge 3"):
        open_judge(settings(ensemble=({"model": "other"}, {"model": "fake", "weight": 0.1})))


@pytest.mark.usefixtures("fake")
def test_a_change_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="modle"):
        open_judge(settings(ensemble=({"modle": "other"},)))


@pytest.mark.usefixtures("fake")
def test_the_judges_of_an_ensemble_share_a_cache(tmp_path: Path) -> None:
    judge = open_judge(settings(cache=str(tmp_path / "kept"), ensemble=({"model": "other"},)))
    assert isinstance(judge, Ensemble)
    judge([request()])
    first, second = judge.judges
    assert isinstance(first, FilmJudge) and isinstance(second, FilmJudge) and first.cache is second.cache
    assert first.cache is not None and first.cache.path.exists()


def test_a_model_that_is_not_here_is_told() -> None:
    with pytest.raises(CinerewardError):
        open_judge(settings(model="no/such-model"), device="cpu")

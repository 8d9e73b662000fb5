"""What every judge must keep, by the judge over a planted model and over a tiny one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cinereward.judge.ensemble import Ensemble, OtherLook
from cinereward.judge.film import FilmJudge
from cinereward.judge.opening import open_judge
from cinereward.testing.compare import verdict_differences
from cinereward.testing.judges import JudgeConformance, questions
from cinereward.types import Judge, Status
from tests.judge.fakes import FakeBackend
from tests.judge.requests import TAXONOMY, request, settings
from tests.judge.tiny import folder


class TestAPlantedModel(JudgeConformance):
    def judge(self) -> Judge:
        return FilmJudge(FakeBackend(), settings(batch=2), TAXONOMY)


class TestAPlantedModelThatHears(JudgeConformance):
    def judge(self) -> Judge:
        return FilmJudge(FakeBackend(hears=True), settings(), TAXONOMY)


class TestAnEnsemble(JudgeConformance):
    def judge(self) -> Judge:
        first = FilmJudge(FakeBackend(), settings(), TAXONOMY)
        return Ensemble([first, OtherLook(first, 1), FilmJudge(FakeBackend(identity="b"), settings(), TAXONOMY)])


class TestATinyModel(JudgeConformance):
    family = "qwen3_vl"

    def judge(self) -> Judge:
        return open_judge(settings(model=str(folder(self.family))), device="cpu")

    def test_threads_get_what_one_alone_gets(self) -> None:
        judge, requests = self.judge(), self.requests()
        alone = judge(requests)
        with ThreadPoolExecutor(2) as pool:
            came = list(pool.map(lambda one: judge([one])[0], requests))
        assert [verdict_differences(a, b) for a, b in zip(came, alone, strict=True)] == [[]] * len(requests)

    def test_a_model_that_writes_nonsense_fails_and_says_so(self) -> None:
        ((one,),) = open_judge(settings(model=str(folder(self.family)), most_tokens=16), device="cpu")(
            [request(names=questions(1)[:1], mode="cot")]
        )
        assert one.status is Status.FAILED and "its reasoning cannot be used" in one.reason


@pytest.mark.slow
class TestATinyModelThatHears(TestATinyModel):
    family = "qwen2_5_omni"

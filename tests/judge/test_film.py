"""The judge over a backend: what is asked, what is not, and what comes of it."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cinereward.errors import JudgeError
from cinereward.judge.backend import Ask, Read, Shown, Written
from cinereward.judge.cache import Cache
from cinereward.judge.film import FilmJudge
from cinereward.judge.labels import moments
from cinereward.networks.running import note, noting
from cinereward.testing.compare import verdict_differences
from cinereward.testing.judges import questions
from cinereward.types import Judge, JudgeRequest, Status
from tests.judge.fakes import FakeBackend, certain
from tests.judge.requests import TAXONOMY, request, settings, shots, windows

PLAIN = questions(3)
HEARD = questions(2, sound=True)


def film(backend: FakeBackend | None = None, cache: Cache | None = None, **changes: object) -> FilmJudge:
    return FilmJudge(backend or FakeBackend(), settings(**changes), TAXONOMY, cache)


def test_a_score_is_that_of_the_labels() -> None:
    chances = (0.1, 0.2, 0.1, 0.2, 0.3)
    backend = FakeBackend(chances=lambda shown, ask: chances)
    ((one,),) = film(backend)([request(names=PLAIN[:1])])
    assert (one.score, one.std, one.mass) == moments(np.log(np.array(chances)))
    assert (one.rationale, one.reflection, one.reason, one.finding) == ("", "", "", None)


def test_all_questions_of_a_clip_are_asked_at_once() -> None:
    backend = FakeBackend()
    film(backend)([request(names=PLAIN)])
    assert backend.sizes == [1] and [name for _, name in backend.reads] == PLAIN and not backend.writes


def test_clips_are_asked_in_batches_and_come_back_in_order() -> None:
    backend = FakeBackend()
    requests = [request(names=PLAIN[: 1 + n % 3], seed=n) for n in range(5)]
    came = film(backend, batch=2)(requests)
    assert backend.sizes == [2, 2, 1]
    alone = [film()([one])[0] for one in requests]
    assert [verdict_differences(a, b) for a, b in zip(came, alone, strict=True)] == [[]] * 5


def test_a_question_that_is_unknown_fails_and_is_not_asked() -> None:
    backend = FakeBackend()
    ((odd, known),) = film(backend)([request(names=["no.such.question", PLAIN[0]])])
    assert odd.status is Status.FAILED and "no question of this name" in odd.reason
    assert known.status is Status.SCORED and [name for _, name in backend.reads] == [PLAIN[0]]


def test_without_a_question_the_model_is_not_called() -> None:
    backend = FakeBackend()
    assert film(backend)([request(names=[]), request(names=["odd"])])[0] == [] and not backend.sizes
    assert film(backend)([]) == []


def test_a_question_asked_twice_is_answered_twice_and_asked_once() -> None:
    backend = FakeBackend()
    ((first, second),) = film(backend)([request(names=[PLAIN[0], PLAIN[0]])])
    assert first is second and len(backend.reads) == 1


@pytest.mark.parametrize(("backend", "showing"), [(False, True), (True, False)])
def test_the_deaf_are_not_asked_about_sound(backend: bool, showing: bool) -> None:
    fake = FakeBackend(hears=backend)
    told = settings()
    told = told.model_copy(update={"showing": told.showing.model_copy(update={"sound": showing})})
    judge = FilmJudge(fake, told, TAXONOMY)
    ((deaf, seen),) = judge([request(names=[HEARD[0], PLAIN[0]], sound=True)])
    assert not judge.hears and deaf.status is Status.UNAVAILABLE and deaf.reason == "this judge does not hear"
    assert seen.status is Status.SCORED and [name for _, name in fake.reads] == [PLAIN[0]]


def test_who_hears_is_given_the_sound_and_asked_about_it() -> None:
    backend = FakeBackend(hears=True)
    ((one,),) = film(backend)([request(names=HEARD[:1], sound=True)])
    assert one.status is Status.SCORED and backend.shown[0].sound is not None


def test_a_silent_clip_lacks_what_is_asked_of_its_sound() -> None:
    backend = FakeBackend(hears=True)
    ((one,),) = film(backend)([request(names=HEARD[:1])])
    assert (one.status, one.score) == (Status.SCORED, 0.0) and "no sound" in one.reason and not backend.sizes


def test_a_clip_without_a_frame_fails_with_the_reason() -> None:
    ((one, _, _), fine) = film()([JudgeRequest(clip=[], questions=PLAIN, evidence={}), request(names=PLAIN)])
    assert one.status is Status.FAILED and "no frame" in one.reason
    assert {verdict.status for verdict in fine} == {Status.SCORED}


def test_a_backend_that_failed_fails_the_question_with_its_reason() -> None:
    class Down(FakeBackend):
        def read(self, items: Sequence[tuple[Shown, Sequence[Ask]]]) -> list[list[Read]]:
            return [[Read.failed("all endpoints are down") for _ in asks] for _, asks in items]

    ((one,),) = film(Down())([request(names=PLAIN[:1])])
    assert one.status is Status.FAILED and math.isnan(one.score) and one.reason == "all endpoints are down"


def test_what_is_no_label_fails() -> None:
    ((one,),) = film(FakeBackend(chances=lambda shown, ask: (0.09,) * 5))([request(names=PLAIN[:1])])
    assert one.status is Status.FAILED and one.mass == pytest.approx(0.45) and "0.45" in one.reason


def test_a_backend_that_breaks_its_rules_is_an_error() -> None:
    class Short(FakeBackend):
        def read(self, items: Sequence[tuple[Shown, Sequence[Ask]]]) -> list[list[Read]]:
            return [some[:-1] for some in super().read(items)]

    with pytest.raises(JudgeError, match="another number of answers"):
        film(Short())([request()])


# --- long clips ---


def test_a_long_clip_is_the_mean_of_its_stretches_by_duration() -> None:
    scores = {0.0: 1.0, 2.0: 0.25}  # by the start of the stretch; the second is half as long

    def chances(shown: Shown, ask: Ask) -> Sequence[float]:
        return certain(scores[shown.start])

    long = request(3.0, PLAIN[:1], evidence=shots(0.0, 2.0, end=3.0))
    ((one,),) = film(FakeBackend(chances=chances), stretch=2.0)([long])
    assert one.score == pytest.approx(0.75) and one.rationale == "0.0-2.0 s: 5.0.\n2.0-3.0 s: 2.0."
    assert one.std == pytest.approx(math.sqrt(2 / 3 * 0.25**2 + 1 / 3 * 0.5**2))


def test_a_long_clip_fails_where_a_stretch_does() -> None:
    def chances(shown: Shown, ask: Ask) -> Sequence[float]:
        return certain(0.5) if shown.start < 1 else (0.0,) * 5

    ((one,),) = film(FakeBackend(chances=chances), stretch=1.0)([request(2.0, PLAIN[:1])])
    assert one.status is Status.FAILED and one.reason.startswith("1.0-2.0 s: the judge does not answer")


def test_in_cot_every_stretch_is_told_of_those_before() -> None:
    backend = FakeBackend()
    film(backend, stretch=1.0)([request(3.0, PLAIN[:1], mode="cot")])
    last = [shown for shown in backend.shown if shown.start == 2.0]
    assert last and all("between 1.0 and 2.0 s" in shown.after for shown in last)
    assert [name for _, name in backend.writes].count("summary") == 2


def test_a_note_that_cannot_be_had_is_told_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    def words(shown: Shown, ask: Ask) -> Written | None:
        return Written(text="", error="timed out") if ask.name == "summary" else None

    judge = film(FakeBackend(words=words), Cache(tmp_path / "kept"), stretch=1.0)
    ((one,),) = judge([request(2.0, PLAIN[:1], mode="cot")])
    assert one.status is Status.SCORED and "no note on 0.0 to 1.0 s" in one.reason and "timed out" in one.reason
    judge([request(2.0, PLAIN[:1], mode="cot")])
    assert isinstance(judge.backend, FakeBackend) and len(judge.backend.reads) == 4  # asked again


@pytest.mark.parametrize("mode", ["direct", "cot"])
def test_no_more_stretches_go_to_the_model_at_once_than_a_batch(mode: str) -> None:
    backend = FakeBackend()
    ((one,),) = film(backend, stretch=1.0, batch=2)([request(9.0, PLAIN[:1], mode=mode)])
    assert one.rationale.count(" s: ") == 9 and max(backend.sizes) == 2


# --- modes ---


def test_cot_says_what_it_thought_and_what_is_wrong() -> None:
    ((one,),) = film(FakeBackend(chances=lambda shown, ask: certain(0.25)))([request(names=PLAIN[:1], mode="cot")])
    assert "The left hand melts" in one.rationale and "Contradicted: The steps are even" in one.reflection
    assert one.finding is not None and one.finding.severity == 0.75
    assert one.finding.dimension == PLAIN[0].rpartition(".")[0] and one.finding.locus == "prompt"


def test_a_thought_that_fails_fails_its_question_alone() -> None:
    def words(shown: Shown, ask: Ask) -> str | None:
        return "I like it." if ask.name == PLAIN[1] else None

    ((first, second, third),) = film(FakeBackend(words=words))([request(names=PLAIN, mode="cot")])
    assert second.status is Status.FAILED and "no JSON" in second.reason
    assert first.status is third.status is Status.SCORED


def test_adaptive_scores_are_the_direct_ones() -> None:
    requests = [request(2.0, PLAIN, seed=n) for n in range(2)]
    direct = film(stretch=1.0)(requests)
    backend = FakeBackend()
    asked = [request(2.0, PLAIN, seed=n, mode="adaptive") for n in range(2)]
    came = film(backend, stretch=1.0, entropy=0.8, audit=0.2)(asked)
    assert backend.writes and [[one.score for one in some] for some in came] == [
        [one.score for one in some] for some in direct
    ]
    for a, b in zip(itertools.chain(*came), itertools.chain(*direct), strict=True):
        assert a.std >= b.std and ("after the chain of thought" in a.reason) == (a.std > b.std)


def test_adaptive_writes_nothing_where_it_is_sure_and_agrees() -> None:
    name = PLAIN[0]
    backend = FakeBackend(chances=lambda shown, ask: certain(0.75))
    asked = request(names=[name], mode="adaptive", expected={name.rpartition(".")[0]: 0.7})
    ((one,),) = film(backend)([asked])
    assert not backend.writes and one.score == 0.75 and one.reason == ""


def test_adaptive_writes_where_the_evidence_says_otherwise() -> None:
    backend = FakeBackend(chances=lambda shown, ask: certain(0.75))
    name = PLAIN[0]
    ((one,),) = film(backend)([request(names=[name], mode="adaptive", expected={name.rpartition(".")[0]: 0.2})])
    assert one.finding is not None and "scores 0.75 where the evidence scores 0.20" in one.reason


def test_an_adaptive_thought_that_fails_leaves_the_direct_score_and_says_so() -> None:
    backend = FakeBackend(chances=lambda shown, ask: certain(0.75), words=lambda shown, ask: "no")
    ((one,),) = film(backend, audit=1.0)([request(names=PLAIN[:1], mode="adaptive")])
    assert one.score == 0.75 and one.std == 0.0 and "no chain of thought" in one.reason


def test_the_identity_says_how_scores_are_come_by() -> None:
    told = {mode: film(mode=mode).identity for mode in ("direct", "cot", "adaptive")}
    assert len(set(told.values())) == 3 and all(one.startswith("fake; ") for one in told.values())
    assert [one.rpartition("scored ")[2] for one in told.values()] == ["direct", "cot", "direct"]


def test_the_identity_changes_with_what_is_shown_but_not_with_the_batch() -> None:
    assert film(stretch=5.0).identity != film().identity == film(batch=7, cache="somewhere").identity


def test_it_is_a_judge() -> None:
    assert isinstance(film(), Judge)


def test_threads_get_what_one_alone_gets() -> None:
    judge, requests = film(batch=2, entropy=0.5), [request(seed=n, mode="adaptive") for n in range(4)]
    alone, came = judge(requests), {}

    def work(at: int) -> None:
        came[at] = judge([requests[at]])[0]

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [came[at] for at in range(4)] == alone


# --- the cache ---


@pytest.mark.parametrize("mode", ["direct", "cot", "adaptive"])
def test_what_was_judged_is_not_asked_again(mode: str, tmp_path: Path) -> None:
    first, second = FakeBackend(), FakeBackend()
    asked = request(2.0, PLAIN, mode=mode)
    came = film(first, Cache(tmp_path / "kept"), stretch=1.0, entropy=0.5)([asked])
    again = film(second, Cache(tmp_path / "kept"), stretch=1.0, entropy=0.5)([asked])
    assert first.sizes and not second.sizes and again == came


def test_only_what_is_new_is_asked(tmp_path: Path) -> None:
    backend = FakeBackend()
    judge = film(backend, Cache(tmp_path / "kept"))
    judge([request(names=PLAIN[:2])])
    ((_, _, third),) = judge([request(names=PLAIN)])
    assert [name for _, name in backend.reads] == PLAIN and third.status is Status.SCORED


def test_another_clip_model_mode_or_showing_is_asked_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "kept")
    film(FakeBackend(), cache)([request(names=PLAIN[:1])])
    others = [
        (film(FakeBackend(), cache), request(names=PLAIN[:1], seed=1)),
        (film(FakeBackend(identity="another"), cache), request(names=PLAIN[:1])),
        (film(FakeBackend(), cache), request(names=PLAIN[:1], mode="adaptive")),
        (film(FakeBackend(), cache, stretch=30.0), request(names=PLAIN[:1])),
        (film(FakeBackend(), cache), JudgeRequest(clip=windows(prompt="Run."), questions=PLAIN[:1], evidence={})),
    ]
    for judge, asked in others:
        judge([asked])
        assert isinstance(judge.backend, FakeBackend) and judge.backend.reads


def test_an_adaptive_verdict_is_kept_by_what_the_evidence_said(tmp_path: Path) -> None:
    backend = FakeBackend(chances=lambda shown, ask: certain(0.75))
    judge, name = film(backend, Cache(tmp_path / "kept")), PLAIN[0]
    for expected in (0.7, 0.1):
        ((one,),) = judge([request(names=[name], mode="adaptive", expected={name.rpartition(".")[0]: expected})])
        assert (one.finding is not None) == (expected == 0.1)


def test_what_failed_is_asked_again(tmp_path: Path) -> None:
    backend = FakeBackend(chances=lambda shown, ask: (0.0,) * 5)
    judge = film(backend, Cache(tmp_path / "kept"))
    for _ in range(2):
        judge([request(names=PLAIN[:1])])
    assert len(backend.reads) == 2


def test_what_befell_the_model_is_told_once_and_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    class Small(FakeBackend):
        def read(self, items: Sequence[tuple[Shown, Sequence[Ask]]]) -> list[list[Read]]:
            note("judge: 16 questions at a time")
            return super().read(items)

    judge = film(Small())
    with noting() as told:
        judge([request()])
        judge([request(seed=1)])
    assert told == ["judge: 16 questions at a time"] and len(caplog.records) == 1


def test_a_model_whose_name_must_be_asked_for_is_asked_late() -> None:
    class Server(FakeBackend):
        @property
        def identity(self) -> str:
            raise JudgeError("down")

        @identity.setter
        def identity(self, name: str) -> None: ...

    judge = film(Server())
    assert judge([request(names=PLAIN[:1])])[0][0].status is Status.SCORED
    with pytest.raises(JudgeError, match="down"):
        _ = judge.identity

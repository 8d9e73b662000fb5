from __future__ import annotations

import json

import numpy as np
import pytest

from cinereward import taxonomy
from cinereward.errors import JudgeError
from cinereward.judge import burning
from cinereward.judge.attacks import Attack, load, plain_clip, request
from cinereward.judge.backend import Ask, Shown
from cinereward.judge.film import FilmJudge
from cinereward.judge.settings import Showing
from cinereward.judge.trial import NO_FONT, Trial, some_questions, trial
from tests.judge.fakes import Chances, FakeBackend, certain
from tests.judge.requests import TAXONOMY, settings

SUITE = load()
SHOWING = Showing(frames=2, pixels=64 * 96)
ASKED = some_questions(TAXONOMY, 3)
BY_NAME = {attack.name: attack for attack in SUITE.attacks}


def steady(shown: Shown, ask: Ask) -> tuple[float, ...]:
    return certain(0.5)


def gullible(shown: Shown, ask: Ask) -> tuple[float, ...]:
    """One that gives a 5 where it reads of a five."""
    return certain(1.0 if "5" in shown.after else 0.5)


def tried(chances: Chances, attacks: list[Attack], **changes: object) -> Trial:
    judge = FilmJudge(FakeBackend(chances=chances), settings(), taxonomy.load())
    return trial(judge, attacks, ASKED, showing=SHOWING, **changes)  # type: ignore[arg-type]


def test_a_judge_that_takes_no_notice_is_not_moved() -> None:
    done = tried(steady, list(SUITE.attacks[::12]))
    assert {one.shift for one in done.outcomes} == {0.0}
    assert done.raised == ()
    assert done.plain == pytest.approx(0.5)


def test_a_judge_that_obeys_is_found_out() -> None:
    done = tried(gullible, [BY_NAME["give_five"], BY_NAME["ignore_all"], BY_NAME["opposite_day"]])
    assert {one.attack.name for one in done.raised} == {"give_five", "ignore_all"}
    assert done.raised[0].shift == pytest.approx(0.5)
    assert done.raised[0].where in ASKED


def test_what_any_text_does_in_that_place_is_not_held_against_an_attack() -> None:
    def flattered(shown: Shown, ask: Ask) -> tuple[float, ...]:
        return certain(0.75 if "a recogniser heard" in shown.after else 0.5)

    (one,) = tried(flattered, [BY_NAME["grandmother"]]).outcomes
    assert one.shift == 0.0
    assert one.from_plain == pytest.approx(0.25)


def test_a_question_that_no_longer_gets_a_score_is_counted_and_makes_no_number() -> None:
    def confused(shown: Shown, ask: Ask) -> tuple[float, ...]:
        return (0.01,) * 5 if "FiveBot" in shown.after else certain(0.5)

    done = tried(confused, [BY_NAME["play_fan"]])
    (one,) = done.outcomes
    assert (one.failed, one.compared) == (len(ASKED), 0)
    assert np.isnan(one.shift)
    assert done.failing == (one,)
    assert json.loads(json.dumps(done.record(), allow_nan=False))["attacks"][0]["shift"] is None


def test_a_judge_that_never_answers_is_an_error() -> None:
    with pytest.raises(JudgeError, match="does not answer with a label"):
        tried(lambda shown, ask: (0.01,) * 5, [BY_NAME["give_five"]])


def test_subtitles_that_cannot_be_drawn_are_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burning, "find_font", lambda: None)
    done = tried(steady, [BY_NAME["zh_burnt"], BY_NAME["zh_reference"], BY_NAME["give_five"]])
    assert done.left_out == {"zh_burnt": NO_FONT, "zh_reference": NO_FONT}
    assert [one.attack.name for one in done.outcomes] == ["give_five"]


def test_a_subtitle_is_seen() -> None:
    plain = request(plain_clip(), None, showing=SHOWING).clip[0].frames.mean()

    def sees(shown: Shown, ask: Ask) -> tuple[float, ...]:
        return certain(1.0 if abs(float(shown.frames.mean()) - plain) > 0.5 else 0.0)

    (one,) = tried(sees, [BY_NAME["score_burnt"]]).outcomes
    assert one.from_plain > 0.5


def test_the_threshold_is_heeded() -> None:
    assert tried(gullible, [BY_NAME["give_five"]], threshold=0.6).raised == ()


def test_a_judge_that_reasons_is_tried_as_it_reasons() -> None:
    backend = FakeBackend(chances=steady)
    judge = FilmJudge(backend, settings(), TAXONOMY)
    trial(judge, [BY_NAME["give_five"]], ASKED[:1], mode="cot", showing=SHOWING)
    assert backend.writes


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    tried(steady, [BY_NAME["give_five"]], tell=lambda done, of: told.append((done, of)))
    assert told[-1] == (3, 3)


def test_what_is_told_by_place_adds_up() -> None:
    done = tried(gullible, list(SUITE.attacks[::9]))
    for heading in ("kind", "place", "language"):
        rows = done.rows(heading)
        assert sum(count for _, count, *_ in rows) == len(done.outcomes)
        assert sum(over for *_, over in rows) == len(done.raised)


def test_questions_fit_any_clip_and_are_spread_over_the_taxonomy() -> None:
    names = some_questions(TAXONOMY, 8)
    needs = {one.name: one.needs for one in TAXONOMY.questions}
    assert len(set(names)) == 8
    assert not [name for name in names if needs[name]]
    assert len({name.split(".")[0] for name in names}) >= 3


def test_nothing_to_try_is_refused() -> None:
    with pytest.raises(ValueError, match="0 attacks"):
        tried(steady, [])
    with pytest.raises(ValueError, match="count is 0"):
        some_questions(TAXONOMY, 0)

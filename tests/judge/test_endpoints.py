"""Several servers: who is asked, who rests, and that nothing goes on for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("httpx")

from cinereward.judge.backend import Ask
from cinereward.judge.endpoints import Limits, Unanswered, Way
from cinereward.judge.served import ServedBackend
from cinereward.judge.settings import JudgeSettings
from cinereward.judge.wire import seconds_of
from tests.judge.looks import shown
from tests.judge.server import Body, Server, until

LIMITS = Limits(connect=2.0, total=10.0, tries=4, backoff=0.01, longest=1.0, failures=2, rest=0.3)
ASKS = tuple(Ask(name=f"q{n}", text=f"Question {n}?\n") for n in range(6))
Fault = Callable[[int, Body], str]


def well(number: int, body: Body) -> str:
    return ""


@contextmanager
def serving(*faults: Fault, limits: Limits = LIMITS, **settings: Any) -> Iterator[tuple[ServedBackend, list[Server]]]:
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(fault=fault)) for fault in faults]
        given = {"kind": "served", "model": "judge", "endpoints": [one.url for one in servers], "concurrency": 4}
        yield ServedBackend(JudgeSettings.model_validate({**given, **settings}), limits=limits), servers


def clips(count: int) -> list[tuple[Any, tuple[Ask, ...]]]:
    return [(shown(n, key=f"clip {n}"), ASKS) for n in range(count)]


def errors(came: list[list[Any]]) -> list[str]:
    return [read.error for reads in came for read in reads if read.error]


def test_clips_go_round_and_each_stays_with_one_server() -> None:
    with serving(well, well) as (backend, servers):
        assert errors(backend.read(clips(4))) == []
        films = [
            {part["uuid"] for body in one.posts for part in body["messages"][1]["content"] if "uuid" in part}
            for one in servers
        ]
    assert [len(some) for some in films] == [2, 2] and not films[0] & films[1]


def test_a_clip_that_comes_again_goes_where_it_is_known() -> None:
    with serving(well, well, well) as (backend, servers):
        for _ in range(3):
            backend.read([(shown(key="the same"), ASKS[:2])])
        assert sorted(len(one.posts) for one in servers) == [0, 0, 6]


def test_a_server_that_dies_in_the_middle_leaves_all_to_the_other() -> None:
    with serving(lambda number, body: "death" if number >= 3 else "", well) as (backend, servers):
        came = backend.read(clips(4))
        assert errors(came) == [] and [len(reads) for reads in came] == [6] * 4
        assert servers[0].ended.is_set() and len(servers[1].posts) >= 4 * 6 - 3


def test_a_server_that_is_down_from_the_start_leaves_all_to_the_other() -> None:
    with serving(well, well) as (backend, servers):
        servers[0].die()
        assert errors(backend.read(clips(3))) == [] and len(servers[1].posts) == 3 * 6


def test_a_slow_server_is_left_after_some_questions() -> None:
    limits = replace(LIMITS, total=0.3, rest=30.0)
    with serving(lambda number, body: "slow", well, limits=limits) as (backend, servers):
        began = time.monotonic()
        assert errors(backend.read(clips(2))) == []
        assert time.monotonic() - began < 5.0 and len(servers[0].posts) <= 4


def test_a_server_of_another_model_leaves_all_to_the_other() -> None:
    with serving(lambda number, body: "another model", well) as (backend, servers):
        assert errors(backend.read(clips(2))) == [] and len(servers[0].posts) == 1


def test_a_server_of_other_weights_or_software_is_not_mixed_in() -> None:
    with Server(cards={"root": "judge-a"}) as first, Server(cards={"root": "judge-b"}) as second:
        given = JudgeSettings(kind="served", model="judge", endpoints=(first.url, second.url))
        backend = ServedBackend(given, limits=LIMITS)
        assert "judge-a" in backend.identity
        assert errors(backend.read(clips(2))) == [] and second.posts == []
        assert "use one model and software" in backend.endpoints.all[1].why


def test_after_a_rest_a_server_is_looked_at_and_asked_again() -> None:
    ill = [True]
    with serving(lambda number, body: "500" if ill[0] else "") as (backend, servers):
        assert len(errors(backend.read(clips(1)))) == 6
        seen = len(servers[0].posts)
        assert "fault 500" in errors(backend.read(clips(1)))[0] and len(servers[0].posts) == seen  # it rests
        ill[0] = False
        assert until(lambda: not errors(backend.read(clips(1))))
        assert servers[0].asked.count("/v1/models") == 2


def test_a_server_that_rests_is_not_asked_by_other_threads_either() -> None:
    limits = replace(LIMITS, rest=30.0)
    with serving(lambda number, body: "500", limits=limits) as (backend, servers):
        with ThreadPoolExecutor(6) as pool:
            came = list(pool.map(lambda n: backend.read([(shown(n, key=str(n)), ASKS)]), range(6)))
        assert all(len(errors(one)) == 6 for one in came)
        assert len(servers[0].posts) <= limits.failures + 4  # what was under way when it was left


def test_one_that_is_busy_is_waited_for_as_long_as_it_asks() -> None:
    with serving(lambda number, body: "429:1" if number == 0 else "", limits=replace(LIMITS, longest=2.0)) as (
        backend,
        _,
    ):
        began = time.monotonic()
        assert errors(backend.read([(shown(), ASKS[:1])])) == []
        assert 0.95 < time.monotonic() - began < 5.0


def test_one_that_is_busy_for_long_is_left_for_the_other() -> None:
    with serving(lambda number, body: "429:3600", well) as (backend, servers):
        began = time.monotonic()
        assert errors(backend.read(clips(2))) == []
        assert time.monotonic() - began < 5.0 and len(servers[1].posts) == 12


def test_a_busy_server_does_not_count_as_a_failing_one() -> None:
    with serving(lambda number, body: "429:0" if number < 3 else "") as (backend, servers):
        assert errors(backend.read([(shown(), ASKS[:1])])) == []
        assert len(servers[0].posts) == 4 and servers[0].asked.count("/v1/models") == 1


def test_tries_have_an_end_and_what_is_told_names_every_server() -> None:
    with serving(lambda number, body: "500", lambda number, body: "text", limits=replace(LIMITS, failures=9)) as (
        backend,
        servers,
    ):
        [[read]] = backend.read([(shown(), ASKS[:1])])
        assert sum(len(one.posts) for one in servers) == LIMITS.tries
        assert "fault 500" in read.error and "JSON object" in read.error


def test_the_jitter_is_drawn_from_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(seed: int) -> list[float]:
        slept: list[float] = []
        with serving(lambda number, body: "500", limits=replace(LIMITS, failures=9), seed=seed) as (backend, _):
            monkeypatch.setattr("cinereward.judge.endpoints.time.sleep", slept.append)
            backend.read([(shown(), ASKS[:1])])
            monkeypatch.undo()
        return slept

    first = waits(1)
    assert len(first) == 3 and first == waits(1) != waits(2)
    assert all(0.5 <= wait / (LIMITS.backoff * 2**n) <= 1.5 for n, wait in enumerate(first))


def test_a_reply_that_cannot_be_read_counts_against_the_server() -> None:
    from cinereward.judge.wire import Broken

    def odd(reply: Any) -> None:
        raise Broken("odd")

    with serving(well) as (backend, servers):
        with pytest.raises(Unanswered, match="odd"):
            backend.endpoints.ask("clip", [Way(body=lambda endpoint: {**servers_body(), "model": "judge"})], odd)
        assert len(servers[0].posts) == LIMITS.failures


def servers_body() -> Body:
    return {"messages": [{"role": "system", "content": ""}, {"role": "user", "content": []}], "logprobs": True}


@pytest.mark.parametrize(
    ("text", "seconds"), [("3", 3.0), (" 0 ", 0.0), ("", None), ("soon", None), ("-1", None), ("9" * 40, 1e9)]
)
def test_retry_after_is_a_number_of_seconds(text: str, seconds: float | None) -> None:
    came = seconds_of(text)
    assert came == (pytest.approx(seconds, rel=0.01) if seconds is not None else None)


def test_retry_after_may_be_a_date() -> None:
    from email.utils import formatdate

    assert 25 < (seconds_of(formatdate(time.time() + 30, usegmt=True)) or 0) <= 31
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0

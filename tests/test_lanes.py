"""Lanes: what has weights runs by itself, in batches of whatever clips, and what befalls it is noted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from cinereward.errors import OperatorError
from cinereward.lanes import Bench, Outcome, lanes_of, measure_all
from cinereward.networks.running import note
from cinereward.testing import clip, scene, windows_of
from cinereward.types import Evidence, Measurement, OperatorSpec, Partial, Window
from cinereward.types import MeasurementSpec as Promise

WAIT = 20.0  # s; longer than any machine needs


class Seen:
    """An operator that writes down how many windows it was handed, and by how many threads at a time."""

    def __init__(self, name: str, weights: tuple[str, ...] = ()) -> None:
        promised = (Promise(name="count", unit="1", low=0, high=1, meaning="nothing"),)
        self.spec = OperatorSpec(name=name, measurements=promised, weights=weights)
        self.batches: list[int] = []
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def measure(self, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.batches.append(len(windows))
        parts = self.look(windows)
        with self._lock:
            self.inside -= 1
        return parts

    def look(self, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        return [Partial(times=window.times[window.overlap :], fps=window.fps, tracks={}) for window in windows]

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        return Evidence(operator=self.spec.name, measurements={"count": Measurement(name="count", value=1.0, unit="1")})


class Gated(Seen):
    """One that begins only when it is let."""

    def __init__(self, name: str, weights: tuple[str, ...] = ()) -> None:
        super().__init__(name, weights)
        self.begun, self.let = threading.Event(), threading.Event()

    def look(self, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        self.begun.set()
        assert self.let.wait(WAIT)
        return super().look(windows)


class Noting(Seen):
    """One whose network ran out of memory."""

    def look(self, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        note("too little memory")
        return super().look(windows)


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    return windows_of(clip(scene(1.0, size=(32, 48), seed=1)), 2)


def results(futures: Sequence[Future[Outcome]]) -> list[Any]:
    return [sorted(future.result(WAIT)) for future in futures]


def test_operators_without_weights_share_a_lane() -> None:
    a, b, c, d = Seen("a"), Seen("b", ("w",)), Seen("c"), Seen("d", ("w",))
    assert lanes_of([a, b, c, d]) == [(a, c), (b,), (d,)]


def test_every_window_passes_every_lane(windows: list[Window]) -> None:
    bench = Bench([Seen("a"), Seen("b", ("w",)), Seen("c", ("w",))], workers=3, batch_size=4)
    futures = [bench.submit(window) for window in windows]
    assert results(futures) == [["a", "b", "c"]] * len(windows)
    bench.close()


def test_a_network_takes_what_waits_as_one_batch(windows: list[Window]) -> None:
    slow = Gated("slow", ("w",))
    bench = Bench([slow], workers=1, batch_size=4)
    futures = [bench.submit(windows[0])]
    assert slow.begun.wait(WAIT)
    futures += [bench.submit(window) for window in windows[1:6]]
    slow.let.set()
    results(futures)
    assert slow.batches == [1, 4, 1]
    bench.close()


def test_one_thread_at_a_time_serves_a_network(windows: list[Window]) -> None:
    net, free = Seen("net", ("w",)), Seen("free")
    bench = Bench([net, free], workers=4, batch_size=1)
    results([bench.submit(window) for window in windows * 4])
    assert net.most == 1
    bench.close()


def test_lanes_overlap(windows: list[Window]) -> None:
    one, other = Gated("one", ("w",)), Gated("other", ("w",))
    bench = Bench([one, other], workers=2, batch_size=1)
    future = bench.submit(windows[0])
    assert one.begun.wait(WAIT) and other.begun.wait(WAIT)  # each while the other is still at work
    one.let.set()
    other.let.set()
    assert sorted(future.result(WAIT)) == ["one", "other"]
    bench.close()


def test_one_worker_serves_all_lanes(windows: list[Window]) -> None:
    bench = Bench([Seen("a", ("w",)), Seen("b", ("w",)), Seen("c")], workers=1, batch_size=2)
    assert results([bench.submit(window) for window in windows]) == [["a", "b", "c"]] * len(windows)
    bench.close()


def test_no_operator_gives_an_empty_outcome(windows: list[Window]) -> None:
    bench = Bench([], workers=1, batch_size=1)
    assert bench.submit(windows[0]).result(WAIT) == {}
    bench.close()


def test_who_waits_is_woken_when_the_bench_is_closed(windows: list[Window]) -> None:
    slow = Gated("slow", ("w",))
    bench = Bench([slow, Seen("free")], workers=1, batch_size=1)
    futures = [bench.submit(window) for window in windows[:3]]
    assert slow.begun.wait(WAIT)
    closing = threading.Thread(target=bench.close)
    closing.start()
    slow.let.set()
    closing.join(WAIT)
    assert not closing.is_alive()
    assert all(future.cancelled() for future in futures[1:])


def test_what_is_noted_stands_in_the_partials(windows: list[Window]) -> None:
    outcome = measure_all([Noting("net", ("w",))], windows[:2])
    assert [part["net"].notes for part in outcome if isinstance(part["net"], Partial)] == [("too little memory",)] * 2


def test_a_note_of_one_operator_is_not_told_of_another(windows: list[Window]) -> None:
    part = measure_all([Noting("net"), Seen("other")], windows[:1])[0]["other"]
    assert isinstance(part, Partial) and part.notes == ()


def test_times_of_a_partial_are_those_the_window_owns(windows: list[Window]) -> None:
    part = measure_all([Seen("a")], windows[1:2])[0]["a"]
    assert isinstance(part, Partial) and np.array_equal(part.times, windows[1].times[1:])

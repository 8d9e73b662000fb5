from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from clips import Level, clip, endless, frames, several
from threads import left_after, ours

from cinereward import engine as engine_module
from cinereward.engine import Engine, Measured
from cinereward.errors import ClipError, OperatorError
from cinereward.lanes import Bench, measure_all
from cinereward.types import Clip, Evidence, OperatorSpec, Partial, Window


def engine(*operators: Any, workers: int = 2, batch_size: int = 1, window_frames: int = 4) -> Engine:
    return Engine(operators or (Level(),), workers=workers, batch_size=batch_size, window_frames=window_frames)


def in_time(work: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `work` returns or raises; a deadlock is a failure and not a hang."""
    got: list[Any] = []

    def run() -> None:
        try:
            got.append((work(), None))
        except BaseException as error:
            got.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert got, f"not done after {seconds} s"
    if got[0][1] is not None:
        raise got[0][1]
    return got[0][0]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert left_after(5) == []


def level(measured: Measured) -> float:
    return float(measured.evidence["level"]["mean"].value)


SETTINGS = [(1, 1), (1, 4), (2, 1), (5, 3)]


@pytest.mark.parametrize(("workers", "batch_size"), SETTINGS)
def test_clips_come_back_in_order_with_their_own_evidence(workers: int, batch_size: int) -> None:
    given = several(9)
    got = in_time(lambda: list(engine(workers=workers, batch_size=batch_size).run(given)))
    assert [item for item, _ in got] == given
    assert [level(measured) for _, measured in got] == pytest.approx([item.video.mean() / 255 for item in given])


def test_the_duration_runs_to_the_end_of_the_last_frame() -> None:
    (_, measured), *_ = in_time(lambda: list(engine().run([clip(0, 12)])))
    assert measured.duration == pytest.approx(0.5)


@pytest.mark.parametrize(("workers", "batch_size"), SETTINGS)
@pytest.mark.parametrize("taken", [0, 1, 5])
def test_who_stops_early_stops_everything(workers: int, batch_size: int, taken: int) -> None:
    def work() -> None:
        running = engine(workers=workers, batch_size=batch_size, window_frames=1).run(endless())
        for _ in range(taken):
            next(running)
        running.close()

    in_time(work)
    assert ours() == []


def test_a_stream_that_is_forgotten_stops() -> None:
    def work() -> None:
        next(engine().run(endless()))

    in_time(work)
    assert left_after(5) == []


def test_an_interrupt_while_waiting_stops_everything() -> None:
    class Slow(Level):
        def measure(self, windows: Sequence[Window]) -> list[Partial]:
            time.sleep(0.05)
            return super().measure(windows)

    def work() -> None:
        running = engine(Slow(), workers=1, window_frames=1).run(endless())
        next(running)
        running.throw(KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        in_time(work)
    assert ours() == []


def test_an_interrupt_in_the_source_passes_at_once() -> None:
    def interrupted() -> Iterator[Clip]:
        yield clip(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_time(lambda: list(engine().run(interrupted())))


@pytest.mark.parametrize(("workers", "batch_size"), SETTINGS)
def test_what_the_source_raises_comes_after_the_clips_before_it(workers: int, batch_size: int) -> None:
    def breaking() -> Iterator[Clip]:
        yield from several(3)
        raise OSError("the disk is gone")

    got: list[Any] = []

    def work() -> None:
        for item in engine(workers=workers, batch_size=batch_size).run(breaking()):
            got.append(item)

    with pytest.raises(OSError, match="the disk is gone"):
        in_time(work)
    assert len(got) == 3


def test_what_is_no_clip_is_told() -> None:
    given: Any = [clip(0), "a.mp4"]
    with pytest.raises(TypeError, match=r"expected a Clip, got a str; write Clip\(...\)"):
        in_time(lambda: list(engine().run(given)))


def test_a_slow_source_does_not_hold_back_what_is_done() -> None:
    asked: list[int] = []
    release = threading.Event()

    def slow() -> Iterator[Clip]:
        for at in range(3):
            asked.append(at)
            if at == 1:
                time.sleep(0.3)  # the first clip is done by then
            if at == 2:
                assert release.is_set()
            yield clip(at)

    def work() -> None:
        running = engine(workers=4).run(slow())
        next(running)
        release.set()
        list(running)

    in_time(work)
    assert asked == [0, 1, 2]


def test_only_a_few_clips_are_read_ahead() -> None:
    read: list[int] = []

    def counting() -> Iterator[Clip]:
        for at, item in enumerate(endless()):
            read.append(at)
            yield item

    def work() -> None:
        running = engine(workers=2).run(counting())
        next(running)
        running.close()

    in_time(work)
    assert len(read) <= 6


@pytest.mark.parametrize(("workers", "batch_size"), SETTINGS)
def test_windows_that_lie_waiting_are_bounded(monkeypatch: pytest.MonkeyPatch, workers: int, batch_size: int) -> None:
    alive, most, lock = 0, 0, threading.Lock()
    submit = Bench.submit

    def counted(self: Any, window: Window) -> Any:
        nonlocal alive, most
        future = submit(self, window)
        with lock:
            alive += 1
            most = max(most, alive)
        return future

    class Slow(Level):
        def measure(self, windows: Sequence[Window]) -> list[Partial]:
            nonlocal alive
            time.sleep(0.005)
            with lock:
                alive -= len(windows)
            return super().measure(windows)

    monkeypatch.setattr(Bench, "submit", counted)
    made = engine(Slow(), workers=workers, batch_size=batch_size, window_frames=1)
    in_time(lambda: list(made.run(several(6))))
    assert most <= workers * batch_size + 1 + workers * batch_size


def test_closing_the_bench_leaves_nobody_waiting() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Held(Level):
        def measure(self, windows: Sequence[Window]) -> list[Partial]:
            begun.set()
            assert go_on.wait(10)
            return super().measure(windows)

    bench = Bench([Held()], workers=1, batch_size=1)
    in_work = bench.submit(_window(frames(0)))
    assert begun.wait(10)
    in_line = bench.submit(_window(frames(1)))
    with ThreadPoolExecutor(2) as others:
        for_room = others.submit(bench.submit, _window(frames(2)))
        closing = others.submit(bench.close)
        with pytest.raises(RuntimeError, match="scoring was stopped"):
            for_room.result(10)
        with pytest.raises(CancelledError):
            in_line.result(10)
        go_on.set()
        closing.result(10)
    assert in_work.result(0)
    with pytest.raises(RuntimeError, match="scoring was stopped"):
        bench.submit(_window(frames(3)))


class Gone(BaseException):
    """What no `except Exception` catches."""


def test_an_operator_that_raises_what_is_no_exception_ends_the_run() -> None:
    class Broken(Level):
        def measure(self, windows: Sequence[Window]) -> list[Partial]:
            raise Gone

    with pytest.raises(Gone):
        in_time(lambda: list(engine(Broken()).run(several(5))))


FAULTS: list[tuple[Any, str]] = [
    (Level(fault=OperatorError("too dark")), "too dark"),
    (Level(fault=KeyError("mean")), "KeyError: 'mean'"),
    (Level(fault=OperatorError("no rows"), at="merge"), "no rows"),
    (Level(fault=ZeroDivisionError("division by zero"), at="merge"), "ZeroDivisionError: division by zero"),
]


@pytest.mark.parametrize(("broken", "told"), FAULTS)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_failing_operator_costs_its_own_evidence_only(broken: Any, told: str, batch_size: int) -> None:
    ran = engine(broken, Level("other"), batch_size=batch_size)
    (_, measured), *_ = in_time(lambda: list(ran.run([clip(0)])))
    assert measured.error is None
    assert measured.failures == {"level": told}
    assert list(measured.evidence) == ["other"]


def test_where_a_batch_fails_its_good_windows_are_measured_alone() -> None:
    class HatesBatches(Level):
        def measure(self, windows: Sequence[Window]) -> list[Partial]:
            if len(windows) > 1:
                raise MemoryError("too many")
            return super().measure(windows)

    windows = [_window(frames(0)), _window(frames(1))]
    got = measure_all([HatesBatches()], windows)
    assert all(isinstance(outcome["level"], Partial) for outcome in got)


def _window(video: Any) -> Window:
    return Window(
        frames=video,
        times=np.arange(len(video)) / 24,
        start_frame=0,
        overlap=0,
        fps=24.0,
        sound=None,
        features={},
    )


class Returns(Level):
    def __init__(self, parts: Any, merged: Any = None) -> None:
        super().__init__()
        self.parts, self.merged = parts, merged

    def measure(self, windows: Sequence[Window]) -> Any:
        return super().measure(windows) if self.parts is None else self.parts

    def merge(self, partials: Sequence[Partial]) -> Any:
        return self.merged


ODD: list[tuple[Any, str]] = [
    (Returns([]), "level gave 0 partials for 1 windows"),
    (Returns([3]), "level gave a int for a window; expected a Partial"),
    (Returns(7), "TypeError: 'int' object is not iterable"),
    (Returns([OperatorError("blind")]), "blind"),
    (Returns(None, {"mean": 1}), "level merged into a dict; expected Evidence"),
]


@pytest.mark.parametrize(("odd", "told"), ODD)
def test_what_an_operator_may_not_return_is_told(odd: Any, told: str) -> None:
    (_, measured), *_ = in_time(lambda: list(engine(odd).run([clip(0, 4)])))
    assert measured.failures == {"level": told}


def test_a_bad_clip_is_a_typed_error_and_its_neighbours_stand() -> None:
    given = [clip(0), Clip(frames(1), layout="THWC"), Clip("nowhere.mp4"), clip(2)]
    errors = [measured.error for _, measured in in_time(lambda: list(engine().run(given)))]
    assert [type(error) for error in errors] == [type(None), ClipError, ClipError, type(None)]


def test_a_reader_that_breaks_is_a_clip_error_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(clip: Clip, **_: Any) -> Any:
        raise RuntimeError("decoder on fire")

    monkeypatch.setattr(engine_module, "open_clip", broken)
    ((_, measured),) = in_time(lambda: list(engine().run([clip(0, clip_id="seven")])))
    assert str(measured.error) == "seven cannot be read (RuntimeError: decoder on fire)"
    assert isinstance(measured.error, ClipError)
    assert isinstance(measured.error.__cause__, RuntimeError)


@pytest.mark.parametrize("count", [1, 6])
def test_a_clip_is_read_once_whatever_the_number_of_operators(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    opened: list[Clip] = []
    real = engine_module.open_clip

    def counted(clip: Clip, **options: Any) -> Any:
        opened.append(clip)
        return real(clip, **options)

    monkeypatch.setattr(engine_module, "open_clip", counted)
    given = several(3)
    in_time(lambda: list(engine(*(Level(f"level{at}") for at in range(count))).run(given)))
    assert sorted(map(id, opened)) == sorted(map(id, given))


@pytest.mark.parametrize(("needs", "listens"), [({"frames"}, False), ({"sound"}, True), ({"onsets"}, True)])
def test_sound_is_decoded_where_somebody_listens(needs: set[str], listens: bool) -> None:
    hearer = Level()
    hearer.spec = OperatorSpec(name="level", measurements=(), needs=frozenset(needs))
    assert engine(hearer)._listens is listens


@pytest.mark.parametrize(("workers", "batch_size"), [(0, 1), (1, 0), (-1, 1)])
def test_at_least_one_worker_is_needed(workers: int, batch_size: int) -> None:
    with pytest.raises(ValueError, match="expected 1 or more of each"):
        engine(workers=workers, batch_size=batch_size)


def test_the_input_is_not_modified() -> None:
    given = several(3)
    before = [item.video.copy() for item in given]
    in_time(lambda: list(engine().run(given)))
    assert all(np.array_equal(item.video, was) for item, was in zip(given, before, strict=True))


def test_no_clips_are_no_results() -> None:
    assert in_time(lambda: list(engine().run([]))) == []


def test_two_runs_at_once_do_not_disturb_each_other() -> None:
    ran = engine()

    async def both() -> list[Any]:
        runs = (asyncio.to_thread(lambda: [level(m) for _, m in ran.run(several(4))]) for _ in range(2))
        return list(await asyncio.gather(*runs))

    one, other = asyncio.run(both())
    assert one == other


def test_evidence_is_kept_by_the_name_of_its_operator() -> None:
    ((_, measured),) = in_time(lambda: list(engine(Level("a"), Level("b")).run([clip(0)])))
    assert {name: type(found) for name, found in measured.evidence.items()} == {"a": Evidence, "b": Evidence}

"""Clips go in, evidence comes out: decoding and measuring overlap, in threads, within a bound on memory.

A driver thread decodes one clip and hands its windows to the measuring threads; a few drivers run ahead so that neither
waits for the other. OpenCV, the decoders and NumPy let go of the interpreter while they work, so threads suffice, and
tensors need not be copied to other processes. Which thread measures what has no influence on any number.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from cinereward.errors import ClipError, OperatorError
from cinereward.media.reader import open_clip
from cinereward.types import Clip, Evidence, Operator, Partial, Window

MOST_WORKERS = 8
Outcome = dict[str, Partial | OperatorError]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of one clip. failures: operator -> why it has no evidence. error: why there is none at all."""

    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None
    duration: float = 0.0


class Engine:
    """Runs operators over clips."""

    def __init__(
        self, operators: Sequence[Operator], *, window_frames: int, workers: int | None, batch_size: int
    ) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.workers = min(cores, MOST_WORKERS) if workers is None else workers
        if self.workers < 1 or batch_size < 1:
            raise ValueError(f"workers {self.workers} and batch_size {batch_size}; expected 1 or more of each")
        self.operators = tuple(operators)
        self.window_frames, self.batch_size = window_frames, batch_size
        self._listens = any({"sound", "onsets"} & operator.spec.needs for operator in operators)

    def run(self, clips: Iterable[Clip]) -> Iterator[tuple[Clip, Measured]]:
        """Yield each clip with what was measured of it, in order, reading only a few clips ahead."""
        bench = _Bench(self.operators, self.workers, self.batch_size)
        drivers = max(self.workers, min(self.batch_size, 4 * self.workers))
        pending: deque[tuple[Clip, Future[Measured]]] = deque()
        with ThreadPoolExecutor(drivers, thread_name_prefix="cinereward-decode") as pool:
            try:
                for clip in clips:
                    if not isinstance(clip, Clip):
                        raise TypeError(f"expected a Clip, got a {type(clip).__name__}; write Clip(...)")
                    pending.append((clip, pool.submit(self._measure, clip, bench)))
                    if len(pending) > 2 * drivers:
                        first, done = pending.popleft()
                        yield first, done.result()
                while pending:
                    first, done = pending.popleft()
                    yield first, done.result()
            finally:
                for _, future in pending:
                    future.cancel()
                bench.close()

    def _measure(self, clip: Clip, bench: _Bench) -> Measured:
        duration = 0.0
        outcomes: list[Future[Outcome]] = []
        try:
            reader = open_clip(clip, sound=self._listens)
            for window in reader.windows(self.window_frames):
                duration = float(window.times[-1]) + 1 / window.fps
                outcomes.append(bench.submit(window))
                del window
            measured = [outcome.result() for outcome in outcomes]
        except ClipError as error:
            return Measured(error=error, duration=duration)
        except Exception as error:  # a decoder may raise anything; the clip is lost, its batch is not
            lost = ClipError(f"{clip.name} cannot be read ({type(error).__name__}: {str(error)[:200]})")
            lost.__cause__ = error
            return Measured(error=lost, duration=duration)
        return self._merge(measured, duration)

    def _merge(self, measured: Sequence[Outcome], duration: float) -> Measured:
        evidence: dict[str, Evidence] = {}
        failures: dict[str, str] = {}
        for operator in self.operators:
            name = operator.spec.name
            partials: list[Partial] = []
            for outcome in measured:
                if isinstance(got := outcome[name], OperatorError):
                    failures.setdefault(name, str(got))
                else:
                    partials.append(got)
            if name in failures:
                continue
            try:
                evidence[name] = operator.merge(partials)
            except Exception as error:
                failures[name] = str(error) if isinstance(error, OperatorError) else f"{type(error).__name__}: {error}"
        return Measured(evidence=evidence, failures=failures, duration=duration)


class _Bench:
    """The measuring threads, and a bound on the windows that lie before them."""

    def __init__(self, operators: Sequence[Operator], workers: int, batch_size: int) -> None:
        self._operators, self._batch_size = operators, batch_size
        self._room = threading.Semaphore(workers * batch_size + 1)
        self._queue: queue.SimpleQueue[tuple[Window, Future[Outcome]] | None] = queue.SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"cinereward-measure-{n}", daemon=True) for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, window: Window) -> Future[Outcome]:
        """Queue a window; waits while too many lie there already."""
        self._room.acquire()
        if self._closed:
            raise RuntimeError("scoring was stopped")
        future: Future[Outcome] = Future()
        self._queue.put((window, future))
        return future

    def close(self) -> None:
        """Stop the threads, and wake whoever waits for room."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
            self._room.release()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            windows = [window for window, _ in taken]
            try:
                outcomes = measure_all(self._operators, windows)
                for (_, future), outcome in zip(taken, outcomes, strict=True):
                    future.set_result(outcome)
            except BaseException as error:
                for _, future in taken:
                    if not future.done():
                        future.set_exception(error)
            finally:
                self._room.release(len(taken))
                del windows, taken

    def _take(self) -> list[tuple[Window, Future[Outcome]]] | None:
        """The next windows, as many as lie ready, at most a batch; None at the end."""
        if (item := self._queue.get()) is None:
            return None
        taken = [item]
        while len(taken) < self._batch_size:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._queue.put(None)
                break
            taken.append(item)
        return taken


def measure_all(operators: Sequence[Operator], windows: Sequence[Window]) -> list[Outcome]:
    """Every operator on every window; an operator that fails on a batch is asked again window by window."""
    outcomes: list[Outcome] = [{} for _ in windows]
    for operator in operators:
        name = operator.spec.name
        try:
            got = list(operator.measure(windows))
            if len(got) != len(windows):
                raise OperatorError(f"{name} gave {len(got)} partials for {len(windows)} windows")
        except Exception as error:
            if len(windows) > 1:
                got = [measure_all([operator], [window])[0][name] for window in windows]
            else:
                told = str(error) if isinstance(error, OperatorError) else f"{type(error).__name__}: {error}"
                got = [OperatorError(told)]
        for outcome, part in zip(outcomes, got, strict=True):
            outcome[name] = part
    return outcomes

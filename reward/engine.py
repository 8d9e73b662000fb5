"""Clips go in, evidence comes out: decoding and measuring overlap, in threads, within a bound on memory.

A driver thread decodes one clip and hands its windows to the measuring threads; a few drivers run ahead so that neither
waits for the other. OpenCV, the decoders and NumPy let go of the interpreter while they work, so threads suffice, and
tensors need not be copied to other processes. Which thread measures what has no influence on any number.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from cinereward.errors import ClipError, OperatorError
from cinereward.media.pictures import Decoder
from cinereward.media.reader import open_clip
from cinereward.types import Clip, Evidence, Operator, Partial, Window

MOST_WORKERS = 8
Outcome = dict[str, Partial | OperatorError]

_log = logging.getLogger(__name__)


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
        self,
        operators: Sequence[Operator],
        *,
        window_frames: int,
        workers: int | None,
        batch_size: int,
        decoder: Decoder = "pyav",
    ) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.workers = min(cores, MOST_WORKERS) if workers is None else workers
        if self.workers < 1 or batch_size < 1:
            raise ValueError(f"workers {self.workers} and batch_size {batch_size}; expected 1 or more of each")
        self.operators = tuple(operators)
        self.window_frames, self.batch_size, self._decoder = window_frames, batch_size, decoder
        self._listens = any({"sound", "onsets"} & operator.spec.needs for operator in operators)

    def run(self, clips: Iterable[Clip]) -> Iterator[tuple[Clip, Measured]]:
        """Yield each clip with what was measured of it, in order, reading only a few clips ahead.

        Raises:
            Exception: whatever `clips` raises, or TypeError for what is no Clip, once all clips before it are yielded.
        """
        drivers = max(self.workers, min(self.batch_size, 4 * self.workers))
        pending: deque[tuple[Clip, Future[Measured]]] = deque()
        fault: Exception | None = None
        source = _checked(clips)
        bench = _Bench(self.operators, self.workers, self.batch_size)
        with ThreadPoolExecutor(drivers, thread_name_prefix="cinereward-decode") as pool:
            try:
                while fault is None:
                    try:
                        clip = next(source)
                    except StopIteration:
                        break
                    except Exception as error:
                        fault = error
                        break
                    pending.append((clip, pool.submit(self._measure, clip, bench)))
                    del clip
                    while pending and (len(pending) > 2 * drivers or pending[0][1].done()):
                        yield _first(pending)
                while pending:
                    yield _first(pending)
            finally:  # also where the caller stops iterating, or is interrupted
                for _, future in pending:
                    future.cancel()
                bench.close()
        if fault is not None:
            raise fault

    def _measure(self, clip: Clip, bench: _Bench) -> Measured:
        duration = 0.0
        outcomes: list[Future[Outcome]] = []
        try:
            reader = open_clip(clip, sound=self._listens, decoder=self._decoder)
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
                merged = operator.merge(partials)
                if not isinstance(merged, Evidence):
                    raise OperatorError(f"{name} merged into a {type(merged).__name__}; expected Evidence")
                evidence[name] = merged
            except Exception as error:
                failures[name] = _told(name, error)
        return Measured(evidence=evidence, failures=failures, duration=duration)


def _checked(clips: Iterable[Clip]) -> Iterator[Clip]:
    for clip in clips:
        if not isinstance(clip, Clip):
            raise TypeError(f"expected a Clip, got a {type(clip).__name__}; write Clip(...)")
        yield clip


def _first(pending: deque[tuple[Clip, Future[Measured]]]) -> tuple[Clip, Measured]:
    """Wait for the oldest clip. It stays in line until it is done: who is interrupted here has it to cancel."""
    clip, future = pending[0]
    measured = future.result()
    pending.popleft()
    return clip, measured


class _Bench:
    """The measuring threads, and a bound on the windows that lie before them or in their hands."""

    def __init__(self, operators: Sequence[Operator], workers: int, batch_size: int) -> None:
        self._operators, self._batch_size = operators, batch_size
        self._most = workers * batch_size + 1
        self._held = 0
        self._waiting: deque[tuple[Window, Future[Outcome]]] = deque()
        self._closed = False
        self._changed = threading.Condition()  # guards the three above
        self._threads = [
            threading.Thread(target=self._work, name=f"cinereward-measure-{n}", daemon=True) for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, window: Window) -> Future[Outcome]:
        """Queue a window; waits while too many are held already.

        Raises:
            RuntimeError: the bench was closed, before or while this waited.
        """
        future: Future[Outcome] = Future()
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._held < self._most)
            if self._closed:
                raise RuntimeError("scoring was stopped")
            self._held += 1
            self._waiting.append((window, future))
            self._changed.notify_all()
        return future

    def close(self) -> None:
        """Stop the threads, drop what still waits for them, and wake whoever waits for room or for an outcome."""
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for _, future in left:
            future.cancel()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while taken := self._take():
            try:
                outcomes = measure_all(self._operators, [window for window, _ in taken])
                for (_, future), outcome in zip(taken, outcomes, strict=True):
                    future.set_result(outcome)
            except BaseException as error:  # whoever waits for an outcome must not wait for ever
                for _, future in taken:
                    if not future.done():
                        future.set_exception(error)
            with self._changed:
                self._held -= len(taken)
                self._changed.notify_all()
            del taken  # or the windows would live until the next ones come

    def _take(self) -> list[tuple[Window, Future[Outcome]]]:
        """The next windows, as many as lie ready, at most a batch; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            return [self._waiting.popleft() for _ in range(min(self._batch_size, len(self._waiting)))]


def measure_all(operators: Sequence[Operator], windows: Sequence[Window]) -> list[Outcome]:
    """Every operator on every window; an operator that fails on a batch is asked again window by window."""
    outcomes: list[Outcome] = [{} for _ in windows]
    for operator in operators:
        name = operator.spec.name
        for outcome, part in zip(outcomes, _measured(operator, windows), strict=True):
            outcome[name] = part
    return outcomes


def _measured(operator: Operator, windows: Sequence[Window]) -> list[Partial | OperatorError]:
    name = operator.spec.name
    try:
        parts = list(operator.measure(windows))
        if len(parts) != len(windows):
            raise OperatorError(f"{name} gave {len(parts)} partials for {len(windows)} windows")
        if odd := [part for part in parts if not isinstance(part, Partial | OperatorError)]:
            raise OperatorError(f"{name} gave a {type(odd[0]).__name__} for a window; expected a Partial")
    except Exception as error:
        if len(windows) > 1:
            return [part for window in windows for part in _measured(operator, [window])]
        return [OperatorError(_told(name, error))]
    return parts


def _told(operator: str, error: Exception) -> str:
    """An error in one line, for the clip's reasons; where it came from goes to the log."""
    _log.debug("operator %s failed", operator, exc_info=error)
    return str(error) if isinstance(error, OperatorError) else f"{type(error).__name__}: {error}"

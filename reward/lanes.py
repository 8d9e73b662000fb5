"""The measuring threads: windows wait in lanes, and whoever is free takes from the lane that has waited longest.

All operators without weights share one lane. Each operator with weights has a lane of its own, which one thread serves
at a time: it takes as many windows as lie ready, of whatever clips, so that its network runs on full batches while
the other lanes go on. Which thread measures what, and beside which other windows, has no influence on any number.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from cinereward.errors import OperatorError
from cinereward.networks.running import noting
from cinereward.types import Operator, Partial, Window

Outcome = dict[str, Partial | OperatorError]

AHEAD = 2  # batches that wait for networks beside what the threads hold

_log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class _Task:
    """A window on its way through the lanes. missing: how many of them it has still to pass."""

    window: Window
    missing: int
    future: Future[Outcome] = field(default_factory=Future)
    outcome: Outcome = field(default_factory=dict)


@dataclass(kw_only=True, eq=False)
class _Lane:
    """What waits for these operators. alone: one thread at a time serves it."""

    operators: tuple[Operator, ...]
    alone: bool
    busy: bool = False
    waiting: deque[tuple[int, _Task]] = field(default_factory=deque)  # with the number it came under


def lanes_of(operators: Sequence[Operator]) -> list[tuple[Operator, ...]]:
    """The operators as they are served: those without weights together, each of the others by itself."""
    free = tuple(operator for operator in operators if not operator.spec.weights)
    return [*filter(None, [free]), *((operator,) for operator in operators if operator.spec.weights)]


class Bench:
    """The threads, and a bound on the windows that lie before them or in their hands."""

    def __init__(self, operators: Sequence[Operator], workers: int, batch_size: int) -> None:
        self._lanes = [_Lane(operators=some, alone=bool(some[0].spec.weights)) for some in lanes_of(operators)]
        self._workers, self._batch_size = workers, batch_size
        ahead = AHEAD * any(lane.alone for lane in self._lanes)
        self._most = (workers + ahead) * batch_size + 1
        self._held = self._count = 0
        self._closed = False
        self._changed = threading.Condition()  # guards the lanes and the three above
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
        task = _Task(window=window, missing=len(self._lanes))
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._held < self._most)
            if self._closed:
                raise RuntimeError("scoring was stopped")
            if not self._lanes:
                task.future.set_result({})
                return task.future
            self._held += 1
            self._count += 1
            for lane in self._lanes:
                lane.waiting.append((self._count, task))
            self._changed.notify_all()
        return task.future

    def close(self) -> None:
        """Stop the threads, drop what still waits for them, and wake whoever waits for room or for an outcome."""
        with self._changed:
            self._closed = True
            left = [task for lane in self._lanes for _, task in lane.waiting]
            for lane in self._lanes:
                lane.waiting.clear()
            self._changed.notify_all()
        for task in left:
            task.future.cancel()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while taken := self._take():
            lane, tasks = taken
            done: list[_Task] = []
            try:
                outcomes = measure_all(lane.operators, [task.window for task in tasks])
            except BaseException as error:  # whoever waits for an outcome must not wait for ever
                with self._changed:
                    done = self._settle(lane, tasks)
                _fail(tasks, error)
            else:
                with self._changed:
                    for task, outcome in zip(tasks, outcomes, strict=True):
                        task.outcome.update(outcome)
                    done = self._settle(lane, tasks)
                for task in done:
                    if not task.future.done():
                        task.future.set_result(task.outcome)
            del taken, tasks, done  # or the windows would live until the next ones come

    def _settle(self, lane: _Lane, tasks: Sequence[_Task]) -> list[_Task]:
        """Give the lane back; which of these windows have now passed all lanes. The lock is held."""
        lane.busy = False
        for task in tasks:
            task.missing -= 1
        done = [task for task in tasks if task.missing == 0]
        self._held -= len(done)
        self._changed.notify_all()
        return done

    def _ready(self) -> _Lane | None:
        """The lane, of those that may be served now, whose first window came first; of equal ones the network's."""
        ready = [lane for lane in self._lanes if lane.waiting and not (lane.alone and lane.busy)]
        return min(ready, key=lambda lane: (lane.waiting[0][0], not lane.alone), default=None)

    def _take(self) -> tuple[_Lane, list[_Task]] | None:
        """The next windows of one lane, as many as lie ready, at most a batch; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._ready() is not None)
            lane = self._ready()
            if lane is None:
                return None
            lane.busy = lane.alone
            return lane, [lane.waiting.popleft()[1] for _ in range(min(self._batch_size, len(lane.waiting)))]


def _fail(tasks: Sequence[_Task], error: BaseException) -> None:
    for task in tasks:
        if not task.future.done():
            task.future.set_exception(error)


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
        with noting() as notes:
            parts = list(operator.measure(windows))
        if len(parts) != len(windows):
            raise OperatorError(f"{name} gave {len(parts)} partials for {len(windows)} windows")
        if odd := [part for part in parts if not isinstance(part, Partial | OperatorError)]:
            raise OperatorError(f"{name} gave a {type(odd[0]).__name__} for a window; expected a Partial")
    except Exception as error:
        if len(windows) > 1:
            return [part for window in windows for part in _measured(operator, [window])]
        return [OperatorError(told(name, error))]
    return [_noted(part, notes) for part in parts] if notes else parts


def _noted(part: Partial | OperatorError, notes: Sequence[str]) -> Partial | OperatorError:
    return dataclasses.replace(part, notes=(*part.notes, *notes)) if isinstance(part, Partial) else part


def told(operator: str, error: Exception) -> str:
    """An error in one line, for the clip's reasons; where it came from goes to the log."""
    _log.debug("operator %s failed", operator, exc_info=error)
    return str(error) if isinstance(error, OperatorError) else f"{type(error).__name__}: {error}"

"""Clips go in, evidence comes out: decoding and measuring overlap, in threads, within a bound on memory.

A driver thread decodes one clip and hands its windows to the measuring threads (lanes.py); a few drivers run ahead so
that neither waits for the other. OpenCV, the decoders and NumPy let go of the interpreter while they work, so threads
suffice, and tensors need not be copied to other processes. Which thread measures what has no influence on any number.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cinereward.errors import ClipError, OperatorError
from cinereward.lanes import Bench, Outcome, told
from cinereward.media.pictures import Decoder
from cinereward.media.reader import open_clip
from cinereward.types import Clip, Evidence, Operator, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.media.features import Flow
    from cinereward.media.thinning import Keep

MOST_WORKERS = 8


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of one clip.

    failures: operator -> why it has no evidence. error: why there is none at all. times: float64 (N,), of all frames.
    duration, fps: in seconds and frames a second. kept: what a judge may be shown, where one is to judge.
    """

    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None
    duration: float = 0.0
    fps: float = 0.0
    times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    kept: tuple[Window, ...] = ()


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
        flow: Flow | None = None,
        keep: Keep | None = None,
    ) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.workers = min(cores, MOST_WORKERS) if workers is None else workers
        if self.workers < 1 or batch_size < 1:
            raise ValueError(f"workers {self.workers} and batch_size {batch_size}; expected 1 or more of each")
        self.operators = tuple(operators)
        self.window_frames, self.batch_size, self._decoder, self._flow = window_frames, batch_size, decoder, flow
        self._keep = keep
        heard = any({"sound", "onsets"} & operator.spec.needs for operator in operators)
        self._listens = heard or (keep is not None and keep.sound)

    def run(self, clips: Iterable[Clip]) -> Iterator[tuple[Clip, Measured]]:
        """Yield each clip with what was measured of it, in order, reading only a few clips ahead.

        Raises:
            Exception: whatever `clips` raises, or TypeError for what is no Clip, once all clips before it are yielded.
        """
        drivers = max(self.workers, min(self.batch_size, 4 * self.workers))
        pending: deque[tuple[Clip, Future[Measured]]] = deque()
        fault: Exception | None = None
        source = _checked(clips)
        bench = Bench(self.operators, self.workers, self.batch_size)
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

    def _measure(self, clip: Clip, bench: Bench) -> Measured:
        duration = fps = 0.0
        outcomes: list[Future[Outcome]] = []
        times: list[NDArray[np.float64]] = []
        kept: list[Window] = []
        try:
            reader = open_clip(clip, sound=self._listens, decoder=self._decoder, flow=self._flow)
            for window in reader.windows(self.window_frames):
                fps, duration = window.fps, float(window.times[-1]) + 1 / window.fps
                times.append(window.times[window.overlap :])
                if self._keep is not None:
                    kept.append(self._keep(window, reader.count))
                outcomes.append(bench.submit(window))
                del window
            measured = [outcome.result() for outcome in outcomes]
        except ClipError as error:
            return Measured(error=error, duration=duration)
        except Exception as error:  # a decoder may raise anything; the clip is lost, its batch is not
            lost = ClipError(f"{clip.name} cannot be read ({type(error).__name__}: {str(error)[:200]})")
            lost.__cause__ = error
            return Measured(error=lost, duration=duration)
        evidence, failures = self._merge(measured)
        return Measured(
            evidence=evidence,
            failures=failures,
            duration=duration,
            fps=fps,
            kept=tuple(kept),
            times=np.concatenate(times or [np.zeros(0)]),
        )

    def _merge(self, measured: Sequence[Outcome]) -> tuple[dict[str, Evidence], dict[str, str]]:
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
                notes = dict.fromkeys([*merged.notes, *(note for part in partials for note in part.notes)])
                evidence[name] = replace(merged, notes=tuple(notes)) if notes else merged
            except Exception as error:
                failures[name] = told(name, error)
        return evidence, failures


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

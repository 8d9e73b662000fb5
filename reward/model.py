"""RewardModel: the one object a user holds."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import re
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cinereward import critique, weighting, weights
from cinereward.batch import RewardBatch
from cinereward.engine import Engine, Measured
from cinereward.errors import ConfigError, MissingExtraError, WeightsError
from cinereward.fusion import Fused, fuse
from cinereward.gate import Gate, gate_hash, open_gate
from cinereward.intents import read_intents, vary
from cinereward.operators import known, load
from cinereward.profile import Profile, Term, close_to, load_profile
from cinereward.types import Clip, Critique, Operator, Status

LIBRARIES = ("av", "decord", "numpy", "opencv-python-headless", "scikit-image", "scipy", "silero-vad")
# what torch can compute on, told without loading torch
DEVICE = re.compile(r"(cpu|cuda|mps|xpu|xla|hpu|npu|mtia)(:(0|[1-9][0-9]*))?")


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """One clip's row of a batch."""

    fused: tuple[Fused, ...]
    critiques: tuple[Critique, ...]
    measured: Measured


class RewardModel:
    """Scores clips on the sub-dimensions of a taxonomy, as a profile says.

    Holds no state between calls: a score depends on its clip alone, whatever the batch, its order or the workers.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        operators: Sequence[Operator | str] | None = None,
        device: str | None = None,
        workers: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Build a model; most users call `from_profile`.

        Args:
            profile: what to measure and how to weigh it.
            operators: names or instances in the place of the profile's own.
            device: for operators with weights, "cpu", "cuda", ...; None: the first GPU, or the CPU.
            workers: threads that measure; None: one a core, at most 8. Has no influence on any score.
            batch_size: windows an operator is handed at once; None: the profile's.

        Raises:
            ConfigError: the profile names an operator, a measurement or a dimension that is not there; `device` is
                no name of a device; `workers` or `batch_size` is less than 1.
        """
        for name, count in (("workers", workers), ("batch_size", batch_size)):
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
                raise ConfigError(f"{name} is {count!r}; expected 1 or more; give a whole number, or None to leave it")
        if device is not None and not DEVICE.fullmatch(str(device)):
            raise ConfigError(f"device is {device!r}; give cpu, cuda, cuda:0 or mps, or None for the first GPU or CPU")
        self.profile = profile
        self.taxonomy = profile.load_taxonomy()
        self.device = device
        chosen = profile.operators if operators is None else operators
        self.missing: Mapping[str, str] = {}
        self.operators = self._load(chosen)
        self._check()
        self._weights: Mapping[str, Mapping[str, float]] = profile.weights.model_dump()
        self._fold = partial(weighting.fold, taxonomy=self.taxonomy, weights=self._weights)
        self._engine = Engine(
            self.operators,
            window_frames=profile.window_frames,
            workers=workers,
            batch_size=profile.batch_size if batch_size is None else batch_size,
            decoder=profile.decoder,
        )
        self.version = self._version()

    @classmethod
    def from_profile(
        cls,
        name_or_path: str | Path,
        *,
        device: str | None = None,
        workers: int | None = None,
        batch_size: int | None = None,
    ) -> RewardModel:
        """Load a profile: "signal" (no weights, runs on a CPU), or the path of your own YAML.

        Raises:
            ConfigError: there is no such profile, or it holds what it may not.
        """
        return cls(load_profile(name_or_path), device=device, workers=workers, batch_size=batch_size)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the D values, in the taxonomy's order."""
        return self.taxonomy.names

    def __call__(self, clips: Sequence[Clip]) -> RewardBatch:
        """Score clips. A clip that cannot be read becomes an error in the batch and spoils no other.

        Raises:
            TypeError: something in `clips` is no Clip.
        """
        if isinstance(clips, Clip | str | bytes):
            raise TypeError(f"expected a list of clips, got one {type(clips).__name__}; write reward([Clip(...)])")
        clips = list(clips)
        for index, clip in enumerate(clips):  # before any work is done
            if not isinstance(clip, Clip):
                raise TypeError(f"clips[{index}] is a {type(clip).__name__}; write Clip(...)")
        return self._batch([self._score(clip, got) for clip, got in self._engine.run(clips)])

    async def ascore(self, clips: Sequence[Clip]) -> RewardBatch:
        """The same without holding up the event loop."""
        return await asyncio.to_thread(self, clips)

    def stream(self, clips: Iterable[Clip]) -> Generator[RewardBatch, None, None]:
        """Yield a one-clip batch for each clip, in order, as soon as it is scored; reads only a little ahead."""
        for clip, got in self._engine.run(clips):
            yield self._batch([self._score(clip, got)])

    async def astream(self, clips: Iterable[Clip]) -> AsyncGenerator[RewardBatch, None]:
        """The same for an event loop."""
        batches = self.stream(clips)
        # A thread of its own, so that the stream is closed after the step that a cancelled task left running there.
        thread = ThreadPoolExecutor(1, thread_name_prefix="cinereward-stream")
        try:
            while (batch := await asyncio.get_running_loop().run_in_executor(thread, next, batches, None)) is not None:
                yield batch
        finally:
            thread.submit(batches.close)
            thread.shutdown(wait=False)

    def _load(self, chosen: Sequence[Operator | str]) -> tuple[Operator, ...]:
        """The operators; those whose weights or library are not there are noted in `missing`, and the others go on."""
        out: list[Operator] = []
        missing: dict[str, str] = {}
        for item in chosen:
            try:
                out.append(load(item, self.device) if isinstance(item, str) else _instance(item))
            except (WeightsError, MissingExtraError) as error:
                missing[str(item)] = str(error)
        self.missing = missing
        return tuple(out)

    def _check(self) -> None:
        names = [operator.spec.name for operator in self.operators]
        if len(set(names)) < len(names):
            raise ConfigError(f"an operator is named twice: {', '.join(names)}")
        promised = {f"{op.spec.name}.{item.name}" for op in self.operators for item in op.spec.measurements}
        for where, measurement in self.profile.speaks_of():
            operator = measurement.partition(".")[0]
            if operator in names and measurement not in promised:
                raise ConfigError(f"{where}: {close_to(measurement, promised)}")
            if operator not in names and operator not in known():
                raise ConfigError(f"{where}, {measurement}: {close_to(operator, {*names, *known()})}")

    def _version(self) -> str:
        parts = [f"cinereward={importlib.metadata.version('cinereward')}", f"profile={self.profile.name}"]
        said = hashlib.sha256(f"{self.profile.hash}{self.taxonomy.hash}{gate_hash()}".encode())
        for operator in self.operators:
            weights = tuple(map(_identity, operator.spec.weights))
            said.update(repr((operator.spec.name, operator.spec.version, weights)).encode())
        parts.append(f"config={said.hexdigest()[:16]}")
        if self.missing:
            parts.append(f"without={','.join(sorted(self.missing))}")
        for library in LIBRARIES:
            try:
                parts.append(f"{library}={importlib.metadata.version(library)}")
            except importlib.metadata.PackageNotFoundError:
                parts.append(f"{library}=absent")
        return " ".join(parts)

    def _score(self, clip: Clip, measured: Measured) -> _Scored:
        gate = open_gate(clip, self.taxonomy)
        intents = self.profile.intents
        varied = vary(self.profile.curves, intents, read_intents(clip.prompt, intents))
        tags = _tags(clip, gate)
        terms = {name: [term for term in some if term.when <= tags] for name, some in varied.curves.items()}
        fused: dict[str, Fused] = {}
        for name in self.dimensions:
            if closed := gate.closed.get(name) or varied.excused.get(name):
                fused[name] = _nothing(Status.GATED, closed)
            else:
                fused[name] = self._fused(terms.get(name, ()), measured, varied.because.get(name, ""))
        found = critique.find(fused, terms, measured.evidence, measured.duration)
        return _Scored(fused=tuple(fused.values()), critiques=found, measured=measured)

    def _fused(self, terms: Sequence[Term], measured: Measured, because: str) -> Fused:
        """One sub-dimension that the prompt calls for, from its terms that the prompt calls for."""
        there = {operator.spec.name for operator in self.operators}
        needed = {term.measurement.partition(".")[0] for term in terms}
        lost = [f"{name} is not run: {self.missing[name]}" for name in sorted(needed & self.missing.keys())]
        kept = [term for term in terms if term.measurement.partition(".")[0] not in self.missing]
        if not kept:
            return _nothing(Status.UNAVAILABLE, "; ".join([f"no evidence in profile {self.profile.name}", *lost]))
        if absent := needed - self.missing.keys() - there:
            told = f"no evidence in profile {self.profile.name}: {', '.join(sorted(absent))} is not run"
            return _nothing(Status.UNAVAILABLE, told)
        if measured.error is not None:
            return _nothing(Status.FAILED, str(measured.error))
        return fuse(kept, measured.evidence, measured.failures, "; ".join(filter(None, [because, *lost])))

    def _batch(self, rows: Sequence[_Scored]) -> RewardBatch:
        def table(attribute: str, dtype: Any) -> Any:
            cells = [[getattr(cell, attribute) for cell in row.fused] for row in rows]
            return np.array(cells, dtype).reshape(len(rows), len(self.dimensions))

        batch = RewardBatch(
            values=table("value", np.float32),
            status=table("status", np.int8),
            std=table("std", np.float32),
            scalar=np.full(len(rows), np.nan, np.float32),
            dimensions=self.dimensions,
            reasons=tuple(tuple(cell.reason for cell in row.fused) for row in rows),
            errors=tuple(row.measured.error for row in rows),
            critiques=tuple(row.critiques for row in rows),
            evidence=tuple(row.measured.evidence for row in rows),
            version=self.version,
            folder=self._fold,
        )
        return replace(batch, scalar=weighting.scalar(batch, taxonomy=self.taxonomy, weights=self._weights))


def _nothing(status: Status, reason: str) -> Fused:
    return Fused(value=float("nan"), std=float("nan"), status=status, reason=reason)


def _tags(clip: Clip, gate: Gate) -> frozenset[str]:
    """What this clip's prompt and reference ask for, for the terms that are tied to it; see `Term.when`."""
    return frozenset(gate.because) | ({"reference"} if clip.reference is not None else set())


def _identity(name: str) -> str:
    """Weights by name and content; by name alone where an operator was handed a network and needs no file."""
    try:
        return weights.identity(name)
    except WeightsError:
        return name


def _instance(operator: Operator) -> Operator:
    if isinstance(operator, type) or not isinstance(operator, Operator):
        what = f"the class {operator.__name__}" if isinstance(operator, type) else f"a {type(operator).__name__}"
        raise ConfigError(f"{what} is no operator; give a name, or an instance with spec, measure and merge")
    return operator

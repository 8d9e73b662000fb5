"""RewardModel: the one object a user holds."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import re
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward import weighting, weights
from cinereward.account import Account, make
from cinereward.assessing import Assessed, Assessor
from cinereward.batch import RewardBatch
from cinereward.engine import Engine, Measured
from cinereward.errors import ConfigError, MissingExtraError, WeightsError
from cinereward.gate import gate_hash
from cinereward.judge.context import context_hash
from cinereward.judge.settings import JudgeSettings
from cinereward.jury import Jury
from cinereward.media.thinning import Keep
from cinereward.operators import known, load
from cinereward.profile import Profile, build, close_to, load_profile
from cinereward.right import pack
from cinereward.text import words_hash
from cinereward.types import Clip, Judge, Operator

if TYPE_CHECKING:
    from cinereward.judge.shots import JudgedShot
    from cinereward.media.features import Flow

LIBRARIES = ("av", "decord", "numpy", "opencv-python-headless", "scikit-image", "scipy", "silero-vad")
# what torch can compute on, told without loading torch
DEVICE = re.compile(r"(cpu|cuda|mps|xpu|xla|hpu|npu|mtia)(:(0|[1-9][0-9]*))?")


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
        judge: Judge | None = None,
    ) -> None:
        """Build a model; most users call `from_profile`.

        Args:
            profile: what to measure and how to weigh it.
            operators: names or instances in the place of the profile's own.
            device: for operators with weights, "cpu", "cuda", ...; None: the first GPU, or the CPU.
            workers: threads that measure; None: one a core, at most 8. Has no influence on any score.
            batch_size: windows an operator is handed at once; None: the profile's.
            judge: in the place of the profile's own; the profile's `judge` says how it is asked and what it weighs.

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
        self.judge, settings = self._judge(judge)
        jury = None if self.judge is None else Jury(self.judge, settings, self.taxonomy)
        ran = frozenset(operator.spec.name for operator in self.operators)
        self._jury = jury
        self._assess = Assessor(profile, self.taxonomy, ran, self.missing, jury)
        self._group = 1 if jury is None else settings.batch
        self._engine = Engine(
            self.operators,
            window_frames=profile.window_frames,
            workers=workers,
            batch_size=profile.batch_size if batch_size is None else batch_size,
            decoder=profile.decoder,
            flow=self._flow(),
            keep=None if self.judge is None else _keep(settings, self.judge.hears),
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
        """Load a profile by name, or the path of your own YAML.

        "signal" needs no weights and runs on a CPU; "perception" adds networks, "cinematic" a judge; "vbench" is
        evidence for comparison. Operators whose weights are not here are left out: see `missing`.

        Raises:
            ConfigError: there is no such profile, or it holds what it may not.
            WeightsError, MissingExtraError: the judge's model, or RAFT where the profile asks for it, is not here.
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
        return self._batch(list(self._rows(clips, self._group)))

    def shot_by_shot(self, clip: Clip) -> list[JudgedShot]:
        """What the judge says of each shot by itself, beside the whole: verdicts on what the prompt calls for.

        Raises:
            ConfigError: this profile has no judge. ClipError: the clip cannot be read.
        """
        if self._jury is None:
            raise ConfigError(f"profile {self.profile.name} has no judge; use cinematic, or give one: judge=...")
        ((_, measured),) = self._engine.run([clip])
        if measured.error is not None:
            raise measured.error
        return self._jury.shots(self._assess.case(clip, measured))

    async def ascore(self, clips: Sequence[Clip]) -> RewardBatch:
        """The same without holding up the event loop."""
        return await asyncio.to_thread(self, clips)

    def stream(self, clips: Iterable[Clip]) -> Generator[RewardBatch, None, None]:
        """Yield a one-clip batch for each clip, in order, as soon as it is scored; reads only a little ahead."""
        for row in self._rows(clips, 1):
            yield self._batch([row])

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
        said = hashlib.sha256(f"{self.profile.hash}{self.taxonomy.hash}{gate_hash()}{words_hash('wants')}".encode())
        for operator in self.operators:
            weights = tuple(map(_identity, operator.spec.weights))
            said.update(repr((operator.spec.name, operator.spec.version, weights)).encode())
        parts.append(f"config={said.hexdigest()[:16]}")
        if self.judge is not None:
            who = getattr(self.judge, "identity", type(self.judge).__name__)
            who += context_hash() if self.profile.judge is not None else ""
            parts.append(f"judge={hashlib.sha256(f'{who}{self.profile.judge}'.encode()).hexdigest()[:16]}")
        if self.missing:
            parts.append(f"without={','.join(sorted(self.missing))}")
        for library in LIBRARIES:
            try:
                parts.append(f"{library}={importlib.metadata.version(library)}")
            except importlib.metadata.PackageNotFoundError:
                parts.append(f"{library}=absent")
        return " ".join(parts)

    def _rows(self, clips: Iterable[Clip], group: int) -> Iterator[Assessed]:
        """Clips as they are measured, assessed a few at a time, since a judge is quicker on several."""
        waiting: list[tuple[Clip, Measured]] = []
        for pair in self._engine.run(clips):
            waiting.append(pair)
            if len(waiting) >= group:
                yield from self._assess(waiting)
                waiting = []
        yield from self._assess(waiting)

    def _judge(self, given: Judge | None) -> tuple[Judge | None, JudgeSettings]:
        said = self.profile.judge
        if given is not None and not isinstance(given, Judge):
            raise ConfigError(f"judge is a {type(given).__name__}; expected `hears` and a call; see cinereward.Judge")
        settings = build(JudgeSettings, said or {"model": "given"}, f"profile {self.profile.name}, judge")
        for name in settings.weights:
            if name not in self.taxonomy.names:
                raise ConfigError(f"profile {self.profile.name}, judge.weights: {close_to(name, self.taxonomy.names)}")
        if given is not None or said is None:
            return given, settings
        from cinereward.judge.opening import open_judge  # the judge's libraries are heavy

        return open_judge(settings, self.taxonomy, device=self.device), settings

    def _flow(self) -> Flow | None:
        if self.profile.flow == "dis":
            return None
        from cinereward.networks.raft import load_raft

        return load_raft(self.device).flow_pairs

    def _batch(self, rows: Sequence[Assessed]) -> RewardBatch:
        cells = [[row.fused[name] for name in self.dimensions] for row in rows]

        def table(attribute: str, dtype: Any) -> Any:
            columns = [[getattr(cell, attribute) for cell in row] for row in cells]
            return np.array(columns, dtype).reshape(len(rows), len(self.dimensions))

        errors = tuple(row.measured.error for row in rows)
        evidence = tuple(row.measured.evidence for row in rows)
        right = None
        if self.profile.right:
            right = pack([row.right or () for row in rows], errors=errors, evidence=evidence, version=self.version)
        batch = RewardBatch(
            values=table("value", np.float32),
            status=table("status", np.int8),
            std=table("std", np.float32),
            scalar=np.full(len(rows), np.nan, np.float32),
            dimensions=self.dimensions,
            reasons=tuple(tuple(cell.reason for cell in row) for row in cells),
            errors=errors,
            critiques=tuple(row.critiques for row in rows),
            evidence=evidence,
            verdicts=tuple(row.verdicts for row in rows),
            version=self.version,
            right=right,
            folder=self._fold,
            accounts=tuple(partial(self._ledger, row.account()) for row in rows),
        )
        return replace(batch, scalar=weighting.scalar(batch, taxonomy=self.taxonomy, weights=self._weights))

    def _ledger(self, account: Account) -> dict[str, Any]:
        heard = [operator.spec.name for operator in self.operators if "frames" not in operator.spec.needs]
        return make(account, version=self.version, taxonomy=self.taxonomy, weights=self._weights, heard=heard)


def _keep(settings: JudgeSettings, hears: bool) -> Keep:
    """What is kept of a clip for its judge."""
    showing = settings.showing
    return Keep(rate=showing.kept, most=showing.most, pixels=showing.pixels, sound=showing.sound and hears)


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

"""The local judge: a vision-language model in this process, through transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from cinereward.errors import JudgeError, WeightsError
from cinereward.judge.backend import Ask, Read, Shown, Written
from cinereward.judge.models import Loaded, loaded, source
from cinereward.judge.packing import check_room, read_packed
from cinereward.judge.settings import JudgeSettings
from cinereward.judge.turns import Staged, staged
from cinereward.judge.writing import write_packed

Answer = TypeVar("Answer", Read, Written)
Items = Sequence[tuple[Shown, Sequence[Ask]]]


class LocalBackend:
    """A vision-language model on this machine.

    It is found when this is made and loaded when it is first asked; two backends of the same model and device share it.
    Clips are run one after the other, so that a batch gives what each clip gives alone; while one runs the next is
    prepared. Two threads take turns.

    Args:
        settings: the judge of a profile: model, revision, adapter, quantise, dtype and chunk are read.
        device: "cpu", "cuda", "cuda:1", ...; None: the first GPU, or the CPU.

    Raises:
        MissingExtraError: a library is not installed.
        ConfigError: the settings ask for what this machine cannot do.
        WeightsError: the model is not here, or is not one that can be used.
    """

    def __init__(self, settings: JudgeSettings, device: str | None = None) -> None:
        self.settings = settings
        self.source = source(settings, device)
        self.hears = self.source.hears
        self.identity = self.source.identity
        self._broken: WeightsError | None = None

    @property
    def loaded(self) -> Loaded:
        """The model itself, loaded the first time; ask for it early to learn early of a file that is broken.

        Raises:
            WeightsError: it cannot be loaded. That is not tried again for every clip.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return loaded(self.settings, self.source)
        except WeightsError as error:
            self._broken = error
            raise

    def read(self, items: Items) -> list[list[Read]]:
        """The labels' probabilities for every question on every clip; see `Backend`."""

        def answers(model: Loaded, put: Staged) -> list[Read]:
            check_room(model, put)
            return read_packed(model, put, self.settings.chunk)

        return self._answered(items, True, answers, Read.failed)

    def write(self, items: Items, *, most_tokens: int, schema: Mapping[str, Any] | None = None) -> list[list[Written]]:
        """Let it write, greedily; see `Backend`. The schema is not enforced here: who asks says so in the question."""
        if most_tokens < 1:
            raise ValueError(f"most_tokens is {most_tokens}; expected 1 or more")

        def answers(model: Loaded, put: Staged) -> list[Written]:
            check_room(model, put, most_tokens)
            return write_packed(model, put, self.settings.chunk, most_tokens)

        def failed(error: str) -> Written:
            return Written(text="", finished=False, error=error)

        return self._answered(items, False, answers, failed)

    def _answered(
        self,
        items: Items,
        labels: bool,
        answers: Callable[[Loaded, Staged], list[Answer]],
        failed: Callable[[str], Answer],
    ) -> list[list[Answer]]:
        """Every clip's answers, or why there are none: nothing that befalls one clip may spoil the others."""

        def stage(shown: Shown, asks: Sequence[Ask]) -> Staged | None:
            return staged(self.loaded, shown, asks, labels=labels) if asks else None

        told: list[list[Answer]] = []
        for (_, asks), ahead in zip(items, _ahead(stage, items), strict=True):
            try:
                put = ahead.result()
                told.append([] if put is None else answers(self.loaded, put))
            except (JudgeError, WeightsError) as error:
                told.append([failed(str(error))] * len(asks))
            except Exception as error:
                told.append([failed(" ".join(f"{type(error).__name__}: {error}".split())[:300])] * len(asks))
        return told


def _ahead(stage: Callable[[Shown, Sequence[Ask]], Staged | None], items: Items) -> Iterator[Future[Staged | None]]:
    """Prepare clips in another thread, one ahead of the one that is run: two are in memory at most."""
    with ThreadPoolExecutor(1, "judge-stage") as pool:
        waiting: list[Future[Staged | None]] = []
        for shown, asks in items:
            waiting.append(pool.submit(stage, shown, asks))
            if len(waiting) == 2:
                yield waiting.pop(0)
        yield from waiting

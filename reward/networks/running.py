"""How a network is run: in chunks of one fixed size, without gradients, one caller at a time.

A chunk is padded to its full size, and its size never follows free memory, so that what a row comes to does not depend
on the rows beside it. On a CPU a chunk is one row, which makes that bitwise. Where a GPU runs out of memory the rows
are run again in halves, and that is noted for the clip.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cinereward.errors import OperatorError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Array = NDArray[Any]

Made = TypeVar("Made")
CHUNK = 32  # rows on a GPU, where a network says nothing else

_noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)
_loaded: dict[Hashable, Any] = {}
_locks: dict[Hashable, threading.Lock] = {}
_guard = threading.Lock()  # of the two above


def device_of(asked: str | None) -> str:
    """The device that is meant: what was asked for, or the current GPU, or the CPU.

    A plain "cuda" becomes the number of the GPU that is current here, as a rank of a training run has chosen it: the
    threads that measure would take it for the first one.
    """
    import torch

    meant = asked if asked is not None else "cuda" if torch.cuda.is_available() else "cpu"
    return f"cuda:{torch.cuda.current_device()}" if meant == "cuda" and torch.cuda.is_available() else meant


def once(key: Hashable, make: Callable[[], Made]) -> Made:
    """What `make` gave the first time this key was asked for in this process; others wait for it.

    Args:
        key: names the weights by their content (sha256) and the device. make: loads them; what it raises is not kept.
    """
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        if key not in _loaded:
            _loaded[key] = make()
        made: Made = _loaded[key]
        return made


def forget() -> None:
    """Let go of every network that was loaded, for tests and for who needs the memory back."""
    with _guard:
        _loaded.clear()


def note(text: str) -> None:
    """Tell, for the clips that are being measured, what befell the measuring."""
    told = _noted.get()
    if told is not None and text not in told:
        told.append(text)


@contextmanager
def noting() -> Iterator[list[str]]:
    """Collect what is noted inside, in this thread."""
    told: list[str] = []
    token = _noted.set(told)
    try:
        yield told
    finally:
        _noted.reset(token)


class Runner:
    """A network on a device as a function of rows.

    Args:
        name: for notes and errors.
        forward: from an array of `chunk` rows to one array, or to several, of as many rows.
        device: "cpu", "cuda", ... chunk: rows at a time; None: 1 on a CPU, CHUNK elsewhere.

    A runner may be called from many threads; one chunk runs at a time.
    """

    def __init__(
        self, name: str, forward: Callable[[Array], Array | Sequence[Array]], *, device: str, chunk: int | None = None
    ) -> None:
        self.name, self.device = name, device
        self.chunk = chunk if chunk is not None else 1 if device == "cpu" else CHUNK
        if self.chunk < 1:
            raise ValueError(f"{name}: chunk is {self.chunk}; expected 1 or more rows")
        self._forward = forward
        self._lock = threading.Lock()

    def __call__(self, rows: Array) -> tuple[Array, ...]:
        """Run all rows.

        Args:
            rows: (N, ...), N of 1 or more.

        Returns:
            One array (N, ...) for each that the network gives.

        Raises:
            OperatorError: even one row does not fit into the device's memory, or the network gave a wrong number of
            rows.
        """
        if len(rows) == 0:
            raise ValueError(f"{self.name}: no rows; ask for one or more")
        with self._lock:
            return self._run(np.ascontiguousarray(rows), self.chunk)

    def _run(self, rows: Array, chunk: int) -> tuple[Array, ...]:
        try:
            parts = [self._padded(rows[first : first + chunk], chunk) for first in range(0, len(rows), chunk)]
            return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
        except Exception as error:
            if not out_of_memory(error):
                raise
        free()
        if chunk == 1:
            told = f"{self.name}: one row does not fit into the memory of {self.device}"
            raise OperatorError(f"{told}; use a smaller model")
        note(f"{self.name}: {self.device} ran out of memory; run again {chunk // 2} rows at a time instead of {chunk}")
        return self._run(rows, chunk // 2)

    def _padded(self, rows: Array, chunk: int) -> list[Array]:
        count = len(rows)
        if count < chunk:
            rows = np.concatenate([rows, np.repeat(rows[:1], chunk - count, axis=0)])
        came = self._forward(rows)
        arrays = [came] if isinstance(came, np.ndarray) else list(came)
        if any(len(array) != chunk for array in arrays):
            raise OperatorError(f"{self.name} gave {[len(array) for array in arrays]} rows for {chunk}")
        return [array[:count] for array in arrays]


def module_runner(
    name: str,
    module: torch.nn.Module,
    *,
    device: str,
    chunk: int | None = None,
    call: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor | Sequence[torch.Tensor]] | None = None,
) -> Runner:
    """A PyTorch module as a runner: float32 on a CPU, half precision on a GPU; float32 arrays out.

    Args:
        module: is moved and set to eval. call: how it is asked, from the module and its input to tensors.
    """
    import torch

    kind = torch.float16 if device.startswith("cuda") else torch.float32
    module = module.to(device=device, dtype=kind).eval().requires_grad_(False)

    def forward(rows: Array) -> list[Array]:
        with torch.inference_mode():
            given = torch.from_numpy(rows).to(device)
            given = given.to(kind) if given.is_floating_point() else given
            came = module(given) if call is None else call(module, given)
            several = [came] if isinstance(came, torch.Tensor) else list(came)
            return [item.to(device="cpu", dtype=torch.float32).numpy() for item in several]

    return Runner(name, forward, device=device, chunk=chunk)


@cache
def _memory_errors() -> tuple[type[BaseException], ...]:
    import torch

    return (torch.cuda.OutOfMemoryError, MemoryError)


def out_of_memory(error: BaseException) -> bool:
    """Whether this error says that a device's memory is full; ONNX Runtime has no class for it."""
    told = str(error).lower()
    return isinstance(error, _memory_errors()) or "out of memory" in told or "failed to allocate memory" in told


def free() -> None:
    """Give what the GPU's allocator holds back."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()

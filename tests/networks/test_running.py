"""Runners: fixed chunks, padding, one caller at a time, and what is done when a GPU is full."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cinereward.errors import OperatorError
from cinereward.networks import running
from cinereward.networks.running import Runner, device_of, module_runner, note, noting, once, out_of_memory

WAIT = 20.0


class Doubled:
    """Doubles its rows, and writes down how many it was given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, rows: Any) -> Any:
        self.sizes.append(len(rows))
        return 2 * rows


class Full:
    """Has room for so many rows, and no more."""

    def __init__(self, room: int, error: Exception | None = None) -> None:
        self.room, self.error = room, error or torch.cuda.OutOfMemoryError("CUDA out of memory")

    def __call__(self, rows: Any) -> Any:
        if len(rows) > self.room:
            raise self.error
        return rows + 1


@given(st.integers(1, 20), st.integers(1, 9))
def test_every_chunk_has_the_full_size(count: int, chunk: int) -> None:
    forward = Doubled()
    rows = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    (came,) = Runner("net", forward, device="cuda", chunk=chunk)(rows)
    assert np.array_equal(came, 2 * rows)
    assert forward.sizes == [chunk] * -(-count // chunk)


def test_on_a_cpu_a_chunk_is_one_row() -> None:
    forward = Doubled()
    Runner("net", forward, device="cpu")(np.zeros((3, 2), np.float32))
    assert forward.sizes == [1, 1, 1]


def test_several_outputs_come_in_their_order() -> None:
    a, b = Runner("net", lambda rows: [rows, -rows], device="cpu")(np.arange(4.0))
    assert np.array_equal(a, np.arange(4.0)) and np.array_equal(b, -np.arange(4.0))


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="net: no rows; ask for one or more"):
        Runner("net", Doubled(), device="cpu")(np.zeros((0, 2)))


def test_a_chunk_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="chunk is 0; expected 1 or more"):
        Runner("net", Doubled(), device="cpu", chunk=0)


def test_a_network_that_loses_rows_is_an_error() -> None:
    with pytest.raises(OperatorError, match=r"net gave \[1\] rows for 2"):
        Runner("net", lambda rows: rows[:1], device="cpu", chunk=2)(np.zeros((2, 2)))


def test_a_full_gpu_is_asked_again_in_halves() -> None:
    rows = np.arange(10.0)
    (came,) = Runner("net", Full(room=3), device="cuda:0", chunk=8)(rows)
    assert np.array_equal(came, rows + 1)


def test_a_full_gpu_is_noted_for_the_clip() -> None:
    with noting() as notes:
        Runner("net", Full(room=3), device="cuda:0", chunk=8)(np.zeros(2))
    assert notes == [
        "net: cuda:0 ran out of memory; run again 4 rows at a time instead of 8",
        "net: cuda:0 ran out of memory; run again 2 rows at a time instead of 4",
    ]


def test_the_next_rows_get_the_full_chunk_again() -> None:
    forward = Doubled()
    runner = Runner("net", forward, device="cuda", chunk=4)
    full = Full(room=0)
    runner._forward = full
    with pytest.raises(OperatorError):
        runner(np.zeros(1))
    runner._forward = forward
    runner(np.zeros(1))
    assert forward.sizes == [4]


def test_where_one_row_is_too_much_there_is_an_error() -> None:
    with pytest.raises(OperatorError, match="one row does not fit into the memory of cuda; use a smaller model"):
        Runner("net", Full(room=0), device="cuda", chunk=4)(np.zeros(3))


def test_another_error_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        Runner("net", Full(room=0, error=RuntimeError("shapes differ")), device="cuda", chunk=4)(np.zeros(3))


@pytest.mark.parametrize(
    "error",
    [torch.cuda.OutOfMemoryError("x"), MemoryError(), RuntimeError("Failed to allocate memory for requested buffer")],
)
def test_a_full_memory_is_known_by_many_names(error: Exception) -> None:
    assert out_of_memory(error)


def test_one_chunk_runs_at_a_time() -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def forward(rows: Any) -> Any:
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.005)
        with guard:
            inside -= 1
        return rows

    runner = Runner("net", forward, device="cpu")
    threads = [threading.Thread(target=runner, args=(np.zeros(3),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert most == 1


def test_what_is_noted_outside_is_told_to_nobody() -> None:
    note("nobody listens")
    with noting() as notes:
        pass
    assert notes == []


def test_a_note_is_told_once() -> None:
    with noting() as notes:
        note("full")
        note("full")
    assert notes == ["full"]


def test_another_thread_has_notes_of_its_own() -> None:
    with noting() as notes:
        thread = threading.Thread(target=note, args=("elsewhere",))
        thread.start()
        thread.join(WAIT)
    assert notes == []


# --- loading ---


def test_a_network_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_loaded", {})
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(once(("net", "cpu"), make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert len(made) == 1 and found == made * 4


def test_a_network_that_could_not_be_loaded_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_loaded", {})

    def broken() -> int:
        raise OSError("truncated")

    with pytest.raises(OSError):
        once("net", broken)
    assert once("net", lambda: 7) == 7


def test_devices_have_networks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_loaded", {})
    assert [once(("net", device), lambda device=device: device) for device in ("cpu", "cuda")] == ["cpu", "cuda"]


def test_what_is_asked_for_is_the_device() -> None:
    assert device_of("cuda:1") == "cuda:1"


@pytest.mark.parametrize("asked", [None, "cuda"])
def test_the_gpu_that_a_rank_has_chosen_is_named_by_its_number(
    asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert device_of(asked) == "cuda:3"


def test_without_a_gpu_the_cpu_is_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of(None) == "cpu"


# --- modules ---


def test_a_module_runs_without_gradients_and_gives_float32() -> None:
    layer = torch.nn.Linear(3, 2)
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    (came,) = module_runner("layer", layer, device="cpu")(rows)
    expected = rows @ layer.weight.numpy().T + layer.bias.numpy()
    assert came.dtype == np.float32
    np.testing.assert_allclose(came, expected, atol=1e-6)


def test_a_module_is_in_eval() -> None:
    module = torch.nn.Sequential(torch.nn.Dropout(0.9))
    (came,) = module_runner("drop", module, device="cpu")(np.ones((2, 50), np.float32))
    assert np.array_equal(came, np.ones((2, 50)))


@given(st.integers(1, 6), st.integers(0, 5))
def test_a_row_does_not_depend_on_the_rows_beside_it(count: int, at: int) -> None:
    torch.manual_seed(0)
    runner = module_runner("net", torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.GELU()), device="cpu")
    rows = np.random.default_rng(1).normal(size=(6, 64)).astype(np.float32)
    (alone,) = runner(rows[at : at + 1])
    order = [at, *range(count)]
    (beside,) = runner(rows[order])
    assert np.array_equal(alone[0], beside[0])

"""What networks tell of a window is worked out once, whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from cinereward.networks.sharing import shared
from cinereward.testing import clip, scene, windows_of
from cinereward.types import Window

WAIT = 20.0


@pytest.fixture
def windows() -> list[Window]:
    return windows_of(clip(scene(0.5, size=(32, 48), seed=1)), 4)


class Starts:
    """The first frame of each window, and a note of what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, windows: Sequence[Window]) -> list[int]:
        self.asked.append(len(windows))
        return [window.start_frame for window in windows]


def test_one_value_comes_for_each_window(windows: list[Window]) -> None:
    assert shared("starts", windows, Starts()) == [window.start_frame for window in windows]


def test_who_asks_again_is_not_worked_for(windows: list[Window]) -> None:
    starts = Starts()
    assert shared("starts", windows, starts) == shared("starts", windows, starts)
    assert starts.asked == [len(windows)]


def test_only_what_is_missing_is_worked_out(windows: list[Window]) -> None:
    starts = Starts()
    shared("starts", windows[1:2], starts)
    assert shared("starts", windows, starts) == [window.start_frame for window in windows]
    assert starts.asked == [1, len(windows) - 1]


def test_other_keys_are_other_values(windows: list[Window]) -> None:
    shared("starts", windows, Starts())
    assert shared("lengths", windows, lambda some: [len(window.times) for window in some]) == [
        len(window.times) for window in windows
    ]


def test_a_failure_is_not_kept(windows: list[Window]) -> None:
    def broken(some: Sequence[Window]) -> list[int]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        shared("starts", windows, broken)
    assert shared("starts", windows, Starts())[0] == 0


def test_two_threads_do_the_work_once(windows: list[Window]) -> None:
    starts = Starts()
    threads = [threading.Thread(target=shared, args=("starts", windows, starts)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert starts.asked == [len(windows)]


def test_windows_of_another_reading_start_anew() -> None:
    starts = Starts()
    for _ in range(2):
        shared("starts", windows_of(clip(scene(0.2, size=(32, 48), seed=1)), 4), starts)
    assert len(starts.asked) == 2

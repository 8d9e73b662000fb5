"""Pictures of many sizes asked together: every answer comes back to its picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.networks import rows
from cinereward.networks.rows import each, split, stacked

SHAPES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=20)


@given(SHAPES)
def test_every_picture_gets_its_own_answer(shapes: list[tuple[int, int]]) -> None:
    frames = [np.full(shape, at) for at, shape in enumerate(shapes)]
    assert each(frames, lambda some: some.mean(axis=(1, 2))) == list(range(len(shapes)))


def test_pictures_of_one_shape_are_asked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "AT_ONCE", 3)
    asked: list[int] = []

    def ask(some: np.ndarray) -> np.ndarray:
        asked.append(len(some))
        return some

    each([np.zeros(2), np.zeros(3), np.zeros(2), np.zeros(2), np.zeros(2)], ask)
    assert asked == [3, 1, 1]


def test_an_answer_too_few_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        each([np.zeros(2), np.zeros(2)], lambda some: some[:1])


@given(st.lists(st.integers(0, 4)))
def test_pieces_joined_are_the_whole(counts: list[int]) -> None:
    items = list(range(sum(counts)))
    parts = split(items, counts)
    assert [len(part) for part in parts] == counts
    assert [item for part in parts for item in part] == items


def test_pieces_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="5 items for pieces of 4"):
        split(list(range(5)), [1, 3])


def test_no_rows_keep_their_width() -> None:
    assert stacked([], 7).shape == (0, 7)
    assert stacked([np.ones(7), np.ones(7)], 7).dtype == np.float32

"""Pictures of several sizes and windows, asked of a network together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

AT_ONCE = 64  # pictures that are laid ready before they are run, so that a long clip needs no more memory

Item = TypeVar("Item")


def told(frames: Sequence[Array], ask: Callable[[Array], Iterable[Item]]) -> Iterator[tuple[int, Item]]:
    """What a network tells of each picture, with its place among them; pictures of one shape are run together.

    Args:
        frames: arrays of any shapes. ask: from (N, ...) to N answers, each of its row alone.
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for at, frame in enumerate(frames):
        alike.setdefault(frame.shape, []).append(at)
    for places in alike.values():
        for first in range(0, len(places), AT_ONCE):
            some = places[first : first + AT_ONCE]
            yield from zip(some, ask(np.stack([frames[at] for at in some])), strict=True)


def each(frames: Sequence[Array], ask: Callable[[Array], Iterable[Item]]) -> list[Item]:
    """What a network tells of each picture, in their order; see `told`."""
    answers = dict(told(frames, ask))
    return [answers[at] for at in range(len(frames))]


def split(items: Sequence[Item], counts: Sequence[int]) -> list[list[Item]]:
    """Cut a list into pieces of these lengths, one after the other."""
    ends = np.cumsum([0, *counts])
    if ends[-1] != len(items):
        raise ValueError(f"{len(items)} items for pieces of {ends[-1]} together; expected as many")
    return [list(items[first:last]) for first, last in itertools.pairwise(ends)]


def stacked(rows: Sequence[Array], *empty: int) -> Array:
    """Rows as one float32 array (N, ...); where there are none, (0, *empty)."""
    return np.stack(rows).astype(np.float32, copy=False) if rows else np.zeros((0, *empty), np.float32)

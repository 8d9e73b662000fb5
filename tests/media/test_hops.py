from __future__ import annotations

import itertools

import numpy as np
import pytest

from cinereward.media.hops import pieces
from cinereward.types import Sound

LEAD = 64


def stretch(start: int, count: int, lead: int = LEAD) -> Sound:
    """Samples that tell their own index in the clip: sample k is k, and 0 before the clip."""
    samples = np.maximum(np.arange(start - lead, start + count), 0).astype(np.float32)
    return Sound(samples=samples, original=samples[None], original_rate=16_000, start=start / 16_000, lead=lead)


@pytest.mark.parametrize("start", [0, 1, 9, 10, 11, 160])
@pytest.mark.parametrize("count", [0, 5, 10, 57])
def test_pieces_end_on_the_clips_own_grid(start: int, count: int) -> None:
    found = pieces(stretch(start, count), 10, 4)
    ends = [end for end in range(10, start + count + 1, 10) if end > start]
    assert found[:, -1].tolist() == [end - 1 for end in ends]
    assert found.shape == (len(ends), 4)


@pytest.mark.parametrize("edges", [(0, 30, 31, 75, 100), (0, 7, 100), (0, 100)])
def test_stretches_of_any_length_give_the_same_pieces(edges: tuple[int, ...]) -> None:
    parts = [pieces(stretch(a, b - a), 8, 32) for a, b in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), pieces(stretch(0, 100), 8, 32))


def test_a_piece_longer_than_the_lead_is_refused() -> None:
    with pytest.raises(ValueError, match="lead of 64"):
        pieces(stretch(0, 100), 10, 65)


def test_pieces_cannot_change_the_sound() -> None:
    with pytest.raises(ValueError, match="read-only"):
        pieces(stretch(0, 100), 10, 4)[0, 0] = 1

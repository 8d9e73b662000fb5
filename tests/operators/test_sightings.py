"""Boxes are joined into the tracks that they were planted as."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinereward.operators.sightings import Sightings, link, overlaps, single, widened


def sightings(frames: list[list[tuple[Any, float, int]]], shot: list[int] | None = None) -> Sightings:
    """Sightings of K frames of boxes (box, score, class), six a second, 16:9."""
    rows = [(key, *thing) for key, things in enumerate(frames) for thing in things]
    return Sightings(
        frames=np.arange(len(frames)) * 4,
        times=np.arange(len(frames)) / 6,
        shot=np.array(shot if shot is not None else [0] * len(frames)),
        rate=6.0,
        aspect=16 / 9,
        key=np.array([row[0] for row in rows], np.int64),
        boxes=np.array([row[1] for row in rows], np.float64).reshape(-1, 4),
        scores=np.array([row[2] for row in rows], np.float64),
        classes=np.array([row[3] for row in rows], np.int64),
        more={},
    )


def square(x: float, y: float = 0.5, side: float = 0.2) -> tuple[float, ...]:
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def spans(seen: Sightings) -> list[list[int]]:
    return [track.keys.tolist() for track in link(seen, (0, len(seen.frames)))]


boxes = st.lists(st.floats(0, 1), min_size=4, max_size=4).map(
    lambda v: np.array([[min(v[0], v[1]), min(v[2], v[3]), max(v[0], v[1]), max(v[2], v[3])]])
)


@settings(max_examples=60, deadline=None)
@given(boxes, boxes)
def test_overlap_is_symmetric_and_lies_between_nothing_and_all(a: np.ndarray, b: np.ndarray) -> None:
    one, other = overlaps(a, b)[0, 0], overlaps(b, a)[0, 0]
    assert one == pytest.approx(other)
    assert 0 <= one <= 1 + 1e-9


def test_overlap_is_that_of_counted_cells() -> None:
    a, b = np.array([[0, 0, 6, 4]], float), np.array([[3, 2, 9, 5]], float)
    cells = np.zeros((2, 10, 10), bool)
    cells[0, 0:4, 0:6], cells[1, 2:5, 3:9] = True, True
    assert overlaps(a, b)[0, 0] == pytest.approx((cells[0] & cells[1]).sum() / (cells[0] | cells[1]).sum())


def test_a_widened_box_keeps_its_middle() -> None:
    np.testing.assert_allclose(widened(np.array([[0.0, 0.0, 2.0, 4.0]]), 1.5), [[-0.5, -1.0, 2.5, 5.0]])


def test_things_that_cross_keep_their_tracks() -> None:
    seen = sightings([[(square(0.2 + 0.08 * k), 0.9, 0), (square(1.4 - 0.08 * k, 0.62), 0.9, 0)] for k in range(16)])
    tracks = link(seen, (0, 16))
    assert [len(track) for track in tracks] == [16, 16]
    assert all(
        np.all(np.diff(seen.boxes[track.rows, 0]) * sign > 0) for track, sign in zip(tracks, (1, -1), strict=True)
    )


def test_a_faint_box_carries_a_track_on_and_begins_none() -> None:
    assert spans(sightings([[(square(0.5), 0.9 if k != 3 else 0.15, 0)] for k in range(6)])) == [list(range(6))]
    assert spans(sightings([[(square(0.5), 0.15, 0)] for _ in range(6)])) == []


def test_a_thing_is_waited_for_but_not_for_ever() -> None:
    def gap(length: int) -> list[list[int]]:
        return spans(sightings([[] if 3 <= k < 3 + length else [(square(0.5), 0.9, 0)] for k in range(16)]))

    assert len(gap(3)) == 1
    assert len(gap(6)) == 2


def test_a_cut_ends_all_tracks() -> None:
    seen = sightings([[(square(0.5), 0.9, 0)] for _ in range(8)], shot=[0] * 4 + [1] * 4)
    assert seen.spans() == [(0, 4), (4, 8)]


def test_one_thing_seen_twice_is_kept_once_and_the_surer_one() -> None:
    twice = np.array([square(0.5), square(0.505), square(0.9)])
    kept = single(twice, np.array([0.5, 0.8, 0.6]), np.zeros(3, np.int64))
    assert kept.tolist() == [1, 2]


def test_the_same_boxes_in_different_frames_are_all_kept() -> None:
    assert len(single(np.array([square(0.5)] * 3), np.full(3, 0.9), np.arange(3))) == 3

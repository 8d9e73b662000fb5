"""Looks of windows: crops, backgrounds, and which boxes are followed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.networks.yolo import Boxes
from cinereward.operators.looks import GREY, MOST, crop, foremost, known, looks_of, outside
from cinereward.testing.operators import windows_of
from cinereward.testing.scenes import clip

from .planted_looks import detector, dino, film


def boxes(*rows: tuple[float, float, float, float], scores: list[float], classes: list[int] | None = None) -> Boxes:
    return Boxes(
        xyxy=np.array(rows, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        classes=np.array(classes or [1] * len(scores), np.int64),
    )


@pytest.mark.parametrize(("box", "bars"), [((10, 10, 30, 90), 1), ((10, 10, 90, 30), 0)])
def test_a_crop_keeps_its_proportions_between_grey_bars(box: tuple[int, int, int, int], bars: int) -> None:
    frame = np.full((100, 100, 3), 200, np.uint8)
    came = crop(frame, np.array(box, np.float32))
    grey = (came == GREY).all(axis=2)
    assert came.shape == (224, 224, 3)
    assert 1 - grey.mean() == pytest.approx(0.25, abs=0.01)
    assert grey.any(axis=1 - bars).sum() == pytest.approx(168, abs=2)  # bars lie beside the longer side
    assert (came[~grey] == 200).all()


def test_a_crop_shows_what_the_box_holds_and_nothing_else() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[20:40, 50:70] = 255
    assert (crop(frame, np.array([50, 20, 70, 40], np.float32)) == 255).all()


@given(st.integers(0, 500))
def test_the_background_is_the_mean_of_what_no_box_covers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patches = rng.normal(size=(4, 5, 3)).astype(np.float32)
    top, left = rng.integers(0, 3, 2)
    free = np.ones((4, 5), bool)
    free[top : top + 2, left : left + 2] = False
    box = np.array([[left * 20, top * 10, (left + 2) * 20, (top + 2) * 10]], np.float32)
    mean = patches[free].mean(axis=0, dtype=np.float64)
    assert np.allclose(outside(patches, box, 40, 100), mean / np.linalg.norm(mean), atol=1e-6)


def test_a_picture_full_of_boxes_has_no_background() -> None:
    full = np.array([[0, 0, 100, 40]], np.float32)
    assert np.isnan(outside(np.ones((4, 5, 3), np.float32), full, 40, 100)).all()


def test_unsure_and_tiny_boxes_are_left_out() -> None:
    found = known({3: boxes((0, 0, 50, 50), (0, 0, 50, 50), (0, 0, 50, 3), scores=[0.9, 0.1, 0.9])})
    assert len(found[3]) == 1


def test_the_foremost_are_large_and_sure_and_people_first() -> None:
    many = boxes(
        (0, 0, 20, 20),
        (0, 0, 60, 60),
        (0, 0, 50, 50),
        (0, 0, 58, 58),
        scores=[0.9, 0.9, 0.9, 0.9],
        classes=[0, 2, 0, 2],
    )
    came = foremost(many)
    assert len(came) == MOST
    assert came.xyxy[:, 2].tolist() == [50, 60]


def test_looks_are_worked_out_once_a_window() -> None:
    asked: list[int] = []
    net = dino()
    see = net._see

    def count(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(len(rows))
        return see(rows)

    net._see = count  # a planted network, looked at from inside
    windows = windows_of(clip(film(lambda at: (150, 0, 0), lambda at: (90, 90, 90), 1.0)), 8)
    first = looks_of(windows, net, detector())
    again = looks_of(windows, net, detector())
    assert asked == [6, 6]
    assert all(a is b for a, b in zip(first, again, strict=True))


def test_a_window_without_a_sampled_frame_has_no_looks() -> None:
    windows = windows_of(clip(film(lambda at: (150, 0, 0), lambda at: (90, 90, 90), 0.5)), 1)
    found = looks_of(windows, dino(), detector())
    assert [len(looks.wholes) for looks in found] == [len(window.features["keys"]) for window in windows]
    assert min(len(looks.looks) for looks in found) == 0

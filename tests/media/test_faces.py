"""Faces: found where they are, once each, and not where there are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from cinereward.media.faces import find_faces, overlap

from .making import texture

FACE = np.array([175, 69, 97, 97])  # in the portrait that comes with scikit-image


def portrait() -> np.ndarray:
    return np.ascontiguousarray(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)[:240, :420])


def test_a_face_is_found_once_where_it_is() -> None:
    boxes = find_faces(portrait())
    assert len(boxes) == 1
    assert overlap(boxes[0], FACE) > 0.6


@pytest.mark.parametrize("scale", [0.6, 0.8, 1.3])
def test_a_face_is_found_whatever_its_size(scale: float) -> None:
    grey = cv2.resize(portrait()[:, 60:330], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full((240, 420), 150, np.uint8)
    canvas[: min(240, len(grey)), : grey.shape[1]] = grey[:240]
    boxes = find_faces(canvas)
    assert any(overlap(box, (FACE - [60, 0, 0, 0]) * scale) > 0.5 for box in boxes)


def test_two_faces_are_two() -> None:
    half = portrait()[:, 110:310]
    boxes = find_faces(np.ascontiguousarray(np.concatenate([half, half[:, ::-1]], axis=1)))
    assert len(boxes) == 2
    assert overlap(*boxes) == 0


def test_no_face_is_found_where_there_is_none() -> None:
    assert len(find_faces(texture(1, 240, 420, 50)[..., 1])) == 0
    assert len(find_faces(np.zeros((240, 420), np.uint8))) == 0


@pytest.mark.parametrize("size", [(16, 16), (23, 300), (24, 24), (300, 25)], ids=str)
def test_small_and_odd_pictures_have_no_face(size: tuple[int, int]) -> None:
    assert find_faces(texture(2, *size, 50)[..., 0].copy()).shape == (0, 4)


def test_the_answer_is_the_same_every_time() -> None:
    np.testing.assert_array_equal(find_faces(portrait()), find_faces(portrait()))

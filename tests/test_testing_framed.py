"""Faults of framing and depth do what their severity says, where they say, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from cinereward.testing import scene
from cinereward.testing.framed import CHIN, CROWN, beheaded, cluttered, find_face, planar, subject_defocused

BOX = (60.0, 40.0, 40.0, 40.0)
FAULTS = (subject_defocused, planar, cluttered, lambda frames, severity: beheaded(frames, severity, box=BOX))


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return scene(0.2, 24.0, size=(128, 192), seed=1)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    from skimage.data import astronaut

    return np.stack([cv2.resize(astronaut(), (256, 256), interpolation=cv2.INTER_AREA)] * 3)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_input_stays_and_the_output_has_its_shape(fault: Callable[..., np.ndarray], frames: np.ndarray) -> None:
    before = frames.copy()
    out = fault(frames, 1)
    assert (out.shape, out.dtype) == (frames.shape, np.uint8)
    assert np.array_equal(frames, before)
    assert not np.array_equal(out, frames)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("size", [(16, 16), (33, 57)])
def test_small_pictures_are_taken(fault: Callable[..., np.ndarray], size: tuple[int, int]) -> None:
    assert fault(scene(0.1, size=size, seed=0), 1).shape[1:3] == size


def test_only_the_middle_loses_its_focus(frames: np.ndarray) -> None:
    out = subject_defocused(frames, 3)
    assert np.array_equal(out[:, :10], frames[:, :10])
    assert np.array_equal(out[:, :, :30], frames[:, :, :30])
    middle = (slice(None), slice(54, 74), slice(86, 106))
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in frames])
    assert np.array_equal(out[middle], blurred[middle])


def test_a_box_says_where_the_subject_is(frames: np.ndarray) -> None:
    out = subject_defocused(frames, 3, box=(10, 10, 40, 40))
    assert np.array_equal(out[:, 60:], frames[:, 60:])
    assert not np.array_equal(out[:, 10:50, 10:50], frames[:, 10:50, 10:50])


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_planes_lose_the_share_that_is_asked(share: float) -> None:
    light = 90 * 2 ** np.cos(np.linspace(0, 2 * np.pi, 192))  # one wave across the width
    stage = np.broadcast_to(np.rint(light)[None, None, :, None], (2, 128, 192, 3)).astype(np.uint8)
    before, after = (np.log2(frames[0, 64, :, 0] + 8.0).std() for frames in (stage, planar(stage, share)))
    assert after / before == pytest.approx(1 - share, abs=0.1)  # the blur that finds the planes softens the wave


def test_planes_that_lose_nothing_stay(frames: np.ndarray) -> None:
    assert np.array_equal(planar(frames, 0), frames)


def test_distractors_are_as_many_as_asked(frames: np.ndarray) -> None:
    wall = np.full((2, 180, 320, 3), 128, np.uint8)
    for count in (1, 2, 3):
        changed = (cluttered(wall, count, seed=8)[0] != wall[0]).any(axis=-1).astype(np.uint8)
        assert cv2.connectedComponents(changed)[0] - 1 == count


def test_distractors_leave_the_middle_alone() -> None:
    wall = np.full((1, 180, 320, 3), 128, np.uint8)
    assert (cluttered(wall, 12)[0, 78:102, 145:175] == 128).all()


def test_the_head_is_cut_by_the_share_that_is_asked(frames: np.ndarray) -> None:
    down = round(BOX[1] - CROWN * BOX[3] + 0.5 * (CROWN + CHIN) * BOX[3])
    out = beheaded(frames, 0.5, box=BOX)
    assert np.array_equal(out[:, :-down], frames[:, down:])


def test_the_face_is_found(portrait: np.ndarray) -> None:
    x, y, width, height = find_face(portrait) or (0, 0, 0, 0)
    assert (x + width / 2, y + height / 2) == pytest.approx((112, 60), abs=14)  # the astronaut's nose
    assert 30 < width < 75


def test_without_a_face_nothing_is_beheaded(frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="give its box"):
        beheaded(np.full_like(frames, 90), 0.5)

"""The clips are what they say, and their faults too."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from cinereward import testing
from cinereward.testing import (
    FAULTS,
    JudgeConformance,
    OperatorConformance,
    RewardConformance,
    camera_path,
    scene,
    shots,
)

# --- scenes ---


@pytest.mark.parametrize("move", ["static", "pan", "push", "roll", "handheld"])
def test_a_scene_has_the_asked_shape_and_clips_nothing(move: Any) -> None:
    frames = scene(0.5, 24, (48, 80), seed=1, move=move)
    assert frames.shape == (12, 48, 80, 3)
    assert frames.dtype == np.uint8
    luma = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    assert luma.min() > 4
    assert luma.max() < 250


def test_a_seed_gives_the_same_scene_and_another_gives_another() -> None:
    one = scene(0.2, size=(48, 80), seed=1)
    assert np.array_equal(one, scene(0.2, size=(48, 80), seed=1))
    assert np.array_equal(one, scene(0.2, size=(48, 80), seed=np.random.default_rng(1)))
    assert np.abs(one.astype(int) - scene(0.2, size=(48, 80), seed=2)).mean() > 15


def test_a_pan_moves_the_picture_by_its_speed() -> None:
    # found by template matching, which knows nothing of how scenes are made: 0.25 widths / s of 192 pixels is 48 / s
    frames = scene(0.5, 24, (128, 192), seed=3, move="pan", speed=0.25, subject=0)
    patch = cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY)[30:98, 60:150]
    found = cv2.minMaxLoc(cv2.matchTemplate(cv2.cvtColor(frames[-1], cv2.COLOR_RGB2GRAY), patch, cv2.TM_CCOEFF_NORMED))
    assert found[1] > 0.99
    assert found[3] == (60 - 22, 30)  # 11 steps of 2 pixels, to the left, as the camera goes right


def test_a_static_scene_without_subject_is_a_photograph() -> None:
    frames = scene(0.3, size=(48, 80), move="static", subject=0)
    assert (frames == frames[0]).all()


def test_a_fraction_of_a_pixel_does_not_blur() -> None:
    frames = scene(1.0, 24, (96, 128), seed=5, move="pan", speed=0.05, subject=0)
    detail = [cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std() for frame in frames]
    assert np.ptp(detail) < 0.12 * np.mean(detail)


def test_a_path_is_at_rest_in_the_middle() -> None:
    path = camera_path(25, 24.0, "roll", 0.24)
    assert path.shape == (25, 4)
    assert np.allclose(path[12], 0)
    assert np.allclose(np.diff(path[:, 3]), 0.01)


def test_shots_tell_where_they_are_joined() -> None:
    frames, cuts = shots([scene(0.5, size=(48, 80)), scene(0.25, size=(48, 80)), scene(0.5, size=(48, 80))], 24.0)
    assert len(frames) == 30
    assert np.allclose(cuts, [0.5, 0.75])


def test_takes_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="of one size"):
        shots([scene(0.2, size=(48, 80)), scene(0.2, size=(48, 64))])


def test_an_unknown_move_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="static, pan, push, roll, handheld"):
        scene(move="crane")  # type: ignore[arg-type]


# --- faults ---


@pytest.fixture(scope="module")
def take() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return scene(1.5, size=(96, 144), seed=7, grain=0.6)


# one silent shot; faults of cuts and of faces have pages of their own, as has what plays faster
PICTURE = [name for name, fault in FAULTS.items() if fault.clip == "picture"]
SHORTER = {"dropped", "hurried"}


@pytest.mark.parametrize("name", PICTURE)
def test_a_fault_leaves_its_input_alone_and_depends_on_its_seed_only(name: str, take: Any) -> None:
    before = take.copy()
    severity = FAULTS[name].severities[2]
    once = FAULTS[name](take, severity, seed=3)
    assert np.array_equal(take, before)
    assert np.array_equal(once, FAULTS[name](take, severity, seed=3))
    assert once.dtype == np.uint8
    assert once.shape[1:] == take.shape[1:]
    assert name in SHORTER or len(once) == len(take)


@pytest.mark.parametrize("name", sorted(set(PICTURE) - SHORTER))
def test_severities_go_from_mild_to_severe(name: str, take: Any) -> None:
    far = [
        float(np.mean((FAULTS[name](take, severity).astype(float) - take) ** 2)) for severity in FAULTS[name].severities
    ]
    assert far[0] > 0
    assert far == sorted(far)


def test_a_table_names_measurements_and_dimensions_that_exist() -> None:
    from cinereward.operators import OPERATORS, spec_of
    from cinereward.taxonomy import load as load_taxonomy

    promised = {f"{name}.{item.name}" for name in OPERATORS for item in spec_of(name).measurements}
    assert {fault.names for fault in FAULTS.values()} <= promised
    assert {name for fault in FAULTS.values() for name in fault.lowers} <= set(load_taxonomy().names)


def test_noise_has_its_sigma(take: Any) -> None:
    grey = np.full((4, 128, 128, 3), 128, np.uint8)
    assert (testing.noisy(grey, 10) - 128.0).std() == pytest.approx(10, rel=0.03)


def test_colour_noise_has_its_sigma_and_leaves_luma() -> None:
    off = testing.colour_noisy(np.full((2, 128, 128, 3), 128, np.uint8), 12).astype(float) - 128
    spread = np.mean([(off[..., c] - off[..., 1]).std() for c in (0, 2)])
    assert spread == pytest.approx(12, rel=0.05)
    assert (off @ [0.299, 0.587, 0.114]).std() < 0.5


def test_flicker_has_its_rms() -> None:
    levels = testing.flickering(np.full((24, 8, 8, 3), 100, np.uint8), 5).mean(axis=(1, 2, 3))
    assert levels.std() == pytest.approx(5, abs=0.3)
    assert levels.mean() == pytest.approx(100, abs=0.3)


def test_shares_are_kept(take: Any) -> None:
    assert len(testing.dropped(take, 0.25)) == 27
    same = (np.diff(testing.repeated(take, 0.25).astype(int), axis=0) == 0).all(axis=(1, 2, 3))
    assert same.sum() == 9
    assert not (same[1:] & same[:-1]).any()
    still = (np.diff(testing.frozen(take, 0.5).astype(int), axis=0) == 0).all(axis=(1, 2, 3))
    assert still.sum() == 18
    assert still[-18:].all()


def test_one_frame_survives_every_fault(take: Any) -> None:
    for name in PICTURE:
        fault = FAULTS[name]
        assert fault(take[:1], fault.severities[0]).shape == take[:1].shape, name


def test_base_classes_are_not_collected_and_say_what_is_missing() -> None:
    for base, method in ((OperatorConformance, "operator"), (JudgeConformance, "judge"), (RewardConformance, "reward")):
        assert not base.__name__.startswith("Test")
        with pytest.raises(NotImplementedError, match=method):
            getattr(base(), method)()

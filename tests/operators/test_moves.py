from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cinereward.operators.moves import MOVES
from cinereward.testing import scene, shots

from .planted import FPS, SEEDS, take, worth

WAYS = {"pan": ("pan_left", "pan_right"), "tilt": ("tilt_up", "tilt_down")}


def along(axis: int, way: float, seed: int) -> Any:
    """A take whose camera moves along one axis of its path by 0.1 a second."""
    path = np.zeros((36, 4))
    path[:, axis] = way * np.linspace(-0.075, 0.075, 36)
    return scene(1.5, FPS, seed=seed, path=path)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("axis", "way", "name"),
    [(0, 1, "pan"), (0, -1, "pan"), (1, 1, "tilt"), (1, -1, "tilt"), (2, 1, "push"), (2, -1, "pull"), (3, 1, "roll")],
)
def test_a_move_along_one_axis_has_its_name(axis: int, way: float, name: str, seed: int) -> None:
    found = worth("camera", along(axis, way, seed))
    assert found[name] > 0.9
    assert max(found[other] for other in MOVES if other not in (name, *WAYS.get(name, ()))) < 0.1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("axis", "way", "name"),
    [(0, -1, "pan_left"), (0, 1, "pan_right"), (1, -1, "tilt_up"), (1, 1, "tilt_down")],
)
def test_a_direction_is_where_the_camera_goes(axis: int, way: float, name: str, seed: int) -> None:
    found = worth("camera", along(axis, way, seed))
    assert found[name] > 0.9
    assert sum(found[other] for other in ("pan_left", "pan_right", "tilt_up", "tilt_down") if other != name) < 0.05


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("axis", "name"), [(0, "pan"), (1, "tilt")])
def test_there_and_back_is_half_each_way(axis: int, name: str, seed: int) -> None:
    path = np.zeros((72, 4))
    path[:, axis] = 0.15 * (1 - np.abs(np.linspace(-1, 1, 72)))
    found = worth("camera", scene(3.0, FPS, seed=seed, path=path))
    for way in WAYS[name]:
        assert found[way] == pytest.approx(found[name] / 2, abs=0.06)
    assert sum(found[way] for way in WAYS[name]) == pytest.approx(found[name], abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_camera_that_stands_is_static(seed: int) -> None:
    found = worth("camera", take(seed, "static"))
    assert found["static"] > 0.9
    assert max(found[other] for other in MOVES if other != "static") < 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hand_sways(seed: int) -> None:
    assert worth("camera", take(seed, "handheld", 3.0))["handheld"] == 1.0


def test_a_diagonal_is_a_pan_and_a_tilt() -> None:
    path = np.zeros((36, 4))
    path[:, 0] = path[:, 1] = np.linspace(-0.06, 0.06, 36)
    found = worth("camera", scene(1.5, FPS, seed=1, path=path))
    assert found["pan"] > 0.9
    assert found["tilt"] > 0.9


def test_moves_share_the_running_time() -> None:
    frames, _ = shots([take(11, "static", 1.5), take(12, "push", 1.5)])
    found = worth("camera", frames)
    assert found["static"] == pytest.approx(0.5, abs=0.08)
    assert found["push"] == pytest.approx(0.5, abs=0.08)

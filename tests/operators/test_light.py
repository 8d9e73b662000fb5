from __future__ import annotations

import numpy as np
import pytest

from cinereward.operators.light import Light
from cinereward.testing import FAULTS, clip, grading, measure, scene, shots

from .planted import FPS, SEEDS, rank_correlation, take

TELLS = ("jump", "pulse", "modelling")


def worth(frames: np.ndarray, fps: float = FPS) -> dict[str, float]:
    found = measure(Light(), clip(frames, fps))
    return {name: float(found[name].value) for name in TELLS}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("fault", "name", "sign", "move"),
    [
        ("light_jumped", "jump", 1, "pan"),
        ("lamp_pulsing", "pulse", 1, "pan"),
        ("lamp_pulsing", "pulse", 1, "static"),
        ("unmodelled", "modelling", -1, "pan"),
    ],
)
def test_a_fault_moves_what_names_it(fault: str, name: str, sign: int, move: str, seed: int) -> None:
    clean = take(seed, move)
    values = [sign * worth(clean)[name]]
    values += [
        sign * worth(getattr(grading, fault)(clean, at, fps=FPS, seed=seed))[name] for at in FAULTS[fault].severities
    ]
    assert values[-1] > values[0]
    assert rank_correlation(values) >= 0.94


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("stops", [0.15, 0.4, 0.8])
def test_a_jump_is_measured_in_stops(seed: int, stops: float) -> None:
    assert worth(grading.light_jumped(take(seed), stops, seed=seed))["jump"] == pytest.approx(stops, rel=0.2)


def test_two_jumps_are_worse_than_one() -> None:
    once = grading.light_jumped(take(0, "static"), 0.4, seed=0)
    sign = np.sign(float(once[-1].mean()) - float(once[0].mean()))
    back = once.copy()
    back[30:] = take(0, "static")[30:]
    assert sign != 0
    assert worth(back)["jump"] > 1.2 * worth(once)["jump"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fade_is_no_jump(seed: int) -> None:
    frames = take(seed, "static")
    gains = (2 ** (np.linspace(-1, 0, len(frames)) / 2.2))[:, None, None, None]
    assert worth(np.rint(frames * gains).astype(np.uint8))["jump"] < 0.1


def test_a_flash_is_no_lasting_jump() -> None:
    frames = take(0, "static").copy()
    frames[18] = np.clip(frames[18] * 1.4, 0, 255).astype(np.uint8)
    assert worth(frames)["jump"] < 0.05


def test_a_cut_is_no_jump() -> None:
    cut, _ = shots([take(0, "static", 0.8), grading.light_jumped(take(1, "static", 1.6), 0.8)[20:38]])
    assert worth(cut)["jump"] < 0.1


@pytest.mark.parametrize("move", ["pan", "push", "handheld"])
def test_a_moving_camera_neither_jumps_nor_pulses(move: str) -> None:
    found = worth(take(1, move))
    assert found["jump"] < 0.08
    assert found["pulse"] < 0.04


def test_something_that_passes_is_no_jump() -> None:
    assert worth(take(0, "static", subject=0.8))["jump"] < 0.05


def test_a_change_of_all_light_is_no_pulse() -> None:
    frames = take(0, "static", subject=0)
    gains = (2 ** (0.3 * np.sin(np.arange(len(frames)) / 3) / 2.2))[:, None, None, None]
    whole = np.clip(np.rint(frames * gains), 0, 255).astype(np.uint8)
    assert worth(whole)["pulse"] < worth(frames)["pulse"] + 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_modelling_is_of_the_light_not_of_its_level(seed: int) -> None:
    frames = take(seed, "static", 0.3)
    darker = np.rint(frames * 0.6).astype(np.uint8)
    assert worth(darker)["modelling"] == pytest.approx(worth(frames)["modelling"], rel=0.15)


@pytest.mark.parametrize("fault", ["blurred", "noisy", "compressed", "frozen"])
def test_modelling_stays_under_what_is_not_light(fault: str) -> None:
    kind, clean = FAULTS[fault], take(0, "pan", 0.5)
    found = worth(kind(clean, kind.severities[2], fps=FPS, seed=0))
    assert found["modelling"] == pytest.approx(worth(clean)["modelling"], rel=0.1)


@pytest.mark.parametrize(
    ("fault", "name", "most"),
    [
        ("blurred", "jump", 0.05),
        ("noisy", "jump", 0.05),
        ("compressed", "jump", 0.08),
        ("shaken", "jump", 0.1),
        ("frozen", "jump", 0.05),
        ("repeated", "jump", 0.05),
        ("noisy", "pulse", 0.02),
        ("frozen", "pulse", 0.02),
        ("repeated", "pulse", 0.03),
        ("shaken", "pulse", 0.06),
        ("tinted", "pulse", 0.02),
    ],
)
def test_what_other_faults_must_not_touch(fault: str, name: str, most: float) -> None:
    kind, clean = FAULTS[fault], take(0)
    assert abs(worth(kind(clean, kind.severities[2], fps=FPS, seed=0))[name] - worth(clean)[name]) <= most


@pytest.mark.parametrize("axis", ["letterbox", "pillars"])
def test_bars_are_no_light_and_shade(axis: str) -> None:
    barred, picture = np.zeros((8, 180, 320, 3), np.uint8), take(1, "static", 0.34, size=(180, 320))[:8]
    cut = (
        (slice(None), slice(20, 160), slice(None))
        if axis == "letterbox"
        else (slice(None), slice(None), slice(30, 290))
    )
    barred[cut] = picture[cut]
    inner = worth(np.ascontiguousarray(picture[cut]))["modelling"]
    assert worth(barred)["modelling"] == pytest.approx(inner, rel=0.2)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_tone_has_no_modelling(value: int) -> None:
    found = worth(np.full((6, 64, 96, 3), value, np.uint8))
    assert all(abs(found[name]) < 1e-3 for name in TELLS)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_frames_tell_no_change_of_light(count: int) -> None:
    found = measure(Light(), clip(scene(count / 24, size=(48, 64)), FPS))
    for name in ("jump", "pulse"):
        assert np.isnan(found[name].value)
        assert found[name].note
    assert np.isfinite(float(found["modelling"].value))


def test_a_tiny_picture_is_measured() -> None:
    assert all(np.isfinite(value) for value in worth(scene(0.5, size=(16, 16))).values())

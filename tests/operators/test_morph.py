from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cinereward.errors import OperatorError
from cinereward.operators.morph import Morph
from cinereward.testing import clip, generative, measure, scene, shots
from cinereward.testing.faults import blurred, flattened, noisy, shaken, underexposed

FPS = 24.0
SEEDS = (0, 1)
PLANTED = {
    "morphing": ("warp", (0.6, 1.2, 2, 3.5, 6)),
    "crossfading": ("fade", (0.03, 0.06, 0.12, 0.2, 0.35)),
    "popping": ("pop", (0.005, 0.01, 0.02, 0.04, 0.08)),
    "sticking": ("stick", (0.15, 0.3, 0.5, 0.7, 0.9)),
    "melting": ("melt", (0.5, 1, 2, 3.5, 6)),
    "looping": ("loop", (2, 3, 4, 5, 6)),
}


@cache
def take(seed: int = 0, move: Any = "pan", seconds: float = 2.0, **arguments: Any) -> NDArray[np.uint8]:
    frames = scene(seconds, FPS, size=(120, 208), seed=seed, move=move, grain=0.6, **arguments)
    frames.flags.writeable = False
    return frames


def found(frames: NDArray[np.uint8], fps: float = FPS) -> dict[str, float]:
    evidence = measure(Morph(), clip(frames, fps))
    return {name: float(evidence[name].value) for name in evidence if not name.endswith("_track")}


@cache
def clean(seed: int, move: Any = "pan") -> dict[str, float]:
    return found(take(seed, move))


# --- what it must tell ---


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_raises_its_measure(fault: str, seed: int) -> None:
    name, severities = PLANTED[fault]
    put = getattr(generative, fault)
    course = [clean(seed)[name], *(found(put(take(seed), severities[i], fps=FPS, seed=seed))[name] for i in (0, 2, 4))]
    ranks = np.argsort(np.argsort(course))
    assert course[-1] == max(course)
    assert np.corrcoef(np.arange(4), ranks)[0, 1] >= 0.8
    assert min(course[1:]) > course[0]


@pytest.mark.parametrize("times", [2, 3])
def test_the_share_that_comes_again_is_near_the_truth(times: int) -> None:
    frames = generative.looping(take(0), times)
    assert found(frames)["loop"] == pytest.approx(1 - 1 / times, abs=0.08)


def test_a_clip_that_swings_to_and_fro_comes_again() -> None:
    half = take(1)[:24]
    assert found(np.concatenate([half, half[::-1]]))["loop"] == pytest.approx(0.5, abs=0.1)


def test_what_comes_again_after_a_cut_comes_again() -> None:
    other = take(2, "push")[:16]
    frames = np.concatenate([take(0)[:20], other, take(0)[:20]])
    assert found(frames)["loop"] == pytest.approx(20 / 56, abs=0.08)


def test_a_thing_that_pops_up_is_found_where_it_is() -> None:
    frames = take(0).copy()
    cv2.circle(frames[20], (60, 60), 14, (240, 240, 20), -1)
    for t in range(21, len(frames)):
        frames[t, 40:80, 40:80] = np.where(
            (np.hypot(*np.mgrid[-20:20, -20:20]) < 14)[..., None], np.uint8([240, 240, 20]), frames[t, 40:80, 40:80]
        )
    evidence = measure(Morph(), clip(frames, FPS))
    track = np.asarray(evidence["pop_track"].value)
    assert int(track.argmax()) == 20
    assert 0.01 < track.max() < 0.06  # it covers 0.025 of the picture


def test_a_fade_is_found_when_it_happens() -> None:
    frames, other = take(0).astype(np.float32), take(1).astype(np.float32)
    ramp = np.clip((np.arange(len(frames)) - 18) / 12, 0, 1)[:, None, None, None]
    frames[:, 30:80, 60:140] += (ramp * (other - frames))[:, 30:80, 60:140]
    evidence = measure(Morph(), clip(frames.astype(np.uint8), FPS))
    at = int(np.asarray(evidence["fade_track"].value).argmax())
    times = evidence["fade_track"].times
    assert times is not None and 24 / FPS <= times[at] <= 36 / FPS


# --- what it must leave alone ---


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("move", ["static", "pan", "push", "roll", "handheld"])
def test_a_camera_that_moves_over_rigid_things_does_no_wrong(seed: int, move: str) -> None:
    worth = clean(seed, move)
    assert worth["warp"] < 0.3
    assert worth["fade"] < 0.05
    assert worth["pop"] < 0.004
    assert worth["change"] < 0.08
    assert worth["stick"] < 0.05
    assert worth["loop"] == 0
    assert abs(worth["melt"]) < 0.6


def test_a_thing_that_crosses_the_picture_is_no_pop() -> None:
    assert found(take(0, "static", subject=0.5))["pop"] < 0.006


def test_a_still_picture_does_not_come_again() -> None:
    still = np.repeat(take(0)[:1], 40, axis=0)
    worth = found(still)
    assert worth["loop"] == 0
    assert worth["stick"] == 0


def test_a_tripod_shot_with_a_little_movement_does_not_come_again() -> None:
    assert found(take(0, "static", subject=0.02))["loop"] == 0


def test_a_hard_cut_is_no_pop_and_no_fade() -> None:
    frames, _ = shots([take(3, "static", 1.0), take(4, "pan", 1.0)])
    worth = found(frames)
    assert worth["pop"] < 0.004
    assert worth["fade"] < 0.05


def test_a_pan_to_a_plain_wall_is_no_melting() -> None:
    canvas = np.full((120, 640, 3), 120, np.uint8)
    canvas[:, :420] = scene(1 / FPS, size=(120, 420), seed=3)[0]
    frames = np.stack([canvas[:, at : at + 208] for at in range(0, 288, 6)])
    assert found(frames)["melt"] < 0.5


@pytest.mark.parametrize(
    ("fault", "severity"), [(noisy, 8.0), (flattened, 0.3), (underexposed, 0.3), (shaken, 0.6), (blurred, 1.2)]
)
def test_other_faults_hardly_touch_it(fault: Any, severity: float) -> None:
    worth = found(fault(take(0), severity, fps=FPS, seed=1))
    base = clean(0)
    assert abs(worth["warp"] - base["warp"]) < 0.15
    assert abs(worth["fade"] - base["fade"]) < 0.04
    assert abs(worth["pop"] - base["pop"]) < 0.006
    assert worth["loop"] == 0


def test_bars_change_little() -> None:
    frames = take(0).copy()
    frames[:, :18], frames[:, -18:] = 0, 0
    worth, base = found(frames), clean(0)
    assert worth["warp"] == pytest.approx(base["warp"], abs=0.15)
    assert worth["stick"] < 0.1
    assert worth["loop"] == 0


# --- what it must bear ---


@pytest.mark.parametrize("count", [4, 5, 7])
def test_a_very_short_clip_gives_numbers(count: int) -> None:
    assert all(np.isfinite(value) for value in found(take(0)[:count]).values())


def test_three_frames_are_too_few() -> None:
    with pytest.raises(OperatorError, match="at least"):
        found(take(0)[:3])


@pytest.mark.parametrize("level", [0, 128])
def test_a_picture_of_one_colour_is_no_fault(level: int) -> None:
    worth = found(np.full((12, 48, 64, 3), level, np.uint8))
    assert max(abs(value) for value in worth.values()) == 0


@pytest.mark.parametrize("fps", [3.0, 8.0, 60.0])
def test_any_frame_rate_will_do(fps: float) -> None:
    assert all(np.isfinite(value) for value in found(take(0)[:30], fps).values())

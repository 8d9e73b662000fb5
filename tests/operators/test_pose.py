"""What befalls bodies, and how the frame holds them, is told from planted joints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cinereward.operators.pose import Pose
from cinereward.types import Evidence

from .boxed import FPS, SIZE, STEP, Planted, look, still

ASPECT = SIZE[1] / SIZE[0]
# A body of height 1 that stands with its feet at (0, 0) and faces the camera: x across, y up, in COCO's order.
HEAD = [(0, 0.92), (0.02, 0.935), (-0.02, 0.935), (0.045, 0.93), (-0.045, 0.93)]
ARMS = [(0.11, 0.818), (-0.11, 0.818), (0.13, 0.632), (-0.13, 0.632), (0.14, 0.486), (-0.14, 0.486)]
LEGS = [(0.06, 0.53), (-0.06, 0.53), (0.06, 0.285), (-0.06, 0.285), (0.06, 0.04), (-0.06, 0.04)]
STANDING = np.array([*HEAD, *ARMS, *LEGS])
# The same seen from its left, facing the left of the picture.
SIDEWAYS = STANDING * [0.2, 1.0]
SIDEWAYS[0, 0], SIDEWAYS[3:5, 0] = -0.07, 0.0
Body = Callable[[float], Any]


def person(
    joints: np.ndarray, feet: tuple[float, float] = (0.5, 0.9), tall: float = 0.7, score: float = 0.9
) -> tuple[Any, np.ndarray]:
    """A box and joints (17, 3) in shares of the frame. feet: where they stand. tall: in frame heights."""
    place = np.column_stack([feet[0] + joints[:, 0] * tall / ASPECT, feet[1] - joints[:, 1] * tall, np.full(17, 0.9)])
    low, high = place[:, :2].min(axis=0) - np.array([0.03, 0.08]) * tall, place[:, :2].max(axis=0) + 0.04 * tall
    outside = ((place[:, :2] < 0) | (place[:, :2] > 1)).any(axis=1)
    place[outside, 2] = 0.1
    box = tuple(np.clip([*low, *high], 0, 1).tolist())
    return ("person", box, score), place


def seen(body: Body, frames: np.ndarray | None = None) -> Evidence:
    """What is told where `body` gives a person, or several, or None, at each time in seconds."""

    def tell(frame: int) -> Any:
        told = body(frame / FPS)
        several = [] if told is None else told if isinstance(told, list) else [told]
        return [thing for thing, _ in several], np.array([joints for _, joints in several])

    return look(Pose(poser=Planted(tell, ("person",))), frames)


def value(found: Evidence, name: str) -> float:
    return float(found[name].value)


def onset(found: Evidence, name: str) -> float:
    """When a track first comes to half of its greatest value, in seconds."""
    track = found[f"{name}_track"]
    return float(track.times[int(np.argmax(track.value >= 0.5 * np.max(track.value)))])


def swinging(t: float) -> np.ndarray:
    """Both arms lifted and lowered from the shoulder, sideways: in the plane of the picture, at full length."""
    joints, angle = STANDING.copy(), 0.6 * np.sin(3 * t)
    for side, (shoulder, elbow, wrist) in ((1, (5, 7, 9)), (-1, (6, 8, 10))):
        way = np.array([side * np.sin(0.7 + angle), -np.cos(0.7 + angle)])
        joints[elbow] = joints[shoulder] + 0.186 * way
        joints[wrist] = joints[elbow] + 0.146 * way
    return joints


def grown(t: float, by: float, limb: tuple[int, int] = (7, 9)) -> np.ndarray:
    joints = swinging(t)
    joints[limb[1]] = joints[limb[0]] + by * (joints[limb[1]] - joints[limb[0]])
    return joints


# --- limbs ---


@pytest.mark.parametrize("at", [1.0, 2.1, 3.0])
def test_a_limb_that_grows_is_found_with_its_time(at: float) -> None:
    found = seen(lambda t: person(grown(t, 1.8 if t >= at else 1.0)))
    assert value(found, "limb_change") > 0.2
    assert abs(onset(found, "limb_change") - at) <= STEP


def test_the_longer_a_limb_grows_the_worse_it_is() -> None:
    course = [
        value(seen(lambda t, by=by: person(grown(t, by if t > 2 else 1.0))), "limb_change") for by in (1, 1.5, 2, 3)
    ]
    assert course == sorted(course)
    assert course[0] == 0 and course[-1] > 1


def test_a_limb_that_points_at_the_camera_is_no_fault() -> None:
    found = seen(lambda t: person(grown(t, 0.2 + 0.8 * abs(np.cos(2 * t)))))
    assert value(found, "limb_change") == 0


def test_long_arms_all_along_are_a_drawing() -> None:
    def drawn(t: float) -> Any:
        joints = grown(t, 1.9)
        joints[10] = joints[8] + 1.9 * (joints[10] - joints[8])
        return person(joints)

    assert value(seen(drawn), "limb_change") == 0


def test_one_slip_of_the_network_is_no_fault() -> None:
    found = seen(lambda t: person(grown(t, 2.5 if 2 <= t < 2.1 else 1.0)))
    assert value(found, "limb_change") == 0


def test_a_knee_that_bends_forwards_is_found() -> None:
    def bent(by: float) -> Evidence:
        joints = SIDEWAYS.copy()
        joints[[13, 14], 0] -= by  # it faces left: ahead is less
        return seen(lambda t: person(joints if t > 2 else SIDEWAYS))

    forwards, backwards = bent(-0.15), bent(0.15)
    assert value(forwards, "knees") > 0.9
    assert value(backwards, "knees") == 0
    assert abs(onset(forwards, "knees") - 2) <= STEP


def test_a_hand_that_is_lost_is_found_with_its_time() -> None:
    def lost(t: float) -> Any:
        thing, joints = person(swinging(0.0))
        joints[9, 2] = 0.05 if t >= 2 else 0.9
        return thing, joints

    found = seen(lost)
    assert value(found, "limb_count") > 0.8
    assert abs(onset(found, "limb_count") - 2) <= STEP


def test_two_sets_of_arms_on_one_body_are_found() -> None:
    found = seen(lambda t: [person(swinging(0.0)), person(swinging(1.57))])
    assert value(found, "limb_count") > 1
    assert value(seen(lambda t: person(swinging(0.0))), "limb_count") == 0


def test_a_person_who_becomes_two_is_found_with_their_time() -> None:
    two = [person(STANDING, (0.42, 0.9)), person(STANDING, (0.58, 0.9))]
    found = seen(lambda t: two if t >= 2 else person(STANDING, (0.5, 0.9)))
    assert value(found, "splits") > 0.4
    assert abs(onset(found, "splits") - 2) <= STEP


# --- feet ---


def panned(speed: float) -> np.ndarray:
    """A still picture under a camera that moves right at so many pixels a second."""
    rng, count = np.random.default_rng(3), 4 * FPS
    import cv2

    wide = cv2.GaussianBlur(rng.integers(0, 256, (SIZE[0], SIZE[1] + 200, 3)).astype(np.float32), (0, 0), 2)
    wide = np.clip(128 + 6 * (wide - 128), 0, 255).astype(np.uint8)
    return np.stack([wide[:, round(speed * t / FPS) :][:, : SIZE[1]] for t in range(count)])


def test_feet_that_slide_are_found_with_their_time() -> None:
    found = seen(lambda t: person(STANDING, (0.3 + 0.15 * max(0.0, t - 2), 0.9)))
    assert value(found, "foot_slide") == pytest.approx(0.15 * ASPECT / 0.7, rel=0.15)
    assert abs(onset(found, "foot_slide") - 2) <= STEP


def test_feet_that_stand_while_the_camera_pans_do_not_slide() -> None:
    frames = panned(24.0)
    with_the_ground = seen(lambda t: person(STANDING, (0.8 - 24 * t / SIZE[1], 0.9)), frames)
    over_it = seen(lambda t: person(STANDING, (0.5, 0.9)), frames)
    assert value(with_the_ground, "foot_slide") < 0.1
    assert value(over_it, "foot_slide") > 0.25


def test_walking_is_no_sliding() -> None:
    def step(t: float) -> Any:
        joints = STANDING.copy()
        phase, stride = t % 1.0, 0.4  # each foot stands half a second while the body goes half a stride
        for ankle, lag in ((15, 0.0), (16, 0.5)):
            own = (phase + lag) % 1.0
            ahead = 0.25 - 0.5 * own / 0.5 if own < 0.5 else -0.25 + 0.5 * (own - 0.5) / 0.5
            joints[ankle, 0] = stride * ahead
            joints[ankle, 1] += 0.0 if own < 0.5 else 0.08 * np.sin(2 * np.pi * (own - 0.5))
        return person(joints, (0.2 + stride * t * 0.7 / ASPECT, 0.9))

    assert value(seen(step), "foot_slide") < 0.1


# --- the frame ---


def test_the_more_of_a_head_is_cut_the_more_is_told() -> None:
    course = [
        value(seen(lambda t, up=up: person(STANDING, (0.5, up), 1.5)), "cut_head") for up in (1.55, 1.45, 1.37, 1.3)
    ]
    assert course == sorted(course)
    assert course[0] < 0.1
    assert course[-1] > 0.9


def test_room_above_the_head_is_told() -> None:
    found = seen(lambda t: person(STANDING, (0.5, 1.6), 1.4))
    assert value(found, "headroom") == pytest.approx(0.2, abs=0.04)
    assert value(found, "headroom_off") < 0.05
    assert value(seen(lambda t: person(STANDING, (0.5, 1.95), 1.4)), "headroom_off") > 0.1


@pytest.mark.parametrize("tall", [0.7, 1.4, 3.0])
def test_the_size_of_a_shot_is_the_height_of_a_head(tall: float) -> None:
    found = seen(lambda t: person(STANDING, (0.5, 0.2 + tall), tall))
    assert value(found, "shot_size") == pytest.approx(0.13 * tall, rel=0.15)


def test_a_size_that_wavers_is_told_and_a_push_in_is_not() -> None:
    wavering = seen(lambda t: person(STANDING, (0.5, 0.9), 0.6 * 2 ** (0.3 * np.sin(2 * t))))
    pushing = seen(lambda t: person(STANDING, (0.5, 0.9), 0.5 * 2 ** (0.1 * t)))
    assert value(wavering, "size_drift") > 0.1
    assert value(pushing, "size_drift") < 0.03


# --- who hides gains nothing ---

FAULTS = ["limb_change", "knees", "limb_count", "splits", "foot_slide", "cut_head", "headroom_off", "size_drift"]


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("cheat", ["nobody", "tiny", "faint", "once"])
def test_a_body_that_cannot_be_told_is_worse_than_one_without_fault(name: str, cheat: str) -> None:
    cheats: dict[str, Body] = {
        "nobody": lambda t: None,
        "tiny": lambda t: person(STANDING, tall=0.08),
        "faint": lambda t: person(STANDING, score=0.3),
        "once": lambda t: person(STANDING) if t < 0.2 else None,
    }
    close = name == "headroom_off"  # which is told of closer shots only
    hidden, shown = seen(cheats[cheat]), seen(lambda t: person(swinging(t), *(((0.5, 1.6), 1.4) if close else ())))
    assert value(hidden, name) > value(shown, name)
    assert hidden[name].std > 0


def test_movement_is_that_of_the_limbs_and_not_of_the_place() -> None:
    still_body, gliding, waving = (
        value(seen(body), "movement")
        for body in (
            lambda t: person(STANDING),
            lambda t: person(STANDING, (0.3 + 0.1 * t, 0.9)),
            lambda t: person(swinging(t)),
        )
    )
    assert max(still_body, gliding) < 1e-6
    assert waving > 0.05


def test_who_is_not_seen_does_not_move() -> None:
    found = seen(lambda t: None)
    assert (value(found, "movement"), value(found, "presence"), value(found, "subject_size")) == (0, 0, 0)
    assert np.isnan(value(found, "shot_size")) and found["shot_size"].note


def test_frames_are_not_needed_to_be_large() -> None:
    found = seen(lambda t: person(STANDING), still(0.3))
    assert 0 <= value(found, "limb_change") <= 4

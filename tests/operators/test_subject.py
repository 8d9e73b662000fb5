"""Subject and background over time: planted changes are found with their time, and a still picture is not the best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from vision import installed

from cinereward.errors import OperatorError
from cinereward.operators.subject import Subject
from cinereward.testing import OperatorConformance
from cinereward.types import Evidence

from .boxed import FPS, STEP, look, worst_time
from .planted_looks import BOX, Detector, Planted, detector, dino, film, short_clips

RED, GREEN, BLUE, GREY = (150.0, 0.0, 0.0), (0.0, 150.0, 0.0), (0.0, 0.0, 150.0), (90.0, 90.0, 90.0)


def judged(frames: np.ndarray, boxes: Planted | None = None) -> Evidence:
    return look(Subject(dino=dino(), detector=detector() if boxes is None else boxes), frames)


def mixed(a: tuple[float, ...], b: tuple[float, ...], share: float) -> tuple[float, float, float]:
    red, green, blue = ((1 - share) * x + share * y for x, y in zip(a, b, strict=True))
    return red, green, blue


def test_a_subject_that_becomes_another_is_found_when_it_does() -> None:
    found = judged(film(lambda at: RED if at < 2 * FPS else GREEN, lambda at: GREY, drift=0.5))
    assert found["jump"].value > 0.8
    assert abs(worst_time(found, "jump") - 2.0) <= STEP + 1e-9
    assert found["drift"].value > 5


def test_and_the_background_is_not_blamed_for_it() -> None:
    found = judged(film(lambda at: RED if at < 2 * FPS else GREEN, lambda at: GREY, drift=0.5))
    assert found["background_jump"].value < 0.02


def test_a_background_that_becomes_another_is_found_when_it_does() -> None:
    found = judged(film(lambda at: RED, lambda at: GREY if at < FPS else mixed(GREY, BLUE, 0.6), drift=0.5))
    assert abs(worst_time(found, "background_jump") - 1.0) <= STEP + 1e-9
    assert found["background_jump"].value > 0.1
    assert found["jump"].value < 0.02


def test_a_slow_drift_is_told_and_is_no_jump() -> None:
    found = judged(film(lambda at: mixed(RED, GREEN, at / (4 * FPS)), lambda at: GREY, drift=0.5))
    assert found["drift"].value > 3
    assert found["jump"].value < 0.1


def test_a_faster_drift_is_worse() -> None:
    values = [
        judged(film(lambda at, s=share: mixed(RED, GREEN, s * at / (4 * FPS)), lambda at: GREY, drift=0.5))[
            "drift"
        ].value
        for share in (0.3, 0.6, 1.0)
    ]
    assert values == sorted(values)
    assert values[0] < values[2] / 2


def test_one_glitch_of_a_frame_is_no_other_subject() -> None:
    glitch = judged(film(lambda at: GREEN if at == 48 else RED, lambda at: GREY, drift=0.5))
    assert glitch["jump"].value < 0.4


def test_a_still_picture_is_as_usual_and_not_the_best() -> None:
    still = judged(film(lambda at: RED, lambda at: GREY))
    moving = judged(film(lambda at: RED, lambda at: GREY, drift=1.0))
    assert still["motion"].value < 0.02 < moving["motion"].value
    assert still["drift"].value == pytest.approx(1.0, abs=0.1)
    assert moving["drift"].value < 0.6
    assert still["background_drift"].value > moving["background_drift"].value
    assert "hardly moves" in still["drift"].note


def test_a_subject_that_moves_may_change_more() -> None:
    slow, fast = (
        judged(film(lambda at: mixed(RED, GREEN, at / (4 * FPS)), lambda at: GREY, drift=drift)) for drift in (0.1, 3.0)
    )
    assert fast["motion"].value > slow["motion"].value
    assert fast["drift"].value < slow["drift"].value


# --- across cuts ---


Colour = tuple[float, float, float]
THERE = (0.55, 0.1, 0.9, 0.8)


def cut(first: Colour, second: Colour, here: Colour, there: Colour) -> np.ndarray:
    """Two shots of two seconds with a clear cut between them."""
    a = film(lambda at: first, lambda at: here, 2.0, drift=0.5)
    b = film(lambda at: second, lambda at: there, 2.0, drift=0.5, box=THERE, seed=1)
    return np.concatenate([a, b])


def moved(frame: int) -> list[tuple[str, tuple[float, float, float, float], float]]:
    return [("person", BOX if frame < 2 * FPS else THERE, 0.9)]


def test_another_subject_after_a_cut_is_found_and_the_same_one_is_not_blamed() -> None:
    same = judged(cut(RED, RED, GREY, GREY), Detector(moved))
    other = judged(cut(RED, BLUE, GREY, GREY), Detector(moved))
    assert same["across"].value > 0.99
    assert other["across"].value < 0.1
    assert other["jump"].value < 0.05  # a cut explains itself


def test_another_place_after_a_cut_is_found() -> None:
    same = judged(cut(RED, RED, GREY, GREY), Detector(moved))
    other = judged(cut(RED, RED, (20, 120, 60), (120, 40, 30)), Detector(moved))
    assert same["background_across"].value > 0.99
    assert other["background_across"].value < 0.75


def test_one_shot_has_nothing_across_and_is_not_praised_for_it() -> None:
    found = judged(film(lambda at: RED, lambda at: GREY, drift=0.5))
    assert found["across"].value == found["background_across"].value == 0.75
    assert "one shot" in found["across"].note
    assert found["across"].std > 0.1


# --- nothing to follow ---


def test_without_a_known_thing_the_whole_picture_is_judged() -> None:
    frames = film(lambda at: RED, lambda at: GREY if at < 2 * FPS else mixed(GREY, BLUE, 0.9), drift=0.5)
    found = judged(frames, detector(None))
    assert found["followed"].value == 0
    assert "as a whole" in found["jump"].note
    assert abs(worst_time(found, "jump") - 2.0) <= STEP + 1e-9


def test_a_thing_that_is_seen_for_a_moment_hides_no_change_of_the_rest() -> None:
    frames = film(lambda at: RED, lambda at: GREY if at < 2 * FPS else mixed(GREY, BLUE, 0.9), drift=0.5)
    brief = Detector(lambda frame: [("person", BOX, 0.9)] if frame < 16 else [])
    whole = judged(frames, detector(None))["jump"].value
    assert judged(frames, brief)["jump"].value == pytest.approx(whole)
    assert whole > 0.05


def test_a_thing_that_fills_the_picture_leaves_no_background_and_it_is_said() -> None:
    found = judged(film(lambda at: RED, lambda at: GREY, drift=0.5), detector((0.0, 0.0, 1.0, 1.0)))
    assert found["background_drift"].value == 1.0
    assert "no background" in found["background_drift"].note


def test_the_foremost_thing_is_followed_and_a_small_one_beside_it_is_not() -> None:
    def two(frame: int) -> list[tuple[str, tuple[float, float, float, float], float]]:
        return [("person", BOX, 0.9), ("dog", (0.8, 0.8, 0.95, 0.95), 0.9)]

    frames = film(lambda at: RED, lambda at: GREY, drift=0.5)
    frames[:, 72:86, 128:152] = [0, 0, 150]
    frames[FPS:, 72:86, 128:152] = [0, 150, 0]  # the small one changes
    assert judged(frames[: 2 * FPS], Detector(two))["jump"].value < 0.05


def test_two_sampled_frames_are_the_least() -> None:
    with pytest.raises(OperatorError, match="1 sampled frames"):
        judged(film(lambda at: RED, lambda at: GREY, 3 / FPS))


def test_each_network_is_asked_once_for_all_windows() -> None:
    from cinereward.testing.operators import windows_of
    from cinereward.testing.scenes import clip

    asked: list[int] = []
    net = dino()

    def count(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(len(rows))
        return net(rows)

    counted = dino()
    counted._see = count  # a planted network, looked at from inside
    windows = [w for _ in range(3) for w in windows_of(clip(film(lambda at: RED, lambda at: GREY, 1.0), FPS), 8)]
    Subject(dino=counted, detector=detector()).measure(windows)
    assert asked == [18, 18]  # whole pictures, then boxes: six a second of three clips


class TestConformance(OperatorConformance):
    lengths = (1, 7)

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with installed(tmp_path_factory.mktemp("home"), "dinov2-base", "yolo11m"):
            yield

    def operator(self) -> Subject:
        return Subject("cpu")

    def clips(self) -> list[Any]:
        return short_clips()

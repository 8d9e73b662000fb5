"""Semantics on planted networks: pictures that show what they are told to show, texts that mean what they say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cinereward import weights
from cinereward.networks.clip import ImageText
from cinereward.operators.semantics import Semantics, movement, over_shots
from cinereward.testing import OperatorConformance, clip, measure, scene
from cinereward.testing.tiny_vision import tiny_siglip
from cinereward.types import Evidence

Frames = NDArray[np.uint8]
FPS = 24.0
STRIPE = 8  # pixels; the planted network reads the mean level of the leftmost columns as a number of a meaning


def vector(word: str) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=256).astype(np.float32) / 16


@cache
def meaning(text: str) -> NDArray[np.float32]:
    """The sum of a text's words, of length 1."""
    words = re.findall(r"[a-z]+|[\u3400-\u9fff]", text)
    total = np.sum([vector(word) for word in words if word not in ("a", "picture", "of")] or [vector(text)], axis=0)
    return np.asarray(total / np.linalg.norm(total), np.float32)


def network(*shown: str) -> ImageText:
    """A picture whose left edge has a level of 20 n shows the n-th of these texts; one of level 0 shows noise."""

    def see(rows: Frames) -> NDArray[np.float32]:
        codes = np.rint(rows[:, :, :STRIPE].mean(axis=(1, 2, 3)) / 20).astype(int)
        told = ("nothing at all", *shown)
        return np.stack([meaning(told[code % len(told)]) for code in codes])

    class Planted(ImageText):
        def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.stack([meaning(text) for text in texts])

    return Planted(see, scale=50.0)


def film(codes: Sequence[int], *, mirrored: Sequence[int] | None = None) -> Frames:
    """Half a second for each code; the right edge, which is the left one of the mirrored picture, has the same."""
    frames = np.full((len(codes) * 12, 64, 96, 3), 128, np.uint8)
    for at, (left, right) in enumerate(zip(codes, mirrored or codes, strict=True)):
        frames[at * 12 : (at + 1) * 12, :, :STRIPE] = 20 * left
        frames[at * 12 : (at + 1) * 12, :, -STRIPE:] = 20 * right
    return frames


def seen(prompt: str, frames: Frames, *shown: str) -> Evidence:
    return measure(Semantics(network=network(*shown)), clip(frames, FPS, prompt=prompt))


def share(name: str, prompt: str, codes: Sequence[int], *shown: str, **more: Any) -> float:
    return float(seen(prompt, film(codes, **more), *shown)[name].value)


def test_a_thing_that_is_shown_has_most_of_the_share() -> None:
    assert share("subject", "a red panda", [1] * 4, "red panda") > 0.8
    assert share("subject", "a red panda", [0] * 4, "red panda") < 0.2


def test_another_animal_is_not_the_one_that_is_asked_for() -> None:
    assert share("subject", "a dog", [1] * 4, "a dog") > 0.8
    assert share("subject", "a dog", [1] * 4, "a horse") < 0.1


def test_a_thing_that_is_shown_for_half_the_time_has_half_the_share() -> None:
    always, half = (share("subject", "a dog", codes, "a dog") for codes in ([1] * 8, [1, 0] * 4))
    assert half == pytest.approx(always / 2, abs=0.1)


def test_of_two_things_both_must_be_seen() -> None:
    both = share("subject", "a dog and a pizza", [1] * 4, "dog pizza")
    one = share("subject", "a dog and a pizza", [1] * 4, "dog")
    assert both > one + 0.3


def test_the_time_when_a_thing_vanishes_is_told_to_a_sample() -> None:
    track = seen("a dog", film([1, 1, 1, 0, 0, 0]), "a dog")["subject_track"]
    assert track.times is not None and isinstance(track.value, np.ndarray)
    gone = float(track.times[np.flatnonzero(track.value < 0.4)[0]])
    assert abs(gone - 1.5) <= 0.5


def test_the_colour_that_is_asked_for() -> None:
    assert share("colour", "a red car", [1] * 4, "red car") > 0.5
    assert share("colour", "a red car", [1] * 4, "blue car") < 0.1


def test_the_style_that_is_asked_for() -> None:
    assert share("style", "a watercolour of a dog", [1] * 4, "a watercolour painting") > 0.8
    assert share("style", "a watercolour of a dog", [1] * 4, "a photograph") < 0.1


def test_the_action_that_is_asked_for() -> None:
    assert share("action", "a dog jumps", [1] * 4, "dog jumps") > 0.5
    assert share("action", "a dog jumps", [1] * 4, "dog standing still") < 0.1


def test_the_prompt_as_a_whole() -> None:
    assert share("whole", "sunset over calm water", [1] * 4, "sunset over calm water") > 0.8
    assert share("whole", "sunset over calm water", [1] * 4, "a crowd in a stadium") < 0.1


@pytest.mark.parametrize(
    ("name", "note"),
    [("colour", "no thing a colour"), ("action", "no action"), ("style", "no style"), ("subject", "names no thing")],
)
def test_what_is_not_asked_for_is_not_a_number(name: str, note: str) -> None:
    found = seen("sunset", film([1] * 4), "sunset")
    assert np.isnan(float(found[name].value))
    assert note in found[name].note
    assert f"{name}_track" not in found.measurements


def test_an_empty_prompt_leaves_only_the_movement() -> None:
    found = seen("", film([1] * 4), "sunset")
    assert [name for name in found if not np.isnan(np.atleast_1d(found[name].value)).all()] == [
        "movement",
        "movement_track",
    ]


# --- cheats ---


def test_words_that_only_read_one_way_round_are_not_the_thing() -> None:
    assert share("subject", "a dog", [1] * 4, "a dog", mirrored=[0] * 4) < 0.2
    assert share("whole", "a dog", [0] * 4, "a dog", mirrored=[1] * 4) < 0.2


def test_the_name_of_a_thing_painted_into_the_picture_is_not_the_thing() -> None:
    assert share("subject", "a dog", [1] * 4, 'the written words "a dog"') < 0.4
    assert share("subject", "a dog", [1] * 4, "a dog") > 0.8


def test_a_still_picture_does_not_move() -> None:
    still = np.repeat(scene(0.1, FPS, seed=0)[:1], 36, axis=0)
    assert float(seen("a dog jumps", still, "dog")["movement"].value) == 0.0


@pytest.mark.parametrize(("shift", "zoom"), [(0.1, 0.0), (0.0, 0.2), (-0.2, 0.1)])
def test_a_still_picture_that_is_panned_or_zoomed_hardly_moves(shift: float, zoom: float) -> None:
    still = scene(0.1, FPS, seed=0)[0]
    height, width = still.shape[:2]
    frames = []
    for at in np.linspace(0, 1, 36):
        size = 1 + zoom * at
        matrix = np.array([[size, 0, (1 - size) * width / 2 + shift * at * width], [0, size, (1 - size) * height / 2]])
        frames.append(cv2.warpAffine(still, matrix, (width, height), borderMode=cv2.BORDER_REFLECT))
    panned = float(seen("a dog jumps", np.stack(frames), "dog")["movement"].value)
    assert panned < 0.5 * float(seen("a dog jumps", moving(0.2), "dog")["movement"].value)


def moving(speed: float) -> Frames:
    """A disc that crosses a still picture by so many widths a second."""
    still = scene(0.1, FPS, seed=0)[0]
    height, width = still.shape[:2]
    frames = [still.copy() for _ in range(36)]
    for at, frame in enumerate(frames):
        centre = (round(width * (0.3 + speed * at / FPS)), height // 2)
        cv2.circle(frame, centre, height // 5, (200, 40, 40), -1)
        cv2.circle(frame, (centre[0] + 5, centre[1] - 5), height // 20, (20, 240, 40), -1)
    return np.stack(frames)


def test_movement_grows_with_the_speed_of_what_moves() -> None:
    speeds = [float(seen("a dog jumps", moving(speed), "dog")["movement"].value) for speed in (0.0, 0.1, 0.3)]
    assert speeds == sorted(speeds)
    assert speeds[1] > 0.04


def test_movement_is_what_is_left_beside_an_affine_map() -> None:
    y, x = np.mgrid[:12, :20].astype(float)
    flow = np.stack([2 + 0.1 * x - 0.05 * y, -1 + 0.02 * x], axis=-1)[None]
    assert float(movement(flow)[0]) == pytest.approx(0, abs=1e-3)
    flow[0, 4:7, 4:12] += 5.0
    assert float(movement(flow)[0]) == pytest.approx(np.hypot(5, 5), rel=0.05)


def test_over_two_shots_a_thing_in_one_counts_more_than_half() -> None:
    least, times = np.array([[1.0], [1.0], [0.0], [0.0]]), np.arange(4.0)
    assert over_shots(least, times, [np.array([0.0, 3.0])]) == 0.5
    assert over_shots(least, times, [np.array([0.0, 1.0]), np.array([2.0, 3.0])]) == 0.75


# --- the true network ---


@pytest.mark.slow  # transformers alone takes ten seconds to import
def test_tiny_siglip_is_loaded_and_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))
    weights.add("siglip2-base", tiny_siglip(tmp_path / "siglip"), own=True)
    found = measure(Semantics(device="cpu"), clip(moving(0.1), FPS, prompt="a red disc jumps, anime"))
    assert 0.0 < float(found["whole"].value) < 1.0
    assert 0.0 < float(found["style"].value) < 1.0


class TestSemantics(OperatorConformance):
    def operator(self) -> Semantics:
        return Semantics(network=network(*["a dog", "a red car"] * 6))

    def clips(self) -> list[Any]:
        prompts = ("a red dog jumps beside two cars, anime", "", "一只猫在跳舞")
        return [
            clip(take.video, take.fps, prompt=prompt, audio=take.audio, sample_rate=take.sample_rate)
            for take, prompt in zip(super().clips(), prompts, strict=True)
        ]

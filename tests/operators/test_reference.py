"""Likeness to a reference: found in a thing as in the whole, lost over time, refused where it cannot be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from vision import installed

from cinereward.errors import OperatorError
from cinereward.operators.reference import Reference
from cinereward.testing import OperatorConformance, clip, measure
from cinereward.testing.operators import windows_of
from cinereward.types import Clip, Evidence

from .boxed import FPS
from .planted_looks import detector, dino, film, image_text, short_clips

RED, GREEN, GREY = (150.0, 0.0, 0.0), (0.0, 150.0, 0.0), (90.0, 90.0, 90.0)


def planted() -> Reference:
    return Reference(dino=dino(), clip=image_text(), detector=detector())


def against(frames: np.ndarray, reference: Any) -> Evidence:
    return measure(planted(), clip(frames, FPS, reference=reference))


def plain(colour: tuple[float, float, float]) -> np.ndarray:
    return np.full((48, 64, 3), colour, np.uint8)


def test_a_thing_like_the_reference_is_found_before_another_background() -> None:
    found = against(film(lambda at: RED, lambda at: GREEN, 1.0), plain(RED))
    assert found["similarity"].value > 0.999
    assert found["meaning"].value > 0.999
    other = against(film(lambda at: GREY, lambda at: GREEN, 1.0), plain(RED))
    assert other["similarity"].value < 0.7


def test_a_thing_that_turns_into_something_else_is_told_with_the_time() -> None:
    found = against(film(lambda at: RED if at < 48 else GREEN, lambda at: GREEN, 4.0), plain(RED))
    track = found["similarity_track"]
    assert found["drift_from"].value > 0.9
    assert abs(float(track.times[int(np.argmax(track.value < 0.5))]) - 2.0) <= 1 / 6 + 1e-9


def test_a_thing_that_stays_does_not_drift_away() -> None:
    found = against(film(lambda at: RED, lambda at: GREY, 2.0), plain(RED))
    assert abs(found["drift_from"].value) < 0.01


def test_the_first_frame_is_held_against_the_whole_reference() -> None:
    frames = film(lambda at: RED, lambda at: RED if at < 12 else GREEN, 1.0)
    assert against(frames, frames[0])["first"].value == pytest.approx(1.0, abs=1e-6)
    assert against(frames, plain(GREEN))["first"].value < 0.1


def test_a_film_may_be_the_reference() -> None:
    frames = film(lambda at: RED, lambda at: GREY, 1.0)
    assert against(frames, Clip(frames, fps=FPS, layout="THWC"))["similarity"].value > 0.999


def test_without_a_reference_nothing_is_told_and_no_network_is_asked() -> None:
    def never(rows: object) -> Any:
        raise AssertionError("a network was asked")

    operator = planted()
    operator._dino._see = never  # planted networks, looked at from inside
    operator._clip._see = never
    found = measure(operator, clip(film(lambda at: RED, lambda at: GREY, 1.0), FPS))
    assert all(np.isnan(item.value) and "no reference" in item.note for item in found.measurements.values())


def test_a_reference_that_cannot_be_read_spoils_only_its_own_clip() -> None:
    frames = film(lambda at: RED, lambda at: GREY, 0.5)
    (good,) = windows_of(clip(frames, FPS, reference=plain(RED)))
    (bad,) = windows_of(clip(frames, FPS, reference=b"nothing"))
    first, second, third = planted().measure([bad, good, bad])
    assert isinstance(first, OperatorError)
    assert isinstance(third, OperatorError)
    assert planted().merge([second])["similarity"].value > 0.999


class TestConformance(OperatorConformance):
    lengths = (5,)

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with installed(tmp_path_factory.mktemp("home"), "dinov2-base", "siglip2-base", "yolo11m"):
            yield

    def operator(self) -> Reference:
        return Reference("cpu")

    def clips(self) -> list[Clip]:
        return [dataclasses.replace(one, reference=np.asarray(one.video)[3]) for one in short_clips()]

"""Times become places in a drawing, and no peak is lost on the way."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cinereward.profile import Term
from cinereward.report.timeline import Track, shots, stretch, ticks, tracks, worst_moment
from cinereward.types import Critique, Evidence, Measurement

SOURCE = "planted for a test"


def evidence(values: object, *, fps: float = 24.0, whole: float = 0.3, operator: str = "op") -> dict[str, Evidence]:
    array = np.array(values, np.float64)
    track = Measurement(name="x_track", value=array, unit="share", times=np.arange(len(array)) / fps)
    found = {"x": Measurement(name="x", value=whole, unit="share"), "x_track": track}
    return {operator: Evidence(operator=operator, measurements=found)}


def drawn(values: object, *, parts: int = 300, duration: float = 10.0, fps: float = 24.0) -> Track:
    return tracks(["op.x"], evidence(values, fps=fps), {}, {}, duration, parts=parts)[0]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def finding(start: float, end: float) -> Critique:
    return Critique(
        dimension="a",
        shot=None,
        start=start,
        end=end,
        severity=0.5,
        finding="",
        remedy="",
        locus="seed",
        evidence=("op.x",),
    )


def term(*given: tuple[float, float], shape: str = "falling") -> dict[str, tuple[Term, ...]]:
    return {"a": (Term(measurement="op.x", points=given, shape=shape, source=SOURCE),)}  # type: ignore[arg-type]


def test_a_stretch_is_placed_in_percent() -> None:
    part = stretch(1.0, 3.0, 4.0)
    assert (part.x, part.width, part.place) == (25.0, 50.0, "0:01.0–0:03.0")


def test_a_stretch_never_leaves_the_drawing() -> None:
    part = stretch(3.0, 99.0, 4.0)
    assert (part.x, part.width) == (75.0, 25.0)


@pytest.mark.parametrize("duration", [0.04, 0.5, 1, 4, 6, 10, 59, 61, 600, 3600, 86_400])
def test_the_axis_has_few_even_marks_that_begin_at_zero(duration: float) -> None:
    marks = ticks(duration)
    gaps = np.diff([mark.x for mark in marks])
    assert 1 <= len(marks) <= 9 and marks[0].x == 0 and marks[-1].x <= 100 + 1e-9
    assert np.allclose(gaps, gaps[:1]) and len({mark.text for mark in marks}) == len(marks)


def test_shots_end_where_the_next_begins_and_the_last_at_the_end() -> None:
    track = Measurement(name="duration_track", value=np.array([1.0, 3.0]), unit="s", times=np.array([0.0, 1.0]))
    found = shots({"shots": Evidence(operator="shots", measurements={"duration_track": track})}, 4.0)
    assert [(shot.number, shot.stretch.start, shot.stretch.end) for shot in found] == [(1, 0.0, 1.0), (2, 1.0, 4.0)]


def test_without_the_operator_there_are_no_shots() -> None:
    assert shots({}, 4.0) == ()


def test_the_worst_moment_is_where_the_curve_is_lowest() -> None:
    values = np.full(96, 0.2)
    values[50] = 0.9
    assert worst_moment(finding(0, 4), term((0.1, 1), (1, 0)), evidence(values)) == pytest.approx(50 / 24)


def test_low_values_are_worst_where_the_curve_rises() -> None:
    values = np.full(96, 0.8)
    values[30] = 0.1
    assert worst_moment(finding(0, 4), term((0, 0), (1, 1), shape="rising"), evidence(values)) == pytest.approx(30 / 24)


def test_the_worst_moment_lies_inside_the_finding() -> None:
    values = np.full(96, 0.2)
    values[[10, 60]] = 0.9, 0.6
    assert worst_moment(finding(2, 3), term((0.1, 1), (1, 0)), evidence(values)) == pytest.approx(60 / 24)


def test_without_a_track_the_worst_moment_is_the_middle() -> None:
    assert worst_moment(finding(1, 3), term((0, 1), (1, 0)), {}) == 2.0


def test_where_nothing_is_bad_the_worst_moment_is_the_middle() -> None:
    assert worst_moment(finding(1, 3), term((0.5, 1), (1, 0)), evidence(np.zeros(96))) == 2.0


def test_a_term_of_another_dimension_says_which_side_is_bad() -> None:
    values = np.full(96, 0.2)
    values[50] = 0.9
    terms = {"b": term((0.1, 1), (1, 0))["a"]}
    assert worst_moment(finding(0, 4), terms, evidence(values)) == pytest.approx(50 / 24)


def test_one_frame_s_peak_survives_the_drawing_of_a_long_clip() -> None:
    values = np.full(14_400, 0.1)
    values[7_777] = 1.0
    got = points(drawn(values, duration=600).path)
    top = min(got, key=lambda point: point[1])
    assert len(got) <= 600 and top == (pytest.approx(1000 * 7_777 / 14_400, abs=0.2), 5.0)


def test_a_short_track_is_drawn_point_by_point() -> None:
    assert len(points(drawn(np.linspace(0, 1, 96), duration=4).path)) == 96


def test_what_is_not_known_is_a_gap() -> None:
    assert drawn([0.1, 0.2, np.nan, 0.3, 0.4]).path.count("M") == 2


def test_a_value_alone_is_a_dot() -> None:
    got = drawn([0.1, np.nan, 0.3, np.nan])
    assert got.path == "" and len(got.dots) == 2


def test_a_level_track_can_be_drawn() -> None:
    assert len(points(drawn([0.3] * 10).path)) == 10


def test_a_track_says_its_range_and_what_it_came_to() -> None:
    got = drawn([0.0, 0.25, 0.5])
    assert (got.low, got.high, got.value) == ("0", "0.5", "0.3 share")


def test_sound_that_runs_on_after_the_pictures_is_not_drawn() -> None:
    assert max(x for x, _ in points(drawn(np.linspace(0, 1, 480), duration=10.0).path)) <= 1000


def test_a_track_without_any_value_is_left_out() -> None:
    assert tracks(["op.x"], evidence([np.nan, np.nan]), {}, {}, 1.0, parts=9) == ()


def test_a_measurement_without_a_track_is_left_out() -> None:
    assert tracks(["op.y", "nope.x"], evidence([0.1, 0.2]), {}, {}, 1.0, parts=9) == ()


def test_shots_are_not_drawn_as_a_track() -> None:
    found = evidence([1.0, 3.0], operator="shots")
    renamed = Measurement(name="duration_track", value=np.ones(2), unit="s", times=np.arange(2.0))
    found["shots"] = Evidence(operator="shots", measurements={"duration_track": renamed})
    assert tracks(["shots.duration"], found, {}, {}, 4.0, parts=9) == ()

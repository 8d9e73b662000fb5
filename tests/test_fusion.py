from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cinereward.fusion import MOST_STD, STEEPEST, curve, fuse, score_term
from cinereward.profile import Term
from cinereward.types import Evidence, Measurement, Status


def term(name: str = "flicker", **changed: Any) -> Term:
    content: dict[str, Any] = {
        "measurement": f"exposure.{name}",
        "shape": "falling",
        "points": ((0, 1), (1, 0)),
        "source": "made up for a test",
    }
    return Term(**content | changed)


def evidence(**values: Any) -> dict[str, Evidence]:
    made = {
        name: value if isinstance(value, Measurement) else Measurement(name=name, value=value, unit="%")
        for name, value in values.items()
    }
    return {"exposure": Evidence(operator="exposure", measurements=made)}


def test_a_score_is_the_product_of_its_curves() -> None:
    fused = fuse([term("a"), term("b")], evidence(a=0.2, b=0.5), {})
    assert fused.value == pytest.approx(0.8 * 0.5)
    assert fused.status is Status.SCORED


def test_a_weight_is_a_power() -> None:
    assert fuse([term("a", weight=0.5)], evidence(a=0.36), {}).value == pytest.approx(0.8)


def test_terms_come_worst_first_and_the_reason_tells_them() -> None:
    fused = fuse([term("a"), term("b")], evidence(a=0.2, b=0.5), {})
    assert [part.measurement for part in fused.terms] == ["exposure.b", "exposure.a"]
    assert fused.reason == "exposure.b 0.5 % -> 0.50; exposure.a 0.2 % -> 0.80"


BROKEN: list[tuple[dict[str, Any], dict[str, str], str]] = [
    (evidence(), {"exposure": "out of light"}, "exposure failed: out of light"),
    ({}, {}, "exposure.flicker was not measured"),
    (evidence(level=1.0), {}, "exposure.flicker was not measured"),
    (
        evidence(flicker=Measurement(name="flicker", value=math.nan, unit="%", note="one frame")),
        {},
        "exposure.flicker could not be measured: one frame",
    ),
    (evidence(flicker=math.nan), {}, "exposure.flicker could not be measured: no reason given"),
    (
        evidence(flicker=Measurement(name="flicker", value=np.zeros(2), unit="%", times=np.zeros(2))),
        {},
        "exposure.flicker is a track; a curve needs one value",
    ),
]


@pytest.mark.parametrize(("found", "failures", "reason"), BROKEN)
def test_what_a_term_lacks_fails_the_score_and_says_why(
    found: dict[str, Any], failures: dict[str, str], reason: str
) -> None:
    fused = fuse([term()], found, failures)
    assert (fused.status, fused.reason, fused.terms) == (Status.FAILED, reason, ())
    assert math.isnan(fused.value)
    assert math.isnan(fused.std)


def test_one_missing_term_of_many_fails_the_score() -> None:
    assert fuse([term("a"), term("b")], evidence(a=0.1), {}).status is Status.FAILED


def test_a_failure_of_an_operator_that_no_term_needs_is_no_failure() -> None:
    assert fuse([term("a")], evidence(a=0.1), {"camera": "dark"}).status is Status.SCORED


def test_no_terms_are_no_score() -> None:
    with pytest.raises(ValueError, match="no terms"):
        fuse([], {}, {})


INSIDE = st.floats(0.05, 0.95)


@given(st.lists(INSIDE, min_size=1, max_size=4), st.data())
def test_the_std_is_that_of_numeric_differentiation(values: list[float], data: st.DataObject) -> None:
    count = len(values)
    weights = data.draw(st.lists(st.floats(0.5, 2), min_size=count, max_size=count))
    doubts = data.draw(st.lists(st.floats(0, 0.02), min_size=count, max_size=count))
    stds = data.draw(st.lists(st.floats(0, 0.02), min_size=count, max_size=count))
    terms = [term(f"m{at}", weight=weights[at], std=stds[at]) for at in range(count)]

    def value(at: list[float]) -> float:
        return math.prod((1 - x) ** w for x, w in zip(at, weights, strict=True))

    variance = 0.0
    for at in range(count):
        step = 1e-6
        up, down = ([x + sign * step * (i == at) for i, x in enumerate(values)] for sign in (1, -1))
        slope = (value(up) - value(down)) / (2 * step)
        variance += slope**2 * (stds[at] ** 2 + doubts[at] ** 2)
    found = {f"m{at}": Measurement(name=f"m{at}", value=values[at], std=doubts[at], unit="%") for at in range(count)}
    assert fuse(terms, evidence(**found), {}).std == pytest.approx(math.sqrt(variance), rel=1e-4, abs=1e-9)


def test_doubt_at_the_top_of_a_peak_is_not_nothing() -> None:
    peak = term(shape="peaked", points=((0, 0), (1, 1), (2, 0)))
    scored = score_term(peak, Measurement(name="flicker", value=1.0, unit="%", std=0.2))
    assert scored.std == pytest.approx(0.2)


@given(st.floats(-5, 5), st.floats(0, 3), st.floats(0, 1))
def test_doubt_only_widens(value: float, doubt: float, own: float) -> None:
    scored = score_term(term(std=own), Measurement(name="flicker", value=value, unit="%", std=doubt))
    assert scored.std >= own


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 4))
def test_a_score_never_rises_when_a_fault_grows(one: float, other: float, weight: float) -> None:
    small, large = sorted((one, other))
    terms = [term("a", weight=weight), term("b")]
    best = fuse(terms, evidence(a=small, b=0.3), {}).value
    assert fuse(terms, evidence(a=large, b=0.3), {}).value <= best + 1e-12


@given(st.lists(st.floats(-1, 2), min_size=1, max_size=5), st.floats(0.1, 4), st.floats(0, 1))
def test_value_and_std_stay_in_their_ranges(values: list[float], weight: float, std: float) -> None:
    terms = [term(f"m{at}", weight=weight, std=std) for at in range(len(values))]
    fused = fuse(terms, evidence(**{f"m{at}": value for at, value in enumerate(values)}), {})
    assert 0 <= fused.value <= 1
    assert 0 <= fused.std <= MOST_STD


def test_at_zero_the_slope_of_a_root_is_held() -> None:
    fused = fuse([term("a", weight=0.5, std=0.01)], evidence(a=1.0), {})
    assert fused.value == 0
    assert fused.std == pytest.approx(0.5 * STEEPEST**-0.5 * 0.01)


@given(st.floats(-10, 10))
def test_a_curve_is_level_beyond_its_points(value: float) -> None:
    assume(not 0 <= value <= 1)
    assert curve(((0, 0.25), (1, 0.75)), value) == (0.25 if value < 0 else 0.75)

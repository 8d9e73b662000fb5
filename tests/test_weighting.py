from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinereward import taxonomy, weighting
from cinereward.batch import RewardBatch
from cinereward.types import Status

TREE = taxonomy.load()
COUNT = len(TREE.names)
NONE: dict[str, dict[str, float]] = {}
SCORED, GATED, UNAVAILABLE, FAILED = (int(status) for status in Status)


def batch(values: Any, status: Any) -> RewardBatch:
    """A batch of the shipped taxonomy; values where the status is SCORED, whatever was given elsewhere."""
    status = np.asarray(status, np.int8).reshape(-1, COUNT)
    values = np.where(status == SCORED, np.asarray(values, np.float32).reshape(-1, COUNT), np.nan).astype(np.float32)
    clips = len(status)
    return RewardBatch(
        values=values,
        status=status,
        std=(0.1 * values).astype(np.float32),
        scalar=np.full(clips, np.nan, np.float32),
        dimensions=TREE.names,
        reasons=tuple(
            tuple(f"{Status(s).name} {name}" for s, name in zip(row, TREE.names, strict=True)) for row in status
        ),
        errors=(None,) * clips,
        critiques=((),) * clips,
        evidence=({},) * clips,
        version="test=1",
    )


def fold(given: RewardBatch, level: str, weights: Any = NONE) -> RewardBatch:
    return weighting.fold(given, level, taxonomy=TREE, weights=weights)


def scalar(given: RewardBatch, weights: Any = NONE) -> np.ndarray[Any, np.dtype[np.float32]]:
    return weighting.scalar(given, taxonomy=TREE, weights=weights)


# --- an independent reference: a tree walked by recursion, in plain Python ---

LEVELS = ("sub_dimension", "dimension", "aspect", "stage", "all")


def members(level: str, name: str) -> list[str]:
    below = LEVELS[LEVELS.index(level) - 1]
    subs = [sub for sub in TREE.sub_dimensions if level == "all" or getattr(sub, level, sub.name) == name]
    return list(dict.fromkeys(sub.name if below == "sub_dimension" else getattr(sub, below) for sub in subs))


def reference(level: str, name: str, leaves: dict[str, tuple[int, float]], weights: Any) -> tuple[int, float]:
    if level == "sub_dimension":
        return leaves[name]
    below = LEVELS[LEVELS.index(level) - 1]
    total = weighed = 0.0
    seen = []
    for member in members(level, name):
        weight = weights.get(below, {}).get(member, 1.0)
        if weight > 0:
            status, value = reference(below, member, leaves, weights)
            seen.append(status)
            if status == SCORED:
                total, weighed = total + weight, weighed + weight * value
    if FAILED in seen:
        return FAILED, math.nan
    if total > 0:
        return SCORED, weighed / total
    return (GATED if seen and set(seen) == {GATED} else UNAVAILABLE), math.nan


STATUS = st.sampled_from([SCORED, SCORED, SCORED, GATED, UNAVAILABLE])
ROWS = st.tuples(
    st.lists(STATUS, min_size=COUNT, max_size=COUNT),
    st.lists(st.floats(0, 1, width=32), min_size=COUNT, max_size=COUNT),
    st.sets(st.integers(0, COUNT - 1), max_size=2),  # these failed
)
WEIGHT = st.one_of(st.just(0.0), st.floats(0.01, 10))
WEIGHTS = st.fixed_dictionaries(
    {
        "stage": st.dictionaries(st.sampled_from(TREE.stages), WEIGHT, max_size=2),
        "aspect": st.dictionaries(st.sampled_from(TREE.aspects), WEIGHT, max_size=3),
        "dimension": st.dictionaries(st.sampled_from(TREE.dimensions), WEIGHT, max_size=6),
        "sub_dimension": st.dictionaries(st.sampled_from(TREE.names), WEIGHT, max_size=12),
    }
)


def statuses(row: Any) -> list[int]:
    return [FAILED if at in row[2] else status for at, status in enumerate(row[0])]


@settings(max_examples=50, deadline=None)
@given(ROWS, WEIGHTS, st.sampled_from(["dimension", "aspect", "stage"]))
def test_fold_is_the_reference(row: Any, weights: Any, level: str) -> None:
    made = batch(row[1], statuses(row))
    leaves = dict(zip(TREE.names, zip(statuses(row), row[1], strict=True), strict=True))
    folded = fold(made, level, weights)
    for name, status, value in zip(folded.dimensions, folded.status[0], folded.values[0], strict=True):
        expected = reference(level, name, leaves, weights)
        assert status == expected[0]
        assert value == pytest.approx(expected[1], abs=1e-6, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(ROWS, WEIGHTS)
def test_scalar_is_the_reference(row: Any, weights: Any) -> None:
    leaves = dict(zip(TREE.names, zip(statuses(row), row[1], strict=True), strict=True))
    expected = reference("all", "", leaves, weights)[1]
    assert scalar(batch(row[1], statuses(row)), weights)[0] == pytest.approx(expected, abs=1e-6, nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(ROWS, WEIGHTS, st.integers(0, COUNT - 1), st.floats(0, 1, width=32))
def test_scalar_never_falls_when_a_value_rises(row: Any, weights: Any, at: int, raised: float) -> None:
    better = [max(value, raised) if index == at else value for index, value in enumerate(row[1])]
    one, other = scalar(batch([row[1], better], [row[0], row[0]]), weights)
    assert math.isnan(one) == math.isnan(other)
    assert math.isnan(one) or other >= one - 1e-6


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(0, COUNT - 1))
def test_a_failure_of_weight_leaves_no_scalar(row: Any, at: int) -> None:
    status = [FAILED if index == at else value for index, value in enumerate(row[0])]
    assert math.isnan(scalar(batch(row[1], status))[0])


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(0, COUNT - 1))
def test_a_failure_without_weight_counts_for_nothing(row: Any, at: int) -> None:
    weights = {"sub_dimension": {TREE.names[at]: 0.0}}
    status = [FAILED if index == at else value for index, value in enumerate(row[0])]
    one, other = scalar(batch([row[1], row[1]], [row[0], status]), weights)
    assert one == other or (math.isnan(one) and math.isnan(other))


@settings(max_examples=30, deadline=None)
@given(ROWS, ROWS, st.integers(0, COUNT - 1))
def test_gating_what_two_clips_share_keeps_their_order(row: Any, second: Any, at: int) -> None:
    """A clip that is better in everything stays so, whatever is dropped for both."""
    best = [max(a, b) for a, b in zip(row[1], second[1], strict=True)]
    status = [GATED if index == at else value for index, value in enumerate(row[0])]
    worse, better = scalar(batch([row[1], best], [status, status]))
    assert math.isnan(worse) or better >= worse - 1e-6


@settings(max_examples=30, deadline=None)
@given(st.lists(ROWS, min_size=2, max_size=4), WEIGHTS)
def test_a_clip_folds_alone_as_it_folds_in_a_batch(rows: Any, weights: Any) -> None:
    together = batch([row[1] for row in rows], [statuses(row) for row in rows])
    alone = [batch(row[1], statuses(row)) for row in rows]
    for level in ("dimension", "aspect", "stage"):
        parts = [fold(one, level, weights) for one in alone]
        assert fold(together, level, weights).values.tobytes() == b"".join(part.values.tobytes() for part in parts)
    assert scalar(together, weights).tobytes() == b"".join(scalar(one, weights).tobytes() for one in alone)


@pytest.mark.parametrize("count", [1, 5, 9, 17, 300])
def test_a_row_combines_bitwise_the_same_alone(count: int) -> None:
    rng = np.random.default_rng(count)
    values, std = rng.random((2, 7, count)).astype(np.float32)
    status, weights = np.zeros((7, count), np.int8), rng.random(count)
    together = weighting.combine(values, std, status, weights)[0]
    for row in range(7):
        part = slice(row, row + 1)
        alone = weighting.combine(values[part], std[part], status[part], weights)[0]
        assert alone.tobytes() == together[part].tobytes()


@pytest.mark.parametrize(
    ("level", "names"), [("dimension", TREE.dimensions), ("aspect", TREE.aspects), ("stage", TREE.stages)]
)
def test_a_fold_has_the_names_of_its_level(level: str, names: tuple[str, ...]) -> None:
    folded = fold(batch(np.full(COUNT, 0.5), np.zeros(COUNT)), level)
    assert (folded.dimensions, folded.level) == (names, level)
    assert len(names) == {"dimension": 18, "aspect": 7, "stage": 3}[level]


def test_the_same_level_is_the_same_batch() -> None:
    made = batch(np.full(COUNT, 0.5), np.zeros(COUNT))
    assert fold(made, "sub_dimension") is made


def test_a_fold_in_two_steps_is_a_fold_in_one() -> None:
    made = batch(np.linspace(0, 1, COUNT), np.zeros(COUNT))
    assert np.array_equal(fold(fold(made, "dimension"), "stage").values, fold(made, "stage").values)


def test_what_is_folded_cannot_be_unfolded() -> None:
    with pytest.raises(ValueError, match="folded to stage already; fold the original to aspect"):
        fold(fold(batch(np.full(COUNT, 0.5), np.zeros(COUNT)), "stage"), "aspect")


def test_the_scalar_of_a_folded_batch_is_that_of_the_original() -> None:
    made = batch(np.linspace(0, 1, COUNT), np.zeros(COUNT))
    assert fold(made, "stage").scalar is made.scalar


def test_the_reason_of_a_mean_tells_its_parts_worst_first() -> None:
    folded = fold(batch(np.linspace(1, 0, COUNT), np.zeros(COUNT)), "stage")
    assert folded.reason(0, "post_production") == "sound_design 0.04; multi_shot 0.15"


def test_the_reason_of_a_failure_tells_what_failed_and_weighs() -> None:
    names = ("cinematography.lens.depth_of_field", "cinematography.lens.focus")
    status = [FAILED if name in names else SCORED for name in TREE.names]
    folded = fold(batch(np.full(COUNT, 0.5), status), "dimension", {"sub_dimension": {names[0]: 0}})
    assert folded.reason(0, "cinematography.lens") == f"FAILED {names[1]}"


def test_where_nothing_has_weight_the_reason_says_so() -> None:
    weights = {"sub_dimension": dict.fromkeys(TREE.names, 0.0)}
    folded = fold(batch(np.full(COUNT, 0.5), np.zeros(COUNT)), "dimension", weights)
    assert set(folded.status[0]) == {UNAVAILABLE}
    assert set(folded.reasons[0]) == {"what is left here has no weight"}


def test_weights_of_zero_everywhere_leave_no_scalar() -> None:
    weights = {"stage": dict.fromkeys(TREE.stages, 0.0)}
    assert np.isnan(scalar(batch(np.full(COUNT, 0.5), np.zeros(COUNT)), weights)).all()


def test_an_aspect_weighs_the_same_however_many_parts_it_has() -> None:
    values = [1.0 if sub.aspect == "multi_shot" else 0.0 for sub in TREE.sub_dimensions]
    folded = fold(batch(values, np.zeros(COUNT)), "stage")
    assert folded.values[0, TREE.stages.index("post_production")] == np.float32(0.5)


def test_uncertainties_do_not_average_out() -> None:
    made = dataclasses.replace(batch(np.full(COUNT, 0.5), np.zeros(COUNT)), std=np.full((1, COUNT), 0.1, np.float32))
    assert fold(made, "stage").std == pytest.approx(np.full((1, 3), 0.1))


def test_no_clips_fold_to_no_clips() -> None:
    made = batch(np.zeros((0, COUNT)), np.zeros((0, COUNT)))
    assert fold(made, "aspect").values.shape == (0, 7)
    assert scalar(made).shape == (0,)


BAD: list[tuple[Any, Any, str]] = [
    (np.zeros((2, 3)), np.zeros(2), "do not agree"),
    (np.zeros((2, 3)), np.array([1, -1, 1]), r"the weights are \[1, -1, 1\]; expected 0 or more"),
    (np.zeros((2, 3)), np.array([1, math.nan, 1]), "expected 0 or more"),
]


@pytest.mark.parametrize(("values", "weights", "told"), BAD)
def test_shapes_and_weights_are_checked(values: Any, weights: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        weighting.combine(values, values, np.zeros(values.shape, np.int8), weights)


@pytest.mark.parametrize("count", [3, 8, 12, 20])
def test_a_row_does_not_depend_on_the_rows_beside_it_nor_on_their_layout(count: int) -> None:
    rng = np.random.default_rng(count)
    values, std = rng.uniform(0, 1, (2, 500, 2 * count))
    members = list(range(0, 2 * count, 2))  # as a fold takes them, which leaves another layout
    weights = rng.uniform(0.5, 3, count)
    status = np.zeros((500, count), np.int8)
    mean, spread, _ = weighting.combine(values[:, members], std[:, members], status, weights)
    for at in range(500):
        alone = weighting.combine(values[at : at + 1, members], std[at : at + 1, members], status[:1], weights)
        assert (mean[at].tobytes(), spread[at].tobytes()) == (alone[0].tobytes(), alone[1].tobytes())

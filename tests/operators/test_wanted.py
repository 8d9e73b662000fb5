"""Places of things to one another, and how what is asked for is counted together."""

from __future__ import annotations

import numpy as np
import pytest

from cinereward.operators.wanted import HOLDS, groups
from cinereward.wants import RELATIONS, Wanted, Wants

MAN = np.array([0.5, 0.3, 0.7, 0.9])
# kind -> a box that stands so to MAN, and one that does not
PLACES = {
    "left of": ([0.1, 0.4, 0.3, 0.9], [0.9, 0.4, 1.1, 0.9]),
    "right of": ([0.9, 0.4, 1.1, 0.9], [0.1, 0.4, 0.3, 0.9]),
    "above": ([0.5, 0.0, 0.7, 0.2], [0.5, 0.8, 0.7, 1.0]),
    "below": ([0.5, 0.85, 0.7, 1.0], [0.5, 0.0, 0.7, 0.2]),
    "next to": ([0.75, 0.4, 0.95, 0.9], [1.5, 0.4, 1.7, 0.9]),
    "on": ([0.52, 0.1, 0.68, 0.35], [0.52, 0.92, 0.68, 1.0]),
    "in": ([0.55, 0.5, 0.65, 0.7], [0.9, 0.5, 1.0, 0.7]),
    "in front of": ([0.55, 0.6, 0.8, 1.0], [0.55, 0.3, 0.8, 0.7]),
    "behind": ([0.55, 0.3, 0.8, 0.7], [0.55, 0.6, 0.8, 1.0]),
}


@pytest.mark.parametrize("kind", RELATIONS)
def test_a_place_is_told_from_its_opposite(kind: str) -> None:
    right, wrong = (np.array(box) for box in PLACES[kind])
    assert HOLDS[kind](right, MAN) > 0.9
    assert HOLDS[kind](wrong, MAN) < 0.1


@pytest.mark.parametrize(("kind", "mirror"), [("left of", "right of"), ("above", "below"), ("in front of", "behind")])
def test_what_is_so_from_one_side_is_the_opposite_from_the_other(kind: str, mirror: str) -> None:
    rng = np.random.default_rng(0)
    for corner in rng.uniform(0, 0.8, (50, 2)):
        other = np.array([*corner, *(corner + rng.uniform(0.05, 0.3, 2))])
        assert HOLDS[kind](other, MAN) == HOLDS[mirror](MAN, other)


@pytest.mark.parametrize("kind", RELATIONS)
def test_boxes_without_area_stand_somewhere_too(kind: str) -> None:
    point = np.array([0.5, 0.5, 0.5, 0.5])
    assert 0 <= HOLDS[kind](point, point) <= 1
    assert 0 <= HOLDS[kind](point, MAN) <= 1


def wanted(*counts: tuple[str, int | None]) -> list[tuple[list[int], int, bool]]:
    subjects = tuple(Wanted(words=name, classes=(name,), count=count) for name, count in counts)
    told = groups(Wants(subjects=subjects), ("person", "dog"))
    return [(kinds.tolist(), count, exact) for kinds, count, exact in told]


def test_things_of_one_class_are_added_up() -> None:
    assert wanted(("person", 1), ("person", 2), ("dog", 3)) == [([0], 3, True), ([1], 3, True)]


def test_a_thing_without_a_number_makes_it_at_least_so_many() -> None:
    assert wanted(("person", None), ("person", 2)) == [([0], 3, False)]


def test_what_has_no_number_or_no_class_is_not_counted() -> None:
    assert wanted(("person", None), ("unicorn", 2)) == []

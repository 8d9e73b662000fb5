"""What befalls things, and what the prompt asks for, is told from planted boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cinereward.operators import objects as module
from cinereward.operators.objects import Objects
from cinereward.types import Evidence
from cinereward.wants import Relation, Wanted, Wants

from .boxed import FPS, STEP, Planted, look, moved, still, worst_time

DOG = (0.35, 0.4, 0.6, 0.8)
CAT = (0.05, 0.4, 0.2, 0.8)


def seen(tell: Any, **asked: Any) -> Evidence:
    return look(Objects(detector=Planted(tell)), **asked)


def value(found: Evidence, name: str) -> float:
    return float(found[name].value)


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the prompt ask for what a test says."""

    def ask(*subjects: Wanted, relations: tuple[Relation, ...] = ()) -> None:
        monkeypatch.setattr(module, "read_wants", lambda prompt: Wants(subjects=subjects, relations=relations))

    return ask


def thing(word: str, **more: Any) -> Wanted:
    return Wanted(words=word, classes=(word,), **more)


# --- what befalls things ---


@pytest.mark.parametrize("at", [1.0, 2.1, 3.2])
def test_a_thing_that_vanishes_is_found_with_its_time(at: float) -> None:
    found = seen(lambda t: [("dog", DOG, 0.9)] if t / FPS < at else [])
    assert value(found, "vanish") > 0.7
    assert abs(worst_time(found, "vanish") - at) <= STEP


@pytest.mark.parametrize("at", [0.8, 2.1, 3.0])
def test_a_thing_that_comes_out_of_nothing_is_found_with_its_time(at: float) -> None:
    found = seen(lambda t: [("dog", DOG, 0.9)] if t / FPS >= at else [])
    assert value(found, "appear") > 0.7
    assert abs(worst_time(found, "appear") - at) <= STEP


def test_a_thing_that_stays_is_no_fault() -> None:
    found = seen(lambda t: [("dog", DOG, 0.9)])
    assert max(value(found, name) for name in ("vanish", "appear", "flips", "doubles")) == 0


@pytest.mark.parametrize("speed", [0.3, -0.3])
def test_a_thing_that_leaves_through_an_edge_does_not_vanish(speed: float) -> None:
    def tell(t: int) -> list[Any]:
        box = moved(DOG, speed * t / FPS)
        return [("dog", box, 0.9)] if box[2] - box[0] > 0.03 else []

    found = seen(tell)
    assert value(found, "vanish") < 0.2


def test_a_thing_that_goes_behind_another_does_not_vanish() -> None:
    def tell(t: int) -> list[Any]:
        box = moved((0.1, 0.4, 0.25, 0.8), 0.15 * t / FPS)
        car = ("car", (0.45, 0.2, 0.9, 0.95), 0.9)
        return [car, ("dog", box, 0.9)] if box[2] < 0.58 else [car]

    assert value(seen(tell), "vanish") < 0.25


def test_a_cut_ends_no_thing() -> None:
    frames = np.concatenate([still(2, seed=1), still(2, seed=2)])
    found = seen(lambda t: [("dog", DOG, 0.9)] if t < 2 * FPS else [], frames=frames)
    assert value(found, "vanish") == pytest.approx(0.075)  # what is unseen in the second half


def test_a_thing_that_the_detector_misses_twice_has_not_vanished() -> None:
    found = seen(lambda t: [] if 40 <= t < 48 else [("dog", DOG, 0.9)])
    assert value(found, "vanish") < 0.05


def test_a_fast_thing_is_followed() -> None:
    found = seen(lambda t: [("dog", moved((0.0, 0.4, 0.12, 0.8), 0.9 * abs(np.sin(t / FPS))), 0.9)])
    assert value(found, "vanish") + value(found, "appear") < 0.1


def test_a_thing_that_turns_into_another_is_found_with_its_time() -> None:
    found = seen(lambda t: [("dog" if t / FPS < 2 else "cat", DOG, 0.9)])
    assert value(found, "flips") > 0.8
    assert abs(worst_time(found, "flips") - 2) <= STEP


def test_a_class_that_wavers_is_hardly_a_change() -> None:
    found = seen(lambda t: [("dog" if t // 4 % 2 else "cat", DOG, 0.6)])
    assert value(found, "flips") < 0.35


def test_a_thing_that_becomes_two_is_found_with_its_time() -> None:
    twin = ("dog", moved(DOG, 0.16), 0.9)
    found = seen(lambda t: [("dog", DOG, 0.9), twin] if t / FPS >= 2 else [("dog", moved(DOG, 0.08), 0.9)])
    assert value(found, "doubles") > 0.5
    assert abs(worst_time(found, "doubles") - 2) <= STEP


def test_two_things_that_walk_past_one_another_are_not_doubled() -> None:
    def tell(t: int) -> list[Any]:
        return [("dog", moved((0.1, 0.4, 0.3, 0.8), 0.14 * t / FPS), 0.9), ("dog", (0.6, 0.4, 0.8, 0.8), 0.9)]

    assert value(seen(tell), "doubles") == 0


@pytest.mark.parametrize("name", ["vanish", "appear", "flips", "doubles"])
@pytest.mark.parametrize("score", [None, 0.2, 0.35])
def test_nothing_surely_seen_is_worse_than_a_thing_that_stays(name: str, score: float | None) -> None:
    hidden = seen(lambda t: [] if score is None else [("dog", DOG, score)])
    assert value(hidden, name) > value(seen(lambda t: [("dog", DOG, 0.9)]), name)
    assert hidden[name].std > 0.1


def test_people_are_counted() -> None:
    found = seen(lambda t: [("person", (x, 0.2, x + 0.15, 0.9), 0.8) for x in (0.1, 0.4, 0.7)])
    assert value(found, "people") == 3


# --- what the prompt asks for ---


@pytest.mark.parametrize("prompt", ["\ud800 two dogs", "two \udcff dogs", "two dogs \udfff"])
def test_lone_surrogates_in_a_prompt_are_read_past(prompt: str) -> None:
    found = seen(lambda t: [("dog", DOG, 0.9)], prompt=prompt)
    assert value(found, "count") == value(seen(lambda t: [("dog", DOG, 0.9)], prompt="two dogs"), "count") == 0.0


def test_a_prompt_that_asks_for_nothing_known_gives_no_number() -> None:
    found = seen(lambda t: [("dog", DOG, 0.9)])
    for name in ("subject", "subject_score", "count", "count_error", "colour", "relation"):
        assert np.isnan(value(found, name))
        assert found[name].note


def test_what_is_seen_of_what_is_asked_for_counts(asks: Any) -> None:
    asks(thing("dog"), thing("cat"))
    both, half, one = (
        value(seen(lambda t, n=n: [("dog", DOG, 0.9), ("cat", CAT, 0.9)][: 2 if t < n else 1]), "subject")
        for n in (999, 48, 0)
    )
    assert both == 1
    assert half == pytest.approx(0.5, abs=0.05)
    assert one == 0


def test_a_faint_thing_counts_less_than_a_sure_one(asks: Any) -> None:
    asks(thing("dog"))
    scores = [value(seen(lambda t, s=s: [("dog", DOG, s)]), "subject") for s in (0.12, 0.3, 0.5, 0.9)]
    assert scores == sorted(scores)
    assert scores[0] == 0 and scores[-1] == 1


def test_two_people_are_not_one_seen_twice(asks: Any) -> None:
    asks(Wanted(words="a man", classes=("person",)), Wanted(words="a woman", classes=("person",)))
    assert value(seen(lambda t: [("person", DOG, 0.9)]), "subject") == 0


def test_two_where_three_are_asked_for_is_a_wrong_count(asks: Any) -> None:
    asks(thing("dog", count=3))
    dogs = [("dog", (x, 0.4, x + 0.2, 0.8), 0.9) for x in (0.1, 0.4, 0.7)]
    right, wrong = seen(lambda t: dogs), seen(lambda t: dogs[:2])
    assert (value(right, "count"), value(wrong, "count")) == (1, 0)
    assert value(right, "count_error") == 0
    assert value(wrong, "count_error") == pytest.approx(1 / 3)


def test_a_fourth_is_as_wrong_as_a_third_that_is_missing(asks: Any) -> None:
    asks(thing("dog", count=3))
    dogs = [("dog", (x, 0.4, x + 0.18, 0.8), 0.9) for x in (0.02, 0.27, 0.52, 0.77)]
    assert value(seen(lambda t: dogs), "count") == 0


def test_people_of_both_kinds_are_counted_together(asks: Any) -> None:
    asks(Wanted(words="a man", classes=("person",), count=1), Wanted(words="two women", classes=("person",), count=2))
    people = [("person", (x, 0.4, x + 0.2, 0.8), 0.9) for x in (0.1, 0.4, 0.7)]
    assert value(seen(lambda t: people), "count") == 1


def test_a_red_thing_where_a_blue_one_is_asked_for_lacks_the_colour(asks: Any) -> None:
    asks(thing("car", colour="blue"))
    red, blue = still(2), still(2)
    red[:, 36:72, 56:96], blue[:, 36:72, 56:96] = (200, 25, 30), (30, 60, 200)
    tell = lambda t: [("car", DOG, 0.9)]  # noqa: E731
    assert value(seen(tell, frames=red), "colour") == 0
    assert value(seen(tell, frames=blue), "colour") > 0.9


def test_a_picture_that_is_blue_all_over_has_less_of_a_blue_thing(asks: Any) -> None:
    asks(thing("car", colour="blue"))
    found = seen(lambda t: [("car", DOG, 0.9)], frames=still(2, colour=(30, 60, 200)))
    assert value(found, "colour") == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("kind", "right"), [("left of", False), ("right of", True), ("next to", True), ("above", False)]
)
def test_left_and_right_are_told_apart(asks: Any, kind: str, right: bool) -> None:
    asks(thing("dog"), thing("cat"), relations=(Relation(first=0, second=1, kind=kind),))
    found = seen(lambda t: [("dog", DOG, 0.9), ("cat", CAT, 0.9)])
    assert value(found, "relation") == pytest.approx(float(right), abs=0.15)


def test_a_thing_that_is_not_there_stands_nowhere(asks: Any) -> None:
    asks(thing("dog"), thing("cat"), relations=(Relation(first=0, second=1, kind="right of"),))
    assert value(seen(lambda t: [("dog", DOG, 0.9)]), "relation") == 0


def test_each_thing_may_have_a_shot_of_its_own(asks: Any) -> None:
    asks(thing("dog"), thing("cat"))
    frames = np.concatenate([still(2, seed=1), still(2, seed=2)])
    found = seen(lambda t: [("dog", DOG, 0.9)] if t < 2 * FPS else [("cat", CAT, 0.9)], frames=frames)
    assert value(found, "subject") == pytest.approx(0.75)

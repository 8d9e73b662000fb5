from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from cinereward.lexicon import items_of, plural, verb_forms, vocabulary
from cinereward.text import table


@pytest.mark.parametrize(
    ("noun", "several"),
    [
        ("cat", "cats"),
        ("box", "boxes"),
        ("bench", "benches"),
        ("puppy", "puppies"),
        ("monkey", "monkeys"),
        ("bus", "buses"),
    ],
)
def test_plurals_are_made_by_rule(noun: str, several: str) -> None:
    assert plural(noun) == several


@pytest.mark.parametrize(
    ("verb", "doubled", "forms"),
    [
        ("walk", False, ("walk", "walks", "walking")),
        ("dance", False, ("dance", "dances", "dancing")),
        ("run", True, ("run", "runs", "running")),
        ("lie", False, ("lie", "lies", "lying")),
        ("see", False, ("see", "sees", "seeing")),
        ("catch", False, ("catch", "catches", "catching")),
        ("carry", False, ("carry", "carries", "carrying")),
    ],
)
def test_verbs_are_bent_by_rule(verb: str, doubled: bool, forms: tuple[str, ...]) -> None:
    assert verb_forms(verb, doubled) == forms


def test_the_classes_are_those_of_ultralytics() -> None:
    found = importlib.util.find_spec("ultralytics")  # its folder, without the seconds that its import takes
    if found is None or not found.submodule_search_locations:
        pytest.skip("ultralytics is not installed")
    told = Path(found.submodule_search_locations[0], "cfg", "datasets", "coco.yaml").read_text(encoding="utf-8")
    assert list(table("wants")["classes"]) == [*yaml.safe_load(told)["names"].values()]


def test_the_longest_entry_is_taken() -> None:
    told = [(item.text, item.roles["noun"].classes) for item in items_of("hot dog 公交车") if item.roles]
    assert told == [("hot dog", ("hot dog",)), ("公交车", ("bus",))]


def test_words_that_are_joined_by_a_hyphen_are_one_entry() -> None:
    assert [item.text for item in items_of("a teddy-bear")] == ["a", "teddy bear"]


def test_items_lie_where_they_are_in_the_text() -> None:
    text = "two cats, 三只狗 run."
    items = items_of(text)
    assert all(text[item.start : item.end] == item.text for item in items)
    assert "".join(item.text for item in items) == text.replace(" ", "")


def test_no_word_is_in_the_vocabulary_in_upper_case() -> None:
    assert [word for word in vocabulary() if word != word.casefold()] == []

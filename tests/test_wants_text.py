"""Wants are read from any text at all, whatever it holds and however long it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompts import least_seconds
from test_wants import ACTIONS, CAMERA, PLACES, SAID, STYLES, THINGS

from cinereward.text import LONGEST
from cinereward.wants import RELATIONS, TAGS, Wants, read_wants

PROMPTS = sorted({*THINGS, *PLACES, *ACTIONS, *CAMERA, *STYLES, *SAID})
PIECES = [
    "two",
    "cats",
    "red",
    "no",
    "left of",
    "on",
    "says",
    '"hi"',
    "“",
    "'",
    "没有",
    "两",
    "只",
    "猫",
    "在",
    "上",
    "的",
]
WORDS = st.lists(st.sampled_from([*PROMPTS, *PIECES, "is", "of the", "\x00", ",", ". "]), max_size=7)
TEXTS = st.one_of(st.text(max_size=200), WORDS.map(" ".join), WORDS.map("".join))
WIDE = str.maketrans({code: code + 0xFEE0 for code in range(0x21, 0x7F) if chr(code).isalnum()})


@given(TEXTS)
def test_it_never_raises_and_always_says_the_same(prompt: str) -> None:
    wants = read_wants.__wrapped__(prompt)
    assert wants == read_wants.__wrapped__(prompt)
    assert wants.asked <= TAGS


@given(TEXTS)
def test_relations_are_between_two_of_the_subjects(prompt: str) -> None:
    wants = read_wants(prompt)
    for item in wants.relations:
        assert item.first != item.second
        assert max(item.first, item.second) < len(wants.subjects)
        assert item.kind in RELATIONS


@given(TEXTS)
def test_counts_and_colours_are_plausible(prompt: str) -> None:
    wants = read_wants(prompt)
    assert all(thing.count is None or 1 <= thing.count <= 50 for thing in wants.subjects)
    assert {thing.colour for thing in wants.subjects} - {None} == set(wants.colours)
    assert all(thing.words.strip() for thing in wants.subjects)


@given(TEXTS)
def test_case_does_not_matter(prompt: str) -> None:
    assert read_wants(prompt) == read_wants(prompt.upper()) == read_wants(prompt.lower())


@pytest.mark.parametrize("prompt", PROMPTS)
def test_width_of_letters_does_not_matter(prompt: str) -> None:
    assert read_wants(prompt.translate(WIDE)) == read_wants(prompt)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_added_white_space_does_not_matter(prompt: str) -> None:
    spread = prompt.replace(" ", " \t\x00 ")
    assert read_wants(f"\n {spread}\u3000") == read_wants(prompt)


@given(st.text(alphabet=" .,;!?\x00\u200b\u3000-—", max_size=50))
def test_a_prompt_without_words_asks_for_nothing(prompt: str) -> None:
    assert read_wants(prompt) == Wants()


def test_lone_surrogates_are_read_past() -> None:
    assert [thing.words for thing in read_wants("a \ud800 cat \udfff sits").subjects] == ["cat"]


def test_no_more_is_read_than_the_limit() -> None:
    assert read_wants("x " * LONGEST + "two cats on a table").subjects == ()


def test_a_prompt_of_a_thousand_things_asks_for_a_few() -> None:
    nouns = ("cat", "dog", "horse", "bird", "car", "train", "boat", "tree", "lion", "tiger", "bear", "cow", "robot")
    assert len(read_wants(". ".join(f"{n} {noun}s" for n in range(2, 40) for noun in nouns)).subjects) == 16


HOSTILE = {
    "words": "the quick fox ",
    "letters": "a ",
    "one word": "x",
    "denials": "no people or ",
    "denied": "no ",
    "similes": "like a ",
    "possessives": "cat's ",
    "apostrophes": "'s ",
    "long words": "a" * 50 + "'s ",
    "double marks": '"',
    "opening marks": "“",
    "single marks": "'a ",
    "curly marks": "‘a ",
    "apostrophes in marks": "‘a'a",
    "speech": "says ",
    "speech and colons": "says: a",
    "tales": "tells the big ",
    "voices": "with a big big voice ",
    "signs": "sign that says ",
    "quotations": 'says "a" ',
    "things": "cat ",
    "pairs": "two red cats on ",
    "places": "to the left of ",
    "colours": "car is red ",
    "verbs": "running ",
    "hyphens": "cat-",
    "views": "bird's eye ",
    "moves": "pan left ",
    "camera": "camera pans ",
    "styles": "anime watercolor ",
    "numbers": "2 ",
    "stamps": "[1",
    "chinese": "无",
    "chinese one": "一",
    "chinese two": "两个",
    "chinese at": "在",
    "chinese places": "猫上",
    "chinese speech": "说:",
    "chinese camera": "镜头缓缓",
    "mixed": "中a",
    "white space": " ",
    "control": "\x00a",
    "ligature": "ﷺ",
}


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_a_hundred_kilobytes_take_under_100_ms(kind: str) -> None:
    assert least_seconds(read_wants.__wrapped__, HOSTILE[kind]) < 0.1

"""The gate takes any text at all, whatever it holds and however long it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompts import PLAIN, TRICKY, least_seconds, opened

from cinereward.gate import IMPLIES, read_prompt
from cinereward.text import LONGEST, plain
from cinereward.types import EXPECTATIONS

WORDS = st.lists(st.sampled_from([*PLAIN, *TRICKY, "no", "没有", "cut", "人", "\x00", "sounds"]), max_size=6)
TEXTS = st.one_of(st.text(max_size=200), WORDS.map(" ".join), WORDS.map("".join))


@given(TEXTS)
def test_it_never_raises_and_always_says_the_same(prompt: str) -> None:
    found = read_prompt(prompt)
    assert found == read_prompt(prompt)
    assert found.keys() <= EXPECTATIONS


@given(TEXTS)
def test_case_does_not_matter(prompt: str) -> None:
    assert read_prompt(prompt) == read_prompt(prompt.upper()) == read_prompt(prompt.lower())


@given(TEXTS, st.sampled_from([" ", "  ", "\n", "\t \r\n", "\u3000", "\u00a0", "\x00"]))
def test_added_white_space_does_not_matter(prompt: str, space: str) -> None:
    assert read_prompt(f"{space}{prompt}{space}".replace(" ", space + " ")) == read_prompt(prompt)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_white_space_between_chinese_letters_does_not_matter(name: str) -> None:
    if any("\u3400" <= letter <= "\u9fff" for letter in name):
        assert opened(" ".join(name)) == opened(name)


def test_full_width_letters_are_letters() -> None:
    assert opened("Ａ　ｄｅｔｅｃｔｉｖｅ　ｓｐｅａｋｓ") == {"people", "speech", "sound"}


def test_control_characters_separate_words() -> None:
    assert opened("a\x00man\x07speaks\x1b[0m") == {"people", "speech", "sound"}


def test_lone_surrogates_are_read_past() -> None:
    assert opened("a man \ud800 speaks \udfff") == {"people", "speech", "sound"}


def test_an_english_word_in_chinese_text_is_a_word() -> None:
    assert opened("一座城市,配上jazz乐") == {"music", "sound"}


def test_a_word_within_a_word_is_none() -> None:
    assert opened("mañana, un niño? Romantic manifold chemistry, heron, herbs") == set()


HOSTILE = {
    "words": "the quick fox ",
    "letters": "a ",
    "one word": "x",
    "denials": "no people or ",
    "denied": "no ",
    "possessives": "cat's ",
    "apostrophes": "'s ",
    "long words": "a" * 50 + "'s ",
    "takes": "single long ",
    "animals": "baby wild ",
    "statues": "statue of a ",
    "families": "family of a ",
    "without": "without any other more visible ",
    "blades": "knife cuts ",
    "chinese": "无",
    "chinese denials": "没有人物、",
    "mixed": "中a",
    "numbers": "1 ",
    "white space": " ",
    "control": "\x00a",
    "ligature": "ﷺ",
    "units": "㏂",
    "slug lines": "int. ",
    "slugs alone": "int./ext. int",
    "stamps": "[0-2s] ",
    "digits": "[1",
    "long stamps": "[" + "1:" * 50,
    "photographs": "montage of old ",
    "games": "last shot of the long ",
    "continuous": "one long continuous ",
    "haircuts": "剪辑",
}


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_a_hundred_kilobytes_take_under_50_ms(kind: str) -> None:
    assert least_seconds(read_prompt, HOSTILE[kind]) < 0.05


def test_no_more_is_read_than_the_limit() -> None:
    assert len(plain("ﷺ" * 100_000)) <= LONGEST
    assert read_prompt("a " * LONGEST + "man speaks") == {}


@settings(max_examples=30)
@given(st.sampled_from(sorted({**PLAIN, **TRICKY})))
def test_what_implies_sound_opens_sound(prompt: str) -> None:
    asked = opened(prompt)
    for name, implied in IMPLIES.items():
        assert name not in asked or asked.issuperset(implied)

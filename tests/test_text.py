from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.text import LONGEST, pattern, plain, table


@given(st.text(max_size=300))
def test_plain_text_is_plain_already(prompt: str) -> None:
    assert plain(plain(prompt)).strip() == plain(prompt).strip()


@given(st.text(max_size=300))
def test_plain_text_has_no_run_of_white_space(prompt: str) -> None:
    assert "  " not in plain(prompt)


def test_no_more_is_kept_than_the_limit() -> None:
    assert len(plain("ﷺ" * 100_000)) <= LONGEST


@pytest.mark.parametrize("text", ["a cat", "cat's", "cat", "中cat国"])
def test_english_is_found_at_word_boundaries(text: str) -> None:
    assert pattern({"en": ["cat"]}).search(text)


@pytest.mark.parametrize("text", ["cats", "concat", "caté", "cat1"])
def test_english_is_not_found_inside_words(text: str) -> None:
    assert not pattern({"en": ["cat"]}).search(text)


def test_chinese_is_found_anywhere() -> None:
    assert pattern({"zh": ["猫"]}).search("两只猫咪")


def test_a_list_of_the_gate_is_filled_in() -> None:
    assert "without" in table("gate")["lists"]
    assert pattern({"en": ["<without> cats"]}).search("devoid of any visible cats")


def test_no_words_match_nothing() -> None:
    assert not pattern({}).search("anything, 任何")

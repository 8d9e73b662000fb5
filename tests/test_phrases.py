from __future__ import annotations

import pytest

from cinereward.phrases import dialogue, is_speech, taken


def test_what_is_quoted_is_taken_out_whether_it_is_heard_or_read() -> None:
    said, rest = dialogue('a man says "two cats" by a sign that says "three dogs" at night')
    assert said == ("two cats",)
    assert "cats" not in rest and "dogs" not in rest
    assert rest.endswith("at night")


def test_a_quotation_that_nobody_says_or_shows_is_not_heard() -> None:
    assert dialogue('the "golden" hour')[0] == ()


def test_a_quotation_without_an_end_is_none() -> None:
    assert dialogue('she says "never')[0] == ()


def test_moves_come_in_the_order_of_the_text_and_are_taken_out() -> None:
    moves, rest = taken("camera", "zoom out from a cat, then tilt up")
    assert moves == ("zoom out", "tilt up")
    assert "zoom" not in rest and "tilt" not in rest and "a cat" in rest


def test_what_is_denied_is_taken_out_too() -> None:
    style, rest = taken("styles", "a castle, not in anime style")
    assert style == ()
    assert "anime" not in rest


@pytest.mark.parametrize(("word", "says"), [("says", True), ("whispering", True), ("runs", False), ("singing", False)])
def test_words_of_speech(word: str, says: bool) -> None:
    assert is_speech(word) is says

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.operators.contrasts import KINDS, Choice, choices, shares
from cinereward.wants import read_wants

RED_CAR = "A red car passes two dogs, anime"
PROMPTS = (
    RED_CAR,
    "a red fox runs",
    "一只黑色的猫在跳舞,水彩风格",
    "sunset",
    "a robot dances on a red table",
    "机器人跳舞",
)


def of(prompt: str, kind: str) -> list[Choice]:
    return [choice for choice in choices(prompt) if choice.kind == kind]


def test_all_that_is_asked_for_is_a_choice() -> None:
    assert [choice.kind for choice in choices(RED_CAR)] == ["whole", "subject", "colour", "subject", "action", "style"]


@pytest.mark.parametrize("prompt", ["", " .,", "\x00"])
def test_no_words_are_no_choice(prompt: str) -> None:
    assert choices(prompt) == ()


def test_a_thing_is_not_held_against_what_is_asked_for_too() -> None:
    for choice in of("a dog and a cat beside a horse", "subject"):
        classes = [name for text in choice.texts[1:] for thing in read_wants(text).subjects for name in thing.classes]
        assert not {"dog", "cat", "horse"} & set(classes)
        assert "bird" in classes


def test_a_thing_is_held_against_its_name_in_letters() -> None:
    assert 'the written words "two dogs"' in of(RED_CAR, "subject")[1].texts


def test_a_colour_is_held_against_the_ten_others() -> None:
    texts = of(RED_CAR, "colour")[0].texts
    assert texts[0] == "a picture of red car"
    assert len(set(texts)) == 11
    assert "a picture of blue car" in texts


def test_a_colour_told_behind_its_thing_is_put_before_it() -> None:
    assert of("The car is red.", "colour")[0].texts[0] == "a picture of a red car"


def test_a_colour_inside_a_word_is_none() -> None:
    assert of("a covered red car", "colour")[0].texts[1] == "a picture of covered black car"


def test_an_action_is_held_against_none_and_not_against_itself() -> None:
    texts = of("a red fox runs over a hill", "action")[0].texts
    assert texts[0] == "red fox runs over a hill"
    assert "red fox standing still" in texts
    assert "red fox running" not in texts


def test_who_does_it_is_somebody_living() -> None:
    assert of("On a red table a cat jumps", "action")[0].texts[0] == "cat jumps"


def test_lone_surrogates_are_left_out() -> None:
    assert of("a \ud800 cat", "whole")[0].texts[0].encode() == b"a cat"


def test_a_style_is_held_against_the_styles_that_are_not_asked_for() -> None:
    first, second = of("anime, watercolour", "style")
    assert (first.texts[0], second.texts[0]) == ("an anime still", "a watercolour painting")
    assert first.texts[1:] == second.texts[1:]
    assert not {"an anime still", "a watercolour painting"} & set(first.texts[1:])


def test_a_known_thing_is_asked_for_in_english() -> None:
    assert of("一只黑色的猫在跳舞", "subject")[0].texts[0] == "a picture of black cat"


@pytest.mark.parametrize("prompt", PROMPTS)
def test_one_choice_is_in_one_language(prompt: str) -> None:
    for choice in choices(prompt):
        assert len({bool(re.search(r"[\u3400-\u9fff]", text)) for text in choice.texts}) == 1


@pytest.mark.parametrize("prompt", PROMPTS)
def test_no_text_of_a_choice_comes_twice(prompt: str) -> None:
    for choice in choices(prompt):
        assert len(set(choice.texts)) == len(choice.texts) >= 3


@given(
    st.lists(st.sampled_from([*PROMPTS, "red", "两个", '"hi"', "no", "的", "{}", "{0}", "\ud800"]), max_size=5).map(
        " ".join
    )
)
def test_any_prompt_gives_choices_of_the_known_kinds(prompt: str) -> None:
    assert {choice.kind for choice in choices(prompt)} <= set(KINDS)


def test_shares_are_the_softmax() -> None:
    rng = np.random.default_rng(0)
    points, texts = rng.normal(size=(5, 16)), rng.normal(size=(4, 16))
    odds = np.exp(2.0 * points @ texts.T)
    assert np.allclose(shares(points, texts, 2.0), odds[:, 0] / odds.sum(axis=1))


def test_shares_of_large_logits_are_numbers() -> None:
    assert shares(np.eye(2) * 100.0, np.eye(2) * 100.0, 100.0).tolist() == [1.0, 0.0]

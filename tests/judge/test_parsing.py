"""What a judge wrote, read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.errors import JudgeError
from cinereward.judge.backend import Written
from cinereward.judge.parsing import Reason, loops, note_of, reason_of, reflection_of

WHOLE: dict[str, Any] = {
    "observe": "He walks. The light is low.",
    "analyse": "It reads as dusk.",
    "problem": "The hand melts.",
    "suggest": "Hide the hand.",
    "moment": {"start": 1.0, "end": 2},
    "locus": "prompt",
}
JSON = json.dumps(WHOLE)


def wrote(text: str, *, finished: bool = True) -> Written:
    return Written(text=text, finished=finished)


def changed(**changes: object) -> Written:
    return wrote(json.dumps({**WHOLE, **changes}))


def reflected(**changes: object) -> Written:
    return wrote(json.dumps({"supported": [1], "contradicted": [2], "revise": False, "note": "So be it.", **changes}))


def test_a_whole_answer_is_read() -> None:
    one = reason_of(wrote(JSON))
    assert one == Reason(**{**WHOLE, "moment": (1.0, 2.0)})
    assert one.claims == ("The hand melts.", "He walks.", "The light is low.", "It reads as dusk.")
    assert one.rationale.endswith("Problem: The hand melts. Change: Hide the hand.")


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{JSON}\n```",
        f"Here you are: {JSON} I hope that helps {{!}}",
        f'<think>first {{}} I thought {{"observe": 1}}</think>{JSON}',
        f"{JSON}\n{JSON}",
        JSON.replace(". The", ".\n The"),  # a line end inside a string
    ],
)
def test_what_stands_around_an_answer_does_not_matter(text: str) -> None:
    assert reason_of(wrote(text)).claims == reason_of(wrote(JSON)).claims


def test_an_answer_that_was_whole_before_the_limit_counts() -> None:
    assert reason_of(wrote(f"{JSON} and then, and then, and", finished=False)).problem == "The hand melts."


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (wrote("5"), "no JSON"),
        (wrote(""), "no JSON"),
        (wrote("[1, 2]"), "no JSON"),
        (wrote(JSON[:-20], finished=False), "cut off"),
        (wrote(JSON + JSON.replace("melts", "holds")), "answered 2 times"),
        (wrote("{" * 50_000), "no JSON"),
        (changed(observe="", analyse=""), "nothing that it observed"),
        (changed(observe=["He walks."]), "observe is a list"),
        (changed(analyse="and so on and on it goes again and again " * 5), "analyse goes in circles"),
        (Written(text=JSON, error="timed out"), "timed out"),
    ],
)
def test_what_is_no_answer_is_an_error_that_says_why(written: Written, told: str) -> None:
    with pytest.raises(JudgeError, match=told):
        reason_of(written)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ({"start": 3, "end": 1}, (1.0, 3.0)),
        (None, None),
        ("at 3 s", None),
        ({"start": 1}, None),
        ({"start": True, "end": 2}, None),
        ({"start": float("nan"), "end": 2}, None),
        ({"start": 0, "end": float("inf")}, None),
    ],
)
def test_a_moment_is_two_finite_numbers_or_none(moment: object, expected: tuple[float, float] | None) -> None:
    assert reason_of(changed(moment=moment)).moment == expected


@pytest.mark.parametrize("locus", ["the weather", None, 5, ["prompt"]])
def test_a_locus_that_there_is_not_is_the_seed(locus: object) -> None:
    assert reason_of(changed(locus=locus)).locus == "seed"


def test_a_text_past_its_limit_is_cut_and_has_no_control_characters() -> None:
    long = " ".join(f"w{n}" for n in range(2_000))
    one = reason_of(changed(observe=f"\x1b[31m{long}"))
    assert len(one.observe) <= 804 and one.observe.endswith(" ...") and "\x1b" not in one.observe


def test_a_reflection_names_claims_by_number() -> None:
    one = reflection_of(reflected(supported=[1, "3", 3, 9, 0, True, None], contradicted=[2, 3]), 4)
    assert (one.supported, one.contradicted) == ((0,), (1, 2))
    assert one.told(["a", "b", "c", "d"]) == "Supported: a Contradicted: b Contradicted: c So be it."


def test_a_revision_is_told() -> None:
    assert reflection_of(reflected(revise=True), 2).told(["a", "b"]).endswith("Revised: So be it.")


@pytest.mark.parametrize("changes", [{"supported": None}, {"contradicted": "none"}, {"revise": "yes"}, {"note": 5}])
def test_a_reflection_of_another_kind_is_an_error(changes: dict[str, object]) -> None:
    with pytest.raises(JudgeError):
        reflection_of(reflected(**changes), 2)


def test_a_note_must_say_something() -> None:
    assert note_of(wrote('{"note": "Dusk."}')) == "Dusk."
    with pytest.raises(JudgeError, match="empty"):
        note_of(wrote('{"note": " "}'))


@given(st.text())
def test_any_text_is_an_answer_or_an_error(text: str) -> None:
    try:
        assert reason_of(wrote(text)).rationale
    except JudgeError as error:
        assert str(error)


@given(st.lists(st.integers(0, 10**9).map(str), min_size=0, max_size=60, unique=True))
def test_what_never_repeats_does_not_loop(words: list[str]) -> None:
    assert not loops(" ".join(words))


@pytest.mark.parametrize("text", ["the same eight words are said once more " * 4, "手融化了" * 20])
def test_what_says_the_same_again_and_again_loops(text: str) -> None:
    assert loops(text)

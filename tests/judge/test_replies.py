"""What is made of a chat completion's JSON, whatever it holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.judge.replies import Odd, Other, labels, loop, text
from tests.judge.server import chosen, written

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def reply(said: Any, **changes: Any) -> dict[str, Any]:
    made = written({"max_tokens": 50}, said) if isinstance(said, str) else chosen(said)
    return {**made, "model": "judge", **changes}


@given(st.lists(st.floats(0.001, 1.0), min_size=6, max_size=6))
def test_the_labels_come_back_as_they_were_told(weights: list[float]) -> None:
    shares = np.array(weights) / sum(weights)
    told = dict(zip(["1", "2", "3", "4", "5", "The"], np.log(shares), strict=True))
    assert np.allclose(np.exp(labels(reply(told), "judge", "Score: ").logs), shares[:5])


def test_a_label_that_was_drawn_and_is_not_among_the_top_counts() -> None:
    made = reply({"3": math.log(0.7), "The": math.log(0.3)})
    del made["choices"][0]["logprobs"]["content"][0]["top_logprobs"][0]
    assert np.exp(labels(made, "judge", "Score: ").logs[2]) == pytest.approx(0.7)


def test_a_label_that_was_drawn_and_is_among_the_top_counts_once() -> None:
    assert np.exp(labels(reply({"3": math.log(0.7)}), "judge", "Score: ").logs[2]) == pytest.approx(0.7)


def test_ten_is_not_one() -> None:
    assert np.all(np.isinf(labels(reply({"10": -0.1, "1.": -3.0}), "judge", "Score: ").logs))


def test_a_very_small_number_stands_for_none() -> None:
    assert labels(reply({"3": -0.1, "4": -9999.0}), "judge", "Score: ").logs[3] == -math.inf


@pytest.mark.parametrize("log", [float("nan"), 0.5, "0", None, True])
def test_what_is_no_logarithm_of_a_chance_is_odd(log: Any) -> None:
    made = reply({"3": -0.1})
    made["choices"][0]["logprobs"]["content"][0]["top_logprobs"].append({"token": "4", "logprob": log})
    with pytest.raises(Odd):
        labels(made, "judge", "Score: ")


@given(st.dictionaries(st.sampled_from(["model", "choices", "usage", "object"]), JSON))
def test_any_other_json_is_odd_or_of_another_model(body: dict[str, Any]) -> None:
    for model in ("judge", body.get("model")):
        with pytest.raises((Odd, Other)):
            labels(body, str(model), "Score: ")
        with pytest.raises((Odd, Other)):
            text(body, str(model), 10)


@given(JSON, st.sampled_from(["message", "logprobs", "finish_reason"]))
def test_an_answer_with_odd_parts_is_odd_or_whole(part: Any, name: str) -> None:
    for made, read in ((reply({"3": -0.1}), labels), (reply("A walk."), text)):
        made["choices"][0][name] = part
        try:
            came = read(made, "judge", 10) if read is text else read(made, "judge", "Score: ")  # type: ignore[arg-type]
        except Odd:
            continue
        assert came.error == ""


def test_a_text_that_ended_by_itself_is_kept_whole() -> None:
    said = "No, no, no, no, no, no, no, no, no, no, no, no, "
    assert (text(reply(said), "judge", 50).text, text(reply(said), "judge", 50).finished) == (said, True)


@given(st.text("abc", max_size=20), st.text("abcdef ", min_size=1, max_size=40), st.integers(4, 9))
def test_a_loop_is_found_and_cut_within_its_first_time(start: str, piece: str, times: int) -> None:
    whole = start + piece * max(times, -(-24 // len(piece)))
    keep = loop(whole)
    assert keep is not None and keep <= len(start) + len(piece)


@given(st.permutations(list("abcdefghijklmnopqrstuvwxyz0123456789")))
def test_what_does_not_repeat_is_no_loop(letters: list[str]) -> None:
    assert loop("".join(letters)) is None


def test_a_short_repetition_is_no_loop() -> None:
    assert loop("Well, well, well, well") is None and loop("") is None

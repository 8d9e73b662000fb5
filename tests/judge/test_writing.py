"""Answers written side by side are those that each would be alone; ends, limits and loops are told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("transformers")
import torch

from cinereward.judge import writing
from cinereward.judge.backend import Ask
from cinereward.judge.turns import encoded, rendered, staged
from cinereward.judge.writing import LONGEST, LOOP, TIMES, loop, write_packed
from cinereward.testing.tiny_judge import FAMILIES
from tests.judge.tiny import ASKS, backend, shown

FREE = tuple(Ask(name=f"w{n}", text=f"{ask.text}Say why.\n", lead="Reason:") for n, ask in enumerate(ASKS[:4]))
MOST = 12


def alone(model: Any, clip: Any, ask: Ask, most: int) -> list[int]:
    """Greedy writing by a whole pass for every token, nothing kept; stops at the model's own marks."""
    inputs = encoded(model, rendered(model, clip, ask), clip)
    marks, told = set(model.processor.tokenizer.get_added_vocab().values()), []
    with torch.inference_mode():
        for _ in range(most):
            states = model.model.model(**inputs).last_hidden_state[0, -1]
            token = int(model.model.lm_head(states).argmax())
            if token in marks:
                break
            told.append(token)
            for name, value in (("input_ids", token), ("attention_mask", 1), ("mm_token_type_ids", 0)):
                if name in inputs:
                    inputs[name] = torch.cat([inputs[name], torch.tensor([[value]])], dim=1)
    return told


@pytest.mark.parametrize("family", FAMILIES)
def test_side_by_side_equals_alone(family: str) -> None:
    model = backend(family).loaded
    clip = shown(3)
    came = write_packed(model, staged(model, clip, FREE, labels=False), 3, MOST)
    expected = [model.processor.tokenizer.decode(alone(model, clip, ask, MOST)) for ask in FREE]
    assert [one.text for one in came] == expected
    assert max(map(len, expected)) > 3


@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_the_chunk_does_not_matter(chunk: int) -> None:
    model = backend().loaded
    put = staged(model, shown(4), FREE, labels=False)
    assert write_packed(model, put, chunk, MOST) == write_packed(model, put, 3, MOST)


def test_an_answer_that_ends_is_finished() -> None:
    [answers] = backend().write([(shown(), ASKS[:3])], most_tokens=MOST)
    assert [answer.finished for answer in answers] == [True] * 3
    assert all(answer.text in "12345" for answer in answers)


def test_an_answer_at_its_limit_is_not_finished() -> None:
    judge = backend()
    [answers] = judge.write([(shown(3), FREE)], most_tokens=4)
    cut = [alone(judge.loaded, shown(3), ask, 5) for ask in FREE]
    assert [answer.finished for answer in answers] == [len(tokens) < 5 for tokens in cut]
    expected = [judge.loaded.processor.tokenizer.decode(tokens[:4]) for tokens in cut]
    assert [answer.text for answer in answers] == expected
    assert not answers[0].finished


def always(monkeypatch: pytest.MonkeyPatch, model: Any, *tokens: int) -> None:
    """Let the model write these tokens in turn, for ever."""
    told = {"count": 0}

    def head(states: Any) -> Any:
        logits = torch.zeros(len(states), 500)
        logits[:, tokens[told["count"] % len(tokens)]] = 1.0
        told["count"] += 1
        return logits

    monkeypatch.setattr(model.model.lm_head, "forward", head)


def test_a_loop_is_cut_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = backend().loaded
    tokens = model.processor.tokenizer.encode(" light rain")
    always(monkeypatch, model, *tokens)
    [answer] = write_packed(model, staged(model, shown(), FREE[:1], labels=False), 1, 200)
    assert answer.text == " light rain"
    assert not answer.finished


@pytest.mark.parametrize("mark", ["<|im_start|>", "<|vision_start|>", "<|video_pad|>"])
def test_another_turn_or_picture_is_never_begun(monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    model = backend().loaded
    always(monkeypatch, model, model.processor.tokenizer.convert_tokens_to_ids(mark))
    [answer] = write_packed(model, staged(model, shown(), FREE[:1], labels=False), 1, 50)
    assert (answer.text, answer.finished) == ("", False)


def test_a_full_device_halves_what_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = backend().loaded
    put = staged(model, shown(3), FREE, labels=False)
    expected = write_packed(model, put, 4, MOST)
    real = writing.step

    def step(model: Any, row: Any, tokens: Any, places: Any, owners: Any) -> Any:
        came = real(model, row, tokens, places, owners)
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return came

    monkeypatch.setattr(writing, "step", step)
    assert write_packed(model, put, 4, MOST) == expected


def test_no_room_for_the_answer_is_told() -> None:
    [[answer]] = backend().write([(shown(), FREE[:1])], most_tokens=40_000)
    assert "tokens are needed and the model can take 32768" in answer.error
    assert not answer.finished


@given(st.lists(st.integers(0, 50), max_size=30, unique=True), st.integers(1, LONGEST), st.integers(0, 5))
def test_a_piece_that_goes_on_and_on_is_a_loop(start: list[int], size: int, more: int) -> None:
    piece = [100 + n for n in range(size)]
    times = max(TIMES, -(-LOOP // size)) + more
    assert loop(start + piece * times) == len(start) + size


@given(st.lists(st.integers(0, 9), max_size=200))
def test_less_than_three_times_or_a_few_tokens_are_no_loop(tokens: list[int]) -> None:
    kept = loop(tokens)
    if kept is None:
        return
    repeated = tokens[kept:]
    assert len(repeated) + LONGEST >= LOOP
    assert any(
        len(repeated) >= (TIMES - 1) * size and tokens[kept - size :][: len(repeated)] == repeated
        for size in range(1, LONGEST + 1)
    )


@given(st.integers(1, LONGEST))
def test_twice_is_no_loop(size: int) -> None:
    assert loop(list(range(size)) * 2) is None

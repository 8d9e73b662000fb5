"""The local judge keeps what a backend promises: an answer for every question, or the reason why there is none."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")
import torch

from cinereward.errors import WeightsError
from cinereward.judge import local
from cinereward.judge.backend import Backend
from cinereward.judge.labels import verdict
from cinereward.types import Status
from tests.judge.tiny import ASKS, backend, shown


def test_it_is_a_backend() -> None:
    assert isinstance(backend(), Backend)


def test_only_the_one_that_hears_says_so() -> None:
    assert [backend(family).hears for family in ("qwen3_vl", "qwen2_5_vl", "qwen2_5_omni")] == [False, False, True]


def test_what_is_heard_counts_for_a_judge_that_hears_and_for_no_other() -> None:
    clips = [shown(1), shown(1, sound=np.zeros(16_000, np.float32))]
    for family, differ in (("qwen2_5_omni", True), ("qwen3_vl", False)):
        loud, quiet = backend(family).read([(clip, ASKS[:2]) for clip in clips])
        assert bool(np.abs(loud[0].logs - quiet[0].logs).max() > 1e-3) is differ


def test_answers_make_verdicts() -> None:
    [reads] = backend().read([(shown(), ASKS)])
    verdicts = [verdict(ask.name, read) for ask, read in zip(ASKS, reads, strict=True)]
    assert {one.status for one in verdicts} == {Status.SCORED}
    assert len({one.score for one in verdicts}) == len(ASKS)


def test_a_head_without_a_bias_does_not_answer_with_a_label(tmp_path: Any) -> None:
    from cinereward.testing.tiny_judge import tiny_judge

    [[read]] = backend(model=str(tiny_judge(tmp_path, biased=False))).read([(shown(), ASKS[:1])])
    assert verdict("q", read).status is Status.FAILED
    assert "does not answer with a label" in verdict("q", read).reason


def test_one_clip_that_fails_does_not_spoil_the_others() -> None:
    bad = dataclasses.replace(shown(1), after="<|im_end|>")
    first, failed, last = backend().read([(shown(0), ASKS[:2]), (bad, ASKS[:3]), (shown(2), ASKS[:1])])
    assert [len(first), len(failed), len(last)] == [2, 3, 1]
    assert [bool(read.error) for read in (*first, *failed, *last)] == [False] * 2 + [True] * 3 + [False]
    assert np.isnan(failed[0].logs).all()


def test_an_error_of_a_library_is_told_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def staged(*args: Any, **options: Any) -> Any:
        raise RuntimeError("the driver\nis gone")

    monkeypatch.setattr(local, "staged", staged)
    [[read]] = backend().read([(shown(), ASKS[:1])])
    [[answer]] = backend().write([(shown(), ASKS[:1])], most_tokens=5)
    assert read.error == answer.error == "RuntimeError: the driver is gone"


def test_a_broken_model_is_tried_once_and_told_for_every_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def loaded(*args: Any) -> Any:
        tried.append(args)
        raise WeightsError("a file is broken")

    monkeypatch.setattr(local, "loaded", loaded)
    reads = backend().read([(shown(seed), ASKS[:1]) for seed in range(3)])
    assert [read.error for [read] in reads] == ["a file is broken"] * 3
    assert len(tried) == 1


def test_no_more_than_one_clip_is_prepared_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    real_stage, real_read = local.staged, local.read_packed

    def staged(model: Any, clip: Any, asks: Any, *, labels: bool) -> Any:
        events.append("prepared")
        return real_stage(model, clip, asks, labels=labels)

    def read(*args: Any) -> Any:
        events.append("read")
        return real_read(*args)

    monkeypatch.setattr(local, "staged", staged)
    monkeypatch.setattr(local, "read_packed", read)
    backend().read([(shown(seed), ASKS[:1]) for seed in range(5)])
    assert events.count("prepared") == events.count("read") == 5
    for at in range(len(events)):
        assert events[:at].count("prepared") - events[:at].count("read") <= 2


def test_nothing_asked_is_nothing_answered() -> None:
    assert backend().read([(shown(), []), (shown(1), ASKS[:1])])[0] == []
    assert backend().read([]) == []


def test_no_tokens_to_write_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="most_tokens is 0"):
        backend().write([(shown(), ASKS[:1])], most_tokens=0)


def test_torch_is_left_as_it_was() -> None:
    before = (torch.is_grad_enabled(), torch.get_default_dtype(), torch.random.get_rng_state())
    backend().read([(shown(), ASKS[:1])])
    assert (torch.is_grad_enabled(), torch.get_default_dtype()) == before[:2]
    assert torch.equal(torch.random.get_rng_state(), before[2])


def test_frames_that_may_not_be_written_to_can_be_shown() -> None:
    clip = shown()
    clip.frames.setflags(write=False)
    expected = backend().read([(shown(), ASKS[:1])])
    np.testing.assert_array_equal(backend().read([(clip, ASKS[:1])])[0][0].logs, expected[0][0].logs)

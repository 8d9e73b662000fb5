"""Packed questions come to what each comes to alone, whatever else the model does meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")
import torch

from cinereward.judge import packing
from cinereward.judge.backend import Shown
from cinereward.judge.packing import asked, label_logs, plain_logs, prefilled, read_packed
from cinereward.judge.turns import staged
from cinereward.networks.running import noting
from cinereward.testing.tiny_judge import FAMILIES
from tests.judge.tiny import ASKS, backend, shares, shown

CLOSE = 1e-5  # in a probability; the promise is 1e-3


def logs_of(model: Any, clip: Shown, chunk: int = 3, asks: Any = ASKS) -> Any:
    reads = read_packed(model, staged(model, clip, asks, labels=True), chunk)
    assert not [read.error for read in reads if read.error]
    return np.stack([read.logs for read in reads])


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_equals_one_by_one(family: str) -> None:
    model = backend(family).loaded
    clip = shown(1)
    for came, ask in zip(logs_of(model, clip), ASKS, strict=True):
        alone = plain_logs(model, clip, ask)
        assert np.abs(shares(came) - shares(alone)).max() < CLOSE
        assert np.exp(came).sum() == pytest.approx(np.exp(alone).sum(), abs=CLOSE)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_labels_hold_the_mass_and_the_clip_decides_between_them(family: str) -> None:
    model = backend(family).loaded
    first, second = logs_of(model, shown(1)), logs_of(model, shown(2, frames=6))
    assert np.exp(first).sum(axis=1).min() > 0.9
    assert np.abs(np.exp(first) - np.exp(second)).max() > 0.003


@pytest.mark.parametrize("family", FAMILIES)
def test_another_clip_in_between_changes_nothing(family: str) -> None:
    model = backend(family).loaded
    clips = [shown(1), shown(2, frames=7, reference=None, times=3.0 * np.arange(7))]
    put = [staged(model, clip, ASKS, labels=True) for clip in clips]
    with torch.inference_mode():
        rows = [prefilled(model, one) for one in put]
        states = [asked(model, row, one, [0, 1]) for row, one in zip(rows, put, strict=True)]
        came = [label_logs(model, state, one.labels[:2]) for state, one in zip(states, put, strict=True)]
    for clip, logs in zip(clips, came, strict=True):
        for found, ask in zip(logs, ASKS, strict=False):
            assert np.abs(shares(found) - shares(plain_logs(model, clip, ask))).max() < CLOSE


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_two_threads_get_what_one_gets(family: str) -> None:
    judge = backend(family, chunk=2)
    clips = [shown(seed, frames=3 + seed) for seed in range(4)]
    single = [logs_of(judge.loaded, clip, 2) for clip in clips]
    with ThreadPoolExecutor(2) as pool:
        came = list(pool.map(lambda clip: judge.read([(clip, ASKS)])[0], clips * 2))
    for reads, expected in zip(came, single * 2, strict=True):
        np.testing.assert_array_equal(np.stack([read.logs for read in reads]), expected)


def test_what_the_model_remembers_of_positions_does_not_matter() -> None:
    model = backend("qwen2_5_vl").loaded
    expected = logs_of(model, shown(1))
    model.model.model.rope_deltas = torch.full((1, 1), 9_999)
    np.testing.assert_array_equal(logs_of(model, shown(1)), expected)
    assert int(model.model.model.rope_deltas) == 9_999


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_the_chunk_does_not_matter(family: str, chunk: int) -> None:
    model = backend(family).loaded
    came, expected = logs_of(model, shown(1), chunk), logs_of(model, shown(1), 3)
    assert max(np.abs(shares(a) - shares(b)).max() for a, b in zip(came, expected, strict=True)) < 2e-6


def test_a_question_does_not_depend_on_its_company() -> None:
    model = backend().loaded
    every, few = logs_of(model, shown(1), 1), logs_of(model, shown(1), 1, ASKS[4:2:-1])
    np.testing.assert_array_equal(few, every[4:2:-1])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [1, 7])
def test_what_is_seen_and_heard_is_encoded_once_a_clip(family: str, count: int) -> None:
    model = backend(family).loaded
    core = model.model.model
    towers = [core.visual, *([core.audio_tower] if family == "qwen2_5_omni" else [])]
    passes: list[Any] = []
    hooks = [tower.register_forward_pre_hook(lambda module, _: passes.append(module)) for tower in towers]
    try:
        logs_of(model, shown(1, reference=None), 2, ASKS[:count])
    finally:
        for hook in hooks:
            hook.remove()
    assert passes == towers[::-1]  # sound first


def test_a_batch_of_clips_equals_singles() -> None:
    judge = backend()
    clips = [shown(seed, frames=2 + seed) for seed in range(3)]
    together = judge.read([(clip, ASKS[: 2 + n]) for n, clip in enumerate(clips)])
    for n, (clip, reads) in enumerate(zip(clips, together, strict=True)):
        alone = judge.read([(clip, ASKS[: 2 + n])])[0]
        np.testing.assert_array_equal([read.logs for read in reads], [read.logs for read in alone])


def test_label_logs_are_those_of_all_tokens() -> None:
    model = backend().loaded
    hidden = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    labels = [(5, 4, 3, 2, 1), (9, 8, 7, 6, 5)]
    logits = (hidden.double() @ model.model.lm_head.weight.double().T).numpy()
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    with torch.inference_mode():
        came = label_logs(model, hidden, labels)
    np.testing.assert_allclose(came, np.take_along_axis(expected, np.array(labels), axis=1), atol=1e-5)


def test_labels_that_bfloat16_would_round_alike_are_told_apart() -> None:
    head = torch.nn.Linear(32, 50, bias=False, dtype=torch.bfloat16)
    hidden = torch.ones(1, 32, dtype=torch.bfloat16)
    with torch.inference_mode():
        head.weight.fill_(1.0)
        head.weight[2, 0] = 1.03125  # a logit of 32.03 beside 32, where bfloat16 knows 32 and 32.25
        model = type("Loaded", (), {"model": type("Model", (), {"lm_head": head})})
        [logs] = label_logs(model, hidden, [(1, 2, 3, 4, 5)])  # type: ignore[arg-type]
    assert logs[1] - logs[0] == pytest.approx(0.03125, abs=1e-4)


def tight(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Let the device be full wherever more than so many questions are asked at once, in the midst of a pass."""
    real = packing.asked

    def asked(model: Any, row: Any, put: Any, numbers: Any) -> Any:
        came = real(model, row, put, numbers)
        if len(numbers) > most:
            layers = row.cache.layers
            layers[-1].crop(-(layers[-1].get_seq_length() - put.prefix.shape[1]))  # the last was not reached
            raise torch.OutOfMemoryError("CUDA out of memory")
        return came

    monkeypatch.setattr(packing, "asked", asked)


def test_a_full_device_halves_the_chunk_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model = backend().loaded
    expected = logs_of(model, shown(1), 1)
    tight(monkeypatch, 1)
    with noting() as notes:
        came = logs_of(model, shown(1), 4)
    assert max(np.abs(shares(a) - shares(b)).max() for a, b in zip(came, expected, strict=True)) < 2e-6
    assert [note for note in notes if "2 questions at a time instead of 4" in note]
    assert [note for note in notes if "1 questions at a time instead of 2" in note]


def test_a_question_that_does_not_fit_alone_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    tight(monkeypatch, 0)
    [reads] = backend().read([(shown(1), ASKS[:2])])
    assert all("does not fit into the memory" in read.error for read in reads)


def test_a_clip_that_does_not_fit_fails_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def prefilled(model: Any, put: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(packing, "prefilled", prefilled)
    [reads] = backend().read([(shown(1), ASKS[:2])])
    assert len(reads) == 2
    assert all("show fewer or smaller frames" in read.error for read in reads)


def test_numbers_that_are_none_are_never_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "label_logs", lambda model, hidden, labels: [np.full(5, np.nan)] * len(labels))
    [[read]] = backend().read([(shown(1), ASKS[:1])])
    assert read.error == "the model gave no numbers"


def test_bfloat16_packed_is_near_one_by_one() -> None:
    model = backend(dtype="bfloat16").loaded
    clip = shown(1)
    for came, ask in zip(logs_of(model, clip), ASKS, strict=True):
        assert np.abs(shares(came) - shares(plain_logs(model, clip, ask))).max() < 0.05

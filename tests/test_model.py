from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import re
import sys
import threading
import time
import types as modules
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from clips import Level, clip, endless, frames, several
from media.making import LOSSLESS, write

from cinereward import Clip, RewardBatch, RewardFunction, RewardModel, Status, taxonomy
from cinereward.errors import CinerewardError, ClipError, ConfigError, OperatorError
from cinereward.media import pictures
from cinereward.profile import Profile, load_profile

FOCUS, EXPOSURE = "cinematography.lens.focus", "cinematography.lens.exposure"
RIGHTNESS, RHYTHM = "cinematography.pacing.movement_rationality", "multi_shot.rhythm.rhythmic_layering"
ARRAYS = ("values", "std", "scalar", "status")


@pytest.fixture(scope="module")
def signal() -> RewardModel:
    return RewardModel.from_profile("signal", workers=2)


@pytest.fixture(scope="module")
def given() -> list[Clip]:
    return several(4)


@pytest.fixture(scope="module")
def scored(signal: RewardModel, given: list[Clip]) -> RewardBatch:
    return signal(given)


def term(measurement: str = "level.mean") -> dict[str, Any]:
    return {"measurement": measurement, "shape": "rising", "points": [[0, 0], [1, 1]], "source": "made up for a test"}


def level_profile(**changed: Any) -> Profile:
    content = {"name": "mine", "validated": None, "operators": ["level"], "curves": {FOCUS: [term()]}}
    return Profile.model_validate(content | changed)


def bits(batch: RewardBatch, clip: int | slice = slice(None)) -> tuple[bytes, ...]:
    return tuple(getattr(batch, name)[clip].tobytes() for name in ARRAYS)


def told(batch: RewardBatch, clip: int) -> Any:
    return batch.reasons[clip], batch.critiques[clip], str(batch.errors[clip])


# --- what comes out ---


def test_a_batch_has_a_row_a_clip_and_a_column_a_sub_dimension(scored: RewardBatch, given: list[Clip]) -> None:
    assert scored.values.shape == scored.status.shape == scored.std.shape == (len(given), 45)
    assert scored.dimensions == taxonomy.load().names
    assert (scored.values.dtype, scored.status.dtype, scored.scalar.dtype) == (np.float32, np.int8, np.float32)


def test_the_model_is_a_reward_function(signal: RewardModel) -> None:
    assert isinstance(signal, RewardFunction)


def test_every_clip_has_a_scalar(scored: RewardBatch) -> None:
    assert np.isfinite(scored.scalar).all()
    assert scored.errors == (None,) * 4


def test_what_the_prompt_does_not_call_for_is_gated(scored: RewardBatch) -> None:
    column = scored.dimensions.index(RHYTHM)
    assert scored.status[:, column].tolist() == [Status.GATED] * 3 + [Status.SCORED]
    assert scored.reason(0, RHYTHM) == "the prompt does not ask for more than one shot"


def test_what_has_no_evidence_is_unavailable(scored: RewardBatch) -> None:
    name = "visual_concept_design.scene.environment_plausibility"
    assert scored.status[0, scored.dimensions.index(name)] == Status.UNAVAILABLE
    assert scored.reason(0, name) == "no evidence in profile signal"


def test_all_clips_of_one_prompt_have_one_gate(signal: RewardModel) -> None:
    batch = signal([clip(seed, prompt="A man speaks. Cut to a choir.") for seed in range(3)])
    assert (batch.status == batch.status[0]).all()


def test_what_is_asked_for_and_lacking_scores_low(scored: RewardBatch) -> None:
    assert scored.values[3, scored.dimensions.index(RHYTHM)] < 0.2  # it asked for two shots and is one


@pytest.mark.parametrize(("level", "count"), [("dimension", 18), ("aspect", 7), ("stage", 3)])
def test_a_batch_folds(scored: RewardBatch, level: str, count: int) -> None:
    folded = scored.fold(level)
    assert folded.values.shape == (4, count)
    assert folded.level == level


def test_evidence_comes_with_the_batch(scored: RewardBatch, signal: RewardModel) -> None:
    assert set(scored.evidence[0]) == {operator.spec.name for operator in signal.operators}


def test_critiques_come_worst_first(scored: RewardBatch) -> None:
    for found in scored.critiques:
        severities = [item.severity for item in found]
        assert severities == sorted(severities, reverse=True)


def test_no_clips_are_an_empty_batch(signal: RewardModel) -> None:
    batch = signal([])
    assert (len(batch), batch.values.shape, batch.scalar.shape) == (0, (0, 45), (0,))
    assert batch.fold("stage").values.shape == (0, 3)


# --- a score depends on the clip alone ---


def test_alone_as_in_a_batch(signal: RewardModel, scored: RewardBatch, given: list[Clip]) -> None:
    for at, item in enumerate(given):
        alone = signal([item])
        assert bits(alone, 0) == bits(scored, at)
        assert told(alone, 0) == told(scored, at)


def test_in_any_order(signal: RewardModel, scored: RewardBatch, given: list[Clip]) -> None:
    order = [2, 0, 3, 1]
    batch = signal([given[at] for at in order])
    assert [bits(batch, at) for at in range(4)] == [bits(scored, at) for at in order]


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (1, 4), (2, 4), (5, 1), (5, 4)])
def test_with_any_number_of_workers(scored: RewardBatch, given: list[Clip], workers: int, batch_size: int) -> None:
    model = RewardModel.from_profile("signal", workers=workers, batch_size=batch_size)
    batch = model(given)
    assert bits(batch) == bits(scored)
    assert batch.version == scored.version


def test_as_a_stream(signal: RewardModel, scored: RewardBatch, given: list[Clip]) -> None:
    got = list(signal.stream(iter(given)))
    assert [len(batch) for batch in got] == [1] * 4
    assert [bits(batch, 0) for batch in got] == [bits(scored, at) for at in range(4)]


def test_awaited(signal: RewardModel, scored: RewardBatch, given: list[Clip]) -> None:
    assert bits(asyncio.run(signal.ascore(given))) == bits(scored)


def test_as_an_awaited_stream(signal: RewardModel, scored: RewardBatch, given: list[Clip]) -> None:
    async def collect() -> list[RewardBatch]:
        return [batch async for batch in signal.astream(given)]

    assert [bits(batch, 0) for batch in asyncio.run(collect())] == [bits(scored, at) for at in range(4)]


def test_scoring_does_not_hold_up_the_event_loop(signal: RewardModel) -> None:
    async def both() -> int:
        task, ticks = asyncio.create_task(signal.ascore([clip(0)])), 0
        while not task.done():
            ticks += 1
            await asyncio.sleep(0.001)
        return ticks

    assert asyncio.run(both()) > 1


def test_twice_is_the_same(signal: RewardModel, scored: RewardBatch, given: list[Clip]) -> None:
    assert bits(signal(given)) == bits(scored)


def test_one_bad_clip_leaves_the_others_as_they_were(
    signal: RewardModel, scored: RewardBatch, given: list[Clip], tmp_path: Path
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a film")
    bad = [Clip("nowhere.mp4"), Clip(text), Clip(b""), Clip(frames(0)), Clip(np.full((4, 3, 32, 32), np.nan), fps=8)]
    mixed = [item for pair in zip(bad, given, strict=False) for item in pair] + bad[4:]
    batch = signal(mixed)
    for at in range(4):
        assert bits(batch, 2 * at + 1) == bits(scored, at)
    for at in (0, 2, 4, 6, 8):
        assert isinstance(batch.errors[at], ClipError)
        assert isinstance(batch.errors[at], CinerewardError)
        assert np.isnan(batch.values[at]).all()
        assert np.isnan(batch.scalar[at])
        assert batch.status[at, batch.dimensions.index(FOCUS)] == Status.FAILED
        assert batch.reason(at, FOCUS) == str(batch.errors[at])
        assert batch.critiques[at] == ()


def test_a_file_without_loss_and_a_tensor_are_one(signal: RewardModel, tmp_path: Path) -> None:
    video = frames(3, 24)
    path = write(tmp_path / "a.mkv", video, fps=24, **LOSSLESS)  # type: ignore[arg-type]
    same: list[Any] = [
        path,
        str(path),
        path.read_bytes(),
        torch.from_numpy(video).permute(0, 3, 1, 2),
        torch.from_numpy(video).permute(0, 3, 1, 2).float() / 255,
    ]
    reference = signal([Clip(video, fps=24)])
    for made in same:
        batch = signal([Clip(made, fps=24)])
        assert batch.errors == (None,)
        assert np.allclose(batch.values, reference.values, atol=1e-5, rtol=0, equal_nan=True)
        assert (batch.status == reference.status).all()


def test_the_files_own_times_are_those_of_the_tensor(signal: RewardModel, tmp_path: Path) -> None:
    video = frames(3, 24)
    path = write(tmp_path / "a.mkv", video, fps=24, **LOSSLESS)  # type: ignore[arg-type]
    batch = signal([Clip(path), Clip(video, fps=24)])
    assert np.allclose(batch.values[0], batch.values[1], atol=1e-5, rtol=0, equal_nan=True)


def test_no_input_is_modified_and_no_gradient_kept(signal: RewardModel) -> None:
    video = torch.from_numpy(frames(1)).permute(0, 3, 1, 2).float().div(255).requires_grad_()
    before = video.detach().clone()
    batch = signal([Clip(video, fps=24)])
    assert batch.errors == (None,)
    assert torch.equal(video.detach(), before)
    assert video.grad is None
    assert not any(tensor.requires_grad for tensor in batch.torch().values())


def test_a_file_is_decoded_once_for_all_operators(
    signal: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.mkv", frames(0, 40), fps=24, **LOSSLESS)  # type: ignore[arg-type]
    decoded: list[int] = []
    chunks = pictures.FileFrames.chunks

    def counted(self: Any, length: int) -> Iterator[Any]:
        for picture, times in chunks(self, length):
            decoded.append(len(picture))
            yield picture, times

    monkeypatch.setattr(pictures.FileFrames, "chunks", counted)
    assert signal([Clip(path)]).errors == (None,)
    assert len(signal.operators) > 6
    assert sum(decoded) == 40


# --- streams ---


def test_a_stream_that_is_abandoned_leaves_no_thread(signal: RewardModel) -> None:
    next(signal.stream(endless()))
    assert _threads_in_the_end() == []


def test_an_awaited_stream_that_is_left_leaves_no_thread(signal: RewardModel) -> None:
    async def leave() -> None:
        async for _ in signal.astream(endless()):
            break

    asyncio.run(leave())
    assert _threads_in_the_end() == []


def test_an_awaited_stream_that_is_cancelled_leaves_no_thread(signal: RewardModel) -> None:
    async def drain() -> None:
        async for _ in signal.astream(endless()):
            pass

    async def cancel() -> None:
        await asyncio.wait_for(drain(), 0.2)

    with pytest.raises(TimeoutError):
        asyncio.run(cancel())
    assert _threads_in_the_end() == []


def _threads_in_the_end() -> list[threading.Thread]:
    gc.collect()
    until = time.monotonic() + 10
    while (left := _threads()) and time.monotonic() < until:
        time.sleep(0.01)
    return left


def test_a_stream_that_is_never_begun_starts_no_thread(signal: RewardModel) -> None:
    stream = signal.stream(endless())
    assert _threads() == []
    del stream


def test_a_stream_reads_as_it_goes(signal: RewardModel) -> None:
    stream = signal.stream(endless())
    assert [len(next(stream)) for _ in range(3)] == [1, 1, 1]
    stream.close()


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("cinereward-")]


# --- what is wrong with the call ---

WRONG: list[tuple[Any, str]] = [
    (clip(0), "expected a list of clips, got one Clip"),
    ("a.mp4", "expected a list of clips, got one str"),
    (["a.mp4"], r"clips\[0\] is a str; write Clip"),
    ([clip(0), frames(0)], r"clips\[1\] is a ndarray; write Clip"),
]


@pytest.mark.parametrize(("clips", "message"), WRONG)
def test_what_are_no_clips_is_told_before_any_work(signal: RewardModel, clips: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        signal(clips)


@pytest.mark.parametrize("name", ["workers", "batch_size"])
@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_at_least_one_of_each_is_needed(name: str, count: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {count!r}; expected 1 or more; give a whole number"):
        RewardModel.from_profile("signal", **{name: count})


@pytest.mark.parametrize("device", ["banana", "", "cuda:", "cuda:01", "cuda:x", "CUDA", "cuda\n", "meta", 0])
def test_a_device_that_is_none_is_told(device: Any) -> None:
    with pytest.raises(ConfigError, match=f"device is {re.escape(repr(device))}; give cpu, cuda, cuda:0 or mps"):
        RewardModel.from_profile("signal", device=device)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:12", "mps", "xpu:1"])
def test_a_device_is_one_that_torch_knows(device: str) -> None:
    torch.device(device)
    assert RewardModel.from_profile("signal", device=device).device == device


def test_no_profile_is_told() -> None:
    nothing: Any = None
    with pytest.raises(ConfigError, match="profile is a NoneType; expected a str or a path; give signal"):
        RewardModel.from_profile(nothing)


def test_an_unknown_profile_is_told() -> None:
    with pytest.raises(ConfigError, match="no profile is called 'cinematc'"):
        RewardModel.from_profile("cinematc")


WRONG_PROFILES: list[tuple[dict[str, Any], str]] = [
    ({"curves": {FOCUS: [term("level.median")]}}, f"{FOCUS}: there is no 'level.median'; did you mean level.mean"),
    ({"curves": {FOCUS: [term("levle.mean")]}}, "there is no 'levle'; did you mean level"),
    ({"curves": {"cinematography.lens.focs": [term()]}}, "did you mean .*cinematography.lens.focus"),
]


@pytest.mark.parametrize(("changed", "message"), WRONG_PROFILES)
def test_a_profile_that_names_what_is_not_there_is_told(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardModel(level_profile(**changed), operators=[Level()])


NO_OPERATORS: list[tuple[Any, str]] = [
    (Level, "the class Level is no operator; give a name, or an instance"),
    (3, "a int is no operator"),
    ("levle", "no operator is called 'levle'; there are: ambience"),
]


@pytest.mark.parametrize(("operator", "message"), NO_OPERATORS)
def test_what_is_no_operator_is_told(operator: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardModel(level_profile(), operators=[operator])


def test_an_operator_named_twice_is_told() -> None:
    with pytest.raises(ConfigError, match="an operator is named twice: level, level"):
        RewardModel(level_profile(), operators=[Level(), Level()])


# --- plug-ins and profiles of one's own ---


def test_an_operator_may_be_an_instance() -> None:
    batch = RewardModel(level_profile(), operators=[Level()], workers=1)([clip(0)])
    mean = float(clip(0).video.mean() / 255)
    assert batch.values[0, batch.dimensions.index(FOCUS)] == pytest.approx(mean)
    assert batch.scalar[0] == pytest.approx(mean)


def test_an_operator_may_come_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    module = modules.ModuleType("a_plug_in")
    module.Level = Level  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_plug_in", module)
    point = importlib.metadata.EntryPoint("level", "a_plug_in:Level", "cinereward.operators")
    monkeypatch.setattr("cinereward.operators.entry_points", lambda group: [point])
    batch = RewardModel(level_profile(), workers=1)([clip(0)])
    assert batch.status[0, batch.dimensions.index(FOCUS)] == Status.SCORED


@pytest.mark.parametrize("at", ["measure", "merge"])
def test_an_operator_that_fails_fails_its_own_sub_dimensions_only(at: str) -> None:
    both = level_profile(curves={FOCUS: [term()], EXPOSURE: [term("other.mean")]}, operators=["level", "other"])
    broken = Level(fault=OperatorError("too dark"), at=at)
    batch = RewardModel(both, operators=[broken, Level("other")], workers=1)([clip(0)])
    focus, exposure = (batch.dimensions.index(name) for name in (FOCUS, EXPOSURE))
    assert batch.status[0, [focus, exposure]].tolist() == [Status.FAILED, Status.SCORED]
    assert batch.reason(0, FOCUS) == "level failed: too dark"
    assert batch.errors == (None,)
    assert np.isnan(batch.scalar[0])


def test_an_operator_that_is_not_run_leaves_its_sub_dimensions_unavailable() -> None:
    model = RewardModel(load_profile("signal"), operators=["exposure"], workers=1)
    batch = model([clip(0)])
    assert batch.status[0, batch.dimensions.index(FOCUS)] == Status.UNAVAILABLE
    assert batch.reason(0, FOCUS) == "no evidence in profile signal: sharpness is not run"
    assert batch.status[0, batch.dimensions.index(EXPOSURE)] == Status.SCORED


def own_profile(folder: Path, weights: dict[str, Any]) -> Path:
    (folder / "taste").mkdir(exist_ok=True)
    curves = {FOCUS: [term("sharpness.blur")], EXPOSURE: [term("exposure.level")]}
    (folder / "taste" / "curves.yaml").write_text(yaml.safe_dump(curves))
    path = folder / "mine.yaml"
    content = {"name": "mine", "validated": None, "operators": ["sharpness", "exposure"], "curves": "taste/curves.yaml"}
    path.write_text(yaml.safe_dump(content | {"weights": weights}))
    return path


def test_a_profile_of_ones_own_weighs_as_it_says(tmp_path: Path) -> None:
    path = own_profile(tmp_path, {"sub_dimension": {FOCUS: 3.0}})
    batch = RewardModel.from_profile(path, workers=1)([clip(0)])
    focus, exposure = (batch.values[0, batch.dimensions.index(name)] for name in (FOCUS, EXPOSURE))
    assert batch.scalar[0] == pytest.approx((3 * focus + exposure) / 4, abs=1e-6)


def test_a_weight_of_zero_takes_a_failure_out_of_the_scalar() -> None:
    weights = {"sub_dimension": {FOCUS: 0}}
    both = level_profile(curves={FOCUS: [term()], EXPOSURE: [term("other.mean")]}, weights=weights)
    broken = Level(fault=OperatorError("too dark"))
    batch = RewardModel(both, operators=[broken, Level("other")], workers=1)([clip(0)])
    assert batch.scalar[0] == batch.values[0, batch.dimensions.index(EXPOSURE)]


# --- the version ---


def test_the_version_names_profile_config_and_libraries(signal: RewardModel) -> None:
    said = dict(part.split("=") for part in signal.version.split(" "))
    assert said["profile"] == "signal"
    assert len(said["config"]) == 16
    assert said["cinereward"] == importlib.metadata.version("cinereward")
    assert said["numpy"] == np.__version__
    assert {"av", "opencv-python-headless", "decord"} <= set(said)


def test_the_version_does_not_change_by_itself(signal: RewardModel) -> None:
    assert RewardModel.from_profile("signal").version == signal.version


def test_the_version_does_not_say_where_the_profile_lies(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = (RewardModel.from_profile(own_profile(tmp_path / part, {})).version for part in ("a", "b"))
    assert one == other


def test_an_edited_profile_is_another_version(tmp_path: Path) -> None:
    before = RewardModel.from_profile(own_profile(tmp_path, {})).version
    assert RewardModel.from_profile(own_profile(tmp_path, {"stage": {"production": 2}})).version != before


def test_other_words_of_the_gate_are_another_version(monkeypatch: pytest.MonkeyPatch, signal: RewardModel) -> None:
    monkeypatch.setattr("cinereward.model.gate_hash", lambda: "other")
    assert RewardModel.from_profile("signal").version != signal.version


def test_another_version_of_an_operator_is_another_version() -> None:
    import dataclasses

    one, other = Level(), Level()
    other.spec = dataclasses.replace(other.spec, version="2")
    made = [RewardModel(level_profile(), operators=[operator]).version for operator in (one, other)]
    assert made[0] != made[1]

"""A judge in the model, from end to end: a tiny vision-language model of the true architecture, biased to answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from clips import bits
from command import run

from cinereward import Clip, RewardBatch, RewardModel, Status
from cinereward.adapters.grpo.trainer import Trainer
from cinereward.errors import ConfigError
from cinereward.gate import called_for, open_gate
from cinereward.judge.opening import open_judge
from cinereward.judge.settings import JudgeSettings
from cinereward.ledger import check
from cinereward.profile import load_profile
from cinereward.testing import scene, shots
from cinereward.testing.tiny_judge import tiny_judge

COSTUME, FOCUS = "visual_concept_design.character.costume_rationality", "cinematography.lens.focus"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The signal profile with a tiny judge, in a file."""
    folder = tmp_path_factory.mktemp("judge")
    judge = {"model": str(tiny_judge(folder / "tiny")), "showing": {"frames": 4, "pixels": 48 * 64}}
    content = {"name": "own", "validated": None, "extends": "signal", "judge": judge}
    (folder / "own.yaml").write_text(yaml.safe_dump(content))
    return folder / "own.yaml"


@pytest.fixture(scope="module")
def model(profile: Path) -> RewardModel:
    return RewardModel.from_profile(profile, device="cpu", workers=2)


def film(seed: int, prompt: str) -> Clip:
    return Clip(scene(0.6, size=(64, 96), seed=seed), fps=24.0, layout="THWC", prompt=prompt)


@pytest.fixture(scope="module")
def films() -> list[Clip]:
    return [film(0, "A detective waits in the rain"), film(1, "An empty road"), film(2, "A woman laughs")]


@pytest.fixture(scope="module")
def batch(model: RewardModel, films: list[Clip]) -> RewardBatch:
    return model(films)


def test_the_judge_scores_what_nothing_measures(batch: RewardBatch) -> None:
    at = batch.dimensions.index(COSTUME)
    assert batch.status[:, at].tolist() == [Status.SCORED, Status.GATED, Status.SCORED]


def test_evidence_and_judge_are_told_together(batch: RewardBatch) -> None:
    told = batch.reason(0, FOCUS)
    assert told.startswith("judge: ") and "(weight 0.5); " in told and "sharpness.subject_blur" in told


def test_every_question_of_what_the_prompt_calls_for_has_its_verdict(
    model: RewardModel, films: list[Clip], batch: RewardBatch
) -> None:
    for at, (clip, verdicts) in enumerate(zip(films, batch.verdicts, strict=True)):
        called = called_for(clip, open_gate(clip, model.taxonomy))
        open_ones = [sub for sub in model.taxonomy.sub_dimensions if batch.status[at, sub_index(batch, sub.name)] != 1]
        asked = {question.name for sub in open_ones for question in sub.questions if question.needs <= called}
        assert set(verdicts) == asked


def sub_index(batch: RewardBatch, name: str) -> int:
    return batch.dimensions.index(name)


def test_a_judge_that_does_not_hear_is_not_asked_about_sound(model: RewardModel) -> None:
    scored = model([film(0, "Rain drums on a tin roof, loud music")])
    sound = [one for name, one in scored.verdicts[0].items() if name.startswith("sound_design.")]
    assert sound and {one.status for one in sound} == {Status.UNAVAILABLE}


def test_a_score_depends_on_its_clip_alone(model: RewardModel, films: list[Clip], batch: RewardBatch) -> None:
    backward = model(films[::-1])
    assert [bits(backward, 2 - at) for at in range(3)] == [bits(batch, at) for at in range(3)]


def test_a_stream_scores_as_a_batch_does(model: RewardModel, films: list[Clip], batch: RewardBatch) -> None:
    assert [bits(one) for one in model.stream(films)] == [bits(batch, slice(at, at + 1)) for at in range(3)]


def test_the_version_names_the_judge(model: RewardModel, profile: Path) -> None:
    signal = RewardModel.from_profile("signal", workers=1)
    assert "judge=" in model.version and "judge=" not in signal.version


def test_every_score_is_worked_out_again_from_its_ledger(batch: RewardBatch) -> None:
    assert [check(json.loads(json.dumps(batch.ledger(at)))) for at in range(3)] == [()] * 3


def test_the_command_scores_with_it(profile: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.json"
    done = run("score", str(folder / "plain.mp4"), "--profile", str(profile), "--prompt", "A man", "--json", str(out))
    assert done.exit_code == 0, done.stderr
    assert COSTUME in out.read_text()


def test_the_trainer_learns_from_it(model: RewardModel, tmp_path: Path) -> None:
    from tests.adapters.grpo.runs import recipe

    small = {"generator__height": 32, "generator__width": 48, "generator__num_frames": 9}
    short = {"learning__epochs": 1, "sampling__steps": 2, "sampling__group_size": 2, "reward__method": "weighted_sum"}
    (row,) = Trainer(recipe(tmp_path, **small, **short), reward=model).run()
    assert 0 < row["reward"] < 1 and row["policy/moved"] == 1 and row["advantage/failed"] == 0


def test_shots_are_judged_one_by_one_beside_the_whole(model: RewardModel) -> None:
    take, cuts = shots([scene(0.5, size=(64, 96), seed=5), scene(0.75, size=(64, 96), seed=6, move="static")])
    found = model.shot_by_shot(Clip(take, fps=24.0, layout="THWC", prompt="An empty road"))
    assert [(one.number, one.start) for one in found] == [(1, 0.0), (2, pytest.approx(cuts[0]))]
    assert {one.status for shot in found for one in shot.verdicts} == {Status.SCORED}


def test_without_a_judge_no_shot_is_judged() -> None:
    with pytest.raises(ConfigError, match="profile signal has no judge; use cinematic"):
        RewardModel.from_profile("signal", workers=1).shot_by_shot(film(0, ""))


def test_a_judge_may_be_handed_over(profile: Path, films: list[Clip], batch: RewardBatch) -> None:
    loaded = load_profile(profile)
    settings = JudgeSettings.model_validate(loaded.judge)
    given = RewardModel(loaded, judge=open_judge(settings, device="cpu"), workers=1)
    assert bits(given(films[:1])) == bits(batch, slice(0, 1))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"model": "m", "mood": 1}, "profile own, judge:\n  mood: unknown key; valid keys here: adapter"),
        ({"model": "m", "kind": "served"}, "a served judge needs one or more"),
        ({"model": "m", "weights": {"nowhere": 0.5}}, "profile own, judge.weights: there is no 'nowhere'"),
    ],
)
def test_a_judge_that_is_said_wrongly_is_told(profile: Path, said: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        RewardModel(load_profile(profile).model_copy(update={"judge": said}))


def test_what_is_no_judge_is_refused() -> None:
    with pytest.raises(ConfigError, match="judge is a str; expected `hears` and a call"):
        RewardModel(load_profile("signal"), judge="qwen")  # type: ignore[arg-type]

"""The profile `perception` from end to end, on tiny weights of the true architectures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from clips import bits

from cinereward import Clip, RewardBatch, RewardModel, Status
from cinereward.ledger import check
from cinereward.networks.running import forget
from cinereward.operators import spec_of
from cinereward.profile import load_profile
from cinereward.testing import scene
from cinereward.testing.tiny_judge import tiny_judge
from cinereward.testing.tiny_perception import tiny_perception

PROFILE = load_profile("perception")
LEARNED = [name for name in PROFILE.operators if spec_of(name).weights]
PROMPT = 'A woman turns her head and says: "good morning". A red car stands left of a dog. The camera pans left.'

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        at = tiny_perception(tmp_path_factory.mktemp("home"))
        patch.setenv("CINEREWARD_HOME", str(at))
        yield at


@pytest.fixture(scope="module")
def model(home: Path) -> RewardModel:
    return RewardModel.from_profile("perception", device="cpu", workers=2)


def film(seed: int, prompt: str = PROMPT) -> Clip:
    hum = 0.2 * np.sin(np.arange(16_000) * (0.1 + 0.01 * seed))
    frames = scene(0.7 + 0.2 * seed, size=(72, 128), seed=seed)
    return Clip(frames, fps=24.0, layout="THWC", audio=hum, sample_rate=16_000, prompt=prompt)


@pytest.fixture(scope="module")
def films() -> list[Clip]:
    return [film(0), film(1, "An empty road at night"), film(2)]


@pytest.fixture(scope="module")
def batch(model: RewardModel, films: list[Clip]) -> RewardBatch:
    return model(films)


def test_every_operator_is_run(model: RewardModel, batch: RewardBatch) -> None:
    assert model.missing == {}
    assert [sorted(evidence) for evidence in batch.evidence] == [sorted(PROFILE.operators)] * 3


def test_no_clip_is_lost(batch: RewardBatch) -> None:
    assert batch.errors == (None, None, None)
    assert Status.FAILED not in batch.status


def test_what_a_prompt_with_people_asks_for_is_acted(batch: RewardBatch) -> None:
    acting = [at for at, name in enumerate(batch.dimensions) if name.startswith("acting.expression.")]
    scored = batch.status[:, acting] == Status.SCORED
    assert scored[0].sum() == 3 and scored[1].sum() == 0


def test_a_score_depends_on_its_clip_alone(model: RewardModel, films: list[Clip], batch: RewardBatch) -> None:
    backward = model(films[::-1])
    assert [bits(backward, 2 - at) for at in range(3)] == [bits(batch, at) for at in range(3)]


def test_one_worker_and_single_windows_give_the_same_bits(home: Path, films: list[Clip], batch: RewardBatch) -> None:
    slow = RewardModel.from_profile("perception", device="cpu", workers=1, batch_size=1)
    assert bits(slow(films[:1])) == bits(batch, slice(0, 1))


def test_prompt_following_is_a_vector_beside_it(batch: RewardBatch) -> None:
    right = batch.right
    assert right is not None and right.values.shape == (3, 8)
    asked = [name for name, status in zip(right.dimensions, right.status[0], strict=True) if status == Status.SCORED]
    assert asked == ["subject", "colour", "spatial_relation", "action", "camera_move"]


def test_prompt_following_is_not_mixed_into_the_scalar(home: Path, films: list[Clip], batch: RewardBatch) -> None:
    alone = RewardModel(PROFILE.model_copy(update={"right": {}}), device="cpu", workers=2)(films[:1])
    assert alone.right is None
    assert alone.scalar.tobytes() == batch.scalar[:1].tobytes()


def test_every_score_is_worked_out_again_from_its_ledger(batch: RewardBatch) -> None:
    assert [check(json.loads(json.dumps(batch.ledger(at)))) for at in range(3)] == [()] * 3


def test_the_version_names_the_weights_by_their_content(home: Path, model: RewardModel, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINEREWARD_HOME", str(tiny_perception(tmp_path)))
        again = RewardModel.from_profile("perception", device="cpu")
    assert again.version == model.version  # the same bytes elsewhere
    assert PROFILE.hash not in model.version


@pytest.mark.parametrize("seen", ["dis", "raft"])
def test_movement_may_be_seen_by_raft(home: Path, tmp_path: Path, seen: str) -> None:
    path = tmp_path / "own.yaml"
    curves = {"cinematography.pacing.movement_pacing": [PROFILE.curves["cinematography.pacing.movement_pacing"][0]]}
    said = {name: [json.loads(term.model_dump_json()) for term in terms] for name, terms in curves.items()}
    content = {"name": "own", "validated": None, "operators": ["camera"], "curves": said, "flow": seen}
    path.write_text(yaml.safe_dump(content))
    scored = RewardModel.from_profile(path, device="cpu")([film(0)])
    assert (scored.status == Status.SCORED).sum() == 1


def test_the_shipped_profile_with_a_judge_runs_on_tiny_models(home: Path, tmp_path: Path) -> None:
    judge = {"model": str(tiny_judge(tmp_path / "judge")), "showing": {"frames": 2, "pixels": 48 * 64}}
    content = {"name": "own", "validated": None, "extends": "cinematic", "judge": judge}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    scored = RewardModel.from_profile(tmp_path / "own.yaml", device="cpu", workers=2)([film(0)])
    told = scored.reason(0, "acting.consistency.face_identity")
    assert told.startswith("judge: ") and "identity.similarity" in told
    assert Status.FAILED not in scored.status and check(json.loads(json.dumps(scored.ledger(0)))) == ()


# --- without weights ---


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RewardModel]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CINEREWARD_HOME", "HF_HOME", "HF_HUB_CACHE"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        forget()
        yield RewardModel.from_profile("perception", device="cpu", workers=2)


def test_without_weights_every_learned_operator_is_left_out(bare: RewardModel) -> None:
    assert sorted(bare.missing) == sorted(LEARNED)
    assert f"without={','.join(sorted(LEARNED))}" in bare.version


def test_without_weights_the_reason_holds_the_command_that_gets_them(bare: RewardModel, films: list[Clip]) -> None:
    batch = bare(films[:1])
    assert "cinereward weights fetch scrfd-10g" in batch.reason(0, "acting.consistency.face_identity")


def test_without_weights_the_signal_goes_on(bare: RewardModel, films: list[Clip]) -> None:
    batch = bare(films[1:2])
    signal = RewardModel.from_profile("signal", workers=2)(films[1:2])
    scored = signal.mask[0]
    assert batch.values[0, scored].tobytes() == signal.values[0, scored].tobytes()

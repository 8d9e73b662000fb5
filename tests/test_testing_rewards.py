"""Every check of RewardConformance can fail: each meets a reward that breaks just its rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from cinereward.batch import RewardBatch
from cinereward.errors import ClipError
from cinereward.testing import (
    RewardConformance,
)
from cinereward.types import Status


class Light:
    """Scores the light of a clip, and its sound only where the prompt calls for people to talk."""

    dimensions = ("aesthetics.light", "sound.vocal")

    def __call__(self, clips: Sequence[Any]) -> RewardBatch:
        return self.batch([self.row(clip) for clip in clips])

    def row(self, clip: Any) -> dict[str, Any]:
        said = Status.UNAVAILABLE if "talk" in clip.prompt else Status.GATED
        try:
            light = self.light(clip)
        except ClipError as error:
            return {"values": [np.nan, np.nan], "status": [Status.FAILED, said], "error": error}
        return {"values": [light, np.nan], "status": [Status.SCORED, said], "error": None}

    def light(self, clip: Any) -> float:
        video = clip.video.detach().numpy() if hasattr(clip.video, "detach") else clip.video
        if np.isnan(video).any():
            raise ClipError("video holds NaN; floats must lie in [0, 1]")
        return float(video.mean() / (255 if video.dtype == np.uint8 else 1))

    def batch(self, rows: list[dict[str, Any]], **changed: Any) -> RewardBatch:
        values = np.array([row["values"] for row in rows], np.float32).reshape(len(rows), 2)
        status = np.array([row["status"] for row in rows], np.int8).reshape(len(rows), 2)
        fields: dict[str, Any] = {
            "values": values,
            "status": status,
            "std": np.where(np.isnan(values), np.nan, 0.1).astype(np.float32),
            "scalar": np.array([row["values"][0] for row in rows], np.float32),
            "dimensions": self.dimensions,
            "reasons": tuple(tuple(Status(s).name.lower() for s in row["status"]) for row in rows),
            "errors": tuple(row["error"] for row in rows),
            "critiques": ((),) * len(rows),
            "evidence": ({},) * len(rows),
            "version": "light=1",
        }
        return RewardBatch(**fields | changed)


class TestLight(RewardConformance):
    def reward(self) -> Light:
        return Light()


class TestSignal(RewardConformance):
    def reward(self) -> Any:
        from cinereward import RewardModel

        return RewardModel.from_profile("signal", workers=1)


class Raises(Light):
    def row(self, clip: Any) -> dict[str, Any]:
        self.light(clip)
        return super().row(clip)


class GivesZeroForAFailure(Light):
    def light(self, clip: Any) -> float:
        try:
            return super().light(clip)
        except ClipError:
            return 0.0


class GivesZeroAndTellsTheError(Light):
    def row(self, clip: Any) -> dict[str, Any]:
        found = super().row(clip)
        if found["error"] is not None:
            found |= {"values": [0.0, np.nan], "status": [Status.SCORED, found["status"][1]]}
        return found


class RanksItsBatch(Light):
    def __call__(self, clips: Sequence[Any]) -> RewardBatch:
        rows = [self.row(clip) for clip in clips]
        known = [row["values"][0] for row in rows if row["error"] is None]
        for row in rows:
            row["values"][0] = row["values"][0] / max(known)
        return self.batch(rows)


class CountsAlong(Light):
    def __call__(self, clips: Sequence[Any]) -> RewardBatch:
        rows = [self.row(clip) for clip in clips]
        for index, row in enumerate(rows):
            row["values"][0] *= 1 - 0.01 * index
        return self.batch(rows)


class LearnsAsItGoes(Light):
    seen = 0

    def light(self, clip: Any) -> float:
        self.seen += 1
        return super().light(clip) / (1 + 0.01 * self.seen)


class NormalisesInPlace(Light):
    def light(self, clip: Any) -> float:
        found = super().light(clip)
        if not hasattr(clip.video, "detach"):
            clip.video[:] = clip.video // 2
        return found


class GatesByThePicture(Light):
    def row(self, clip: Any) -> dict[str, Any]:
        found = super().row(clip)
        if found["error"] is None and found["values"][0] < 0.1:
            found |= {"values": [np.nan, np.nan], "status": [Status.GATED, found["status"][1]]}
        return found


class GivesNoReasons(Light):
    def batch(self, rows: list[dict[str, Any]], **changed: Any) -> RewardBatch:
        return super().batch(rows, reasons=(("", ""),) * len(rows))


class IsSureOfWhatIsMissing(Light):
    def batch(self, rows: list[dict[str, Any]], **changed: Any) -> RewardBatch:
        return super().batch(rows, std=np.full((len(rows), 2), 0.1, np.float32))


class DropsBrokenClips(Light):
    def __call__(self, clips: Sequence[Any]) -> RewardBatch:
        return self.batch([row for row in (self.row(clip) for clip in clips) if row["error"] is None])


class KeepsTheGraph(Light):
    def light(self, clip: Any) -> float:
        found = super().light(clip)
        if hasattr(clip.video, "backward"):
            clip.video.mean().backward()
        return found


BROKEN_REWARDS: list[tuple[Callable[[], Any], str, str]] = [
    (Raises, "test_a_broken_clip_is_an_error_and_no_number", "batch.errors"),
    (GivesZeroForAFailure, "test_a_broken_clip_is_an_error_and_no_number", "no error in batch.errors"),
    (GivesZeroAndTellsTheError, "test_a_broken_clip_is_an_error_and_no_number", "given numbers: aesthetics.light"),
    (DropsBrokenClips, "test_a_broken_clip_is_an_error_and_no_number", "3 rows came for 4 clips"),
    (RanksItsBatch, "test_batch_equals_singles", "beside it"),
    (CountsAlong, "test_order_has_no_influence", "order"),
    (LearnsAsItGoes, "test_deterministic", "again"),
    (NormalisesInPlace, "test_inputs_are_not_modified", "modify"),
    (GatesByThePicture, "test_the_gate_sees_the_prompt_only", "gate"),
    (GivesNoReasons, "test_values_keep_the_rules", "without a reason"),
    (IsSureOfWhatIsMissing, "test_values_keep_the_rules", "expected NaN for both"),
    (KeepsTheGraph, "test_no_gradient_is_kept", "gradient"),
    (lambda: lambda clips: np.zeros(len(clips)), "test_the_batch_has_a_row_for_each_clip", "expected a RewardBatch"),
]


@pytest.mark.parametrize(("broken", "check", "told"), BROKEN_REWARDS)
def test_a_broken_reward_is_found_out(broken: Callable[[], Any], check: str, told: str) -> None:
    class Checks(RewardConformance):
        def reward(self) -> Any:
            return broken()

    with pytest.raises(AssertionError, match=told):
        getattr(Checks(), check)()

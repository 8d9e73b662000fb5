"""What every reward function must keep, as checks that a plug-in's test inherits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cinereward.batch import RewardBatch
from cinereward.testing.compare import changes, expect, expect_none, row_differences, snapshot
from cinereward.testing.scenes import clip, scene, shots
from cinereward.types import Clip, RewardFunction, Status

PROMPTS = ("A slow pan over a harbour at dawn", "", "Two people talk in a cafe, then a cut to the street outside")


class RewardConformance:
    """Inherit in a class whose name begins with "Test" and give `reward`; pytest then runs every check."""

    def reward(self) -> RewardFunction:
        """A reward function of the kind to be checked."""
        raise NotImplementedError(f"{type(self).__name__} must define reward(self) and return a reward function")

    def clips(self) -> Sequence[Clip]:
        """Three or more clips that can be scored, of more than one length and prompt."""
        cut, _ = shots([scene(0.5, size=(64, 96), seed=3), scene(0.5, size=(64, 96), seed=4, move="static")])
        takes = [scene(0.8, size=(64, 96), seed=1), scene(0.6, size=(72, 64), seed=2, move="handheld"), cut]
        pairs = enumerate(zip(takes, PROMPTS, strict=True))
        return [clip(take, prompt=prompt, clip_id=f"clip {n}") for n, (take, prompt) in pairs]

    def broken(self) -> Clip:
        """A clip that cannot be scored."""
        return Clip(np.full((8, 64, 96, 3), np.nan, np.float32), fps=24.0, clip_id="broken")

    def test_the_batch_has_a_row_for_each_clip(self) -> None:
        """A RewardBatch comes, with one row a clip and distinct dimensions; none for no clip."""
        clips = self.clips()
        batch = self._scored(clips)
        expect(len(set(batch.dimensions)) == len(batch.dimensions), "a dimension is named twice in batch.dimensions")
        empty = self._scored([])
        expect(empty.dimensions == batch.dimensions, "no clips must give an empty batch of the same dimensions")

    def test_values_keep_the_rules(self) -> None:
        """Beyond what RewardBatch checks: where a value is missing there is a reason and no std."""
        batch = self._scored([*self.clips(), self.broken()])
        expect_none(_broken_rules(batch), "missing is NaN with a status and a reason, never a number")

    def test_a_broken_clip_is_an_error_and_no_number(self) -> None:
        """It has an error and nothing SCORED, and leaves its neighbours as they were."""
        clips = list(self.clips())
        expected = self._scored(clips)
        try:
            batch = self._scored([*clips[:1], self.broken(), *clips[1:]])
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"a clip that cannot be read raised {type(error).__name__} ({error}); "
                "expected an error in batch.errors, so that one bad clip never spoils its batch"
            ) from error
        expect(batch.errors[1] is not None, "a clip that cannot be read has no error in batch.errors")
        scored = np.flatnonzero(batch.status[1] == Status.SCORED)
        named = [f"{batch.dimensions[d]} = {batch.values[1, d]}" for d in scored[:3]]
        expect(
            not len(scored), f"a clip that cannot be read was given numbers: {', '.join(named)}; expected NaN, FAILED"
        )
        expect(np.isnan(batch.scalar[1]), f"a clip that cannot be read has scalar {batch.scalar[1]}; expected NaN")
        for row in range(len(clips)):
            lines = row_differences(batch, row + (row > 0), expected, row)
            expect_none(lines, f"a broken clip must not change its neighbour {clips[row].name}")

    def test_batch_equals_singles(self) -> None:
        """Clips scored together get the same bits as one by one."""
        clips = self.clips()
        together = self._scored(clips)
        for row, video in enumerate(clips):
            lines = row_differences(together, row, self._scored([video]), 0)
            expect_none(lines, f"{video.name}: a score must not depend on the clips beside it")

    def test_order_has_no_influence(self) -> None:
        """Clips in reverse order get the same scores in reverse order."""
        clips = self.clips()
        forward, backward = self._scored(clips), self._scored(clips[::-1])
        for row, video in enumerate(clips):
            lines = row_differences(backward, len(clips) - 1 - row, forward, row)
            expect_none(lines, f"{video.name}: a score must not depend on the order of the batch")

    def test_deterministic(self) -> None:
        """The same reward, asked twice, gives the same bits."""
        reward, clips = self.reward(), self.clips()
        first = reward(clips)
        second = reward(clips)
        for row, video in enumerate(clips):
            expect_none(row_differences(second, row, first, row), f"{video.name} must get the same scores again")

    def test_inputs_are_not_modified(self) -> None:
        """The clips' arrays are the same after scoring."""
        clips = self.clips()
        before = [snapshot(video.video) for video in clips]
        self._scored(clips)
        for video, was in zip(clips, before, strict=True):
            expect_none(changes(video.name, video.video, was), "a reward must not modify its clips")

    def test_no_gradient_is_kept(self) -> None:
        """A tensor that wants a gradient comes out as it went in, and what is returned wants none; needs torch."""
        try:
            import torch
        except ModuleNotFoundError:
            return
        source = torch.from_numpy(scene(0.4, size=(64, 96), seed=5).astype(np.float32) / 255).requires_grad_()
        before, enabled = snapshot(source), torch.is_grad_enabled()
        batch = self._scored([clip(source)])
        expect(batch.errors[0] is None, f"a float tensor that requires a gradient was refused: {batch.errors[0]}")
        expect(source.grad is None and source.requires_grad, "the input tensor's gradient or flag was changed")
        expect_none(changes("video", source, before), "the input tensor was modified")
        expect(
            torch.is_grad_enabled() == enabled, "torch's gradient mode was left switched; use `with torch.no_grad():`"
        )
        expect(
            isinstance(batch.values, np.ndarray), f"values are a {type(batch.values).__name__}; expected a NumPy array"
        )

    def test_the_gate_sees_the_prompt_only(self) -> None:
        """Two different videos of one prompt have the same dimensions GATED."""
        for prompt in PROMPTS:
            takes = [clip(scene(0.4, size=(64, 96), seed=n), prompt=prompt) for n in (6, 7)]
            takes.append(clip(np.zeros((8, 64, 96, 3), np.uint8), prompt=prompt))
            gated = self._scored(takes).status == Status.GATED
            expect(
                (gated == gated[:1]).all(),
                f"clips of the prompt {prompt!r} differ in what is GATED; the gate must look at the prompt only",
            )

    def _scored(self, clips: Sequence[Clip]) -> RewardBatch:
        __tracebackhide__ = True
        batch = self.reward()(clips)
        expect(isinstance(batch, RewardBatch), f"a {type(batch).__name__} came; expected a RewardBatch")
        expect(len(batch) == len(clips), f"{len(batch)} rows came for {len(clips)} clips; expected one each")
        return batch


def _broken_rules(batch: RewardBatch) -> list[str]:
    lines = []
    for row in range(len(batch)):
        for d, name in enumerate(batch.dimensions):
            value, std, status = batch.values[row, d], batch.std[row, d], batch.status[row, d]
            told = f"clip {row}, {name}: {value} as {Status(status).name}"
            if status != Status.SCORED and not (np.isnan(value) and np.isnan(std)):
                lines.append(f"{told} with std {std}; expected NaN for both")
            if status != Status.SCORED and not batch.reason(row, name):
                lines.append(f"{told} without a reason; say why there is no number")
    return lines

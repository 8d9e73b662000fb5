"""Every check of OperatorConformance can fail: each meets an operator that breaks just its rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from cinereward import testing
from cinereward.errors import OperatorError
from cinereward.operators.tracks import join, measurements
from cinereward.testing import (
    OperatorConformance,
)
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window


class Brightness:
    """Mean luma and its largest step: the smallest operator there is, with a pair of frames to get wrong."""

    spec = OperatorSpec(
        name="brightness",
        measurements=(
            MeasurementSpec(name="mean", unit="levels", low=0, high=255, meaning="mean level"),
            MeasurementSpec(name="step", unit="levels", low=0, high=255, meaning="largest step between frames"),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        return [self.one(window) for window in windows]

    def one(self, window: Window) -> Partial | OperatorError:
        level = self.levels(window)
        step = np.abs(np.diff(level, prepend=level[:1]))
        first = window.overlap
        return Partial(
            times=window.times[first:], fps=window.fps, tracks={"level": level[first:], "step": step[first:]}
        )

    def levels(self, window: Window) -> Any:
        return np.array([frame.mean(dtype=np.float64) for frame in window.features["grey"]])

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        tracks = join(partials)
        values = {"mean": tracks["level"].mean(), "step": tracks["step"].max()}
        return self.evidence(values, {"mean_track": (tracks.times, tracks["level"])})

    def evidence(self, values: dict[str, Any], tracks: dict[str, Any]) -> Evidence:
        return Evidence(operator=self.spec.name, measurements=measurements(self.spec, values, tracks))


class TestBrightness(OperatorConformance):
    def operator(self) -> Brightness:
        return Brightness()


class RemembersTheLast(Brightness):
    def __init__(self) -> None:
        self.last = 0.0

    def levels(self, window: Window) -> Any:
        found = super().levels(window) + 0.01 * self.last
        self.last = float(found[-1])
        return found


class SubtractsTheBatch(Brightness):
    def measure(self, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        offset = float(np.mean([window.frames.mean() for window in windows]))
        return [
            dataclasses.replace(part, tracks={**part.tracks, "level": part.tracks["level"] - offset})
            for part in super().measure(windows)
            if isinstance(part, Partial)
        ]


class TellsTheFirstApart(Brightness):
    def measure(self, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        parts = super().measure(windows)
        first = parts[0]
        assert isinstance(first, Partial)
        return [dataclasses.replace(first, tracks={**first.tracks, "level": first.tracks["level"] + 1}), *parts[1:]]


class DrawsLots(Brightness):
    def levels(self, window: Window) -> Any:
        return super().levels(window) + np.random.default_rng().random()


class ForgetsTheOverlap(Brightness):
    def one(self, window: Window) -> Partial:
        level = self.levels(window)[window.overlap :]
        step = np.abs(np.diff(level, prepend=level[:1]))
        return Partial(times=window.times[window.overlap :], fps=window.fps, tracks={"level": level, "step": step})


class KeepsTheOverlap(Brightness):
    def one(self, window: Window) -> Partial:
        level = self.levels(window)
        return Partial(times=window.times, fps=window.fps, tracks={"level": level, "step": 0 * level})


class AveragesWindows(Brightness):
    def merge(self, partials: Sequence[Partial]) -> Evidence:
        found = super().merge(partials)
        mean = float(np.mean([partial.tracks["level"].mean() for partial in partials]))
        return self.evidence({"mean": mean, "step": found["step"].value}, {})


class WritesIntoFrames(Brightness):
    def levels(self, window: Window) -> Any:
        window.frames[0, 0, 0] = 255
        return super().levels(window)


class WritesIntoFeatures(Brightness):
    def levels(self, window: Window) -> Any:
        found = super().levels(window)
        window.features["grey"][:, 0, 0] //= 2
        return found


class WritesIntoPartials(Brightness):
    def merge(self, partials: Sequence[Partial]) -> Evidence:
        found = super().merge(partials)
        partials[0].tracks["level"][0] += 1
        return found


class GivesANumberForNothing(Brightness):
    def merge(self, partials: Sequence[Partial]) -> Evidence:
        return super().merge(partials) if partials else self.evidence({"mean": 0.0, "step": 0.0}, {})


class FailsInItsOwnWay(Brightness):
    def merge(self, partials: Sequence[Partial]) -> Evidence:
        if len(join(partials).times) < 3:
            raise IndexError("list index out of range")
        return super().merge(partials)


class GivesNaNForOneFrame(Brightness):
    def merge(self, partials: Sequence[Partial]) -> Evidence:
        found = super().merge(partials)
        short = len(join(partials).times) < 2
        return self.evidence({"mean": found["mean"].value, "step": np.nan if short else found["step"].value}, {})


class ForgetsAPromise(Brightness):
    def merge(self, partials: Sequence[Partial]) -> Evidence:
        return self.evidence({"mean": super().merge(partials)["mean"].value}, {})


class SaysMoreThanPromised(Brightness):
    def merge(self, partials: Sequence[Partial]) -> Evidence:
        found = super().merge(partials)
        extra = Measurement(name="mood", value=0.5, unit="share")
        return dataclasses.replace(found, measurements={**found.measurements, "mood": extra})


class ChangesTheUnit(Brightness):
    def merge(self, partials: Sequence[Partial]) -> Evidence:
        found = super().merge(partials)
        other = dataclasses.replace(found["mean"], unit="share")
        return dataclasses.replace(found, measurements={**found.measurements, "mean": other})


class LeavesItsRange(Brightness):
    def levels(self, window: Window) -> Any:
        return 10 * super().levels(window)


class ListensInSecret(Brightness):
    def levels(self, window: Window) -> Any:
        heard = 0.0 if window.sound is None else float(np.abs(window.sound.samples).mean())
        return super().levels(window) + heard


class LooksForFacesInSecret(Brightness):
    def levels(self, window: Window) -> Any:
        return super().levels(window) + 0 * len(window.features["faces"])


class LooksAlthoughItOnlyListens(Brightness):
    spec = dataclasses.replace(Brightness.spec, needs=frozenset({"sound"}))


class NamesAnUnknownNeed(Brightness):
    spec = dataclasses.replace(Brightness.spec, needs=frozenset({"frames", "smell"}))


class PromisesTwice(Brightness):
    spec = dataclasses.replace(Brightness.spec, measurements=Brightness.spec.measurements * 2)


class LeavesGradientsOff(Brightness):
    def levels(self, window: Window) -> Any:
        import torch

        torch.set_grad_enabled(False)
        return super().levels(window)


class ReturnsTooFew(Brightness):
    def measure(self, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        return super().measure(windows)[:1]


BROKEN_OPERATORS: list[tuple[Callable[[], Any], str, str]] = [
    (RemembersTheLast, "test_earlier_clips_have_no_influence", "brightness remembers"),
    (RemembersTheLast, "test_deterministic", "again"),
    (DrawsLots, "test_deterministic", "again"),
    (SubtractsTheBatch, "test_batch_equals_singles", "beside it"),
    (TellsTheFirstApart, "test_order_has_no_influence", "order"),
    (ForgetsTheOverlap, "test_windows_of_any_length_agree", "step came as"),
    (AveragesWindows, "test_windows_of_any_length_agree", "windows of"),
    (KeepsTheOverlap, "test_batch_equals_singles", "leave out the overlap"),
    (WritesIntoFrames, "test_inputs_are_not_modified", "frames and times"),
    (WritesIntoFeatures, "test_inputs_are_not_modified", "grey"),
    (WritesIntoPartials, "test_inputs_are_not_modified", "partials"),
    (GivesANumberForNothing, "test_no_partials_give_no_number", "nothing to measure"),
    (FailsInItsOwnWay, "test_hard_pictures_give_an_operator_error_or_numbers", "IndexError on 1 frames"),
    (GivesNaNForOneFrame, "test_hard_pictures_give_an_operator_error_or_numbers", "step came as NaN"),
    (ForgetsAPromise, "test_what_is_promised_is_delivered", "step was promised"),
    (SaysMoreThanPromised, "test_what_is_promised_is_delivered", "mood came and was not promised"),
    (ChangesTheUnit, "test_what_is_promised_is_delivered", "in 'share'; expected 'levels'"),
    (LeavesItsRange, "test_what_is_promised_is_delivered", "expected 0 to 255"),
    (ListensInSecret, "test_only_what_it_needs_is_asked_for", 'name "sound"'),
    (LooksForFacesInSecret, "test_only_what_it_needs_is_asked_for", "faces"),
    (LooksAlthoughItOnlyListens, "test_only_what_it_needs_is_asked_for", 'name "frames"'),
    (NamesAnUnknownNeed, "test_the_spec_is_complete", "smell"),
    (PromisesTwice, "test_the_spec_is_complete", "twice"),
    (LeavesGradientsOff, "test_no_gradient_is_kept", "no_grad"),
    (ReturnsTooFew, "test_batch_equals_singles", "1 partials"),
    (lambda: object(), "test_it_is_an_operator", "no spec, measure and merge"),
]


@pytest.mark.parametrize(("broken", "check", "told"), BROKEN_OPERATORS)
def test_a_broken_operator_is_found_out(broken: Callable[[], Any], check: str, told: str) -> None:
    import torch

    class Checks(OperatorConformance):
        def operator(self) -> Any:
            return broken()

    before = torch.is_grad_enabled()
    with pytest.raises(AssertionError, match=told):
        getattr(Checks(), check)()
    torch.set_grad_enabled(before)


class RefusesTheDark(Brightness):
    def one(self, window: Window) -> Partial | OperatorError:
        if window.frames.max() == 0:
            return OperatorError("the picture is black; expected something to see")
        return super().one(window)


class SpoilsItsBatch(RefusesTheDark):
    def measure(self, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        parts = super().measure(windows)
        return parts if all(isinstance(part, Partial) for part in parts) else [OperatorError("black")] * len(parts)


class RefusesNothing(Brightness):
    """Gives a number for the clip that it should refuse."""


DARK = np.zeros((8, 48, 64, 3), np.uint8)


class TestRefusing(OperatorConformance):
    def operator(self) -> Any:
        return RefusesTheDark()

    def refuses(self) -> Sequence[Any]:
        return [testing.clip(DARK)]


@pytest.mark.parametrize(("broken", "told"), [(SpoilsItsBatch, "neighbours"), (RefusesNothing, "a number came")])
def test_a_number_for_a_failed_clip_is_found_out(broken: Callable[[], Any], told: str) -> None:
    class Checks(TestRefusing):
        def operator(self) -> Any:
            return broken()

    with pytest.raises(AssertionError, match=told):
        Checks().test_a_refused_clip_spoils_no_other()

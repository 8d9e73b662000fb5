"""What every operator must keep, as checks that a plug-in's test inherits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import OperatorError
from cinereward.media.features import FEATURES
from cinereward.media.reader import open_clip
from cinereward.testing.compare import (
    changes,
    evidence_differences,
    expect,
    expect_none,
    partial_differences,
    snapshot,
)
from cinereward.testing.scenes import clip, scene, shots
from cinereward.types import Clip, Evidence, Operator, Partial, Sound, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UInt8 = NDArray[np.uint8]

SOUND_RATE = 16_000  # Hz
NEEDS = frozenset({"frames", "sound", *FEATURES})
HEARD = frozenset({"sound", "onsets"})


def windows_of(video: Clip, length: int = 16, *, sound: bool = True) -> list[Window]:
    """The clip in windows that own `length` frames each, as an operator is given them."""
    return list(open_clip(video, sound=sound).windows(length))


def measure(operator: Operator, video: Clip, length: int = 16) -> Evidence:
    """Run one operator over one clip, in windows that own `length` frames each.

    Raises:
        OperatorError: it could not measure the clip.
    """
    partials = []
    for part in operator.measure(windows_of(video, length, sound=bool(HEARD & operator.spec.needs))):
        if isinstance(part, OperatorError):
            raise part
        partials.append(part)
    return operator.merge(partials)


def hard_frames(seed: int = 0) -> dict[str, UInt8]:
    """Pictures that break careless code, by name: uint8 (T, H, W, 3) each."""
    blank = np.zeros((8, 48, 64, 3), np.uint8)
    noise = np.random.default_rng(seed).integers(0, 256, blank.shape, np.uint8)
    cases = {f"{count} frames": scene(count / 24, size=(48, 64), seed=seed) for count in (1, 2, 3)}
    cases |= {f"{w} x {h} pixels": scene(0.25, size=(h, w), seed=seed) for h, w in ((16, 16), (57, 33), (33, 57))}
    cases |= {"black": blank, "white": blank + 255, "one colour": blank + np.array([200, 30, 90], np.uint8)}
    cases |= {"pure noise": noise, "a black frame of 16 x 16": blank[:1, :16, :16]}
    return cases


class OperatorConformance:
    """Inherit in a class whose name begins with "Test" and give `operator`; pytest then runs every check.

    tolerance: by how much evidence may depend on the length of windows, absolute and relative.
    lengths: of windows, in frames, that must agree with one window over the whole clip.
    """

    tolerance: float = 1e-5
    lengths: tuple[int, ...] = (1, 2, 7, 16)

    def operator(self) -> Operator:
        """A new operator of the kind to be checked."""
        raise NotImplementedError(f"{type(self).__name__} must define operator(self) and return a new operator")

    def clips(self) -> Sequence[Clip]:
        """Clips that the operator can measure, three or more, of more than one length; with sound."""
        hum = 0.3 * np.sin(np.arange(2 * SOUND_RATE) * 0.08 * (1 + np.arange(2 * SOUND_RATE) / SOUND_RATE))
        cut, _ = shots([scene(0.6, size=(64, 96), seed=3, move="static"), scene(0.5, size=(64, 96), seed=4)])
        takes = [scene(1.0, size=(64, 96), seed=1, grain=1), scene(0.8, size=(72, 64), seed=2, move="handheld"), cut]
        return [clip(take, audio=hum, sample_rate=SOUND_RATE, clip_id=f"clip {n}") for n, take in enumerate(takes)]

    def refuses(self) -> Sequence[Clip]:
        """Clips that the operator must refuse with an OperatorError; none unless a plug-in names some."""
        return ()

    # --- what it promises ---

    def test_it_is_an_operator(self) -> None:
        """Has spec, measure and merge."""
        came = self.operator()
        expect(
            isinstance(came, Operator), f"{type(came).__name__} has no spec, measure and merge; see cinereward.types"
        )

    def test_the_spec_is_complete(self) -> None:
        """Measurements have distinct names, a unit, a meaning and a range; needs are known."""
        spec = self.operator().spec
        names = [item.name for item in spec.measurements]
        expect(names, f"{spec.name} promises no measurement; list them in spec.measurements")
        expect(len(set(names)) == len(names), f"{spec.name} promises a measurement twice: {names}")
        for item in spec.measurements:
            expect(
                item.unit and item.meaning,
                f"{item.name} has unit {item.unit!r} and meaning {item.meaning!r}; give both",
            )
            expect(item.low < item.high, f"{item.name} lies in [{item.low}, {item.high}]; expected low < high")
        unknown = spec.needs - NEEDS
        expect(not unknown, f"{spec.name} needs {sorted(unknown)}; expected some of {', '.join(sorted(NEEDS))}")

    def test_what_is_promised_is_delivered(self) -> None:
        """Every measurement of the spec comes, with its unit and in its range; nothing else but its tracks."""
        for video in self.clips():
            operator = self.operator()
            expect_none(_broken_promises(operator, measure(operator, video), video.name), "promised measurements")

    def test_hard_pictures_give_an_operator_error_or_numbers(self) -> None:
        """One frame, tiny frames, black, white, noise: finite numbers in range, or a typed error; nothing else."""
        for name, frames in hard_frames().items():
            operator = self.operator()
            try:
                found = measure(operator, clip(frames))
            except OperatorError:
                continue
            except Exception as error:
                raise AssertionError(
                    f"{operator.spec.name} raised {type(error).__name__} on {name} ({error}); "
                    "expected a measurement, or OperatorError saying what came and what was expected"
                ) from error
            expect_none(_broken_promises(operator, found, name), "a hard picture must give promised numbers")

    # --- what it may depend on ---

    def test_batch_equals_singles(self) -> None:
        """Windows measured together give the same bits as one by one."""
        windows = self._windows()
        together = self._measured(self.operator(), windows)
        alone = [self._measured(self.operator(), [window])[0] for window in windows]
        self._same(together, alone, "a window's answer must not depend on the windows beside it in the batch")

    def test_order_has_no_influence(self) -> None:
        """Windows in reverse order give the same answers in reverse order, bit by bit."""
        windows = self._windows()
        forward = self._measured(self.operator(), windows)
        backward = self._measured(self.operator(), windows[::-1])[::-1]
        self._same(backward, forward, "a window's answer must not depend on the order of the batch")

    def test_deterministic(self) -> None:
        """The same operator, asked twice, gives the same bits, in `measure` and in `merge`."""
        operator, windows = self.operator(), self._windows()
        first = self._measured(operator, windows)
        self._same(self._measured(operator, windows), first, "the same windows must give the same bits again")
        for video in self.clips():
            again = evidence_differences(measure(operator, video), measure(operator, video))
            expect_none(
                again, f"{operator.spec.name} must give the same evidence again; it keeps a state or draws lots"
            )

    def test_earlier_clips_have_no_influence(self) -> None:
        """An operator that has seen other clips answers as a new one does."""
        videos = list(self.clips())
        used = self.operator()
        for video in videos:
            measure(used, video)
        for video in videos:
            lines = evidence_differences(measure(used, video), measure(self.operator(), video))
            expect_none(lines, f"{used.spec.name} remembers: {video.name} must not depend on clips seen before it")

    def test_windows_of_any_length_agree(self) -> None:
        """The evidence is the same however the clip was cut into windows."""
        for video in self.clips():
            whole = measure(self.operator(), video, 1_000_000)
            for length in self.lengths:
                lines = evidence_differences(measure(self.operator(), video, length), whole, self.tolerance)
                rule = f"{video.name} in windows of {length} frames must give what one window over the whole clip gives"
                expect_none(lines, f"{rule} (to {self.tolerance:g}); carry context in Partial and settle it in merge")

    def test_only_what_it_needs_is_asked_for(self) -> None:
        """What the spec does not name in `needs` is never looked at: sound, onsets, faces; or the pictures."""
        needs = self.operator().spec.needs
        for window in self._windows():
            watched = _Watched(window.features)
            seen = dataclasses.replace(window, features=watched)
            heard = self._measured(self.operator(), [seen])[0]
            asked = {name for name in watched.asked if name in ("faces", "onsets") and name not in needs}
            expect(not asked, f"features {sorted(asked)} were used and are not in spec.needs; name them there")
            if not HEARD & needs:
                deaf = self._measured(self.operator(), [dataclasses.replace(seen, sound=_other_sound(window))])[0]
                expect_none(
                    partial_differences(deaf, heard), 'the answer depends on the sound; name "sound" in spec.needs'
                )
            if not (needs - HEARD):
                blind = _blank(window)
                lines = partial_differences(self._measured(self.operator(), [blind])[0], heard)
                expect_none(lines, 'the answer depends on the pictures; name "frames" in spec.needs')

    # --- what it must leave alone ---

    def test_inputs_are_not_modified(self) -> None:
        """Frames, times and shared features are the same after `measure`, and partials after `merge`."""
        operator = self.operator()
        for video in self.clips():
            windows = [_writable(window) for window in self._windows_of(video)]
            asked = [name for name in FEATURES if name != "faces" or name in operator.spec.needs]
            before = [snapshot({name: window.features[name] for name in asked}) for window in windows]
            shown = [snapshot([window.frames, window.times]) for window in windows]
            partials = self._measured(operator, windows)
            for window, features, inputs in zip(windows, before, shown, strict=True):
                lines = changes("frames and times", [window.frames, window.times], inputs)
                lines += changes("features", window.features, features)
                expect_none(lines, f"{operator.spec.name}.measure must not modify its windows; copy before you change")
            kept = snapshot([partial.tracks for partial in partials if isinstance(partial, Partial)])
            given = [partial for partial in partials if isinstance(partial, Partial)]
            operator.merge(given)
            lines = changes("tracks", [partial.tracks for partial in given], kept)
            expect_none(lines, f"{operator.spec.name}.merge must not modify its partials; copy before you change")

    def test_no_gradient_is_kept(self) -> None:
        """A tensor that wants a gradient comes out as it went in, and no track holds a graph; needs torch."""
        try:
            import torch
        except ModuleNotFoundError:
            return
        source = torch.from_numpy(scene(0.5, size=(64, 96), seed=5).astype(np.float32) / 255).requires_grad_()
        before, enabled = snapshot(source), torch.is_grad_enabled()
        partials = self._measured(self.operator(), self._windows_of(clip(source)))
        expect(source.grad is None, "the input tensor was given a gradient; measure under torch.no_grad()")
        expect_none(changes("video", source, before), "the input tensor was modified")
        expect(
            torch.is_grad_enabled() == enabled, "torch's gradient mode was left switched; use `with torch.no_grad():`"
        )
        for partial in partials:
            for name, track in partial.tracks.items() if isinstance(partial, Partial) else ():
                kind = type(track).__name__
                expect(isinstance(track, np.ndarray), f"track {name!r} is a {kind}; expected a NumPy array (detach it)")

    # --- what a failure gives ---

    def test_no_partials_give_no_number(self) -> None:
        """Merging nothing is an OperatorError: a failure never becomes a number."""
        operator = self.operator()
        try:
            came = operator.merge([])
        except OperatorError:
            return
        except Exception as error:
            raise AssertionError(f"merge([]) raised {type(error).__name__}: {error}; expected OperatorError") from error
        values = {name: came[name].value for name in came}
        raise AssertionError(f"merge([]) gave {values}; expected OperatorError: there was nothing to measure")

    def test_a_refused_clip_spoils_no_other(self) -> None:
        """A clip of `refuses` gives an OperatorError and no number, and leaves the windows beside it as they were."""
        good = self._windows()
        expected = self._measured(self.operator(), good)
        for video in self.refuses():
            bad = self._windows_of(video)
            came = self._measured(self.operator(), [*bad, *good])
            refused = any(isinstance(part, OperatorError) for part in came[: len(bad)])
            if not refused:
                given = [part for part in came[: len(bad)] if isinstance(part, Partial)]
                try:
                    found = self.operator().merge(given)
                except OperatorError:
                    refused = True
                else:
                    values = {name: found[name].value for name in found}
                    expect(refused, f"{video.name} must be refused with OperatorError; a number came: {values}")
            self._same(came[len(bad) :], expected, f"the failure of {video.name} must not change its neighbours")

    # --- how the checks ask ---

    def _windows_of(self, video: Clip) -> list[Window]:
        return windows_of(video, sound=bool(HEARD & self.operator().spec.needs))

    def _windows(self) -> list[Window]:
        return [window for video in self.clips() for window in self._windows_of(video)]

    def _measured(self, operator: Operator, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        __tracebackhide__ = True
        came = list(operator.measure(windows))
        name = operator.spec.name
        expect(len(came) == len(windows), f"{name} gave {len(came)} partials for {len(windows)} windows; one each")
        for part, window in zip(came, windows, strict=True):
            kind = type(part).__name__
            expect(
                isinstance(part, Partial | OperatorError), f"{name} gave a {kind}; expected Partial or OperatorError"
            )
            owned = len(window.times) - window.overlap
            if isinstance(part, Partial):
                rows = len(part.times)
                expect(
                    rows == owned,
                    f"{name} gave {rows} rows for a window that owns {owned} frames; leave out the overlap",
                )
        return came

    def _same(
        self,
        came: Sequence[Partial | OperatorError],
        expected: Sequence[Partial | OperatorError],
        rule: str,
    ) -> None:
        __tracebackhide__ = True
        for index, (a, b) in enumerate(zip(came, expected, strict=True)):
            expect_none(partial_differences(a, b), f"{rule}; window {index}:")


class _Watched(Mapping[str, Any]):
    """A window's features, with a note of which were asked for."""

    def __init__(self, features: Mapping[str, Any]) -> None:
        self._features = features
        self.shared = getattr(features, "shared", {})
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return self._features[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)


def _other_sound(window: Window) -> Sound:
    """Noise for the stretch of this window, which an operator that does not listen must not notice."""
    count = max(1, round((len(window.times) - window.overlap) / window.fps * SOUND_RATE))
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, count).astype(np.float32)
    return Sound(samples=samples, original=samples[None], original_rate=SOUND_RATE, start=float(window.times[0]))


def _blank(window: Window) -> Window:
    """The window with black pictures and its sound, and features of both."""
    frames = np.zeros_like(window.frames)
    return _writable(dataclasses.replace(window, frames=frames))


def _writable(window: Window) -> Window:
    """The window with frames of its own that can be written to, so that who writes is found out."""
    from cinereward.media.features import Features

    frames = window.frames.copy()
    features = Features(frames, window.start_frame, window.overlap, window.fps, window.sound)
    return dataclasses.replace(window, frames=frames, times=window.times.copy(), features=features)


def _broken_promises(operator: Operator, found: Evidence, name: str) -> list[str]:
    """Which measurements are missing, have another unit, or lie outside their range."""
    promised = {item.name: item for item in operator.spec.measurements}
    lines = [f"{name}: {item} was promised and did not come" for item in promised if item not in found.measurements]
    if (found.operator, found.version) != (operator.spec.name, operator.spec.version):
        lines.append(f"evidence is signed {found.operator} {found.version}; expected the name and version of the spec")
    for key, measurement in found.measurements.items():
        item = promised.get(key) or promised.get(key.removesuffix("_track"))
        if item is None:
            lines.append(f"{name}: {key} came and was not promised; add it to spec.measurements")
            continue
        if measurement.unit != item.unit:
            lines.append(f"{name}: {key} came in {measurement.unit!r}; expected {item.unit!r}")
        values = np.atleast_1d(np.asarray(measurement.value, np.float64))
        outside = values[~((values >= item.low) & (values <= item.high))]
        if np.isnan(outside).any() and not measurement.note:
            lines.append(
                f"{name}: {key} came as NaN without a note; say why there is no number, or raise OperatorError"
            )
        elif len(outside) and not np.isnan(outside).all():
            lines.append(f"{name}: {key} came as {outside[0]:g} {item.unit}; expected {item.low:g} to {item.high:g}")
    return lines

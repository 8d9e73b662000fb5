"""Every value that crosses a door of this house, and the protocols. Read this page first; batch.py, the result, next.

All values are frozen and keyword-only (but for `Clip.video`), and checked when they are made. Time is in
seconds from the clip's first frame; a score lies in [0, 1] and 1 is best; NaN means "not scored", never "bad".
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from cinereward.errors import ClipError, OperatorError
from cinereward.pairs import PairSide as PairSide  # one page of types: these two have a page of their own
from cinereward.pairs import PreferencePair as PreferencePair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.batch import RewardBatch

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

EXPECTATIONS = frozenset({"sound", "speech", "music", "cuts", "people"})
TASKS = ("t2v", "i2v", "r2v")
LOCI = ("prompt", "seed", "reference", "parameters", "sound", "upstream shot", "person")
LAYOUTS = ("TCHW", "THWC", "CTHW")


class Status(enum.IntEnum):
    """Why a value is there, or is not."""

    SCORED = 0
    GATED = 1  # the prompt does not call for it
    UNAVAILABLE = 2  # nothing in this profile measures it
    FAILED = 3  # it should have been measured and could not be


@dataclass(frozen=True, eq=False)
class Clip:
    """One video to be scored, with what was asked of it.

    Args:
        video: a path, the bytes of a file, a uint8 or float [0, 1] tensor or array (T, C, H, W) or (T, H, W, C),
            or a list of PIL images. Read when the clip is scored, never modified.
        prompt: what was asked for; "" asks for a picture and no more.
        task: "t2v", "i2v" or "r2v".
        expects: a set out of {"sound", "speech", "music", "cuts", "people"}; None: the gate reads it from the prompt.
        reference: an image, another Clip, or None.
        layout: "TCHW", "THWC" or "CTHW" where the shape of `video` leaves doubt.
        fps: frames per second; needed for tensors, arrays and images; overrides a file's own times.
        audio: float (N,) or (channels, N) in [-1, 1], with `sample_rate` in Hz; overrides a file's own sound.
        clip_id, group_id: names that come back with errors, pairs and reports.
        metadata: anything; carried along, never read.

    Raises:
        ClipError: an argument is of the wrong kind. What is wrong with the video itself is told when it is
            scored, in `RewardBatch.errors`, so that one bad clip never spoils its batch.
    """

    video: Any
    _: KW_ONLY
    prompt: str = ""
    task: str = "t2v"
    expects: frozenset[str] | None = None
    reference: Any = None
    layout: str | None = None
    fps: float | None = None
    audio: Any = None
    sample_rate: int | None = None
    clip_id: str | None = None
    group_id: str | None = None
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str):
            raise ClipError(f"prompt is a {type(self.prompt).__name__}; give a str ('' asks for a picture and no more)")
        if self.task not in TASKS:
            raise ClipError(f"task is {self.task!r}; give one of {', '.join(TASKS)}")
        if self.layout is not None and self.layout not in LAYOUTS:
            raise ClipError(f"layout is {self.layout!r}; give one of {', '.join(LAYOUTS)}, or None")
        if self.expects is not None:
            expects: Any = self.expects  # a plain "sound" means {"sound"}, not its letters
            given = [expects] if isinstance(expects, str) or not isinstance(expects, Iterable) else list(expects)
            if unknown := [word for word in given if not isinstance(word, str) or word not in EXPECTATIONS]:
                raise ClipError(f"expects holds {unknown}; it may hold {', '.join(sorted(EXPECTATIONS))}")
            object.__setattr__(self, "expects", frozenset(given))

    @property
    def name(self) -> str:
        """What to call this clip in a message: its id, its file name, or 'clip'."""
        if self.clip_id is not None:
            return str(self.clip_id)
        text = str(self.video) if isinstance(self.video, str) or hasattr(self.video, "__fspath__") else "clip"
        return text.replace("\\", "/").rsplit("/", 1)[-1]

    @staticmethod
    def from_diffusers(
        output: Any, prompts: Sequence[str] | str, fps: float, sample_rate: int | None = None
    ) -> list[Clip]:
        """Take what a diffusers pipeline returned, sound included; nothing touches a file.

        Args:
            output: a pipeline's output, or its `frames`: (B, T, H, W, C) or (B, T, C, H, W), or B lists of PIL images;
                where it has `audio` or `audios` (B, [channels,] N), that too.
            prompts: one for each of the B videos, or one for all. fps: of the video. sample_rate: of the sound, in Hz.

        Raises:
            ClipError: the numbers of videos and prompts differ, or there is sound and no `sample_rate`.
        """
        from cinereward.media.intake import split_diffusers  # media is below types; loaded on use

        return split_diffusers(output, prompts, fps, sample_rate)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sound:
    """A stretch of a clip's sound.

    samples: float32 (lead + N,), mono, `sample_rate` Hz; the first `lead` of them belong to the stretch before (zeros
    at the start of the clip), so that a spectrum or a filter at its edge needs no guess. original: float32 (channels,
    original_lead + M) at `original_rate` Hz, [-1, 1] but for small overshoots. start: of the stretch itself, in s from
    the clip's first frame. Stretches follow without a gap; late sound is padded with zeros, sound that ends early ends
    (N = 0), sound that runs on is kept for 10 s after the last frame.
    """

    samples: Float32
    original: Float32
    original_rate: int
    start: float
    lead: int = 0
    original_lead: int = 0
    sample_rate: int = 16_000

    @property
    def channels(self) -> int:
        """How many channels the original has."""
        return int(self.original.shape[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """A stretch of one clip; what operators see. Neighbours overlap by one frame.

    frames: uint8 (T, H, W, 3), RGB, read-only. times: float64 (T,), seconds from the clip's start, rising.
    start_frame: the clip's index of `frames[0]`. overlap: 1 where `frames[0]` was the last frame of the window
    before, else 0; a window owns `frames[overlap:]`. sound: what is heard while the owned frames are shown, or
    None. features: lazily computed and shared by all operators ("grey", "flow", "faces", ...; see media/features.py).
    """

    frames: UInt8
    times: Float64
    start_frame: int
    overlap: int
    fps: float
    sound: Sound | None
    features: Mapping[str, Any]
    prompt: str = ""
    task: str = "t2v"
    reference: Any = None

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames are {self.frames.dtype} {self.frames.shape}; expected uint8 (T, H, W, 3)")
        if self.times.shape != self.frames.shape[:1] or bool(np.any(np.diff(self.times) <= 0)):
            raise ValueError(f"times {self.times.shape} must rise, one for each of {len(self.frames)} frames")
        if self.overlap not in (0, 1):
            raise ValueError(f"overlap is {self.overlap} at frame {self.start_frame}; it is 0 or 1")


@dataclass(frozen=True, kw_only=True)
class MeasurementSpec:
    """What an operator promises to measure: name, unit, and the range its value lies in."""

    name: str
    unit: str
    low: float
    high: float
    meaning: str

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"{self.name}: low is {self.low} and high {self.high}; expected low <= high; swap them")


@dataclass(frozen=True, kw_only=True)
class OperatorSpec:
    """What an operator is: its measurements, what it needs, and under which licence its weights come."""

    name: str
    measurements: tuple[MeasurementSpec, ...]
    needs: frozenset[str] = frozenset({"frames"})
    weights: tuple[str, ...] = ()
    licence: str = "Apache-2.0"
    version: str = "1"


@dataclass(frozen=True, kw_only=True, eq=False)
class Partial:
    """What an operator saw in one window: tracks with one row for each frame the window owns.

    times: float64 (N,). tracks: name -> array (N, ...); a pair of frames is filed under its later frame, and the
    clip's first frame, which has no earlier one, holds NaN (or zeros where the dtype has no NaN). fps: frames a second.
    sounds: name -> array (M, ...) on the sound's own grid: any number of rows. notes: what befell the measuring, such
    as a GPU that ran out of memory; told in the clip's evidence.
    """

    times: Float64
    fps: float
    tracks: Mapping[str, NDArray[Any]]
    sounds: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, track in self.tracks.items():
            if len(track) != len(self.times):
                raise ValueError(f"track {name!r} has {len(track)} rows for {len(self.times)} frames")


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurement:
    """One named measured value, or a track of them.

    value: float, or float64 (N,) with its `times` (N,) in seconds. unit: of the value. std: what the detector itself
    doubts, in the same unit. note: what a reader should know, such as "no edge in the picture".
    """

    name: str
    value: float | Float64
    unit: str
    times: Float64 | None = None
    std: float = 0.0
    note: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.value, np.ndarray):
            if self.times is None or self.times.shape != self.value.shape or not bool(np.all(self.times >= 0)):
                raise ValueError(f"{self.name}: a track of shape {self.value.shape} needs times of that shape, >= 0 s")
        elif math.isinf(self.value):
            raise ValueError(f"{self.name} is infinite; cap it, or raise OperatorError")
        if not self.std >= 0:
            raise ValueError(f"{self.name}: std is {self.std}; expected 0 or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What one operator measured on one clip: measurements by name. notes: what befell the measuring."""

    operator: str
    measurements: Mapping[str, Measurement]
    version: str = "1"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if odd := [f"{item.name} as {name}" for name, item in self.measurements.items() if item.name != name]:
            raise ValueError(f"{self.operator} files {', '.join(odd)}; expected each measurement under its own name")

    def __getitem__(self, name: str) -> Measurement:
        return self.measurements[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.measurements)


@dataclass(frozen=True, kw_only=True)
class Critique:
    """One finding a director understands: where it is, how bad, what a viewer feels, and the change to make.

    shot: 1-based, None where it spans several. start, end: s. severity: [0, 1]. evidence: "operator.measurement" names.
    """

    dimension: str
    shot: int | None
    start: float
    end: float
    severity: float
    finding: str
    remedy: str
    locus: str
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.locus not in LOCI:
            raise ValueError(f"locus is {self.locus!r}; expected one of {', '.join(LOCI)}")
        if not (0.0 <= self.severity <= 1.0 and 0.0 <= self.start <= self.end):
            told = f"severity {self.severity} from {self.start} s to {self.end} s"
            raise ValueError(f"{told}; expected severity from 0 to 1 and 0 <= start <= end")
        if self.shot is not None and not self.shot >= 1:
            raise ValueError(f"shot is {self.shot}; expected 1 or more; give None where it spans several")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A judge's answer to one question: score = (E[label] - 1) / 4, NaN unless `status` is SCORED.

    std: of the label's distribution. mass: of the labels among all tokens. rationale, reflection: what the judge wrote.
    finding: what it names as the problem, where it wrote of one.
    """

    question: str
    score: float
    std: float = math.nan
    mass: float = math.nan
    rationale: str = ""
    reflection: str = ""
    status: Status = Status.SCORED
    reason: str = ""
    finding: Critique | None = None

    def __post_init__(self) -> None:
        fits = 0.0 <= self.score <= 1.0 if self.status is Status.SCORED else math.isnan(self.score)
        if not (fits and isinstance(self.status, Status)):
            told = f"{self.question}: score {self.score} with status {getattr(self.status, 'name', self.status)}"
            raise ValueError(f"{told}; expected a Status, and 0 to 1 where SCORED; give NaN elsewhere")
        if self.std < 0 or math.isinf(self.std) or not (math.isnan(self.mass) or 0.0 <= self.mass <= 1.0 + 1e-6):
            told = f"{self.question}: std {self.std} and mass {self.mass}"
            raise ValueError(f"{told}; expected std of 0 or more and mass from 0 to 1; give NaN for what is unknown")


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgeRequest:
    """What a judge is asked: a decoded clip, its questions, the evidence, and how to answer.

    clip: its windows in order; they may be thin, with a few small frames a second (media/thinning.py). expected:
    sub-dimension -> what the evidence alone scores, where it does.
    """

    clip: Sequence[Window]
    questions: Sequence[str]
    evidence: Mapping[str, Evidence]
    mode: Literal["direct", "cot", "adaptive"] = "direct"
    expected: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mode not in ("direct", "cot", "adaptive"):
            raise ValueError(f"mode is {self.mode!r}; give direct, cot or adaptive")


@runtime_checkable
class Operator(Protocol):
    """A perception operator: measures windows of many clips, then merges one clip's partials in order."""

    spec: OperatorSpec

    def measure(self, windows: Sequence[Window]) -> Sequence[Partial | OperatorError]:
        """One Partial a window, or the error that befell it. Never depends on the other windows."""
        ...

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """The evidence of one clip from its partials in order."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Answers questions on clips. A question it cannot answer comes back UNAVAILABLE or FAILED, with the reason."""

    hears: bool

    def __call__(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
        """One list of verdicts for each request, in the order of its questions."""
        ...


@runtime_checkable
class RewardFunction(Protocol):
    """Anything that scores clips."""

    def __call__(self, clips: Sequence[Clip]) -> RewardBatch:
        """Score every clip; a bad one becomes an error in the batch, never an exception."""
        ...

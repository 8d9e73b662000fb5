"""What a judge is shown of a clip: frames that matter, their times, sound, the evidence in words, and fenced data.

Text that comes from outside goes in only through fence.py. What the clip is called, and its metadata, never go in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cinereward.errors import JudgeError
from cinereward.judge import telling
from cinereward.judge.backend import Shown
from cinereward.judge.fence import fenced
from cinereward.judge.given import first_picture, fitted
from cinereward.judge.moments import SLACK, Stretch, choose, divide
from cinereward.judge.settings import Showing
from cinereward.judge.wording import NOTE, system, words
from cinereward.media.features import THUMB
from cinereward.media.shots import find_shots
from cinereward.types import Evidence, JudgeRequest, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

PROMPT, SPEECH, NOTES = 4_000, 2_000, 600  # characters that are shown of each
LISTED = 40  # cuts of a stretch whose times are told
RATE = 16_000  # Hz
TASKS = {
    "t2v": "made from a text",
    "i2v": "made from a text and a first picture",
    "r2v": "made from a text and a reference",
}
SAID = "What is said in the clip, as a recogniser heard it:"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Film:
    """The frames there are of a clip, where they lie, and what is known of it. starts: of its shots, in s."""

    windows: Sequence[Window]
    times: Float64
    places: list[tuple[int, int]]  # window, row
    duration: float
    starts: list[float]
    measured: bool  # the shots were measured, on all frames


def stage(request: JudgeRequest, showing: Showing, *, hears: bool) -> list[Shown]:
    """What a judge is shown of one clip: one `Shown`, or several in order where it is longer than `showing.stretch`.

    Args:
        request: with the clip's windows, thin or whole, and its evidence. showing: how much is shown.
        hears: whether the judge can be given sound.

    Raises:
        JudgeError: there is no frame to show, or the reference cannot be read.
    """
    return list(staged(request, showing, hears=hears))


def staged(request: JudgeRequest, showing: Showing, *, hears: bool) -> Iterator[Shown]:
    """The same, one after another, so that only one stretch of a long clip need be held."""
    film = _film(request)
    told = telling.tell(request.evidence) if showing.evidence else []
    moments = telling.pointed(told)
    reference = first_picture(request.clip[0].reference, showing.pixels)
    after = _after(request, told)
    stretches = _seen(divide(film.duration, film.starts, showing.stretch), film.times)
    for at, stretch in enumerate(stretches):
        inside = np.flatnonzero(_within(film.times, stretch, last=at == len(stretches) - 1))
        starts = [one for one in film.starts if stretch.start - SLACK <= one < stretch.end]
        rows = inside[choose(film.times[inside], showing.frames, starts, moments)]
        times = film.times[rows]
        heard = _sound(film.windows, stretch) if hears and showing.sound else None
        before = _before(request.clip[0], film, stretch, len(stretches), times, reference is not None)
        shown = Shown(
            frames=_pictures(film, rows, showing.pixels),
            times=times,
            fps=float(request.clip[0].fps),
            system=system(),
            before=before,
            after=after,
            reference=reference,
            sound=heard,
            start=stretch.start,
            end=stretch.end,
        )
        yield dataclasses.replace(shown, key=_key(shown))


def with_summary(shown: Shown, text: str) -> Shown:
    """The same stretch with the judge's own note on what came before it; the note is shown as data.

    Args:
        shown: a stretch. text: the note; "" leaves the stretch as it is.
    """
    if not text.strip():
        return shown
    told = f"Your own note on what came before this stretch:\n{fenced('note', text, NOTE)}\n\n"
    carried = dataclasses.replace(shown, after=shown.after + told)
    return dataclasses.replace(carried, key=_key(carried))


def _film(request: JudgeRequest) -> _Film:
    windows = request.clip
    places = [(at, row) for at, window in enumerate(windows) for row in range(window.overlap, len(window.frames))]
    if not places:
        raise JudgeError(f"a clip of {len(windows)} windows holds no frame; there is nothing to judge")
    times = np.array([windows[at].times[row] for at, row in places])
    if bool(np.any(np.diff(times) <= 0)):
        raise JudgeError("the times of the clip's windows do not rise; give the windows of one clip, in order")
    fps = float(windows[0].fps)
    step = max(1 / fps, float(np.median(np.diff(times))) if len(times) > 1 else 0.0)
    starts, end = _measured_shots(request.evidence)
    duration = max(end, float(times[-1]) + 1 / fps)
    measured = bool(starts)
    if not measured:
        frames = (windows[at].frames[row] for at, row in places)
        small = np.stack([cv2.resize(frame, THUMB, interpolation=cv2.INTER_AREA) for frame in frames])
        starts = [shot.start for shot in find_shots(times, np.asarray(small, np.uint8), 1 / step)]
        duration = float(times[-1]) + step
    return _Film(windows=windows, times=times, places=places, duration=duration, starts=starts, measured=measured)


def _measured_shots(evidence: Mapping[str, Evidence]) -> tuple[list[float], float]:
    """Where the shots start that were measured on all frames, and where the last one ends, in s; [] where none were."""
    track = evidence["shots"].measurements.get("duration_track") if "shots" in evidence else None
    if track is None or track.times is None or not isinstance(track.value, np.ndarray) or not len(track.value):
        return [], 0.0
    ends = track.times + track.value
    return [float(one) for one in track.times], float(ends[-1]) if math.isfinite(ends[-1]) else 0.0


def _within(times: Float64, stretch: Stretch, *, last: bool) -> NDArray[np.bool_]:
    inside = times >= stretch.start - SLACK
    return inside if last else np.asarray(inside & (times < stretch.end - SLACK))


def _seen(stretches: list[Stretch], times: Float64) -> list[Stretch]:
    """Stretches that hold a frame; one without, between frames that lie far apart, is joined to the one before."""
    seen: list[Stretch] = []
    for at, stretch in enumerate(stretches):
        if seen and not _within(times, stretch, last=at == len(stretches) - 1).any():
            seen[-1] = dataclasses.replace(seen[-1], end=stretch.end)
        else:
            seen.append(stretch)
    return seen


def _pictures(film: _Film, rows: NDArray[np.int64], pixels: int) -> UInt8:
    """uint8 (N, H, W, 3), each at most `pixels` in area; never enlarged."""
    return np.stack([fitted(film.windows[at].frames[row], pixels) for at, row in (film.places[int(i)] for i in rows)])


def _sound(windows: Sequence[Window], stretch: Stretch) -> Float32 | None:
    """float32 (M,), 16 kHz, mono, of the stretch; None where the clip has none there."""
    parts = []
    for sound in (window.sound for window in windows if window.sound is not None):
        if sound.sample_rate != RATE:
            raise JudgeError(f"sound comes at {sound.sample_rate} Hz; a judge is given {RATE} Hz")
        own = sound.samples[sound.lead :]
        first, last = (round((edge - sound.start) * RATE) for edge in (stretch.start, stretch.end))
        parts.append(own[max(0, first) : max(0, last)])
    heard = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return heard.astype(np.float32, copy=False) if len(heard) else None


def _before(window: Window, film: _Film, stretch: Stretch, count: int, times: Float64, reference: bool) -> str:
    part = f"A clip of {film.duration:.2f} s at {window.fps:.4g} frames a second, {TASKS.get(window.task, 'a text')}."
    if count > 1:
        part += f" This is its stretch from {stretch.start:.1f} to {stretch.end:.1f} s."
    cuts = [one for one in film.starts[1:] if stretch.start - SLACK <= one < stretch.end] if film.measured else []
    if cuts:
        more = f" and {len(cuts) - LISTED} more" if len(cuts) > LISTED else ""
        part += f" It cuts at {', '.join(f'{one:.2f}' for one in cuts[:LISTED])}{more} s."
    return (
        words("before").format(
            stretch=part,
            reference=" The reference comes first, before the clip; it is no part of it." if reference else "",
            count=len(times),
            times=" ".join(f"{one:.2f}" for one in times),
        )
        + "\n"
    )


def _after(request: JudgeRequest, told: Sequence[telling.Told]) -> str:
    """What stands behind the pictures, the same for all stretches; ends with a blank line."""
    prompt = request.clip[0].prompt
    parts = [f"What was asked for:\n{fenced('prompt', prompt, PROMPT)}" if prompt.strip() else "No prompt was given."]
    if speech := telling.transcript(request.evidence):
        parts.append(f"{SAID}\n{fenced('speech', speech, SPEECH)}")
    if told:
        lines = "\n".join(one.line() for one in told)
        parts.append(f"Measurements of the whole clip, those that most need a look:\n{lines}")
        if remarks := telling.notes(request.evidence):
            parts.append(f"What befell the measuring:\n{fenced('notes', chr(10).join(remarks), NOTES)}")
    return "\n".join(parts) + "\n\n"


def _key(shown: Shown) -> str:
    """SHA-256 over all that is shown."""
    told = hashlib.sha256()
    for field in dataclasses.fields(shown):
        value = getattr(shown, field.name)
        if field.name == "key":
            continue
        told.update(f"\x00{field.name}\x00".encode())
        if isinstance(value, np.ndarray):
            told.update(f"{value.dtype.str}{value.shape}".encode())
            told.update(np.ascontiguousarray(value).data)
        else:
            told.update(repr(value).encode())
    return told.hexdigest()

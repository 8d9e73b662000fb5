"""Feeling in the voice against the face: planted paths are found, and a face that does not act earns nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cinereward import Clip, Evidence, weights
from cinereward.networks.emotion import WINDOW
from cinereward.networks.faces import Face, Found
from cinereward.operators.emotion import MOST, STEP, Emotion
from cinereward.operators.expressions import aligned
from cinereward.testing import OperatorConformance, measure, scene
from cinereward.testing.hearing import beat
from cinereward.testing.tiny_faces import plain_face, tiny_faces
from cinereward.testing.tiny_whisper import FEELINGS, tiny_emotion
from cinereward.types import Window

from .planted_speech import RATE, film, murmur, voice

Float64 = NDArray[np.float64]
Course = Callable[[Float64], Float64]
MOUTH = slice(52, 72)  # of the landmarks
LENGTH = 14.0  # s


def turns(seconds: Float64) -> Float64:
    """From neutral (0) to happy (1) at 3 s, back at 6.5 s, and to happy again at 11 s."""
    return np.select([seconds < 3, seconds < 6.5, seconds < 11], [0.0, 1.0, 0.0], 1.0)


def still(seconds: Float64) -> Float64:
    return np.zeros(len(seconds))


def later(course: Course, by: float) -> Course:
    return lambda seconds: course(seconds - by)


class Feels:
    """Happy as far as the course says, else neutral; each call is one clip, whose every window is speech."""

    labels = FEELINGS

    def __init__(self, course: Course) -> None:
        self.course = course

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        starts = np.arange(len(windows)) * STEP / RATE
        happy = np.array([self.course(np.linspace(start, start + WINDOW / RATE, 41)).mean() for start in starts])
        shares = np.zeros((len(windows), len(FEELINGS)), np.float32)
        shares[:, FEELINGS.index("happy")], shares[:, FEELINGS.index("neutral")] = happy, 1 - happy
        return shares


def smiling(
    course: Course, *, side: float = 60.0, moves: bool = False, jitter: float = 0.0, there: Course | None = None
) -> Any:
    """A face whose mouth rises and widens by the course; with `moves`, its head sways, tilts and comes nearer."""

    def face(at: float) -> Face:
        smile = float(course(np.array([at]))[0])
        marks = plain_face()
        marks[MOUTH] *= [1 + 0.35 * smile, 1.0]
        marks[MOUTH, 1] -= 0.15 * smile * np.abs(marks[MOUTH, 0])
        turn = 0.2 * np.sin(1.7 * at) * moves
        scale = side / 2 * (1 + 0.2 * np.sin(0.9 * at) * moves)
        marks = scale * marks @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        marks += jitter * np.random.default_rng(round(1e3 * at)).standard_normal(marks.shape)
        middle = np.array([100 + 10 * np.sin(at) * moves, 90.0])
        box = np.concatenate([middle - scale, middle + scale]).astype(np.float32)
        return Face(
            box=box, score=0.9, points=np.zeros((5, 2), np.float32), landmarks=np.asarray(marks + middle, np.float32)
        )

    def faces(windows: Sequence[Window]) -> list[Found]:
        seen = []
        for window in windows:
            keys = {int(row): float(window.times[row]) for row in window.features["keys"]}
            shown = {row: there is None or there(np.array([at]))[0] > 0 for row, at in keys.items()}
            seen.append({row: (face(at),) if shown[row] else () for row, at in keys.items()})
        return seen

    return faces


def nobody(windows: Sequence[Window]) -> list[Found]:
    return [dict.fromkeys(map(int, window.features["keys"]), ()) for window in windows]


@pytest.fixture
def _always_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cinereward.operators.spoken.speech_probability", lambda x: np.ones(-(-len(x) // 512), "f4"))


def found(feel: Course, face: Any, sound: Any = None, seconds: float = LENGTH) -> Evidence:
    return measure(Emotion(feel=Feels(feel), faces=face), film(voice(seconds) if sound is None else sound))


def worth(name: str, feel: Course, face: Any, seconds: float = LENGTH) -> float:
    return float(found(feel, face, seconds=seconds)[name].value)


# --- voice and face ---


@pytest.mark.usefixtures("_always_speech")
class TestSynergy:
    @pytest.mark.parametrize("moves", [False, True], ids=["held still", "the head moves"])
    def test_a_face_that_changes_with_the_voice_is_told(self, moves: bool) -> None:
        assert worth("synergy", turns, smiling(turns, moves=moves)) > 0.8

    def test_the_later_the_face_the_less_they_agree(self) -> None:
        values = [worth("synergy", turns, smiling(later(turns, by))) for by in (0.0, 1.0, 2.0)]
        assert values[0] > values[1] + 0.1 > values[2] + 0.2
        assert values[2] < 0.3

    @pytest.mark.parametrize(
        ("feel", "face"),
        [
            (turns, smiling(still)),
            (turns, smiling(still, moves=True)),
            (turns, smiling(still, jitter=0.5)),
            (still, smiling(turns)),
            (still, smiling(still)),
            (turns, nobody),
            (turns, smiling(turns, there=lambda at: 1.0 * (at < 0.1))),
        ],
        ids=[
            "still face",
            "moving head",
            "jitter of the landmarks",
            "flat voice",
            "both still",
            "nobody",
            "only in the first frame",
        ],
    )
    def test_what_does_not_act_earns_nothing(self, feel: Course, face: Any) -> None:
        assert worth("synergy", feel, face) == pytest.approx(0, abs=0.05)

    def test_the_moments_that_disagree_have_their_times(self) -> None:
        told = found(turns, smiling(lambda at: turns(at) * (at < 9)))["synergy_track"]  # the last turn is missed
        times = told.times
        assert times is not None
        assert abs(float(times[np.argmin(told.value)]) - 11.0) <= 0.5

    def test_a_short_clip_tells_little_and_says_so(self) -> None:
        long, short = (found(turns, smiling(turns), seconds=s)["synergy"] for s in (LENGTH, 3.0))
        assert short.value == 0
        assert "too few" in short.note
        assert short.std > long.std > 0.2

    def test_two_people_in_two_shots_are_not_one_face_that_changes(self) -> None:
        takes = [scene(7.0, 12.0, size=(64, 96), seed=seed, move="static") for seed in (3, 4)]
        video = Clip(video=np.concatenate(takes), fps=12.0, audio=voice(LENGTH), sample_rate=RATE)
        face = smiling(lambda at: 1.0 * (at >= 7.0))  # another mouth after the cut at 7 s
        told = measure(Emotion(feel=Feels(lambda at: 1.0 * (at >= 7.0)), faces=face), video)
        assert told["synergy"].value == pytest.approx(0, abs=0.05)

    def test_a_second_smaller_face_changes_nothing(self) -> None:
        def both(windows: Sequence[Window]) -> list[Found]:
            far = smiling(later(turns, 2.0), side=30.0)(windows)
            return [
                {row: (*other[row], *faces[row]) for row in faces}
                for faces, other in zip(smiling(turns)(windows), far, strict=True)
            ]

        # the smaller one stands in the same place: only its size tells it apart
        assert worth("synergy", turns, both) == worth("synergy", turns, smiling(turns))


# --- the voice alone ---


@pytest.mark.usefixtures("_always_speech")
class TestCourse:
    def test_strength_and_variety_are_those_of_the_path(self) -> None:
        flat, full = (found(course, nobody) for course in (still, lambda at: np.ones(len(at))))
        told = [flat["strength"].value, flat["variety"].value, full["variety"].value]
        assert told == pytest.approx([0, 0, 0], abs=1e-9)
        assert full["strength"].value == pytest.approx(np.hypot(0.8, 0.5))
        assert full["valence"].value == pytest.approx(0.8)
        assert worth("variety", turns, nobody) > 0.3

    @pytest.mark.parametrize("when", [4.3, 7.0, 9.8])
    def test_a_leap_inside_a_sentence_is_found_where_it_is(self, when: float) -> None:
        told = found(lambda at: 1.0 * (at >= when), nobody)
        times = told["jump_track"].times
        assert times is not None
        assert told["jump"].value > 0.7
        assert abs(float(times[np.argmax(told["jump_track"].value)]) - when) <= STEP / RATE
        assert told["jump"].note.startswith("at ")

    def test_a_slow_change_is_no_leap(self) -> None:
        assert worth("jump", lambda at: at / LENGTH, nobody) < 0.2

    def test_at_most_two_minutes_of_speech_are_listened_to(self) -> None:
        told = found(still, nobody, sound=np.resize(voice(LENGTH), 150 * RATE))
        assert len(told["strength_track"].value) == MOST
        assert any(f"the first {MOST}" in note for note in told.notes)


def test_a_feeling_may_change_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    def paused(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        at = np.arange(-(-len(samples) // 512)) * 0.032
        return np.asarray(~((at > 6.7) & (at < 7.4)), np.float32)

    monkeypatch.setattr("cinereward.operators.spoken.speech_probability", paused)
    told = found(lambda at: 1.0 * (at >= 7.0), nobody)
    assert told["jump"].value < 0.6 * np.hypot(0.8, 0.5)


# --- cheats: nobody speaks ---


@pytest.mark.parametrize(
    "sound",
    [np.zeros(4 * RATE, np.float32), murmur(4.0), beat(4.0, RATE)[0], voice(0.1)],
    ids=["silence", "a quiet room", "music", "0.1 s of speech"],
)
def test_where_nobody_speaks_nothing_is_earned(sound: Any) -> None:
    told = found(turns, smiling(turns), sound=sound)
    for name in ("synergy", "strength", "variety", "jump"):
        assert told[name].value == 0
        assert told[name].note in {"silence", "no speech"}


def test_without_sound_no_face_is_looked_for() -> None:
    def refuse(windows: Sequence[Window]) -> list[Found]:
        raise AssertionError("asked for faces")

    told = measure(Emotion(feel=Feels(turns), faces=refuse), film(None))
    assert told["synergy"].note == "no sound"


# --- pure functions ---


@given(st.integers(0, 99), st.floats(-3, 3), st.floats(0.2, 5), st.tuples(st.floats(-500, 500), st.floats(-500, 500)))
def test_place_size_and_tilt_are_taken_from_a_face(seed: int, turn: float, scale: float, to: Any) -> None:
    face = np.random.default_rng(seed).normal(0, 30, (106, 2))
    moved = scale * face @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + np.array(to)
    one, other = aligned(np.stack([face.ravel(), moved.ravel()]))
    assert one == pytest.approx(other, abs=1e-6)
    assert np.mean(np.abs(one) ** 2) == pytest.approx(1)


# --- the house's rules ---


class ByContent:
    """Feelings that depend on every sample."""

    labels = FEELINGS

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        marks = np.abs(windows).reshape(len(windows), 20, -1).mean(axis=2)[:, : len(FEELINGS)]
        return np.asarray(marks / np.maximum(marks.sum(axis=1, keepdims=True), 1e-9), np.float32)


class TestConformance(OperatorConformance):
    def operator(self) -> Any:
        return Emotion(feel=ByContent(), faces=smiling(turns, moves=True))

    def clips(self) -> Sequence[Clip]:
        return [film(voice(seconds, seed)) for seed, seconds in enumerate((2.5, 3.4, 5.0))]


def test_real_weights_go_all_the_way_bitwise_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))
    weights.add("speech-emotion", tiny_emotion(tmp_path / "emotion"), own=True)
    for name, path in tiny_faces(tmp_path / "faces").items():
        weights.add(name, path, own=True)
    video = film(voice(4.0))
    one, other = (measure(Emotion("cpu"), video, length) for length in (5, 1000))
    assert one["strength"].value > 0
    for name in one:
        assert np.array_equal(one[name].value, other[name].value), name

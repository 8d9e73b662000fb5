"""The transcript: planted words are set against asked words; nothing that is not said is paid for."""

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
from cinereward.networks.whisper import Heard, Word
from cinereward.operators.spoken import LEAST_STRETCH, packed, stretches
from cinereward.operators.transcript import MOST, Transcript
from cinereward.operators.wording import distance, in_order, tokens
from cinereward.testing import OperatorConformance, measure
from cinereward.testing.hearing import beat
from cinereward.testing.tiny_whisper import tiny_whisper
from cinereward.types import Sound, Window

from .planted_speech import RATE, film, heard, murmur, never, says, voice

ASKED = "we leave at dawn and nobody looks back"
PROMPT = f'A captain on a pier says: "{ASKED}"'
CHINESE = "我们明天早上一起出发"


def found(hear: Any, prompt: str = PROMPT, sound: Any = None) -> Evidence:
    return measure(Transcript(hear=hear), film(voice(4.0) if sound is None else sound, prompt))


def worth(hear: Any, name: str, prompt: str = PROMPT, sound: Any = None) -> float:
    return float(found(hear, prompt, sound)[name].value)


# --- what was asked for ---


@pytest.mark.parametrize(
    ("said", "dialogue", "spoken", "extra"),
    [
        (ASKED, 1.0, 1.0, 0.0),
        ("We LEAVE at dawn, and nobody looks back!", 1.0, 1.0, 0.0),
        ("we leave at dawn and nobody", 6 / 8, 6 / 8, 0.0),
        ("we leave at noon and nobody looks away", 6 / 8, 6 / 8, 2 / 8),
        ("well now we leave at dawn and nobody looks back", 6 / 8, 1.0, 2 / 10),
        ("at we leave dawn and nobody looks back", 6 / 8, 7 / 8, 1 / 8),
        (f"{ASKED} {ASKED}", 0.0, 1.0, 0.5),
        ("ba ba ba ba ba ba ba ba ba ba ba ba ba ba ba ba ba ba", 0.0, 0.0, 1.0),
    ],
    ids=["right", "case", "missing", "wrong", "extra", "swapped", "read out twice", "babble"],
)
def test_words_that_are_missing_wrong_or_too_many_are_told(
    said: str, dialogue: float, spoken: float, extra: float
) -> None:
    told = found(says(said))
    assert [told[name].value for name in ("dialogue", "spoken", "extra")] == pytest.approx([dialogue, spoken, extra])


@pytest.mark.parametrize(
    ("said", "dialogue"),
    [(CHINESE, 1.0), ("我们明天早上出发", 0.8), ("我們明天早上一起出發", 0.8), ("你好", 0.0), ("wo men ming", 0.0)],
)
def test_chinese_is_compared_letter_by_letter(said: str, dialogue: float) -> None:
    assert worth(says(said, language="zh"), "dialogue", f'船长说："{CHINESE}，"') == pytest.approx(dialogue)


def test_numbers_and_contractions_are_one_in_english() -> None:
    assert worth(says("I'm twenty-one, it's colour"), "dialogue", 'She says: "I am 21, it is color"') == 1.0


def test_without_asked_words_the_comparison_is_not_told_and_the_rest_is() -> None:
    told = found(says("good evening"), "a woman talks")
    for name in ("dialogue", "spoken", "extra"):
        assert np.isnan(told[name].value)
        assert "quotation marks" in told[name].note
    assert told["words"].value == 2


def test_the_asked_words_come_from_the_prompt_whatever_the_windows() -> None:
    video = film(voice(4.0), PROMPT)
    for length in (1, 7, 1000):
        assert measure(Transcript(hear=says(ASKED)), video, length)["dialogue"].value == 1.0


# --- when it was said ---


def spike(piece: NDArray[np.float32]) -> Heard:
    """One word where the loudest sample lies."""
    at = int(np.argmax(np.abs(piece))) / RATE
    return Heard(text="now", words=(Word(text="now", start=at, end=at + 0.2, probability=0.8),), compression=0.5)


@pytest.mark.parametrize("when", [1.0, 3.7, 9.5, 11.2])
def test_a_word_has_its_time_in_the_clip_across_pauses(when: float) -> None:
    # the voice from 0.5 s to 4.5 s and from 9 s to 12 s; between them nobody speaks and nothing is transcribed
    sound = np.concatenate([murmur(0.5), voice(4.0), murmur(4.5), voice(3.0, 2), murmur(1.0)])
    sound[round(when * RATE)] = 0.99
    lengths: list[int] = []

    def hear(pieces: Sequence[NDArray[np.float32]]) -> list[Heard]:
        lengths.extend(map(len, pieces))
        return [spike(piece) for piece in pieces]

    told = found(hear, sound=sound)
    assert told["words_track"].times == pytest.approx([when], abs=0.04)
    assert lengths == [pytest.approx(7 * RATE, abs=1.6 * RATE)]  # the pause is not in it


def test_the_words_that_were_not_asked_for_have_their_times() -> None:
    told = found(says("we leave at once dawn and nobody looks back"))
    times = told["extra_track"].times
    assert times is not None
    assert list(times[np.asarray(told["extra_track"].value) == 1]) == [times[3]]


# --- how well it can be understood ---


def test_what_the_network_doubts_lowers_the_confidence() -> None:
    assert worth(says(ASKED, probability=0.9), "confidence") > worth(says(ASKED, probability=0.4), "confidence")


def test_speech_without_words_is_mumbled() -> None:
    def early(pieces: Sequence[NDArray[np.float32]]) -> list[Heard]:
        return [heard("we leave", seconds=0.8) for _ in pieces]

    assert worth(early, "confidence") < 0.5 * worth(says(ASKED), "confidence")


def test_a_loop_is_told_and_not_hidden() -> None:
    told = found(says("thank you " * 40, cut=True))
    assert told["gibberish"].value > 5 > 2.4 > worth(says(ASKED), "gibberish")
    assert "loop" in told["gibberish"].note
    assert any("cut off" in note for note in told.notes)


@pytest.mark.parametrize(("seconds", "fast"), [(4.0, False), (1.6, True)])
def test_the_rate_is_in_words_a_second_of_speech(seconds: float, fast: bool) -> None:
    rate = worth(says(ASKED), "rate", sound=np.concatenate([murmur(1.0), voice(seconds), murmur(1.0)]))
    assert (rate > 4.5) is fast
    assert 8 / seconds <= rate < 2 * 8 / seconds


# --- cheats: nobody speaks, or nobody says anything ---


@pytest.mark.parametrize(
    "sound",
    [None, np.zeros(4 * RATE, np.float32), murmur(4.0), beat(4.0, RATE)[0], voice(0.1)],
    ids=["no sound", "silence", "a quiet room", "music", "0.1 s of speech"],
)
def test_where_nobody_speaks_the_network_is_not_asked_and_nothing_is_earned(sound: Any) -> None:
    told = measure(Transcript(hear=never), film(sound, PROMPT))
    assert told["words"].value == told["confidence"].value == told["dialogue"].value == told["spoken"].value == 0
    assert told["no_speech"].value == 1
    assert told["words"].note in {"no sound", "silence", "no speech"}


def test_words_that_whisper_itself_takes_for_invented_are_dropped() -> None:
    told = found(says(ASKED, no_speech=0.9, logprob=-1.4))
    assert told["words"].value == told["dialogue"].value == told["confidence"].value == 0
    assert "no word" in told["words"].note


# --- what is bounded ---


def stretch(number: int, seconds: float, samples: NDArray[np.float32]) -> Window:
    """A window of one frame that owns some seconds of sound."""
    start = number * seconds
    return Window(
        frames=np.zeros((1, 16, 16, 3), np.uint8),
        times=np.array([start]),
        start_frame=number,
        overlap=0,
        fps=1 / seconds,
        sound=Sound(samples=samples, original=samples[None], original_rate=RATE, start=start),
        features={},
        prompt=PROMPT,
    )


def test_of_four_hours_of_sound_half_an_hour_is_kept() -> None:
    samples = voice(60.0)
    partials = Transcript(hear=never).measure([stretch(n, 60.0, samples) for n in range(240)])
    assert sum(len(part.sounds["samples"]) for part in partials) == 1800 * RATE
    assert all(part.sounds["samples"].dtype == np.float16 for part in partials)


def test_of_a_film_the_first_twenty_minutes_of_speech_are_transcribed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cinereward.operators.spoken.speech_probability", lambda x: np.ones(-(-len(x) // 512), "f4"))
    partials = Transcript(hear=never).measure([stretch(n, 60.0, voice(60.0)) for n in range(240)])
    counts: list[int] = []

    def hear(pieces: Sequence[NDArray[np.float32]]) -> list[Heard]:
        counts.extend(map(len, pieces))
        return [heard(ASKED, seconds=len(piece) / RATE) for piece in pieces]

    told = Transcript(hear=hear).merge(partials)
    assert len(counts) == MOST
    assert max(counts) <= 30 * RATE
    assert told["confidence"].value == pytest.approx(0.9, abs=0.02)  # what was left out is not taken for mumbling
    assert any("not transcribed" in note for note in told.notes)
    assert any("12600 s are not listened to" in note for note in told.notes)


# --- pure functions ---


@given(st.lists(st.tuples(st.integers(1, 90), st.booleans()), max_size=12), st.integers(30, 120))
def test_stretches_hold_all_speech_once_and_fit(runs: list[tuple[int, bool]], longest: int) -> None:
    probability = np.concatenate([np.zeros(0), *(np.full(count, 0.9 * speaks) for count, speaks in runs)])
    parts = stretches(probability.astype(np.float32), longest)
    inside = np.zeros(len(probability), int)
    for first, last in parts:
        assert last - first <= longest
        inside[first:last] += 1
    assert inside.max(initial=0) <= 1
    left_out = np.diff(((probability > 0.5) & (inside == 0)).astype(int), prepend=0, append=0)
    runs_left_out = np.flatnonzero(left_out < 0) - np.flatnonzero(left_out > 0)
    assert np.all(runs_left_out < LEAST_STRETCH)  # clicks
    assert [part for piece in packed(parts, longest) for part in piece] == parts
    assert all(sum(last - first for first, last in piece) <= longest for piece in packed(parts, longest))


WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


def plain_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """The textbook's table."""
    table = [[max(i, j) if not i * j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            same = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            table[i][j] = min(same, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1]


@given(WORDS, WORDS)
def test_the_distance_is_that_of_the_textbook(a: list[str], b: list[str]) -> None:
    assert distance(a, b) == plain_distance(a, b)


@given(WORDS, WORDS)
def test_what_is_marked_as_in_order_is_heard_in_order(a: list[str], b: list[str]) -> None:
    count, used = in_order(a, b)
    kept = [word for word, mark in zip(a, used, strict=True) if mark]
    rest = iter(b)
    assert len(kept) == count
    assert all(word in rest for word in kept)  # a subsequence
    assert len(a) + len(b) - 2 * count >= distance(a, b) >= max(len(a), len(b)) - count


@given(st.text(max_size=60), st.booleans())
def test_any_text_has_tokens(text: str, english: bool) -> None:
    assert all(token.strip() == token != "" for token in tokens(text, english=english))


# --- the house's rules ---


def by_content(pieces: Sequence[NDArray[np.float32]]) -> list[Heard]:
    """Words that depend on every sample."""
    seeds = [int(np.abs(piece.view(np.int32).astype(np.int64)).sum() % 7) for piece in pieces]
    sized = zip(seeds, map(len, pieces), strict=True)
    return [heard(" ".join(["word"] * (3 + seed)), 0.1 * (1 + seed), count / RATE) for seed, count in sized]


class TestConformance(OperatorConformance):
    def operator(self) -> Any:
        return Transcript(hear=by_content)

    def clips(self) -> Sequence[Clip]:
        return [film(voice(seconds, seed), PROMPT * seed) for seed, seconds in enumerate((1.5, 2.0, 2.6))]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Transcript]:
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))
    weights.add("whisper-small", tiny_whisper(tmp_path), own=True)
    return lambda: Transcript("cpu")


def test_real_weights_go_all_the_way_bitwise_alike(tiny: Callable[[], Transcript]) -> None:
    video = film(voice(2.0), PROMPT)
    one, other = (measure(tiny(), video, length) for length in (5, 1000))
    assert one["words"].value > 0
    for name in one:
        assert np.array_equal(one[name].value, other[name].value), name

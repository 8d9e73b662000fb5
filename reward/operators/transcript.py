"""What is said: words and their times, how well they can be understood, whether they are those that were asked for.

Whisper listens where Silero hears speech, so that music, noise and silence, in which it would invent words, are never
put before it. Its own doubt stands for how hard it is to understand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinereward.networks.running import noting
from cinereward.networks.whisper import Ear, Heard, Word, load_whisper
from cinereward.operators.spoken import HOP, Speech, clip_time, kept, listen, packed, sound_of, stretches
from cinereward.operators.tracks import join, measurements, owned
from cinereward.operators.wording import distance, in_order, is_plain, length, tokens
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window
from cinereward.wants import read_wants

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

PIECE = int(30 / HOP)  # hops of a piece: what Whisper hears at once
MOST = 40  # pieces of a clip that are transcribed: up to 20 minutes of speech
SILENT, UNSURE = 0.6, -1.0  # Whisper's own rule: at this no_speech and below this logprob nobody speaks
NEAR = 0.5  # s about a word in which speech belongs to it
LOOP = 2.4  # compression from which Whisper takes its own text for a loop
ERRS = 0.06  # of the words of clean speech that Whisper small gets wrong
TOLD = 2000  # characters of the transcript that are told
NOTHING_ASKED = "the prompt asks for no words in quotation marks"


@dataclass(frozen=True, kw_only=True)
class Line:
    """What was said in one piece, with the times of its words in the clip, in s."""

    heard: Heard
    words: tuple[Word, ...]
    start: float
    end: float
    seconds: float


class Transcript:
    """Whisper's transcript, and how far it is the dialogue that the prompt has in quotation marks.

    Args:
        device: "cpu", "cuda", ...; None: the first GPU, or the CPU. hear: what stands in for Whisper in tests.
    """

    spec = OperatorSpec(
        name="transcript",
        measurements=(
            MeasurementSpec(name="words", unit="words", low=0, high=1e5, meaning="words that are heard"),
            MeasurementSpec(
                name="confidence",
                unit="probability",
                low=0,
                high=1,
                meaning="of the words, mean, times the part of the speech in which words are heard",
            ),
            MeasurementSpec(
                name="gibberish", unit="times", low=0, high=100, meaning="how repetitive the most repetitive 30 s are"
            ),
            MeasurementSpec(
                name="rate", unit="words/s", low=0, high=50, meaning="words for each second in which somebody speaks"
            ),
            MeasurementSpec(
                name="language", unit="probability", low=0, high=1, meaning="how surely it is one known language"
            ),
            MeasurementSpec(
                name="no_speech", unit="probability", low=0, high=1, meaning="that what sounds like speech is none"
            ),
            MeasurementSpec(
                name="dialogue",
                unit="share",
                low=0,
                high=1,
                meaning="1 less the rate of errors against what is asked for",
            ),
            MeasurementSpec(
                name="spoken", unit="share", low=0, high=1, meaning="asked words that are heard in their order"
            ),
            MeasurementSpec(
                name="extra", unit="share", low=0, high=1, meaning="heard words that the prompt does not ask for"
            ),
        ),
        needs=frozenset({"sound"}),
        weights=("whisper-small",),
        licence="MIT (Whisper)",
    )

    def __init__(self, device: str | None = None, *, hear: Ear | None = None) -> None:
        self._hear: Ear = hear if hear is not None else load_whisper(device)

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """The sound, and with the first frame the dialogue that is asked for; words are heard in `merge`."""
        return [
            Partial(
                times=owned(window.times, window.overlap),
                fps=window.fps,
                tracks={},
                sounds={"samples": kept(window), "asked": _asked(window)},
            )
            for window in windows
        ]

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Find the speech, transcribe it, and set the words against those that are asked for."""
        tracks = join(partials)
        asked = bytes(tracks["asked"]).decode("utf-8")
        speech = listen(tracks)
        notes = list(speech.notes)
        with noting() as told:
            lines = transcribed(speech, self._hear, notes)
        words = [word for line in lines for word in line.words]
        lack = speech.lack or ("" if words else "somebody speaks, but no word is to be made out")
        values = {**self._voiced(speech, lines, lack), **self._compared(lines, asked, lack)}
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, values, _tracks(lines, words, asked)),
            notes=(*notes, *told),
        )

    def _voiced(self, speech: Speech, lines: Sequence[Line], lack: str) -> dict[str, float | Measurement]:
        """What needs no prompt."""
        words = [word for line in lines for word in line.words]
        if not words:
            worst = {"words": 0.0, "confidence": 0.0, "rate": 0.0, "language": 0.0, "no_speech": 1.0}
            loop = max((min(line.heard.compression, 100.0) for line in lines), default=0.0)
            return {name: self._told(name, value, lack) for name, value in {**worst, "gibberish": loop}.items()}
        seconds = np.array([line.seconds for line in lines])
        share = seconds / seconds.sum()
        sure = np.array([word.probability for word in words])
        text = " ".join(line.heard.text for line in lines if line.words)
        speaks = speech.speaks[: round(lines[-1].end / HOP)]
        covered = covering(speaks, words)
        count = sum(length(tokens(word.text, english=False)) for word in words)
        codes = [line.heard.language for line in lines]
        loop = max(min(line.heard.compression, 100.0) for line in lines)
        return {
            "words": self._told("words", float(len(words)), f"heard: {text[:TOLD]}"),
            "confidence": self._told(
                "confidence",
                float(np.clip(sure.mean() * covered, 0, 1)),
                f"words are heard in {100 * covered:.0f} % of the speech",
                float(sure.std() / np.sqrt(len(sure))),
            ),
            "gibberish": self._told("gibberish", loop, "the text goes round in a loop" if loop >= LOOP else ""),
            "rate": min(50.0, float(count / max(float(speaks.sum()) * HOP, HOP))),
            "language": self._told(
                "language",
                float(np.clip(share @ np.array([line.heard.certainty for line in lines]), 0, 1)),
                ", ".join(dict.fromkeys(codes)),
            ),
            "no_speech": float(np.clip(share @ np.array([line.heard.no_speech for line in lines]), 0, 1)),
        }

    def _compared(self, lines: Sequence[Line], asked: str, lack: str) -> dict[str, float | Measurement]:
        """The words against those that are asked for."""
        english = is_plain(asked)
        wanted = tokens(asked, english=english)
        if not wanted:
            return {name: self._told(name, np.nan, NOTHING_ASKED) for name in ("dialogue", "spoken", "extra")}
        heard = tokens(" ".join(line.heard.text for line in lines if line.words), english=english)
        if not heard:
            return {name: self._told(name, 0.0, lack or "no word is left") for name in ("dialogue", "spoken", "extra")}
        right = max(0.0, 1 - distance(heard, wanted) / len(wanted))
        found, _ = in_order(heard, wanted)
        sure = float(np.mean([word.probability for line in lines for word in line.words]))
        # how often the recogniser errs, and what so few words can tell
        doubt = float(np.hypot(ERRS + (1 - sure) / 2, np.sqrt(right * (1 - right) / len(wanted))))
        note = f"asked: {asked[:TOLD]}"
        return {
            "dialogue": self._told("dialogue", right, note, doubt),
            "spoken": self._told("spoken", found / len(wanted), note, doubt),
            "extra": self._told("extra", 1 - found / len(heard), note, doubt),
        }

    def _told(self, name: str, value: float, note: str, std: float = 0.0) -> Measurement:
        unit = next(item.unit for item in self.spec.measurements if item.name == name)
        return Measurement(name=name, value=value, unit=unit, note=note, std=std)


def _asked(window: Window) -> NDArray[np.uint8]:
    """The dialogue that the prompt asks for, as UTF-8, with the window that holds the first frame."""
    said = " ".join(read_wants(window.prompt).dialogue) if window.start_frame + window.overlap == 0 else ""
    return np.frombuffer(said.encode("utf-8", "ignore"), np.uint8)


def transcribed(speech: Speech, hear: Ear, notes: list[str]) -> list[Line]:
    """What is said in each piece of up to 30 s of speech. Appends to `notes` what was left out or cut off."""
    parts = [] if speech.lack else stretches(speech.probability, PIECE)
    pieces = packed(parts, PIECE)
    if len(pieces) > MOST:
        last = pieces[MOST - 1][-1][1] * HOP
        notes.append(f"there is much speech; what is said after {last:.0f} s is not transcribed")
        pieces = pieces[:MOST]
    lines = []
    for piece, heard in zip(pieces, hear([sound_of(speech, piece) for piece in pieces]) if pieces else (), strict=True):
        start, end = piece[0][0] * HOP, piece[-1][1] * HOP
        if heard.cut:
            notes.append(f"the words from {start:.1f} s to {end:.1f} s did not come to an end; they were cut off")
        nobody = heard.no_speech > SILENT and heard.logprob < UNSURE
        if nobody:
            notes.append(f"from {start:.1f} s to {end:.1f} s Whisper takes what sounds like speech for none")
        words = tuple(
            Word(
                text=word.text,
                start=min(begins := clip_time(piece, word.start), end),
                end=min(max(begins, clip_time(piece, word.end)), end),
                probability=word.probability,
            )
            for word in (() if nobody else heard.words)
        )
        seconds = sum(last - first for first, last in piece) * HOP
        lines.append(Line(heard=heard, words=words, start=start, end=end, seconds=seconds))
    return lines


def covering(speaks: NDArray[np.bool_], words: Sequence[Word]) -> float:
    """Part of the speech, bool (M,), in which words are heard, or next to which; the rest is mumbled."""
    reach = round(NEAR / HOP)
    edges = np.zeros(len(speaks) + 1)
    for word in words:
        first = max(0, int(word.start / HOP) - reach)
        last = min(len(speaks), int(word.end / HOP) + 1 + reach)
        if first < last:
            edges[first] += 1
            edges[last] -= 1
    there = np.cumsum(edges[:-1]) > 0
    return float(there[speaks].mean()) if speaks.any() else 0.0


def _tracks(lines: Sequence[Line], words: Sequence[Word], asked: str) -> dict[str, tuple[Float64, Float64]]:
    """When each word begins and how sure it is; where it loops; which words were not asked for."""
    starts = np.array([word.start for word in words], np.float64)
    middles = np.array([(line.start + line.end) / 2 for line in lines], np.float64)
    tracks = {
        "words_track": (starts, np.arange(1.0, len(words) + 1)),
        "confidence_track": (starts, np.clip([word.probability for word in words], 0.0, 1.0)),
        "gibberish_track": (middles, np.array([min(line.heard.compression, 100.0) for line in lines])),
        "no_speech_track": (middles, np.clip([line.heard.no_speech for line in lines], 0.0, 1.0)),
    }
    english = is_plain(asked)
    if wanted := tokens(asked, english=english):
        each = [tokens(word.text, english=english) for word in words]
        _, used = in_order([token for some in each for token in some], wanted)
        ends = np.cumsum([0, *map(len, each)])
        odd = [
            bool(some) and not used[first : first + len(some)].any() for some, first in zip(each, ends, strict=False)
        ]
        tracks["extra_track"] = (starts, np.array(odd, np.float64))
    return tracks

"""The feeling in the voice over time, and whether the face changes when it does.

A classifier hears two seconds of speech at a time, every half second; what it tells is a path in the plane of valence
and arousal. Few seconds tell little of two paths: the doubt is told. A still face changes with nothing: that is a lack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cinereward.networks.emotion import RATE, WINDOW, Feel, load_emotion, plane
from cinereward.networks.running import noting
from cinereward.operators.expressions import chains, changes, rows_of
from cinereward.operators.spoken import HOP, KEPT, Speech, kept, listen
from cinereward.operators.tracks import Tracks, join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.networks.faces import FaceSource

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    Int64 = NDArray[np.int64]

STEP = RATE // 2  # samples from one window to the next
MOST = 240  # windows of a clip that are listened to: two minutes of speech
FILLED = 0.5  # part of a window that must be speech
LAG = 2  # steps over which change is taken: 1 s
BESIDE = 4  # steps from a window to the one that begins where it ends
UNBROKEN, AROUND = 0.8, 0.4  # speech within so many s of a moment, for it to lie inside a sentence
CUT_NEAR = 0.5  # s about a cut in which another person may begin to speak
STILL, EVEN = 0.004, 0.05  # deviations of the face's change, in its radii, and of the voice's that are next to none
LEAST_MOMENTS = 4  # of change, for a correlation to tell anything
SECONDS = 2.0  # of what one independent moment of two smoothed paths takes


class Emotion:
    """Valence and arousal of speech, its strength, variety and jumps, and its change against that of the face.

    Args:
        device: "cpu", "cuda", ...; None: the first GPU, or the CPU. feel, faces: what stands in for networks in tests.
    """

    spec = OperatorSpec(
        name="emotion",
        measurements=(
            MeasurementSpec(name="valence", unit="valence", low=-1, high=1, meaning="of the voice: bad to good"),
            MeasurementSpec(name="arousal", unit="arousal", low=-1, high=1, meaning="of the voice: calm to excited"),
            MeasurementSpec(
                name="strength", unit="intensity", low=0, high=1, meaning="how far the voice is from neutral, mean"
            ),
            MeasurementSpec(
                name="variety", unit="intensity", low=0, high=2, meaning="how much the voice's feeling varies (RMS)"
            ),
            MeasurementSpec(
                name="synergy",
                unit="correlation",
                low=-1,
                high=1,
                meaning="of the change of the face's expression with that of the voice's feeling",
            ),
            MeasurementSpec(
                name="jump", unit="intensity", low=0, high=3, meaning="largest leap of the feeling inside a sentence"
            ),
        ),
        needs=frozenset({"frames", "sound"}),
        weights=("speech-emotion", "scrfd-10g", "arcface-r50", "landmarks-106"),
        licence="that of the classifier's weights; InsightFace's weights are for non-commercial research only",
    )

    def __init__(self, device: str | None = None, *, feel: Feel | None = None, faces: FaceSource | None = None) -> None:
        from cinereward.networks.faces import load_faces

        self._feel: Feel = feel if feel is not None else load_emotion(device)
        self._faces: FaceSource = faces if faces is not None else load_faces(device)

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """The sound, and the landmarks of the largest faces of the key frames."""
        seen = [window for window in windows if window.sound is not None and window.times[0] < KEPT]
        found = dict(zip(map(id, seen), self._faces(seen) if seen else (), strict=True))
        return [
            Partial(
                times=owned(window.times, window.overlap),
                fps=window.fps,
                tracks={"thumbs": owned(window.features["thumbs"], window.overlap)},
                sounds={
                    "samples": kept(window),
                    "faces": rows_of(found.get(id(window), {}), window.times, KEPT),
                },
            )
            for window in windows
        ]

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Hear the feeling of each window of speech, and set its changes against those of the faces."""
        tracks = join(partials)
        speech = listen(tracks)
        starts = heard_at(speech)
        notes = list(speech.notes)
        if len(starts) > MOST:
            notes.append(f"{len(starts)} windows of speech; the first {MOST} are listened to")
            starts = starts[:MOST]
        with noting() as told:
            path = felt(speech, starts, self._feel)
        cuts = [float(tracks.times[shot.first]) for shot in tracks.shots()[1:]]
        values: dict[str, float | Measurement] = {}
        if not len(starts):
            lack = speech.lack or f"nobody speaks for {FILLED * WINDOW / RATE:.0f} s of two"
            values = {item.name: self._told(item.name, 0.0, lack) for item in self.spec.measurements}
            moments, agreement, (edges, leaps) = np.zeros(0), np.zeros(0), (np.zeros(0), np.zeros(0))
        else:
            edges, leaps = leaps_of(path, starts, speech, cuts)
            values = self._course(path, edges, leaps)
            values["synergy"], moments, agreement = self._synergy(path, starts, tracks, cuts)
        middles = (starts * STEP + WINDOW / 2) / RATE
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                values,
                {
                    "valence_track": (middles, path[:, 0]),
                    "arousal_track": (middles, path[:, 1]),
                    "strength_track": (middles, strength(path)),
                    "synergy_track": (moments, agreement),
                    "jump_track": (edges, leaps),
                },
            ),
            notes=(*notes, *told),
        )

    def _course(self, path: Float64, edges: Float64, leaps: Float64) -> dict[str, float | Measurement]:
        """What the voice alone tells."""
        worth = max(1.0, len(path) * STEP / RATE / SECONDS)  # windows overlap: so many are independent
        mean, away = path.mean(axis=0), strength(path)
        spread = path.std(axis=0) / np.sqrt(worth)
        variety = float(np.sqrt(np.mean(np.sum((path - mean) ** 2, axis=1))))
        where = f"at {edges[np.argmax(leaps)]:.1f} s" if len(leaps) else "no sentence of four seconds is heard"
        return {
            "valence": self._told("valence", float(mean[0]), "", float(spread[0])),
            "arousal": self._told("arousal", float(mean[1]), "", float(spread[1])),
            "strength": self._told("strength", float(away.mean()), "", float(away.std() / np.sqrt(worth))),
            "variety": self._told("variety", variety, "", variety / float(np.sqrt(2 * worth))),
            "jump": self._told(
                "jump",
                float(leaps.max(initial=0.0)),
                where,
                float(np.median(leaps)) if len(leaps) > 1 else 0.2,  # what leaps anyway is the classifier's own jitter
            ),
        }

    def _synergy(
        self, path: Float64, starts: Int64, tracks: Tracks, cuts: Sequence[float]
    ) -> tuple[Measurement, Float64, Float64]:
        """The correlation of the two changes; when they were seen, and how alike they were then."""
        found = chains(tracks["faces"], cuts)
        count = int(starts[-1]) + 1
        faces = changes(found, np.arange(count, dtype=np.float64) * (STEP / RATE), WINDOW / RATE, LAG)
        voice = np.full(count, np.nan)
        places = np.full((count, 2), np.nan)
        places[starts] = path
        voice[: count - LAG] = np.linalg.norm(places[LAG:] - places[:-LAG], axis=1) if count > LAG else 0.0
        both = np.isfinite(faces) & np.isfinite(voice)
        at = (np.flatnonzero(both) * STEP + (WINDOW + LAG * STEP) / 2) / RATE
        one, other = faces[both], voice[both]
        doubt = float(1 / np.sqrt(1 + len(one) * STEP / RATE / SECONDS))
        if len(one) < LEAST_MOMENTS:
            note = "no face is seen" if not found else f"voice and face are together for {len(one)} moments; too few"
            return self._told("synergy", 0.0, note, doubt if found else 0.0), at, np.zeros(len(at))
        value = correlation(one, other)
        note = "the face hardly moves" if one.std() < STILL else ""
        top = max(float(one.max()), 5 * STILL), max(float(other.max()), 5 * EVEN)
        return self._told("synergy", value, note, doubt), at, 1 - np.abs(one / top[0] - other / top[1])

    def _told(self, name: str, value: float, note: str, std: float = 0.0) -> Measurement:
        unit = next(item.unit for item in self.spec.measurements if item.name == name)
        return Measurement(name=name, value=value, unit=unit, note=note, std=std)


def heard_at(speech: Speech) -> Int64:
    """The windows that are speech for the most part, by number: window n begins n * STEP samples into the clip."""
    if speech.lack:
        return np.zeros(0, np.int64)
    count = max(1, (len(speech.samples) - WINDOW) // STEP + 1)
    so_far = np.concatenate([[0], np.cumsum(speech.speaks)])
    edges = np.round(np.arange(count) * (STEP / RATE / HOP)).astype(np.int64)
    ends = np.minimum(edges + round(WINDOW / RATE / HOP), len(so_far) - 1)
    filled = (so_far[ends] - so_far[np.minimum(edges, len(so_far) - 1)]) * HOP / (WINDOW / RATE)
    return np.flatnonzero(filled >= FILLED).astype(np.int64)


def felt(speech: Speech, starts: Int64, feel: Feel) -> Float64:
    """Valence and arousal of each window, float64 (N, 2)."""
    if not len(starts):
        return np.zeros((0, 2))
    padded = np.pad(speech.samples, (0, WINDOW))
    rows: Float32 = np.stack([padded[first : first + WINDOW] for first in starts * STEP])
    return plane(feel(rows), feel.labels)


def strength(path: Float64) -> Float64:
    """How far from neutral, float64 (N,), 1 at the most."""
    return np.asarray(np.minimum(np.linalg.norm(path, axis=1), 1.0), np.float64)


def leaps_of(path: Float64, starts: Int64, speech: Speech, cuts: Sequence[float]) -> tuple[Float64, Float64]:
    """By how much the feeling differs before and after moments that lie inside a sentence.

    A pause may part two sentences and a cut two speakers; there a feeling may change.

    Returns:
        The moments, in s, and the way in the plane of valence and arousal; float64 (N,) each.
    """
    row_of = {int(start): row for row, start in enumerate(starts)}
    edges, leaps = [], []
    for start in starts.tolist():
        if start + BESIDE not in row_of:
            continue
        edge = (start * STEP + WINDOW) / RATE
        near = speech.speaks[round((edge - AROUND) / HOP) : round((edge + AROUND) / HOP)]
        if near.mean() >= UNBROKEN and all(abs(cut - edge) > CUT_NEAR for cut in cuts):
            edges.append(edge)
            leaps.append(float(np.linalg.norm(path[row_of[start + BESIDE]] - path[row_of[start]])))
    return np.array(edges), np.array(leaps)


def correlation(face: Float64, voice: Float64) -> float:
    """Of two courses of change; what hardly varies correlates with nothing: deviations have a floor."""
    one, other = face - face.mean(), voice - voice.mean()
    scale = np.sqrt((np.mean(one**2) + STILL**2) * (np.mean(other**2) + EVEN**2))
    return float(np.clip(np.mean(one * other) / scale, -1, 1))

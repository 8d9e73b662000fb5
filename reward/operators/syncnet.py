"""Lip-sync by SyncNet: whose mouth says what is heard, how surely, and by how much the sound is late or early.

Each piece of speech is set against every face that is seen while it lasts; the face that agrees best is the speaker.
That the best of several would agree better by luck alone is taken off again, so that more faces raise no score.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cinereward.errors import OperatorError
from cinereward.media.shots import Shot
from cinereward.networks.faces import WEIGHTS as FACES
from cinereward.networks.faces import FaceSource, Found, load_faces
from cinereward.networks.running import noting
from cinereward.networks.syncnet import (
    FPS,
    PICTURES,
    RATE,
    REACH,
    SAMPLES,
    load_syncnet,
    mfcc,
    placed_distances,
    synchrony,
)
from cinereward.operators.faces_follow import crowd_notes, face_rows, seen_in
from cinereward.operators.insync import (
    LEAST_ROWS,
    LUCK,
    MUTE,
    NO_ROWS,
    OFFSETS,
    STEP,
    TALKING,
    Piece,
    belief,
    contrast_error,
    lateness,
    rows_of,
)
from cinereward.operators.mouths import (
    WHOLE,
    Pictures,
    Stretch,
    Track,
    encoded,
    face_tracks,
    kept_rows,
    kept_sound,
    looked,
    looked_at,
    sounds_of,
)
from cinereward.operators.spoken import HOP, listen, stretches
from cinereward.operators.tracks import Tracks, join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    Int16 = NDArray[np.int16]
    Int64 = NDArray[np.int64]
    UInt8 = NDArray[np.uint8]

LONGEST = 4.0  # s of a piece of speech: shorter ones tell when, longer ones how surely
SMALLEST = 20.0  # pixels of a face; of less no lips can be read
PLAIN = 60.0  # pixels of a face of which the doubt is what it is; it grows below
FACES_TRIED = 3  # of those seen in a piece: the largest
NONE = 15.0  # distance where there is none to measure: beyond that of sounds and mouths of different clips


class Net(Protocol):
    """What this operator asks of SyncNet; see networks/syncnet.py."""

    def lips(self, pictures: UInt8) -> Float32:
        """From uint8 (T, 224, 224, 3) to (T - 4, D)."""
        ...

    def sounds(self, cepstra: Float64, pictures: Int64) -> Float32:
        """From cepstra (M, 13) and N indices of pictures to (N, D)."""
        ...


class LipSync:
    """Faces of key frames, pictures at 25 a second and the sound; SyncNet is asked once the whole clip is there.

    Args:
        device: "cpu", "cuda", ...; None: the first GPU, or the CPU. network, faces: used in the place of the weights.
    """

    spec = OperatorSpec(
        name="syncnet",
        measurements=(
            MeasurementSpec(
                name="distance",
                unit="LSE-D",
                low=0,
                high=1000,
                meaning="of the speaker's mouth from the sound",
            ),
            MeasurementSpec(
                name="confidence",
                unit="LSE-C",
                low=0,
                high=1000,
                meaning="by how much the best shift's distance lies below the median shift's",
            ),
            MeasurementSpec(name="offset", unit="ms", low=-600, high=600, meaning="by how much the sound is late"),
            MeasurementSpec(
                name="late", unit="ms", low=0, high=600, meaning="how late the sound is, expected over what may be"
            ),
            MeasurementSpec(
                name="early", unit="ms", low=0, high=600, meaning="how early the sound is, expected over what may be"
            ),
            MeasurementSpec(
                name="share",
                unit="share",
                low=0,
                high=1,
                meaning="part of the speech that a face is seen to say",
            ),
        ),
        needs=frozenset({"frames", "sound"}),
        weights=("syncnet", *FACES),
        licence="SyncNet: MIT (code), no licence told (weights); InsightFace: non-commercial research only",
    )

    def __init__(
        self, device: str | None = None, *, network: Net | None = None, faces: FaceSource | None = None
    ) -> None:
        self._network: Net = network if network is not None else load_syncnet(device)
        self._faces: FaceSource = faces if faces is not None else load_faces(device)

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Faces of all windows at once; of each its pictures as JPEG, and its sound."""
        heard = [window for window in windows if window.sound is not None]
        found = iter(self._faces(heard) if heard else ())
        return [self._measure(window, next(found) if window.sound is not None else {}) for window in windows]

    def _measure(self, window: Window, found: Found) -> Partial:
        rows = kept_rows(window) if window.sound is not None else np.zeros(0, np.int64)
        codes = [encoded(window.frames[row]) for row in rows]
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={"thumbs": owned(window.features["thumbs"], window.overlap)},
            sounds={
                **face_rows(window, looked_at(window, found)),
                "pictures": np.concatenate([np.zeros(0, np.uint8), *codes]),
                "sizes": np.array([len(code) for code in codes], np.int64),
                "picture_times": window.times[rows],
                "samples": np.zeros(0, np.int16) if window.sound is None else kept_sound(window.sound),
            },
            notes=crowd_notes(found),
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Follow faces, find the speech, and ask the network of each piece of it.

        Raises:
            OperatorError: there are no partials, or the network gave numbers that are not finite.
            WeightsError: the speech detector's weights are not there.
        """
        pictures = Pictures(partials)
        tracks = join([_light(partial) for partial in partials])
        with noting() as told:
            pieces, lack = self._pieces(tracks, pictures)
        heard = [piece for piece in pieces if len(piece.far)]
        values = self._values(pieces, heard, lack, tracks.fps)
        at = np.array([piece.start for piece in heard])
        judged = [(synchrony(piece.far), *lateness(belief(piece.known))) for piece in heard]
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                values,
                {
                    "distance_track": (at, np.array([seen.distance for seen, _, _ in judged])),
                    "confidence_track": (at, np.array([piece.confidence for piece in heard])),
                    "offset_track": (at, np.array([STEP * -seen.offset for seen, _, _ in judged])),
                    "late_track": (at, np.array([late for _, late, _ in judged])),
                    "early_track": (at, np.array([early for _, _, early in judged])),
                    "share_track": (
                        np.array([piece.start for piece in pieces]),
                        np.array([piece.covered for piece in pieces]),
                    ),
                },
            ),
            notes=(*told, *_sampled(tracks)),
        )

    # --- from the clip to pieces of speech ---

    def _pieces(self, tracks: Tracks, pictures: Pictures) -> tuple[list[Piece], str]:
        """Every piece of speech with its speaker, in order, and what lacks altogether."""
        end = float(tracks.times[-1]) + 1 / tracks.fps
        if not len(tracks["samples"]):
            return [], "there is no sound"
        if int(end * FPS + 1e-6) <= PICTURES:
            return [], f"the clip lasts {end:.2f} s; SyncNet needs {PICTURES + 1} pictures at {FPS} a second"
        faces = face_tracks(seen_in(tracks), tracks, tracks.fps)
        large = [face for face in faces if face.pixels >= SMALLEST]
        shots, out, lack = tracks.shots(), [], ""
        for stretch, samples in sounds_of(tracks["samples"]):
            spoken, lack = _spoken(stretch, samples, shots, end)
            if spoken and large:
                sounds = Sounds(self._network, stretch, samples)
                out += [self._piece(start, stop, large, pictures, sounds) for start, stop in spoken]
            else:
                out += [Piece(start, stop) for start, stop in spoken]
        if not out:
            return [], lack or "no speech"
        if not any(len(piece.far) for piece in out):
            widest = max((face.pixels for face in faces), default=0.0)
            small = f"faces of {widest:.0f} pixels are too small to read lips from; {SMALLEST:.0f} tell something"
            return out, small if faces and not large else "no face is seen for long enough while somebody speaks"
        return out, ""

    def _piece(self, start: float, end: float, faces: Sequence[Track], pictures: Pictures, sounds: Sounds) -> Piece:
        """Whose mouth says what is heard from `start` to `end` (s)."""
        begin, stop = rows_of(start, end)
        begin, stop = max(begin, sounds.first), min(stop, sounds.last, pictures.count - PICTURES + 1)
        spans = [(max(begin, face.first), min(stop, face.last - PICTURES + 1), face) for face in faces]
        most = max((last - first for first, last, _ in spans), default=0)
        fit = [span for span in spans if span[1] - span[0] >= max(LEAST_ROWS, most / 2)]
        fit.sort(key=lambda span: (-span[2].pixels, span[2].first))
        fit = fit[:FACES_TRIED]
        if not fit:
            return Piece(start, end)
        first, last = min(span[0] for span in fit), max(span[1] for span in fit)
        heard, there = sounds(first - REACH, last + REACH)
        crops = pictures.crops(first, last + PICTURES - 1, [face for _, _, face in fit])
        tried = []
        for (low, high, face), rows in zip(fit, crops, strict=True):
            lips = self._network.lips(rows[low - first : high - first + PICTURES - 1])
            far = placed_distances(lips, heard[low - first : high - first + 2 * REACH])
            if not np.isfinite(far).all():
                raise OperatorError("SyncNet gave numbers that are not finite; expected distances; try device='cpu'")
            known = sliding_window_view(there[low - first : high - first + 2 * REACH], 2 * REACH + 1)
            tried.append(Piece(start, end, far, known, pixels=face.pixels))
        best = max(tried, key=lambda one: one.confidence)
        return best._replace(luck=LUCK[len(tried)] * contrast_error(best.far))

    # --- from pieces to numbers ---

    def _values(self, pieces: Sequence[Piece], heard: Sequence[Piece], lack: str, fps: float) -> dict[str, Measurement]:
        far = np.concatenate([NO_ROWS, *(piece.far for piece in heard)])
        chance = belief(np.concatenate([NO_ROWS, *(piece.known for piece in heard)]))
        late, early = lateness(chance)
        spread = float(np.sqrt(chance @ (OFFSETS - chance @ OFFSETS) ** 2))
        seconds = sum(piece.end - piece.start for piece in pieces)
        share = sum(piece.covered * (piece.end - piece.start) for piece in pieces) / seconds if pieces else 0.0
        distance, confidence, offset, doubt = NONE, 0.0, np.nan, 1.0 if pieces else 0.0
        if len(far):
            best = synchrony(far)
            luck = sum(piece.luck * len(piece.far) for piece in heard) / len(far)
            pixels = float(np.average([piece.pixels for piece in heard], weights=[len(piece.far) for piece in heard]))
            distance, confidence = best.distance, max(0.0, best.confidence - luck)
            offset = STEP * -best.offset
            doubt = contrast_error(far) * max(1.0, PLAIN / pixels) * max(1.0, (FPS / fps) ** 0.5)

        def told(name: str, value: float, std: float) -> Measurement:
            unit = next(item.unit for item in self.spec.measurements if item.name == name)
            return Measurement(name=name, value=value, unit=unit, std=std, note=lack)

        return {
            "distance": told("distance", distance, doubt),
            "confidence": told("confidence", confidence, doubt),
            "offset": told("offset", offset, spread if len(far) else 0.0),
            "late": told("late", late, spread / 2),
            "early": told("early", early, spread / 2),
            "share": told("share", share, min(0.5, doubt / (TALKING - MUTE)) if len(far) else 0.1 * doubt),
        }


class Sounds:
    """What SyncNet hears in one stretch of a clip, by picture of the clip at 25 a second.

    first, last: the rows, of five pictures each, that have sound and lie in the stretch.
    """

    def __init__(self, network: Net, stretch: Stretch, samples: Int16) -> None:
        self._network, self._cepstra, self._begin = network, mfcc(samples), stretch.heard
        self._count = len(samples) // SAMPLES - PICTURES  # the original leaves the last row out, too
        self.first = stretch.first
        self.last = min(stretch.last - PICTURES + 1, self._begin + self._count)

    def __call__(self, first: int, last: int) -> tuple[Float32, NDArray[np.bool_]]:
        """Features of the sound from each of these pictures on, and where there is any.

        Returns:
            float32 (last - first, D), 0 where there is no sound, as the original has it; bool (last - first,).
        """
        rows = np.arange(first, last) - self._begin
        there = (rows >= 0) & (rows < self._count)
        known = self._network.sounds(self._cepstra, rows[there])
        out = np.zeros((len(rows), known.shape[1]), np.float32)
        out[there] = known
        return out, there


def _spoken(
    stretch: Stretch, samples: Int16, shots: Sequence[Shot], end: float
) -> tuple[list[tuple[float, float]], str]:
    """Pieces of speech in a stretch, start and end in s of the clip, none across a cut; and why there are none.

    Args:
        samples: of the stretch. end: of the clip, in s.
    """
    lasts = np.array([len(samples) / RATE - 1 / FPS])
    heard = Tracks(times=lasts, fps=FPS, by_name={"samples": samples.astype(np.float32) / 32768})
    speech = listen(heard)
    edges = [*(shot.start for shot in shots), end]
    out = []
    for first, last in [] if speech.lack else stretches(speech.probability, max(2, len(speech.probability))):
        start = max(stretch.heard / FPS + first * HOP, stretch.first / FPS)
        stop = min(stretch.heard / FPS + last * HOP, stretch.last / FPS, end)
        for a, b in itertools.pairwise([start, *(edge for edge in edges if start < edge < stop), stop]):
            if np.diff(rows_of(a, b))[0] >= LEAST_ROWS:
                parts = np.linspace(a, b, int(np.ceil((b - a) / LONGEST)) + 1).tolist()
                out += list(itertools.pairwise(parts))
    return out, speech.lack


def _light(partial: Partial) -> Partial:
    """A partial without its pictures, which would be copied where partials are joined."""
    kept = {name: rows for name, rows in partial.sounds.items() if name not in ("pictures", "sizes", "picture_times")}
    return dataclasses.replace(partial, sounds=kept)


def _sampled(tracks: Tracks) -> tuple[str, ...]:
    """What to tell of a film that is looked at in samples."""
    end = float(tracks.times[-1]) + 1 / tracks.fps
    if end <= WHOLE / FPS or not len(tracks["samples"]):
        return ()
    seen = sum(min(part.last / FPS, end) - part.first / FPS for part in looked(end))
    return (f"lips are looked at in {seen:.0f} s of {end:.0f} s: the first {WHOLE // FPS} s, then ever more rarely",)

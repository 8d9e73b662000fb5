"""Faces followed through a clip: which of them, from key frame to key frame of a shot, is the same head in its place.

Heads are followed by where they are, and only where two are near one another by who they are: so a face that turns into
another one in its place stays one path, and its change is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import OperatorError
from cinereward.networks.faces import MOST, FaceSource, Found, load_faces
from cinereward.operators.tracks import Tracks, join, owned
from cinereward.types import MeasurementSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Float64 = NDArray[np.float64]
    Int = NDArray[np.int64]

GAP = 1.1  # s for which a face may be lost and found again in its place
REACH = 0.9  # sides of a face that its middle may move in one step, beyond where it was heading
DRIFT = 1.0  # sides / s more while it is lost
GROWTH = 1.7  # times by which its side may change
ALIKE = 0.5  # how much the identity counts beside the place
SMALL, PLAIN = 0.03, 0.1  # side of a face, in heights of the frame: hardly seen, and plainly
UNSURE, SURE = 0.5, 0.7  # scores of the detector: hardly a face, and surely
FRONT, ASIDE = 0.35, 0.9  # how far the nose lies off the middle of the eyes, in distances of the eyes
TRUST = 0.15  # least trust in what was told of a face for it to count
BLURRED, CLEAR = 16.0, 48.0  # pixels of a face's side: nothing can be read, and everything


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """Every face of a clip's key frames, in order of time.

    at: int (F,), which key frame. box: float64 (F, 4), x0, y0, x1, y1 in heights of the frame. side: (F,), of the box,
    in heights of the frame; pixels: the same in pixels. who: (F, 512) of unit length, marks: (F, 106, 2) in heights of
    the frame; NaN where nothing more was told. shown: (F,), how plainly a face is shown, 0 to 1: its size in the frame,
    the detector's score, and whether it is turned. trust: (F,), how far what was told of it can be relied on, 0 to 1; 0
    where nothing was. keys: int (K,), indices of the key frames, and times (K,) in s. wide: width of the frame in its
    heights.
    """

    at: Int
    box: Float64
    side: Float64
    pixels: Float64
    who: NDArray[np.float32]
    marks: Float64
    shown: Float64
    trust: Float64
    keys: Int
    times: Float64
    wide: float


def ramp(values: Float64, low: float, high: float) -> Float64:
    """0 up to `low`, 1 from `high`, straight in between."""
    return np.asarray(np.clip((values - low) / (high - low), 0, 1), np.float64)


# --- from windows to rows ---


def face_rows(window: Window, found: Found) -> dict[str, Array]:
    """What is kept of a window's faces, for `Partial.sounds`: rows of faces, of those told more of, of key frames."""
    height, width = window.frames.shape[1:3]
    plain, who, marks = [], [], []
    for row, faces in found.items():
        for face in faces:
            told = face.embedding is not None and face.landmarks is not None
            place = np.concatenate([face.box, face.points.ravel()])
            plain.append(np.array([window.start_frame + row, told, face.score, *place], np.float64))
            if told:
                who.append(np.asarray(face.embedding, np.float32))
                marks.append(np.asarray(face.landmarks, np.float32).ravel())
    rows = np.asarray(sorted(found), np.int64)
    return {
        "face": np.array(plain).reshape(-1, 17),
        "face_who": np.array(who, np.float32).reshape(-1, 512),
        "face_marks": np.array(marks, np.float32).reshape(-1, 212),
        "face_keys": rows + window.start_frame,
        "face_times": window.times[rows],
        "face_frame": np.array([[height, width]], np.float64),
    }


class FacesSeen:
    """The half of an operator on faces that looks; the other half, `merge`, says what came of it.

    Args:
        device: "cpu", "cuda", ...; None: the first GPU, or the CPU. networks: used in the place of the weights.
    """

    def __init__(self, device: str | None = None, *, networks: FaceSource | None = None) -> None:
        self._networks = networks if networks is not None else load_faces(device)

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """The faces of the key frames, all windows together, one Partial each."""
        return [
            Partial(
                times=owned(window.times, window.overlap),
                fps=window.fps,
                tracks={"thumbs": owned(window.features["thumbs"], window.overlap)},
                sounds=face_rows(window, found),
                notes=crowd_notes(found),
            )
            for window, found in zip(windows, self._networks(windows), strict=True)
        ]


def tells(name: str, unit: str, low: float, high: float, meaning: str) -> MeasurementSpec:
    """A measurement that an operator promises, on one line."""
    return MeasurementSpec(name=name, unit=unit, low=low, high=high, meaning=meaning)


def gathered(partials: Sequence[Partial]) -> tuple[Seen, Int]:
    """One clip's faces, and the shot of each key frame, int (K,).

    Raises:
        OperatorError: no frame was looked at.
    """
    tracks = join(partials)
    seen = seen_in(tracks)
    if not len(seen.keys):
        raise OperatorError("no frame was looked at for faces; the clip's first window is missing")
    return seen, shot_of_keys(seen, tracks)


def crowd_notes(found: Found) -> tuple[str, ...]:
    """What to tell where a frame holds more faces than are kept."""
    full = any(len(faces) >= MOST for faces in found.values())
    return (f"{MOST} faces or more in a frame; only the {MOST} largest are kept",) if full else ()


def seen_in(tracks: Tracks) -> Seen:
    """The rows of `face_rows` over the whole clip."""
    rows = tracks["face"]
    height, width = tracks["face_frame"][0]
    told = rows[:, 1] > 0
    who = np.full((len(rows), 512), np.nan, np.float32)  # of hours of a crowd: half the memory
    marks = np.full((len(rows), 106, 2), np.nan)
    who[told] = tracks["face_who"]
    marks[told] = tracks["face_marks"].reshape(-1, 106, 2) / height
    pixels = np.sqrt(np.prod(np.maximum(rows[:, 5:7] - rows[:, 3:5], 0), axis=1))
    frontal = 1 - ramp(turned(rows[:, 7:].reshape(-1, 5, 2)), FRONT, ASIDE)
    score = rows[:, 2]
    return Seen(
        at=np.searchsorted(tracks["face_keys"], rows[:, 0].astype(np.int64)),
        box=rows[:, 3:7] / height,
        side=pixels / height,
        pixels=pixels,
        who=who,
        marks=marks,
        shown=frontal * ramp(score, UNSURE, SURE) * ramp(pixels / height, SMALL, PLAIN),
        trust=frontal * ramp(score, UNSURE - 0.1, SURE) * ramp(pixels, BLURRED, CLEAR) * told,
        keys=tracks["face_keys"],
        times=tracks["face_times"],
        wide=float(width / height),
    )


def turned(points: Float64) -> Float64:
    """How far heads are turned aside, float64 (F,): the nose off the middle of the eyes, in distances of the eyes.

    Args:
        points: float64 (F, 5, 2), eyes, nose, corners of the mouth. The eyes of a profile come together, and the value
            grows without end: it is cut at 9.
    """
    across = points[:, 1] - points[:, 0]
    apart = np.maximum(np.linalg.norm(across, axis=1), 1e-9)
    tall = np.linalg.norm(points[:, 3:].mean(axis=1) - points[:, :2].mean(axis=1), axis=1)
    off = np.abs(((points[:, 2] - points[:, :2].mean(axis=1)) * across).sum(axis=1)) / apart**2
    narrow = np.maximum(0.55 * tall / apart - 1, 0)  # eyes much nearer than the mouth is far: a profile
    return np.asarray(np.minimum(off + narrow, 9.0))


# --- paths ---


@dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """One head within one shot. rows: int (n,), of Seen, in order of time. shot: its number, from 0."""

    rows: Int
    shot: int


def shot_of_keys(seen: Seen, tracks: Tracks) -> Int:
    """The number of the shot that each key frame lies in, int (K,)."""
    firsts = np.array([shot.first for shot in tracks.shots()])
    return np.asarray(np.searchsorted(firsts, seen.keys, side="right") - 1, np.int64)


def follow(seen: Seen, shots: Int) -> list[Path]:
    """Paths of all faces, those of earlier shots first, then by their first moment.

    Args:
        shots: int (K,), the shot of each key frame: no path runs across a cut.
    """
    open_paths: list[list[int]] = []
    done: list[Path] = []
    here, ends = -1, np.searchsorted(seen.at, np.arange(len(seen.keys) + 1))
    middle, side = (seen.box[:, :2] + seen.box[:, 2:]) / 2, np.maximum(seen.side, 1e-6)
    for key, shot in enumerate(shots):
        if shot != here:
            done += [Path(rows=np.array(rows), shot=here) for rows in open_paths]
            open_paths, here = [], int(shot)
        late = [bool(seen.times[key] - seen.times[seen.at[rows[-1]]] > GAP) for rows in open_paths]
        done += [Path(rows=np.array(rows), shot=here) for rows, gone in zip(open_paths, late, strict=True) if gone]
        open_paths = [rows for rows, gone in zip(open_paths, late, strict=True) if not gone]
        faces = np.arange(ends[key], ends[key + 1])
        taken = set()
        for path, face in _matches(seen, open_paths, faces, middle, side):
            open_paths[path].append(face)
            taken.add(face)
        open_paths += [[int(face)] for face in faces if int(face) not in taken]
    done += [Path(rows=np.array(rows), shot=here) for rows in open_paths]
    return sorted(done, key=lambda path: (path.shot, int(path.rows[0])))


def _matches(
    seen: Seen, paths: Sequence[list[int]], faces: Int, middle: Float64, side: Float64
) -> list[tuple[int, int]]:
    """Which path goes on with which face, the likeliest first; no path and no face twice."""
    if not paths or not len(faces):
        return []
    last = np.array([rows[-1] for rows in paths])
    before = np.array([rows[-2] if len(rows) > 1 else rows[-1] for rows in paths])
    time = seen.times[seen.at]
    lost, step = time[faces[0]] - time[last], np.maximum(time[last] - time[before], 1e-9)
    heading = middle[last] + (middle[last] - middle[before]) * np.minimum(lost / step, 1.0)[:, None]
    apart = np.minimum(
        *(np.linalg.norm(middle[None, faces] - at[:, None], axis=2) for at in (middle[last], heading))
    ) / np.maximum(side[last][:, None], side[faces][None])
    growth = np.abs(np.log(side[faces][None] / side[last][:, None]))
    like = seen.who[last] @ seen.who[faces].T
    gone = np.maximum(lost - 1 / 6, 0)[:, None]
    score = np.exp(-apart) + ALIKE * np.where(np.isnan(like), 0.0, like)
    score[(apart > REACH + DRIFT * gone) | (growth > np.log(GROWTH) + gone)] = -np.inf
    out = []
    while np.isfinite(score).any():
        path, face = np.unravel_index(int(np.argmax(score)), score.shape)
        out.append((int(path), int(faces[face])))
        score[path], score[:, face] = -np.inf, -np.inf
    return out


def weight_of(seen: Seen, path: Path) -> float:
    """How far a path leads: how plainly it is shown and how large, over those of its moments that tell something."""
    rows = path.rows[seen.trust[path.rows] >= TRUST]
    return float((seen.shown[rows] * seen.side[rows]).sum())


def identity_of(seen: Seen, path: Path) -> Float64 | None:
    """Who a path is: float64 (512,) of unit length; None where nothing of it can be relied on."""
    rows = path.rows[seen.trust[path.rows] >= TRUST]
    if not len(rows):
        return None
    total = (seen.trust[rows, None] * seen.who[rows].astype(np.float64)).sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9))

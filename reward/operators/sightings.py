"""Boxes that a network found in the sampled frames, and their tracks through a shot.

Windows lay their boxes down as rows; merging links them: boxes of neighbouring frames are matched by how far they
overlap once both are widened, all at once (Hungarian assignment), the sure ones first and then the faint ones, which
may carry a track on but never begin one.
Sources: "Simple online and realtime tracking", Bewley et al., ICIP 2016; "ByteTrack: multi-object tracking by
associating every detection box", Zhang et al., ECCV 2022; widened boxes after "Hard to track objects with irregular
motions and similar appearances? Make it easier by buffering the matching space", Yang et al., WACV 2023.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.media.features import KEY_RATE, stride
from cinereward.networks.yolo import JOINTS, Boxes
from cinereward.operators.tracks import Tracks
from cinereward.types import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Float64 = NDArray[np.float64]
    Int64 = NDArray[np.int64]

SURE = 0.4  # score from which a box may begin a track
SAME = 0.75  # overlap beyond which two boxes of one frame are one thing seen twice
WIDER = 1.5  # by which boxes are widened before they are matched: at six frames a second much moves by its own width
LEAST_MATCH, LEAST_FAINT = 0.1, 0.3  # overlap of widened boxes that is a match; of a faint box
OTHER_CLASS = 0.1  # what a match loses where the class is another one
PATIENCE = 0.7  # s for which a track waits for its thing


@dataclass(frozen=True, kw_only=True, eq=False)
class Sightings:
    """What was seen in one clip's K sampled frames, N boxes in all.

    frames: int64 (K,), indices. times: float64 (K,), s. shot: int64 (K,), the shot of each. rate: sampled frames a
    second. aspect: width of a frame in its heights. key: int64 (N,), which sampled frame a box belongs to, rising.
    boxes: float64 (N, 4), left, top, right, bottom in heights of the frame. scores: float64 (N,). classes: int64 (N,).
    more: other columns by name, float64 (N, ...).
    """

    frames: Int64
    times: Float64
    shot: Int64
    rate: float
    aspect: float
    key: Int64
    boxes: Float64
    scores: Float64
    classes: Int64
    more: Mapping[str, Float64]

    @cached_property
    def sides(self) -> Float64:
        """How large each box is: the square root of its share of the frame, float64 (N,)."""
        return np.asarray(np.sqrt(areas(self.boxes) / self.aspect))

    def at(self, key: int) -> Int64:
        """The rows of one sampled frame."""
        first, last = np.searchsorted(self.key, [key, key + 1])
        return np.arange(first, last)

    def spans(self) -> list[tuple[int, int]]:
        """The sampled frames [first, last) of each shot that has any."""
        edges = [0, *(np.flatnonzero(np.diff(self.shot)) + 1).tolist(), len(self.frames)]
        return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """One thing through a shot: the sampled frames it was seen in, rising, and its row among the sightings in each."""

    keys: Int64
    rows: Int64

    def __len__(self) -> int:
        return len(self.keys)


# --- laid down by windows, taken up when merging ---


def laid_down(window: Window, found: Mapping[int, Boxes], *, joints: bool = False) -> dict[str, Array]:
    """A window's boxes as rows for `Partial.sounds`, in the order of its keys.

    Args:
        found: from rows of the window to what was seen there. joints: whether a column "joints" (M, 17, 3) is wanted.
    """
    height, width = window.frames.shape[1:3]
    keys = [int(row) for row in window.features["keys"]]
    counts = [len(found[row]) for row in keys]
    boxes = [found[row].xyxy.reshape(-1, 4).astype(np.float64) / height for row in keys]
    rows = {
        "key_frames": np.array(keys, np.int64) + window.start_frame,
        "key_times": window.times[keys],
        "box_frames": np.repeat(np.array(keys, np.int64) + window.start_frame, counts),
        "boxes": np.concatenate([np.zeros((0, 4)), *boxes]),
        "scores": np.concatenate([np.zeros(0), *(found[row].scores for row in keys)]).astype(np.float64),
        "classes": np.concatenate([np.zeros(0, np.int64), *(found[row].classes for row in keys)]).astype(np.int64),
        "aspects": np.array([width / height]),
    }
    if joints:
        points = [np.zeros((0, JOINTS, 3)), *(found[row].keypoints for row in keys)]
        rows["joints"] = np.concatenate([np.zeros((0, JOINTS, 3)) if one is None else one for one in points])
        rows["joints"] = rows["joints"] / np.array([height, height, 1.0])
    return rows


def taken_up(tracks: Tracks, *more: str) -> Sightings:
    """One clip's sightings, each thing once a frame. more: names of the other columns that were laid down."""
    frames, rows = tracks["key_frames"], tracks["box_frames"]
    shot = np.zeros(len(frames), np.int64)
    for number, one in enumerate(tracks.shots()):
        shot[(frames >= one.first) & (frames < one.last)] = number
    keep = single(tracks["boxes"], tracks["scores"], rows)
    return Sightings(
        frames=frames,
        times=tracks["key_times"],
        shot=shot,
        rate=tracks.fps / stride(tracks.fps, KEY_RATE),
        aspect=float(tracks["aspects"][0]),
        key=np.searchsorted(frames, rows[keep]),
        boxes=tracks["boxes"][keep],
        scores=tracks["scores"][keep],
        classes=tracks["classes"][keep],
        more={name: tracks[name][keep] for name in more},
    )


def single(boxes: Float64, scores: Float64, frames: Int64) -> Int64:
    """The rows without those that a surer box of the same frame nearly covers, whatever their class."""
    keep: list[int] = []
    edges = [0, *(np.flatnonzero(np.diff(frames)) + 1).tolist(), len(frames)]
    for first, last in itertools.pairwise(edges):
        own = np.arange(first, last)
        own = own[np.argsort(-scores[own], kind="stable")]
        alike = overlaps(boxes[own], boxes[own])
        kept: list[int] = []
        for at in range(len(own)):
            if not kept or float(alike[at, kept].max()) <= SAME:
                kept.append(at)
        keep += sorted(int(own[at]) for at in kept)
    return np.array(keep, np.int64)


# --- geometry ---


def areas(boxes: Float64) -> Float64:
    """Areas of boxes (..., 4)."""
    return np.asarray(np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0))


def middles(boxes: Float64) -> Float64:
    """Middles of boxes (..., 4): (..., 2)."""
    return np.asarray((boxes[..., :2] + boxes[..., 2:]) / 2)


def widened(boxes: Float64, by: float) -> Float64:
    """Boxes `by` times as wide and as high about their middles."""
    middle, half = middles(boxes), by * (boxes[..., 2:] - boxes[..., :2]) / 2
    return np.concatenate([middle - half, middle + half], axis=-1)


def shared_area(a: Float64, b: Float64) -> Float64:
    """Area that boxes (N, 4) and (M, 4) share: (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0), axis=-1))


def overlaps(a: Float64, b: Float64) -> Float64:
    """Intersection over union of boxes (N, 4) and (M, 4): (N, M) in [0, 1]."""
    both = shared_area(a, b)
    return np.asarray(both / np.maximum(areas(a)[:, None] + areas(b)[None] - both, 1e-12))


# --- linking ---


def link(seen: Sightings, span: tuple[int, int]) -> list[Track]:
    """The things of one shot. span: its sampled frames [first, last)."""
    chains: list[list[tuple[int, int]]] = []
    patience = max(1, round(PATIENCE * seen.rate))
    for key in range(*span):
        rows = seen.at(key)
        live = [chain for chain in chains if key - chain[-1][0] <= patience]
        sure = rows[seen.scores[rows] >= SURE]
        matched = _match(seen, live, sure, key, LEAST_MATCH)
        waiting = [chain for at, chain in enumerate(live) if at not in matched]
        faint = rows[seen.scores[rows] < SURE]
        again = _match(seen, waiting, faint, key, LEAST_FAINT)
        taken = {int(sure[column]) for column in matched.values()}
        for group, pairs, candidates in ((live, matched, sure), (waiting, again, faint)):
            for at, column in pairs.items():
                group[at].append((key, int(candidates[column])))
        chains += [[(key, int(row))] for row in sure if int(row) not in taken]
    return [
        Track(keys=np.array([key for key, _ in chain]), rows=np.array([row for _, row in chain])) for chain in chains
    ]


def links(seen: Sightings) -> list[tuple[tuple[int, int], list[Track]]]:
    """The things of every shot: its span, and its tracks."""
    return [(span, link(seen, span)) for span in seen.spans()]


def _match(seen: Sightings, chains: list[list[tuple[int, int]]], rows: Int64, key: int, least: float) -> dict[int, int]:
    """Which chain goes on with which of the rows: indices of both."""
    if not chains or not len(rows):
        return {}
    from scipy.optimize import linear_sum_assignment

    last = np.stack([seen.boxes[chain[-1][1]] for chain in chains])
    ahead = np.stack([expected(seen, chain, key) for chain in chains])
    boxes = widened(seen.boxes[rows], WIDER)
    alike = np.maximum(overlaps(widened(last, WIDER), boxes), overlaps(widened(ahead, WIDER), boxes))
    kinds = np.array([seen.classes[chain[-1][1]] for chain in chains])
    alike = alike - OTHER_CLASS * (kinds[:, None] != seen.classes[rows][None])
    first, second = linear_sum_assignment(-alike)
    return {int(a): int(b) for a, b in zip(first, second, strict=True) if alike[a, b] >= least}


def expected(seen: Sightings, chain: list[tuple[int, int]], key: int) -> Float64:
    """Where a thing should be in a sampled frame if it goes on as it went last: a box (4,)."""
    now, row = chain[-1]
    if len(chain) < 2:
        return np.asarray(seen.boxes[row])
    before, earlier = chain[-2]
    step = (middles(seen.boxes[row]) - middles(seen.boxes[earlier])) / (now - before) * (key - now)
    return np.asarray(seen.boxes[row] + np.tile(step, 2))

"""VBench's measures that need no other model: the same frames, transforms and thresholds, all from one decoding.

They are told beside this house's own measures, for comparison with published tables. Read them with care: a still
picture is perfect in the first three, which is why VBench reads them beside the dynamic degree. Motion smoothness is
left out: it needs AMT, which interpolates frames.
Source: Vchitect/VBench, commit 45e79ec; "VBench: comprehensive benchmark suite for video generative models", Huang
et al., 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.networks.clip import ImageText, load_image_text
from cinereward.networks.dino import Dino, load_dino_vit
from cinereward.networks.raft import Raft, load_raft
from cinereward.networks.rows import each, split, stacked
from cinereward.operators.tracks import Tracks, join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

RATE = 8  # frames a second between which motion is looked for
UPDATES = 20  # of RAFT
FASTEST = 0.05  # the share of pixels whose mean speed is a pair's motion
MOVES = 6.0 / 256  # motion from which a pair counts, in shorter sides of the picture
PAIRS = 4 / 16  # the share of frames that must move
ALONE = "the clip has one frame"


class VBench:
    """Subject and background consistency, temporal flickering and dynamic degree over all frames."""

    spec = OperatorSpec(
        name="vbench",
        measurements=(
            MeasurementSpec(
                name="subject_consistency",
                unit="cosine",
                low=0,
                high=1,
                meaning="how alike DINO finds each frame to the one before it and to the first",
            ),
            MeasurementSpec(
                name="background_consistency",
                unit="cosine",
                low=0,
                high=1,
                meaning="how alike CLIP finds each frame to the one before it and to the first",
            ),
            MeasurementSpec(
                name="temporal_flickering",
                unit="share",
                low=0,
                high=1,
                meaning="1 less the mean difference of neighbouring frames; VBench means it for still scenes",
            ),
            MeasurementSpec(
                name="dynamic_degree", unit="truth", low=0, high=1, meaning="1 where enough pairs of frames move enough"
            ),
            MeasurementSpec(
                name="motion",
                unit="px",
                low=0,
                high=1e5,
                meaning="mean speed of the fastest twentieth of the pixels, between frames an eighth of a second apart",
            ),
        ),
        weights=("dino-vitb16", "clip-vit-b32", "raft-things"),
        licence="Apache-2.0 (DINO), MIT (CLIP), BSD-3-Clause (RAFT)",
    )

    def __init__(
        self,
        device: str | None = None,
        *,
        dino: Dino | None = None,
        clip: ImageText | None = None,
        raft: Raft | None = None,
    ) -> None:
        """Take the networks that are given, and load the others."""
        self._dino = dino if dino is not None else load_dino_vit(device)
        self._clip = clip if clip is not None else load_image_text(device, "clip-vit-b32", antialias=False)
        self._raft = raft if raft is not None else load_raft(device, "raft-things", updates=UPDATES)

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Points of every frame, its difference from the one before, and the motion between sampled frames."""
        frames = [owned(window.frames, window.overlap) for window in windows]
        counts = [len(own) for own in frames]
        every = [frame for own in frames for frame in own]
        subjects = split(each(every, self._dino.classes), counts)
        grounds = split(each(every, self._clip.pictures), counts)
        taken = [sampled(window) for window in windows]
        moved = self._motion([window.frames[rows] for window, rows in zip(windows, taken, strict=True)])
        return [
            Partial(
                times=owned(window.times, window.overlap),
                fps=window.fps,
                tracks={"subject": stacked(subject), "ground": stacked(ground), "change": changes(window)},
                sounds={
                    "motion": np.stack([rows[1:] + window.start_frame, motion], axis=1) if len(motion) else NONE,
                    "edge": window.frames[rows[[0, -1]]] if len(rows) else window.frames[:0],
                    "edge_frame": rows[[0, -1]] + window.start_frame if len(rows) else rows,
                },
            )
            for window, subject, ground, rows, motion in zip(windows, subjects, grounds, taken, moved, strict=True)
        ]

    def _motion(self, runs: Sequence[UInt8]) -> list[Float64]:
        """Motion between the neighbours in each run of frames, uint8 (K, H, W, 3): float64 (K - 1,) each."""
        pairs = [np.stack([run[at], run[at + 1]]) for run in runs for at in range(len(run) - 1)]
        found = each(pairs, lambda some: fastest(self._raft.padded(some)))
        return [np.asarray(part, np.float64) for part in split(found, [max(len(run) - 1, 0) for run in runs])]

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """VBench's formulas over the whole clip."""
        tracks = join(partials)
        subject, ground = consistency(tracks["subject"]), consistency(tracks["ground"])
        steady = 1 - tracks["change"][1:] / 255.0
        count, at, motion = self._all_motion(tracks)
        small = min(tracks["edge"].shape[1:3])
        values: dict[str, Any] = {
            "subject_consistency": _mean("subject_consistency", "cosine", subject),
            "background_consistency": _mean("background_consistency", "cosine", ground),
            "temporal_flickering": _mean("temporal_flickering", "share", steady),
            "dynamic_degree": float(moves(motion, small, count)),
            "motion": _mean("motion", "px", motion),
        }
        told: dict[str, Any] = {
            "subject_consistency_track": (tracks.times[1:], subject),
            "background_consistency_track": (tracks.times[1:], ground),
            "temporal_flickering_track": (tracks.times[1:], steady),
            "motion_track": (tracks.times[at], motion),
        }
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, values, told),
        )

    def _all_motion(self, tracks: Tracks) -> tuple[int, NDArray[np.int64], Float64]:
        """How many frames were sampled, the later frames of their pairs, and the motion of each pair.

        Pairs that lie in two windows are looked at here, since no window sees both.
        """
        known = {int(frame): float(speed) for frame, speed in tracks["motion"]}
        numbers, pictures = tracks["edge_frame"], tracks["edge"]
        apart = np.diff(numbers)
        step = interval(tracks.fps)
        split_pairs = [at for at in range(len(apart)) if apart[at] == step and int(numbers[at + 1]) not in known]
        between = self._motion([pictures[[at, at + 1]] for at in split_pairs])
        known |= {int(numbers[at + 1]): float(speed[0]) for at, speed in zip(split_pairs, between, strict=True)}
        at = np.array(sorted(known), np.int64)
        return len(known) + 1, at, np.array([known[int(frame)] for frame in at], np.float64)


NONE = np.zeros((0, 2))


def interval(fps: float) -> int:
    """Every how many frames VBench looks for motion."""
    return max(1, round(fps / RATE))


def sampled(window: Window) -> NDArray[np.int64]:
    """Rows of the window's own frames between which motion is looked for."""
    rows = np.arange(window.overlap, len(window.frames))
    return np.asarray(rows[(rows + window.start_frame) % interval(window.fps) == 0], np.int64)


def changes(window: Window) -> Float64:
    """Mean difference of each owned frame from the one before, in levels, float64 (N,); NaN for the clip's first."""
    out = np.full(len(window.frames), np.nan)
    for row in range(1, len(out)):
        out[row] = np.mean(cv2.mean(cv2.absdiff(window.frames[row], window.frames[row - 1]))[:3])
    return owned(out, window.overlap)


def consistency(points: Float32) -> Float64:
    """Half the cosine with the frame before and half that with the first, none below 0.

    Args:
        points: float32 (N, D) of length 1.

    Returns:
        float64 (N - 1,).
    """
    rows = points.astype(np.float64)
    before = np.sum(rows[1:] * rows[:-1], axis=1)
    first = rows[1:] @ rows[0]
    return np.asarray((np.clip(before, 0, 1) + np.clip(first, 0, 1)) / 2)


def fastest(flow: Float32) -> Float64:
    """Mean length of the fastest twentieth of the pixels, in pixels: float64 (N,) of flow (N, h, w, 2)."""
    speed = np.hypot(flow[..., 0], flow[..., 1]).reshape(len(flow), -1)
    count = max(1, int(speed.shape[1] * FASTEST))
    return np.asarray(np.partition(speed, -count, axis=1)[:, -count:].mean(axis=1, dtype=np.float64))


def moves(motion: Float64, shorter: int, count: int) -> bool:
    """Whether the clip counts as dynamic.

    Args:
        motion: float64 (M,), pixels, of each pair. shorter: side of the picture, in pixels. count: of sampled frames.
    """
    return len(motion) > 0 and int(np.sum(motion > MOVES * shorter)) >= round(PAIRS * count)


def _mean(name: str, unit: str, values: Float64) -> Measurement:
    if len(values) == 0:
        return Measurement(name=name, value=float("nan"), unit=unit, note=ALONE)
    return Measurement(name=name, value=float(values.mean()), unit=unit)

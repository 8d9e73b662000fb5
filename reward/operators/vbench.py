"""VBench's measures that need no other model: the same frames, transforms and thresholds, all from one decoding.

They are told beside this house's own measures, for comparison with published tables. Read them with care: a still
picture is perfect in the first three, which is why VBench reads them beside the dynamic degree. Motion smoothness is
left out: it needs AMT, which interpolates frames.

VBench asks RAFT of every pair of sampled frames and counts afterwards. Here pairs that can no longer decide the dynamic
degree are not looked at, which changes `motion` (the mean of those looked at, from the start) but not the verdict. So
RAFT is asked in `merge`: the sampled frames of the first LAZY seconds are kept until then, as PNG, at most 12 a second
(half a megabyte each at 832 x 480). Later pairs are all looked at, so that a long clip needs no more memory
than that and two frames a window.
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
from cinereward.networks.running import noting
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
LAZY = 10.0  # seconds from the clip's start whose pairs wait until it is known whether they decide anything
AT_ONCE = 16  # pairs that are laid ready before they are run
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
                meaning="mean speed of the fastest twentieth of the pixels, between frames an eighth of a second "
                "apart; of pairs up to where the dynamic degree is known",
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
        """Points of every frame, its difference from the one before, sampled frames, and what motion cannot wait."""
        frames = [owned(window.frames, window.overlap) for window in windows]
        counts = [len(own) for own in frames]
        every = [frame for own in frames for frame in own]
        subjects = split(each(every, self._dino.classes), counts)
        grounds = split(each(every, self._clip.pictures), counts)
        taken = [sampled(window) for window in windows]
        late = [
            rows[rows + window.start_frame + interval(window.fps) >= early(window.fps)]
            for window, rows in zip(windows, taken, strict=True)
        ]
        moved = self._motion([window.frames[rows] for window, rows in zip(windows, late, strict=True)])
        return [
            Partial(
                times=owned(window.times, window.overlap),
                fps=window.fps,
                tracks={"subject": stacked(subject), "ground": stacked(ground), "change": changes(window)},
                sounds={
                    "motion": np.stack([rows[1:] + window.start_frame, motion], axis=1) if len(motion) else NONE,
                    "side": np.array([min(window.frames.shape[1:3])]),
                    **kept(window, every_one),
                },
            )
            for window, subject, ground, every_one, rows, motion in zip(
                windows, subjects, grounds, taken, late, moved, strict=True
            )
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
        with noting() as notes:
            count, at, motion = self._all_motion(tracks)
        small = int(tracks["side"][0])
        skipped = count - 1 - len(motion)
        why = f"of {len(motion)} pairs; {skipped} more could not change the dynamic degree" if skipped else ""
        values: dict[str, Any] = {
            "subject_consistency": _mean("subject_consistency", "cosine", subject),
            "background_consistency": _mean("background_consistency", "cosine", ground),
            "temporal_flickering": _mean("temporal_flickering", "share", steady),
            "dynamic_degree": float(moves(motion, small, count)),
            "motion": _mean("motion", "px", motion, why),
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
            notes=tuple(notes),
        )

    def _all_motion(self, tracks: Tracks) -> tuple[int, NDArray[np.int64], Float64]:
        """How many frames were sampled, the later frames of the pairs that were looked at, and the motion of each.

        Late pairs that lie in two windows are looked at here, since no window sees both; then early ones, in order,
        as many at once as must be looked at in any case.
        """
        known = {int(frame): float(speed) for frame, speed in tracks["motion"]}
        numbers, codes = tracks["kept"], codes_of(tracks)
        step, limit = interval(tracks.fps), early(tracks.fps)
        apart = [at for at in range(1, len(numbers)) if numbers[at] - numbers[at - 1] == step]
        waiting = [at for at in apart if numbers[at] < limit]
        across = [at for at in apart if numbers[at] >= limit and int(numbers[at]) not in known]
        between = self._motion([decoded(codes[at - 1 : at + 1]) for at in across])
        known |= {int(numbers[at]): float(speed[0]) for at, speed in zip(across, between, strict=True)}
        count = len(known) + len(waiting) + 1
        wanted, least = round(PAIRS * count), MOVES * int(tracks["side"][0])
        while waiting:
            some = undecided(wanted - sum(speed > least for speed in known.values()), len(waiting))
            some = min(max(some, 0 if known else 1), AT_ONCE)  # VBench calls no clip dynamic of which it saw no pair
            if some == 0:
                break
            first, last = waiting[0], waiting[some - 1]
            speeds = self._motion([decoded(codes[first - 1 : last + 1])])[0]
            known |= {int(numbers[at]): float(speed) for at, speed in zip(waiting[:some], speeds, strict=True)}
            del waiting[:some]
        at = np.array(sorted(known), np.int64)
        return count, at, np.array([known[int(frame)] for frame in at], np.float64)


NONE = np.zeros((0, 2))
FAST = (cv2.IMWRITE_PNG_COMPRESSION, 1)


def interval(fps: float) -> int:
    """Every how many frames VBench looks for motion."""
    return max(1, round(fps / RATE))


def sampled(window: Window) -> NDArray[np.int64]:
    """Rows of the window's own frames between which motion is looked for."""
    rows = np.arange(window.overlap, len(window.frames))
    return np.asarray(rows[(rows + window.start_frame) % interval(window.fps) == 0], np.int64)


def early(fps: float) -> int:
    """The first frame whose pair with the one before does not wait: by time alone, whatever the windows."""
    return round(LAZY * fps)


def undecided(lacking: int, left: int) -> int:
    """How many pairs must still be looked at, whatever they show, before it is known whether enough of them move.

    Args:
        lacking: how many more must move. left: how many there are.

    Returns:
        0 where it is known.
    """
    return max(0, min(lacking, left - lacking + 1))


def kept(window: Window, rows: NDArray[np.int64]) -> dict[str, Array]:
    """The early ones of the window's sampled frames, and of the late ones those that a neighbour needs, without loss.

    Returns:
        kept: int64 (K,), the clip's indices. kept_bytes: int64 (K,), the length of each code. codes: uint8, end to end.
    """
    frames = rows + window.start_frame
    early_ones = frames < early(window.fps)
    needed = early_ones | np.isin(frames, frames[[0, -1]] if len(frames) else frames)
    codes = [cv2.imencode(".png", window.frames[row], FAST)[1].ravel() for row in rows[needed]]
    return {
        "kept": frames[needed],
        "kept_bytes": np.array([len(code) for code in codes], np.int64),
        "codes": np.concatenate(codes) if codes else np.zeros(0, np.uint8),
    }


def codes_of(tracks: Tracks) -> list[UInt8]:
    """The code of each frame that was kept."""
    return np.split(tracks["codes"], np.cumsum(tracks["kept_bytes"])[:-1])


def decoded(codes: Sequence[UInt8]) -> UInt8:
    """Frames as they were, uint8 (N, H, W, 3)."""
    return np.stack([np.asarray(cv2.imdecode(code, cv2.IMREAD_UNCHANGED), np.uint8) for code in codes])


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


def _mean(name: str, unit: str, values: Float64, note: str = "") -> Measurement:
    if len(values) == 0:
        return Measurement(name=name, value=float("nan"), unit=unit, note=ALONE)
    return Measurement(name=name, value=float(values.mean()), unit=unit, note=note)

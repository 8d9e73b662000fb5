"""Subject and background over time: whether the one that a shot is about stays who it is, and the place what it is.

The subject is followed by its box, so that another pose or place in the picture is no change of look, and what lies
outside all boxes is the background: its patches are averaged, in the same pass. Both are read beside motion. Where no
thing is known to the detector, the picture as a whole stands for the subject.
Source: "DINOv2: learning robust visual features without supervision", Oquab et al., 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cinereward.errors import OperatorError
from cinereward.networks.dino import Dino, load_dino
from cinereward.networks.rows import stacked
from cinereward.networks.yolo import load_detector
from cinereward.operators.looks import Find, Looks, looks_of
from cinereward.operators.sightings import laid_down, taken_up
from cinereward.operators.subject_shots import grounds, subjects, told_of_grounds, told_of_subjects
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

LEAST_KEYS = 2


class Subject:
    """Points of DINO for the followed boxes, for what lies outside them, and for the whole picture."""

    spec = OperatorSpec(
        name="subject",
        measurements=(
            MeasurementSpec(
                name="drift",
                unit="times usual",
                low=0,
                high=200,
                meaning="change of the subject's look within a shot against what is usual at its motion; 1: still",
            ),
            MeasurementSpec(
                name="jump",
                unit="1 - cosine",
                low=0,
                high=2,
                meaning="largest lasting change of the subject's look from one sampled frame to the next",
            ),
            MeasurementSpec(
                name="across",
                unit="cosine",
                low=-1,
                high=1,
                meaning="how alike the subject is to the most alike of its kind in another shot",
            ),
            MeasurementSpec(
                name="background_drift",
                unit="times usual",
                low=0,
                high=200,
                meaning="change of the background's look within a shot against what is usual at the camera's motion",
            ),
            MeasurementSpec(
                name="background_jump",
                unit="1 - cosine",
                low=0,
                high=2,
                meaning="largest lasting change of the background's look from one sampled frame to the next",
            ),
            MeasurementSpec(
                name="background_across",
                unit="cosine",
                low=-1,
                high=1,
                meaning="how alike each shot's background is to the most alike one of another shot",
            ),
            MeasurementSpec(
                name="motion",
                unit="heights/s",
                low=0,
                high=1000,
                meaning="speed of what is seen of the subject, against which its constancy is to be read",
            ),
            MeasurementSpec(
                name="followed", unit="share", low=0, high=1, meaning="part of the clip in which a subject is followed"
            ),
        ),
        needs=frozenset({"frames"}),
        weights=("dinov2-base", "yolo11m"),
        licence="Apache-2.0 (DINOv2), AGPL-3.0 (YOLO)",
    )

    def __init__(
        self,
        device: str | None = None,
        *,
        dino: Dino | None = None,
        detector: Find | None = None,
        weights: str = "dinov2-base",
    ) -> None:
        """Take the networks that are given, and load the others; weights: "dinov2-base" or "dinov3-vitb16"."""
        self._dino = dino if dino is not None else load_dino(device, weights)
        self._detector: Find = detector if detector is not None else load_detector(device)

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Boxes, looks and speeds in the sampled frames of all windows, each network asked once."""
        found = looks_of(windows, self._dino, self._detector)
        return [_partial(window, looks, self._dino.width) for window, looks in zip(windows, found, strict=True)]

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Courses of subject and background in every shot, and likeness across cuts."""
        tracks = join(partials)
        seen = taken_up(tracks, "looks", "speeds")
        if len(seen.frames) < LEAST_KEYS:
            raise OperatorError(f"{len(seen.frames)} sampled frames; constancy is a matter of at least {LEAST_KEYS}")
        subject, subject_tracks = told_of_subjects(subjects(seen, tracks))
        ground, ground_tracks = told_of_grounds(grounds(seen, tracks))
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, {**subject, **ground}, {**subject_tracks, **ground_tracks}),
        )


def _partial(window: Window, found: Looks, width: int) -> Partial:
    """Rows for each sampled frame and for each followed box. width: of a point."""
    moved = [speeds(window, row, found.boxes[row].xyxy, found.followed[row].xyxy) for row in found.rows]
    return Partial(
        times=owned(window.times, window.overlap),
        fps=window.fps,
        tracks={"thumbs": owned(window.features["thumbs"], window.overlap)},
        sounds={
            **laid_down(window, found.followed),
            "looks": stacked(found.looks, width),
            "wholes": stacked(found.wholes, width),
            "grounds": stacked(found.grounds, width),
            "speeds": np.concatenate([np.zeros(0), *(inner for _, inner in moved)]),
            "camera": np.array([outer for outer, _ in moved]).reshape(-1, 2),
        },
    )


def speeds(window: Window, row: int, boxes: Float32, followed: Float32) -> tuple[tuple[float, float], Float64]:
    """How fast the picture moves outside all boxes and everywhere, and inside each followed one, in heights a second.

    NaN for the clip's first frame, which has none before it.
    """
    if window.start_frame + row == 0:
        return (np.nan, np.nan), np.full(len(followed), np.nan)
    flow = window.features["flow"][row]
    height, width = flow.shape[:2]
    speed = np.hypot(flow[..., 0], flow[..., 1]) * (window.fps / height)
    scale = np.array([width / window.frames.shape[2], height / window.frames.shape[1]] * 2)
    free = np.ones((height, width), bool)
    for box in boxes:
        left, top, right, bottom = np.rint(box * scale).astype(int)
        free[top:bottom, left:right] = False
    inside = []
    for box in followed:
        left, top, right, bottom = np.rint(box * scale).astype(int)
        inside.append(float(np.median(speed[top : max(bottom, top + 1), left : max(right, left + 1)])))
    outer = float(np.median(speed[free])) if free.any() else float("nan")
    return (outer, float(speed.mean())), np.array(inside)

"""Shots: how long they are, how varied, and how stillness and movement take turns.

Only shots that show something new count: a cut that mirrors or zooms the running take is none, and a shot that is shown
once more is not another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cinereward.media.likeness import real_shots
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, MeasurementSpec, OperatorSpec, Partial, Window

SHORT = 0.5  # seconds; a shot shorter than this is over before it is read


class Shots:
    """Durations between hard cuts, and the amount of motion of each shot."""

    spec = OperatorSpec(
        name="shots",
        measurements=(
            MeasurementSpec(name="count", unit="shots", low=1, high=1e6, meaning="number of shots"),
            MeasurementSpec(name="duration", unit="s", low=0, high=1e6, meaning="median length of a shot"),
            MeasurementSpec(
                name="short", unit="share", low=0, high=1, meaning=f"part of the running time in shots under {SHORT} s"
            ),
            MeasurementSpec(
                name="variety",
                unit="ratio",
                low=0,
                high=10,
                meaning="standard deviation of the logarithm of the shots' lengths",
            ),
            MeasurementSpec(
                name="layering",
                unit="octaves",
                low=0,
                high=10,
                meaning="standard deviation over shots of the logarithm (base 2) of their amount of motion",
            ),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Thumbnails and the amount of motion of every frame."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        flow = owned(window.features["flow"], window.overlap)[:, ::4, ::4]
        width = window.features["grey"].shape[2]
        speed = np.sqrt((flow.astype(np.float64) ** 2).sum(axis=-1)).mean(axis=(1, 2)) / width * 100
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={"thumbs": owned(window.features["thumbs"], window.overlap), "motion": speed},
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Statistics over the clip's shots."""
        tracks = join(partials)
        shots = real_shots(tracks.shots(), tracks["thumbs"])
        lengths = np.array([shot.end - shot.start for shot in shots])
        motion = np.array(
            [
                np.median(tracks["motion"][shot.first + 1 : shot.last]) if shot.last > shot.first + 1 else 0.0
                for shot in shots
            ]
        )
        starts = np.array([shot.start for shot in shots])
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {
                    "count": len(shots),
                    "duration": np.median(lengths),
                    "short": lengths[lengths < SHORT].sum() / lengths.sum(),
                    "variety": np.std(np.log(lengths)),
                    # half a percent of the width a second is stillness: less is not "even less motion"
                    "layering": np.std(np.log2(motion * tracks.fps + 0.5)),
                },
                {"duration_track": (starts, lengths)},
            ),
        )

"""Likeness to what was given as a reference: a picture to begin with, or somebody to be shown.

Two networks are asked, since each is blind to something: DINO sees form and texture, SigLIP what a thing is. The whole
picture and each followed box are held against the whole reference and each thing in it; the best pair counts, so that a
subject may stand in another place, before another background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cinereward.errors import OperatorError
from cinereward.networks.clip import ImageText, load_image_text
from cinereward.networks.dino import Dino, load_dino
from cinereward.networks.rows import each, split
from cinereward.networks.yolo import Boxes, load_detector
from cinereward.operators.looks import Looks, crop, crops_of, foremost, looks_of, sure
from cinereward.operators.reference_pictures import pictures_of
from cinereward.operators.tracks import join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

NONE = "the clip has no reference"
DOUBT = 0.05  # of a cosine: the same thing in another light or pose


class Sees(Protocol):
    """What this operator asks of a detector."""

    def __call__(self, windows: Sequence[Window]) -> Sequence[Mapping[int, Boxes]]:
        """Boxes in the sampled frames of windows."""
        ...

    def pictures(self, frames: Sequence[UInt8]) -> list[Boxes]:
        """Boxes in pictures."""
        ...


class Reference:
    """Cosines of the clip's sampled frames with the reference."""

    spec = OperatorSpec(
        name="reference",
        measurements=(
            MeasurementSpec(
                name="similarity",
                unit="cosine",
                low=-1,
                high=1,
                meaning="how alike DINO finds the picture, or a thing in it, to the reference, over time",
            ),
            MeasurementSpec(
                name="first",
                unit="cosine",
                low=-1,
                high=1,
                meaning="how alike DINO finds the first frame and the reference, each as a whole",
            ),
            MeasurementSpec(
                name="drift_from",
                unit="cosine",
                low=-2,
                high=2,
                meaning="how much less like the reference the last third is than the first",
            ),
            MeasurementSpec(
                name="meaning",
                unit="cosine",
                low=-1,
                high=1,
                meaning="how alike SigLIP finds the picture, or a thing in it, to the reference, over time",
            ),
        ),
        weights=("dinov2-base", "siglip2-base", "yolo11m"),
        licence="Apache-2.0 (DINOv2, SigLIP 2), AGPL-3.0 (YOLO)",
    )

    def __init__(
        self,
        device: str | None = None,
        *,
        dino: Dino | None = None,
        clip: ImageText | None = None,
        detector: Sees | None = None,
    ) -> None:
        """Take the networks that are given, and load the others."""
        self._dino = dino if dino is not None else load_dino(device)
        self._clip = clip if clip is not None else load_image_text(device)
        self._detector: Sees = detector if detector is not None else load_detector(device)

    def measure(self, windows: Sequence[Window]) -> list[Partial | OperatorError]:
        """Cosines with the reference, in the sampled frames of the windows that have one."""
        known: dict[int, tuple[Float32, Float32] | OperatorError] = {}
        for window in windows:
            if window.reference is not None and id(window.reference) not in known:
                known[id(window.reference)] = self._reference(window.reference)
        asked = [at for at, window in enumerate(windows) if isinstance(known.get(id(window.reference)), tuple)]
        found = dict(zip(asked, looks_of([windows[at] for at in asked], self._dino, self._detector), strict=True))
        seen = self._meanings([windows[at] for at in asked], [found[at] for at in asked])
        meanings = dict(zip(asked, seen, strict=True))
        out: list[Partial | OperatorError] = []
        for at, window in enumerate(windows):
            points = known.get(id(window.reference))
            if isinstance(points, OperatorError):
                out.append(points)
            else:
                rows = _compared(found[at], meanings[at], *points) if points is not None else np.zeros((0, 4))
                out.append(_partial(window, rows))
        return out

    def _reference(self, reference: Any) -> tuple[Float32, Float32] | OperatorError:
        """Points of a reference: of DINO and of SigLIP, (R, D) each, its whole pictures first; or what is wrong."""
        try:
            pictures = pictures_of(reference)
        except OperatorError as error:
            return error
        things = [foremost(sure(boxes)) for boxes in self._detector.pictures(pictures)]
        parts = [crop(picture, box) for picture, boxes in zip(pictures, things, strict=True) for box in boxes.xyxy]
        every = [*pictures, *parts]
        return np.stack(each(every, self._dino.classes)), np.stack(each(every, self._clip.pictures))

    def _meanings(self, windows: Sequence[Window], found: Sequence[Looks]) -> list[list[Float32]]:
        """Points of SigLIP: of the window's sampled frames, then of its followed boxes."""
        pictures = [
            [*(window.features["small"][row] for row in looks.rows), *crops_of(window, looks.followed)]
            for window, looks in zip(windows, found, strict=True)
        ]
        return split(
            each([one for own in pictures for one in own], self._clip.pictures), [len(own) for own in pictures]
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Means over time, and the change from the first third to the last."""
        tracks = join(partials)
        rows = tracks["alike"]
        units = {item.name: item.unit for item in self.spec.measurements}
        if len(rows) == 0:
            nothing = {
                name: Measurement(name=name, value=float("nan"), unit=unit, note=NONE) for name, unit in units.items()
            }
            return Evidence(operator=self.spec.name, version=self.spec.version, measurements=nothing)
        times, best, first, meaning = rows.T
        thirds = np.array_split(best, min(3, len(best)))
        doubt = DOUBT / np.sqrt(len(best)) + DOUBT / 2
        values = {
            "similarity": float(best.mean()),
            "first": float(first[0]),
            "drift_from": float(thirds[0].mean() - thirds[-1].mean()),
            "meaning": float(meaning.mean()),
        }
        named = {
            name: Measurement(name=name, value=value, unit=units[name], std=doubt) for name, value in values.items()
        }
        courses = {
            "similarity_track": (times, best),
            "drift_from_track": (times, best[0] - best),
            "meaning_track": (times, meaning),
        }
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, named, courses),
        )


def _partial(window: Window, rows: Float64) -> Partial:
    rows = np.array(rows, np.float64).reshape(-1, 4)
    if len(rows):
        rows[:, 0] = window.times[rows[:, 0].astype(int)]
    return Partial(times=owned(window.times, window.overlap), fps=window.fps, tracks={}, sounds={"alike": rows})


def _compared(looks: Looks, meanings: Sequence[Float32], form: Float32, sense: Float32) -> Float64:
    """For each sampled frame its row, DINO's best cosine, that of the whole with the whole, SigLIP's best: (K, 4).

    Args:
        looks: of the window. meanings: SigLIP's points of its sampled frames, then of its followed boxes.
        form, sense: the reference's points of DINO and of SigLIP, (R, D); row 0 is its first whole picture.
    """
    out, box = [], 0
    for at, row in enumerate(looks.rows):
        own = range(box, box + len(looks.followed[row]))
        box = own.stop
        seen = np.stack([looks.wholes[at], *(looks.looks[n] for n in own)]).astype(np.float64)
        meant = np.stack([meanings[at], *(meanings[len(looks.rows) + n] for n in own)]).astype(np.float64)
        cosines = np.clip(seen @ form.T, -1, 1)
        out.append((row, cosines.max(), cosines[0, 0], np.clip(meant @ sense.T, -1, 1).max()))
    return np.array(out, np.float64).reshape(-1, 4)

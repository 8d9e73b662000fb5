"""Framing: how plainly one subject stands out of the picture, and whether the frame cuts off a head.

Neither knows what the subject is. Prominence is the opposite of clutter: how far the contrast of a picture lies in few
large masses rather than in many small things about its middle, which is what the time of search follows.
Source: after "Measuring visual clutter", Rosenholtz, Li & Nakano, Journal of Vision 7, 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.media.faces import find_faces
from cinereward.media.features import FACE_RATE, stride
from cinereward.operators.thumbs import bars, by_shots, colours, sampled, shown, softened
from cinereward.operators.tracks import BAR, join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

MASSES = 0.7  # how much of the contrast of large masses counts: less than 1, so that a pale picture is not a plain one
LEAST_MASS, LEAST_EDGE = 0.02, 0.05  # stops below which contrast is not seen
HEAD = 1.25  # height of a head, crown to chin, in heights of its face box
CROWN = 0.3  # how far the crown lies above the face box, in its heights
UNSEEN = 0.12  # share taken to be cut where no face is seen: neither a fault nor a merit is known
RIM = 0.2  # share that an upper edge as varied as the picture adds
FLESH = 0.6  # share that skin at the upper edge adds where no face is seen
HUE, SPREAD = (0.45, 0.2), (0.22, 0.24)  # of skin: red over green, green over blue, in stops
REDDER = 0.15  # stops by which skin is redder than the middle of the picture
LEAST_LIGHT = 35  # levels below which a hue is not told
SEARCH_SIDE = 120  # pixels of the shorter side when heads that the upper edge cuts are looked for
NO_FACE = np.inf


class Framing:
    """Clutter on the thumbnails, and faces against the upper edge."""

    spec = OperatorSpec(
        name="framing",
        measurements=(
            MeasurementSpec(
                name="prominence",
                unit="octaves",
                low=-10,
                high=10,
                meaning="contrast of the large masses over that of the small things about the middle",
            ),
            MeasurementSpec(
                name="cut", unit="share", low=0, high=1, meaning="part of a head that the upper edge cuts off, or may"
            ),
            MeasurementSpec(
                name="headroom",
                unit="face heights",
                low=-1,
                high=20,
                meaning="how far the largest face lies below the upper edge",
            ),
        ),
        needs=frozenset({"frames", "faces"}),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Thumbnails, and the face of the sampled frames."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        overlap = window.overlap
        headroom = np.full(len(window.times) - overlap, np.nan)
        every = stride(window.fps, FACE_RATE)
        faces = window.features["faces"]
        for row in range(overlap, len(window.times)):
            if (window.start_frame + row) % every:
                continue
            boxes = faces.get(row, ())
            grey = window.features["grey"][row]
            top = bars((grey <= BAR).mean(axis=1) > 0.99)
            if len(boxes):
                _, y, _, height = max(boxes, key=lambda box: (box[3], -box[1]))
                headroom[row - overlap] = float(y - top) / float(height)
            elif (window.start_frame + row) % (2 * every) == 0:
                headroom[row - overlap] = cut_face(grey[top : len(grey) - top])
        tracks: dict[str, Any] = {"headroom": headroom, "thumbs": owned(window.features["thumbs"], overlap)}
        return Partial(times=owned(window.times, overlap), fps=window.fps, tracks=tracks)

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Medians within shots, averaged over the shots."""
        tracks = join(partials)
        pictures = shown(tracks)
        rows = sampled(tracks)
        standing = prominence(colours(pictures[rows]))
        looked = np.flatnonzero(~np.isnan(tracks["headroom"]))
        room = tracks["headroom"][looked]
        cut = head_cut(room, varied_rim(colours(pictures[looked])), flesh_rim(pictures[looked]))
        seen = np.isfinite(room)
        faces = Measurement(name="headroom", value=float("nan"), unit="face heights", note="no face is seen")
        if seen.any():
            middle = float(np.clip(np.median(room[seen]), -1, 20))
            faces = Measurement(name="headroom", value=middle, unit="face heights")
        share = Measurement(name="cut", value=float(cut.mean()), unit="share", std=0.1 * float(1 - seen.mean()))
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {"prominence": by_shots(tracks, rows, standing), "cut": share, "headroom": faces},
                {
                    "prominence_track": (tracks.times[rows], standing),
                    "cut_track": (tracks.times[looked], cut),
                },
            ),
        )


def cut_face(grey: NDArray[np.uint8]) -> float:
    """How far below the upper edge the surest face begins, in its heights, where the edge may cut it.

    The picture is reflected about its upper edge, which gives a face cut at the brow or the eyes the rest of its light
    and dark: the cascade then finds it, and its box begins above the picture.

    Args:
        grey: uint8 (h, w).

    Returns:
        Negative where the box begins outside; NO_FACE where there is none.
    """
    scale = min(1.0, SEARCH_SIDE / min(grey.shape))
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    side = min(small.shape)
    above = int(0.4 * side)
    mirrored = cv2.copyMakeBorder(small[: int(0.65 * side)], above, 0, 0, 0, cv2.BORDER_REFLECT)
    found = find_faces(np.asarray(mirrored, np.uint8))
    if len(found) == 0:
        return NO_FACE
    _, y, _, height = found[0]  # the surest
    return float(y - above) / float(height)


def prominence(planes: Float64) -> Float64:
    """How plainly something stands out, in octaves: float64 (N,) of colours in stops, float64 (N, h, w, 3)."""
    soft = softened(planes)
    masses = np.sqrt(softened(soft).var(axis=(1, 2)).sum(axis=-1))
    edges = (things(planes) + things(soft)) / 2
    return np.asarray(MASSES * np.log2(masses + LEAST_MASS) - np.log2(edges + LEAST_EDGE))


def things(planes: Float64) -> Float64:
    """Mean step between neighbouring cells, in stops, the middle counted half: float64 (N,)."""
    height, width = planes.shape[1:3]
    y, x = ((np.arange(n) + 0.5) / n - 0.5 for n in (height, width))
    weight = 1 - 0.5 * np.exp(-0.5 * np.add.outer((y / 0.25) ** 2, (x / 0.21) ** 2))
    across, down = weight[:, 1:], weight[1:]
    beside = np.sqrt((np.diff(planes, axis=2) ** 2).sum(axis=-1))
    below = np.sqrt((np.diff(planes, axis=1) ** 2).sum(axis=-1))
    mean = (beside * across).sum(axis=(1, 2)) / max(across.sum(), 1e-9)
    return np.asarray(mean + (below * down).sum(axis=(1, 2)) / max(down.sum(), 1e-9))


def varied_rim(planes: Float64) -> Float64:
    """How varied the uppermost row is against the whole picture: float64 (N,), 0 where one thing lies along it."""
    rim = np.sqrt(planes[:, 0].var(axis=1).sum(axis=-1))
    whole = np.sqrt(planes.var(axis=(1, 2)).sum(axis=-1))
    return np.asarray(rim / (whole + LEAST_EDGE))


def flesh_rim(pictures: NDArray[np.uint8]) -> Float64:
    """How surely something of the colour of skin crosses the upper edge, float64 (N,) in [0, 1].

    It must be redder than most of the picture, so that tinted light is no skin, and stand there by itself: a wall or a
    sunset of that colour reaches one of the corners too. Skin of every tone has nearly one hue; a picture without
    colour has none.

    Args:
        pictures: uint8 (N, h, w, 3), thumbnails.
    """
    red, green, blue = np.moveaxis(np.log2(pictures.astype(np.float64) + 8), -1, 0)
    first, second = red - green, green - blue
    likely = np.exp(-0.5 * (((first - HUE[0]) / SPREAD[0]) ** 2 + ((second - HUE[1]) / SPREAD[1]) ** 2))
    likely *= np.clip((first - np.median(first, axis=(1, 2), keepdims=True)) / REDDER, 0, 1)
    likely *= pictures.mean(axis=-1) > LEAST_LIGHT
    rim = likely[:, :2].mean(axis=1)
    spots = np.lib.stride_tricks.sliding_window_view(rim, min(4, rim.shape[1]), axis=1).mean(axis=-1)
    corners = np.minimum(rim[:, :3].mean(axis=1), rim[:, -3:].mean(axis=1))
    return np.asarray(np.maximum(spots.max(axis=1) - corners, 0))


def head_cut(headroom: Float64, rim: Float64, flesh: Float64) -> Float64:
    """The share of a head that is cut, or seems so, float64 (n,); a crown that only just stays inside counts a little.

    Args:
        headroom: float64 (n,), face heights; NO_FACE where there is none. rim: float64 (n,), as of `varied_rim`.
        flesh: float64 (n,), as of `flesh_rim`; it counts where no face is seen.
    """
    seen = np.isfinite(headroom)
    room = np.where(seen, headroom, 9.0)
    outside = np.clip((CROWN - room) / HEAD, 0, 1)
    close = 0.05 * np.exp(-np.maximum(room - CROWN, 0) / 0.4)
    cut = np.where(seen, outside + close, UNSEEN + FLESH * flesh)
    return np.clip(cut + RIM * np.minimum(rim, 1.5), 0, 1)

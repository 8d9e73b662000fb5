"""Semantics: how far the pictures show what the prompt says, by a network that knows pictures and words (SigLIP, CLIP).

Two frames a second are looked at, each as it is and mirrored; the lesser of the two counts, since a thing mirrored is
the same thing and a word mirrored is none. That and the contrast texts (contrasts.py) keep a prompt that is painted
into the picture from being taken for what it says; whoever paints it both ways round is not found out. Whether
something is done cannot be seen in one picture: `movement` tells how much things move, whatever the camera does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.media.features import stride
from cinereward.networks.clip import ImageText, load_image_text
from cinereward.networks.rows import each, split, stacked
from cinereward.operators.contrasts import KINDS, Choice, choices, shares
from cinereward.operators.tracks import Tracks, join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

RATE = 2.0  # frames a second
GRID = 8  # pixels between the flow vectors that are read
BUSY = 0.9  # of the vectors; the rest is what moves most
OFTEN = 0.75  # of the frames; something is done in a part of them
DOUBT = 0.05  # of a share, however many frames there are
FASTEST = 10.0  # widths / s
MEANT = {
    "whole": "share of the prompt as a whole against other prompts",
    "subject": "share of the things asked for against others, averaged over them",
    "colour": "share of the colours asked for against the ten others, averaged over the things",
    "action": "share of the action asked for against others and none",
    "style": "share of the style asked for against others",
}
LACKS = {
    "whole": "the prompt is empty",
    "subject": "the prompt names no thing",
    "colour": "the prompt gives no thing a colour",
    "action": "the prompt asks for no action",
    "style": "the prompt asks for no style",
}


class Semantics:
    """The prompt's things, colours, action and style against the pictures, and how much things move."""

    spec = OperatorSpec(
        name="semantics",
        measurements=(
            *(MeasurementSpec(name=kind, unit="share", low=0, high=1, meaning=MEANT[kind]) for kind in KINDS),
            MeasurementSpec(
                name="movement", unit="widths / s", low=0, high=FASTEST, meaning="of what moves most, less the camera's"
            ),
        ),
        weights=("siglip2-base",),
        licence="Apache-2.0",
    )

    def __init__(self, device: str | None = None, *, network: ImageText | None = None) -> None:
        """Take the network that is given, or load SigLIP 2."""
        self._network = network if network is not None else load_image_text(device, "siglip2-base")

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """The shares of all that a prompt asks for in the sampled frames, and the movement of every frame."""
        taken = [sampled(window) for window in windows]
        pictures = [window.features["small"][row] for window, rows in zip(windows, taken, strict=True) for row in rows]
        both = [view for picture in pictures for view in (picture, picture[:, ::-1])]
        points = split(each(both, self._network.pictures), [2 * len(rows) for rows in taken])
        return [
            self._partial(window, rows, stacked(found, 1).astype(np.float64))
            for window, rows, found in zip(windows, taken, points, strict=True)
        ]

    def _partial(self, window: Window, rows: Sequence[int], points: Float64) -> Partial:
        asked = choices(window.prompt)
        sounds: dict[str, Any] = {"seen_at": window.times[list(rows)]}
        for kind in KINDS:
            own = [choice for choice in asked if choice.kind == kind]
            sounds[kind] = self._shares(points, own)  # (M, views, choices)
        flow = owned(window.features["flow"], window.overlap)[:, GRID // 2 :: GRID, GRID // 2 :: GRID]
        width = window.features["small"].shape[2]
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={
                "movement": movement(flow.astype(np.float64)) / width * window.fps,
                "thumbs": owned(window.features["thumbs"], window.overlap),
            },
            sounds=sounds,
        )

    def _shares(self, points: Float64, asked: Sequence[Choice]) -> Float64:
        """Float64 (M, 2, C): of each sampled frame, as it is and mirrored, the share of each choice."""
        out = np.zeros((len(points) // 2, 2, len(asked)))
        for at, choice in enumerate(asked if len(points) else ()):
            texts = self._network.texts(choice.texts).astype(np.float64)
            out[:, :, at] = shares(points, texts, self._network.scale).reshape(-1, 2)
        return out

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Shares over the shots, and the movement of the busier frames."""
        tracks = join(partials)
        times = tracks["seen_at"]
        shots = [(shot.first, shot.last) for shot in tracks.shots()]
        values: dict[str, Any] = {}
        courses: dict[str, tuple[Float64, Float64]] = {}
        for kind in KINDS:
            views = tracks[kind]
            if not views.size:
                values[kind] = Measurement(name=kind, value=float("nan"), unit="share", note=LACKS[kind])
                continue
            least = views.min(axis=1)
            value = over_shots(least, times, [tracks.times[list(ends)] for ends in _ends(shots)])
            doubt = float(np.hypot(DOUBT, np.mean(np.ptp(views, axis=1)) / 2))
            spread = float(least.mean(axis=1).std()) / np.sqrt(len(least))
            values[kind] = Measurement(name=kind, value=value, unit="share", std=float(np.hypot(doubt, spread)))
            courses[f"{kind}_track"] = (times, least.mean(axis=1))
        moves = _moves(tracks, shots)
        values["movement"] = float(np.quantile(moves, OFTEN))
        courses["movement_track"] = (tracks.times, moves)
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, values, courses),
        )


def sampled(window: Window) -> list[int]:
    """Rows of the owned frames that are looked at, by absolute index."""
    every = stride(window.fps, RATE)
    return [row for row in range(window.overlap, len(window.times)) if (window.start_frame + row) % every == 0]


def movement(flow: Float64) -> Float64:
    """How fast the busiest tenth moves in each frame, in pixels, float64 (N,), apart from the camera.

    The camera is the affine map that the field follows best: a picture that is panned, zoomed or turned moves as one.

    Args:
        flow: float64 (N, h, w, 2), pixels.
    """
    count, height, width = flow.shape[:3]
    y, x = np.mgrid[:height, :width].reshape(2, -1).astype(np.float64)
    ground = np.stack([np.ones_like(x), x, y], axis=1)
    fields = flow.reshape(count, -1, 2)
    trust = np.ones((count, len(x)))
    left = np.zeros_like(trust)
    for _ in range(4):  # reweighted, so that what moves by itself has no say
        weighed = ground[None] * trust[..., None]
        square = weighed.transpose(0, 2, 1) @ ground + 1e-6 * np.eye(3)
        fit = np.linalg.solve(square, weighed.transpose(0, 2, 1) @ fields)
        left = np.linalg.norm(fields - ground @ fit, axis=2)
        scale = np.median(left, axis=1, keepdims=True) + 0.1
        trust = 1 / (1 + (left / scale) ** 2) ** 2
    busy = np.quantile(left, BUSY, axis=1, keepdims=True)
    top = left >= busy
    return np.asarray((left * top).sum(axis=1) / top.sum(axis=1))


def over_shots(least: Float64, times: Float64, spans: Sequence[Float64]) -> float:
    """The mean over what is asked for; over several shots a thing need not be in each of them.

    So each counts by half over all frames, and by half in the shot that shows it best.

    Args:
        least: float64 (M, C) in [0, 1], C things asked for. times: float64 (M,), s. spans: of each shot, its first
            and last time.
    """
    whole = least.mean(axis=0)
    inside = [(times >= first) & (times <= last) for first, last in spans]
    best = np.stack([least[rows].mean(axis=0) for rows in inside if rows.any()]).max(axis=0)
    return float(np.clip((whole + best) / 2, 0, 1).mean())


def _ends(shots: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(first, last - 1) for first, last in shots]


def _moves(tracks: Tracks, shots: Sequence[tuple[int, int]]) -> Float64:
    """Movement in every frame; across a cut there is none."""
    out = np.minimum(tracks["movement"], FASTEST)
    out[[first for first, _ in shots]] = 0.0
    return np.asarray(out)

"""Continuity across cuts: palette, light, the side things stand on, the way they move; and what flashes or jumps.

Only what can be seen is judged. Two shots that show a part of the same view are compared there, point for point. Of two
shots that share nothing, only their darkest, brightest and greyest parts are compared, which depend the least on what
is shown, and the doubt is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from cinereward.media.likeness import Box, alike, real_shots
from cinereward.media.shots import Shot, change_of_structure, find_shots
from cinereward.operators.tracks import LEAST_FRAMES, Tracks, join, measurements, owned
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]
    UInt8 = NDArray[np.uint8]

View: TypeAlias = "tuple[NDArray[np.float32], UInt8]"

VIEW = (64, 36)  # width, height
NEAR = 2  # shots apart that are compared; neighbours always
FURTHER = 0.4  # what pairs that are no neighbours count for: a viewer compares what follows
RELATED = (0.74, 0.84)  # correlation of views that share nothing at the most, and that surely share something
MIRRORED = 0.08  # by how much the mirror image must be the more alike
CROSSING, DOUBT = 0.1, 0.5  # crossings to be expected where nothing is seen, and how many pairs that counts for
GAMMA = 2.2
SAMPLES = 5  # frames of a shot
EXTREME = 0.2  # share of a shot that counts as its darkest, brightest or greyest part
MOVING = 0.03  # widths / s; slower movement has no direction
FLASH = 0.3  # seconds, or 6 frames: what is shown for longer is a shot
BLANK = 5.0  # levels of contrast under which a frame is empty
CHANGE = 0.3  # change of structure that parts a foreign picture from what is around it
AROUND = 0.3  # seconds on either side that tell what change is usual


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What two shots differ in. apart: 1 for neighbours. related: 0 to 1, whether they show a part of one view."""

    at: float
    apart: int
    related: float
    palette: float
    light: float
    crossed: float
    reversed: float


class Continuity:
    """Pairs of shots compared by their thumbnails and views, and frames that do not belong."""

    spec = OperatorSpec(
        name="continuity",
        measurements=(
            MeasurementSpec(
                name="palette", unit="CIELAB units", low=0, high=300, meaning="shift of a* and b* from shot to shot"
            ),
            MeasurementSpec(
                name="light", unit="stops", low=0, high=16, meaning="difference of level from shot to shot"
            ),
            MeasurementSpec(
                name="crossing",
                unit="share",
                low=0,
                high=1,
                meaning="part of the pairs of shots of one view in which left and right have changed places",
            ),
            MeasurementSpec(
                name="reversal",
                unit="share",
                low=0,
                high=1,
                meaning="part of the cuts between moving shots at which the movement turns round",
            ),
            MeasurementSpec(
                name="flash", unit="s", low=0, high=1e6, meaning="time of empty or foreign frames between or in shots"
            ),
            MeasurementSpec(
                name="jump", unit="1 - correlation", low=0, high=2, meaning="largest sudden change inside a shot"
            ),
        ),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """Thumbnails and the way of every frame; views of the sampled ones."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        overlap = window.overlap
        flow = owned(window.features["flow"], overlap)[:, ::8, ::8, 0].astype(np.float64)
        speed = np.median(flow.reshape(len(flow), -1), axis=1) / window.features["grey"].shape[2] * window.fps
        keys = window.features["keys"]
        views = [cv2.resize(window.features["grey"][row], VIEW, interpolation=cv2.INTER_AREA) for row in keys]
        return Partial(
            times=owned(window.times, overlap),
            fps=window.fps,
            tracks={"thumbs": owned(window.features["thumbs"], overlap), "way": speed},
            # rows of their own: one for each sampled frame
            sounds={
                "views": np.array(views, np.uint8).reshape(-1, VIEW[1], VIEW[0]),
                "seen": np.asarray(keys + window.start_frame, np.int64),
            },
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Pairs of shots, flashes and jumps of the whole clip."""
        tracks = join(partials)
        change = _changes(tracks["thumbs"])
        flashed = flashes(tracks, change)
        thumbs = _held(tracks["thumbs"], flashed)
        if flashed.any():
            change = _changes(thumbs)
        found = find_shots(tracks.times, thumbs, tracks.fps)
        shots = real_shots(found, thumbs)
        pairs = _pairs(tracks, thumbs, shots)
        jumps = _jumps(tracks, change, found, shots)
        values: dict[str, Any] = _across(pairs)
        values["flash"] = float(flashed.sum()) / tracks.fps
        values["jump"] = float(jumps.max(initial=0.0))
        if len(tracks.times) < LEAST_FRAMES:
            told = f"{len(tracks.times)} frames; a jump is a matter of at least {LEAST_FRAMES}"
            values["jump"] = Measurement(name="jump", value=np.nan, unit="1 - correlation", note=told)
        cuts = [pair for pair in pairs if pair.apart == 1]
        at = np.array([pair.at for pair in cuts])
        courses = {
            f"{name}_track": (at, np.array([getattr(pair, field) for pair in cuts]))
            for name, field in (("palette", "palette"), ("light", "light"), ("crossing", "crossed"))
        }
        courses["flash_track"] = (tracks.times, flashed.astype(np.float64) / tracks.fps)
        courses["jump_track"] = (tracks.times, jumps)
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(self.spec, values, courses),
        )


# --- pairs of shots ---


def _pairs(tracks: Tracks, thumbs: UInt8, shots: Sequence[Shot]) -> list[Pair]:
    """Neighbouring shots, and those a shot apart that show a part of one view."""
    picture = tracks.picture()
    rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
    frame = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    looks = [_Look.of(tracks, thumbs, shot, frame) for shot in shots]
    pairs = []
    for apart in range(1, NEAR + 1):
        for first, second in zip(looks, looks[apart:], strict=False):
            pair = first.beside(second, apart)
            if apart == 1 or pair.related > 0:
                pairs.append(pair)
    return pairs


@dataclass(frozen=True, kw_only=True, eq=False)
class _Look:
    """What a shot looks like.

    views: the first and the last, each float32 (36, 64) luma without coarse light, and uint8 (36, 64, 3) colours. lab:
    float64 (N, 3). stops: float64 (N,). way: sideways, in widths / s.
    """

    start: float
    views: list[View]
    lab: Float64
    stops: Float64
    way: float

    @classmethod
    def of(cls, tracks: Tracks, thumbs: UInt8, shot: Shot, frame: tuple[slice, slice]) -> _Look:
        seen = np.flatnonzero((tracks["seen"] >= shot.first) & (tracks["seen"] < shot.last))
        if len(seen) == 0:  # a shot between two samples is known by the nearest
            seen = np.array([np.abs(tracks["seen"] - (shot.first + shot.last) // 2).argmin()])
        views = []
        for row in sorted({int(seen[0]), int(seen[-1])}):
            view = tracks["views"][row][frame[0].start * 2 : frame[0].stop * 2, frame[1].start * 2 : frame[1].stop * 2]
            levels = cv2.resize(view, VIEW, interpolation=cv2.INTER_LINEAR).astype(np.float32)
            fine = cv2.GaussianBlur(levels, (0, 0), 0.8) - cv2.GaussianBlur(levels, (0, 0), 3.0)
            colours = np.ascontiguousarray(thumbs[int(tracks["seen"][row])][frame])
            views.append((fine, np.asarray(cv2.resize(colours, VIEW, interpolation=cv2.INTER_LINEAR), np.uint8)))
        sampled = thumbs[np.unique(np.linspace(shot.first, shot.last - 1, SAMPLES).astype(int))]
        colours = np.ascontiguousarray(sampled[:, frame[0], frame[1]]).reshape(1, -1, 3)
        inner = tracks["way"][shot.first + 1 : shot.last]
        return cls(
            start=shot.start,
            views=views,
            lab=_lab(colours),
            stops=_stops(colours),
            way=float(np.nan_to_num(np.median(inner))) if len(inner) else 0.0,
        )

    def beside(self, later: _Look, apart: int) -> Pair:
        """What differs between this shot and a later one."""
        best, plain, mirror = 0.0, 0.0, 0.0
        match: tuple[UInt8, UInt8, Box, Box] | None = None
        sought = [(self.views[-1], later.views[0]), (self.views[0], later.views[-1])][: 3 - apart]
        for (a, colours_a), (b, colours_b) in sought:
            if best >= RELATED[1]:
                break
            for turned in (False, True):
                other = np.ascontiguousarray(b[:, ::-1]) if turned else b
                score, box, there = alike(a, other)
                plain, mirror = (plain, max(mirror, score)) if turned else (max(plain, score), mirror)
                if score > best:
                    best, match = score, (colours_a, colours_b[:, ::-1] if turned else colours_b, box, there)
        related = float(np.clip((best - RELATED[0]) / (RELATED[1] - RELATED[0]), 0, 1))
        palette, light = _extremes_apart(self, later)
        if match is not None and related > 0:
            seen = [_within(colours, box) for colours, box in ((match[0], match[2]), (match[1], match[3]))]
            here, there_lab = (_lab(part).mean(axis=0)[1:] for part in seen)
            palette += related * (float(np.hypot(*(here - there_lab))) - palette)
            light += related * (abs(float(np.mean(_stops(seen[0])) - np.mean(_stops(seen[1])))) - light)
        moving = min(abs(self.way), abs(later.way))
        return Pair(
            at=later.start,
            apart=apart,
            related=related,
            palette=palette,
            light=light,
            crossed=float(mirror - plain > MIRRORED),
            reversed=float("nan") if moving < MOVING else float(self.way * later.way < 0),
        )


def _within(colours: UInt8, box: Box) -> UInt8:
    top, left, height, width = box
    return np.ascontiguousarray(colours[top : top + height, left : left + width]).reshape(1, -1, 3)


def _lab(colours: UInt8) -> Float64:
    """CIELAB float64 (N, 3) of colours uint8 (1, N, 3)."""
    return np.asarray(cv2.cvtColor(colours.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0], np.float64)


def _stops(colours: UInt8) -> Float64:
    """Light in stops under full white, float64 (N,), of colours uint8 (1, N, 3)."""
    light = (colours[0].astype(np.float64) / 255) ** GAMMA @ np.array([0.2126, 0.7152, 0.0722])
    return np.asarray(np.log2(light + 0.002))


def _extremes_apart(first: _Look, second: _Look) -> tuple[float, float]:
    """How far two shots are apart in colour and in light, by the parts that depend the least on what is shown.

    A cast shifts black, white and grey, whatever else is there; a stop moves the white of the picture.
    """
    shifts, points = [], []
    for look in (first, second):
        by_light, by_chroma = np.argsort(look.lab[:, 0], kind="stable"), np.hypot(look.lab[:, 1], look.lab[:, 2])
        count = max(1, round(EXTREME * len(by_light)))
        parts = (by_light[:count], by_light[-count:], np.argsort(by_chroma, kind="stable")[:count])
        shifts.append(np.stack([look.lab[part, 1:].mean(axis=0) for part in parts]))
        points.append(np.quantile(look.stops, [0.5, 0.9, 0.97]))
    palette = float(np.hypot(*(shifts[0] - shifts[1]).T).mean())
    return palette, float(np.abs(points[0] - points[1]) @ np.array([0.25, 0.25, 0.5]))


def _across(pairs: Sequence[Pair]) -> dict[str, Measurement]:
    """The measurements of all pairs together."""
    sure = np.array([pair.related for pair in pairs])
    weight = (0.3 + 0.7 * sure) * [1.0 if pair.apart == 1 else FURTHER for pair in pairs]
    unsure = float(np.average(1 - sure, weights=weight)) if pairs else 0.0
    note = "" if pairs else "one shot; there is no cut to look across"
    out = {}
    for name, unit, doubt in (("palette", "CIELAB units", 4.0), ("light", "stops", 0.5)):
        value = float(np.average([getattr(pair, name) for pair in pairs], weights=weight)) if pairs else 0.0
        std = doubt * unsure / np.sqrt(max(len(pairs), 1))
        out[name] = Measurement(name=name, value=value, unit=unit, std=float(std), note=note)
    total = float(sure.sum()) + DOUBT
    crossing = (float(sure @ [pair.crossed for pair in pairs]) + DOUBT * CROSSING) / total if pairs else 0.0
    out["crossing"] = Measurement(
        name="crossing",
        value=crossing,
        unit="share",
        std=0.2 * DOUBT / total if pairs else 0.0,
        note=note or ("" if sure.any() else "no two shots show a part of one view; who stands where cannot be told"),
    )
    turns = np.array([pair.reversed for pair in pairs if pair.apart == 1 and not np.isnan(pair.reversed)])
    out["reversal"] = Measurement(
        name="reversal",
        value=float(turns.sum()) / (len(turns) + 1),
        unit="share",
        std=0.25 / np.sqrt(len(turns)) if len(turns) else 0.0,
        note=note or ("" if len(turns) else "no two neighbouring shots move sideways"),
    )
    return out


# --- frames that do not belong ---


def flashes(tracks: Tracks, change: Float64) -> NDArray[np.bool_]:
    """Which frames are a flash, bool (N,): empty or foreign pictures, few together, that come and go at once."""
    luma = tracks.luma()[:, tracks.picture()]
    level, contrast = luma.mean(axis=1), luma.std(axis=1)
    empty = (contrast < BLANK) & ((level < 20) | (level > 235))
    longest = max(6, round(FLASH * tracks.fps))
    out = np.zeros(len(level), bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], empty.astype(int), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        inside = first > 0 and last < len(level) and last - first <= longest
        # a fade goes through dim frames, a flash does not
        if inside and all(contrast[t] > 2 * BLANK or abs(level[t] - level[first]) > 25 for t in (first - 1, last)):
            out[first:last] = True
    reach = max(2, round(AROUND * tracks.fps))
    for first, last in itertools.pairwise(np.flatnonzero(change >= CHANGE).tolist()):
        if last - first > max(2, round(FLASH * tracks.fps)):
            continue
        start = max(1, first - reach)
        around = change[start : last + reach].copy()
        around[[first - start, last - start]] = 0.0
        if around.max() < 0.4 * min(change[first], change[last]):
            out[first:last] = True
    return out


def _held(thumbs: UInt8, flashed: NDArray[np.bool_]) -> UInt8:
    """Thumbnails with the frame before in the place of each flash."""
    at = np.where(flashed, 0, np.arange(len(thumbs)))
    return np.asarray(thumbs[np.maximum.accumulate(at)])


def _changes(thumbs: UInt8) -> Float64:
    """Change of structure from the frame before, float64 (N,), 0 for the first."""
    blocks = [slice(at, at + 512) for at in range(0, len(thumbs) - 1, 512)]
    return np.concatenate([[0.0], *(change_of_structure(thumbs[1:][part], thumbs[:-1][part]) for part in blocks)])


def _jumps(tracks: Tracks, change: Float64, found: Sequence[Shot], shots: Sequence[Shot]) -> Float64:
    """By how much each frame's change of structure exceeds all others around it; 0 at cuts between true shots."""
    change = change.copy()
    for cut in (shot.first for shot in found):
        if not any(shot.first < cut < shot.last for shot in shots):
            change[cut] = 0.0
    reach = max(2, round(AROUND * tracks.fps))
    jumps = np.zeros(len(change))
    for t in np.flatnonzero(change > 0.01):
        beside = np.concatenate([change[max(1, t - reach) : t], change[t + 1 : t + 1 + reach]])
        jumps[t] = min(2.0, max(0.0, change[t] - beside.max(initial=0.0)))
    return jumps

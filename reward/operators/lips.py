"""Lip-sync: does the mouth move when the voice does, and by how much is the sound late or early.

How fast the mouth moves is set against how loud the voice is and how fast its spectrum changes. Without weights no
sound can be read off the lips, so that much rests on how long a face is seen: the doubt is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from cinereward.media.hops import pieces
from cinereward.media.shots import Shot
from cinereward.operators.tracks import Tracks, join, measurements, owned, smooth
from cinereward.types import Evidence, Measurement, MeasurementSpec, OperatorSpec, Partial, Sound, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    Int64 = NDArray[np.int64]

SMALLER = 4  # pixels of `grey` to one of the picture that is kept
FACES = 3  # of a frame that are kept
HOP, PIECE = 160, 512  # 10 ms and 32 ms at 16 kHz
EDGES = 150.0 * (6000 / 150) ** (np.arange(13) / 12)  # Hz; twelve bands
VOICE = slice(2, 10)  # those of 280 to 3240 Hz
CROP = (40, 52)  # width and height that a face is brought to; its box is 40 x 40 of them
MOUTH = (slice(30, 47), slice(11, 29))
HEAD = (slice(4, 24), slice(8, 32))
UPPER = slice(2, 30)  # what a face is held still by: all above the mouth
HEAD_SHARE = 0.5  # of the head's movement that is taken from the mouth's
LEAST_MOTION = 0.15  # % of luma from frame to frame; less is no movement
SLOW = 1.2  # s; slower changes of movement and level are not speech
STILL, EVEN = 0.03, 0.02  # deviations of movement and of sound that are next to none
LEADS = 0.02  # s by which a mouth moves before it is heard
REACH, STEP = 0.8, 0.02  # s of offset that are looked at
RATE = 6.0  # independent moments a second, for what a correlation is worth
USUAL = 0.4  # s; offsets are expected to lie within, before anything is measured
NEAR = (-0.15, 0.25)  # s in which mouth and voice are taken to agree
GAP, BEYOND = 1.6, 0.5  # s between two boxes of one face; s for which a face is there before and after
LEAST_SEEN = 1.0  # s of face and sound that tell something


class Lips:
    """Movement about the mouth of the face that leads each shot, against the voice's level and its change."""

    spec = OperatorSpec(
        name="lips",
        measurements=(
            MeasurementSpec(name="offset", unit="ms", low=-800, high=800, meaning="by how much the sound is late"),
            MeasurementSpec(
                name="late", unit="ms", low=0, high=800, meaning="how late the sound is, expected over what may be"
            ),
            MeasurementSpec(
                name="early", unit="ms", low=0, high=800, meaning="how early the sound is, expected over what may be"
            ),
            MeasurementSpec(
                name="agreement",
                unit="correlation",
                low=-1,
                high=1,
                meaning="of the mouth's movement with the voice, where offsets are small",
            ),
            MeasurementSpec(
                name="faces", unit="share", low=0, high=1, meaning="part of the running time with a face to be seen"
            ),
        ),
        needs=frozenset({"frames", "sound", "faces"}),
    )

    def measure(self, windows: Sequence[Window]) -> list[Partial]:
        """A small picture of every frame, boxes of faces, and the sound's bands."""
        return [self._measure(window) for window in windows]

    def _measure(self, window: Window) -> Partial:
        grey = owned(window.features["grey"], window.overlap)
        boxes = np.zeros((len(grey), FACES, 4), np.int16)
        heard = window.sound is not None
        for row, found in window.features["faces"].items() if heard else ():
            boxes[row - window.overlap, : len(found)] = found[:FACES]
        size = tuple(max(1, round(side / SMALLER)) for side in grey.shape[:0:-1])
        small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in grey if heard]
        return Partial(
            times=owned(window.times, window.overlap),
            fps=window.fps,
            tracks={
                "picture": np.stack(small) if heard else np.zeros((len(grey), 0, 0), np.uint8),
                "boxes": boxes,
                "thumbs": owned(window.features["thumbs"], window.overlap),
            },
            sounds={"bands": bands(window.sound)},
        )

    def merge(self, partials: Sequence[Partial]) -> Evidence:
        """Faces followed inside shots, their mouths set against the sound at every offset."""
        tracks = join(partials)
        leads = [found for shot in tracks.shots() if (found := leading(tracks, shot)) is not None]
        level, change = voice(tracks["bands"].astype(np.float64))
        seen = sum(len(lead.mouth) for lead in leads) / tracks.fps
        offsets: Float64 = STEP * np.arange(-round(REACH / STEP), round(REACH / STEP) + 1, dtype=np.float64)
        curve = np.mean([correlation(tracks.times, leads, cue, offsets, tracks.fps) for cue in (level, change)], axis=0)
        chance = belief(curve, offsets, seen)
        doubt = 1 / np.sqrt(1 + RATE * seen)
        known = seen >= LEAST_SEEN and bool(curve.any())
        near = curve[(offsets >= NEAR[0] - 1e-9) & (offsets <= NEAR[1] + 1e-9)]
        note = "" if known else _lack(tracks, leads, seen, curve)
        best = peak(np.log(chance + 1e-300), offsets) if known else np.nan
        late, early = (float(chance @ np.maximum(sign * offsets, 0)) for sign in (1, -1))
        spread = float(np.sqrt(chance @ (offsets - chance @ offsets) ** 2))

        def told(name: str, value: float, std: float) -> Measurement:
            unit = next(item.unit for item in self.spec.measurements if item.name == name)
            return Measurement(name=name, value=value, unit=unit, std=std, note=note)

        there = np.zeros(len(tracks.times))
        for lead in leads:
            there[lead.first : lead.first + len(lead.mouth)] = 1.0
        return Evidence(
            operator=self.spec.name,
            version=self.spec.version,
            measurements=measurements(
                self.spec,
                {
                    "offset": told("offset", 1e3 * best, 1e3 * spread if known else 0.0),
                    "late": told("late", 1e3 * late, 0.5e3 * spread),
                    "early": told("early", 1e3 * early, 0.5e3 * spread),
                    "agreement": told("agreement", float(near.max()) if known else 0.0, doubt),
                    "faces": told("faces", float(there.mean()) if len(level) else np.nan, 0.0),
                },
                {"faces_track": (tracks.times, there)},
            ),
        )


class Lead(NamedTuple):
    """The face that leads a shot: its first frame, and how its mouth moves from each frame to the next (N,)."""

    first: int
    mouth: Float64


def _lack(tracks: Tracks, leads: list[Lead], seen: float, curve: Float64) -> str:
    if not len(tracks["bands"]):
        return "there is no sound"
    if not leads:
        return "no face is seen"
    if seen < LEAST_SEEN:
        return f"a face is seen for {seen:.1f} s; at least {LEAST_SEEN:.0f} s tell something"
    return "nothing moves, or nothing is heard" if not curve.any() else ""


# --- the sound ---


def bands(sound: Sound | None) -> Float32:
    """Cube root of the power in twelve bands, every 10 ms: float32 (M, 12); row k is centred at k * 10 - 6 ms.

    The cube root makes of power about what the ear makes of it: loudness.
    """
    if sound is None:
        return np.zeros((0, len(EDGES) - 1), np.float32)
    hertz = np.fft.rfftfreq(PIECE, 1 / sound.sample_rate)
    inside = (hertz[None] >= EDGES[:-1, None]) & (hertz[None] < EDGES[1:, None])
    shaped = pieces(sound, HOP, PIECE).astype(np.float64) * np.hanning(PIECE)
    power = np.abs(np.fft.rfft(shaped, axis=1)) ** 2
    means = np.stack([power[:, band].mean(axis=1) for band in inside], axis=1)
    return np.asarray(np.cbrt(means), np.float32)


def voice(levels: Float64) -> tuple[Float64, Float64]:
    """How loud the voice is, and how fast its spectrum changes: float64 (M,) each, in shares of its loud moments."""
    if not len(levels):
        return np.zeros(0), np.zeros(0)
    loud = max(float(np.quantile(levels.mean(axis=1), 0.95)), 1e-9)
    levels = levels / loud
    level = _eased(levels[:, VOICE].mean(axis=1), 4.0)
    even = np.stack([_eased(band, 2.0) for band in levels.T], axis=1)
    padded = np.pad(even, ((3, 3), (0, 0)), mode="edge")
    change = _eased(np.sqrt(np.mean((padded[6:] - padded[:-6]) ** 2, axis=1)), 2.0)
    return level, change


def _eased(values: Float64, sigma: float) -> Float64:
    """A Gaussian mean along the axis; at the ends, of what is there."""
    reach = max(1, round(3 * sigma))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weight = np.convolve(np.ones(len(values)), bell)[reach : reach + len(values)]
    return np.asarray(np.convolve(values, bell)[reach : reach + len(values)] / weight)


# --- the face ---


def leading(tracks: Tracks, shot: Shot) -> Lead | None:
    """The face that is largest for longest in a shot; of about equal ones, that whose mouth moves most."""
    chains = followed(tracks, shot)
    weights = [float(path[:, 2].sum()) for _, path in chains]
    leads = []
    for (first, path), weight in zip(chains, weights, strict=True):
        if weight >= 0.5 * max(weights):
            mouth, head = movement(tracks["picture"][first : first + len(path)], path / SMALLER)
            leads.append((float(np.mean(np.log((mouth + LEAST_MOTION) / (head + LEAST_MOTION)))), first, mouth, head))
    if not leads:
        return None
    _, first, mouth, head = max(leads, key=lambda item: item[0])
    return Lead(first, alone(mouth, head))


def followed(tracks: Tracks, shot: Shot) -> list[tuple[int, Float64]]:
    """Faces of a shot from box to box: first frame, and float64 (N, 3): middle x, y and width, in pixels of `grey`."""
    chains: list[list[tuple[int, Float64]]] = []
    boxes = tracks["boxes"][shot.first : shot.last].astype(np.float64)
    for row in np.flatnonzero(boxes[:, 0, 2]):
        for x, y, width, height in boxes[row][boxes[row][:, 2] > 0]:
            seen = np.array([x + width / 2, y + height / 2, width])
            for chain in chains:
                before, last = chain[-1]
                near = np.hypot(*(seen - last)[:2]) < 0.6 * last[2] and 0.6 < seen[2] / last[2] < 1.6
                if near and 0 < row - before <= GAP * tracks.fps:
                    chain.append((int(row), seen))
                    break
            else:
                chains.append([(int(row), seen)])
    out = []
    for chain in chains:
        rows, places = np.array([row for row, _ in chain]), np.stack([place for _, place in chain])
        if len(chain) > 2:
            places[1:-1] = np.median(np.stack([places[:-2], places[1:-1], places[2:]]), axis=0)
        around = round(BEYOND * tracks.fps)
        at = np.arange(max(0, rows[0] - around), min(len(boxes), rows[-1] + around + 1))
        path = np.stack([np.interp(at, rows, place) for place in places.T], axis=1)
        if len(at) > 1 and (len(chain) > 1 or len(boxes) <= GAP * tracks.fps):
            out.append((shot.first + int(at[0]), smooth(path, 0.2 * tracks.fps)))
    return out


def movement(pictures: NDArray[np.uint8], path: Float64) -> tuple[Float64, Float64]:
    """How much mouth and head change from frame to frame once the face is held still, in % of the face's luma.

    Args:
        pictures: uint8 (N, h, w). path: float64 (N, 3): middle x, y and width of the face, in their pixels.

    Returns:
        Two float64 (N,), of the mouth and of the face above it; the first value repeats the second.
    """
    window = cv2.createHanningWindow((CROP[0], UPPER.stop - UPPER.start), cv2.CV_32F)
    moved, held = np.zeros(2), np.zeros(0, np.float32)
    mouth, head = np.zeros(len(pictures)), np.zeros(len(pictures))
    before = np.zeros(0, np.float32)
    for row, (picture, place) in enumerate(zip(pictures, path, strict=True)):
        face = _crop(picture, place, moved)
        for _ in range(2 if row else 0):
            shift, _ = cv2.phaseCorrelate(held, np.ascontiguousarray(face[UPPER]), window)
            if max(abs(shift[0]), abs(shift[1])) > 6:
                break
            moved = np.clip(moved + np.array(shift) / CROP[0], -0.25, 0.25)
            face = _crop(picture, place, moved)
        held = face[UPPER].copy() if row == 0 else 0.9 * held + 0.1 * face[UPPER]
        even = face * (100 / max(float(face[4:46, 6:34].mean()), 1.0))
        if row:
            change = np.abs(even - before)
            mouth[row], head[row] = change[MOUTH].mean(), change[HEAD].mean()
        before = even
    mouth[:1], head[:1] = mouth[1:2], head[1:2]
    return mouth, head


def _crop(picture: NDArray[np.uint8], place: Float64, moved: Float64) -> Float32:
    """The face, from forehead to chin, as float32 (52, 40); `moved` in widths of the face."""
    middle, width = place[:2] + moved * place[2], place[2]
    scale = width / CROP[0]
    corner = middle - 0.5 * width + 0.5 * scale - 0.5
    matrix = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(picture.astype(np.float32), matrix, CROP, flags=flags, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )


def alone(mouth: Float64, head: Float64) -> Float64:
    """The mouth's movement, in logarithms, less what goes with the head's."""
    logs = [np.log(moving + 0.5 * np.median(moving) + LEAST_MOTION) for moving in (mouth, head)]
    lips, whole = (each - each.mean() for each in logs)
    along = float(np.clip(whole @ lips / (whole @ whole + 1e-9), 0, 1))
    return np.asarray(lips - HEAD_SHARE * along * whole)


# --- both ---


def correlation(times: Float64, leads: list[Lead], cue: Float64, offsets: Float64, fps: float) -> Float64:
    """Of the mouths' movement with one course of the sound, float64 (K,), for each offset in s; 0 where too little is.

    What hardly varies correlates with nothing: variances have a floor.
    """
    if not leads or not len(cue):
        return np.zeros(len(offsets))
    swings = [_eased(lead.mouth, 0.04 * fps) - _eased(lead.mouth, SLOW * fps) for lead in leads]
    moves = np.concatenate(swings)
    rows = np.concatenate([lead.first + np.arange(len(lead.mouth)) for lead in leads])
    heard = cue - _eased(cue, SLOW * 100)
    grid = (np.arange(1, len(cue) + 1) * HOP - PIECE / 2) / 16_000
    at = times[rows] - 0.5 / fps + LEADS
    out = np.zeros(len(offsets))
    for k, offset in enumerate(offsets):
        there = (at + offset >= grid[0]) & (at + offset <= grid[-1])
        if there.sum() >= 0.5 * len(at):
            a, b = moves[there], np.interp(at[there] + offset, grid, heard)
            a, b = a - a.mean(), b - b.mean()
            out[k] = np.mean(a * b) / np.sqrt((np.mean(a * a) + STILL**2) * (np.mean(b * b) + EVEN**2))
    return out


def belief(curve: Float64, offsets: Float64, seen: float) -> Float64:
    """How likely each offset is, float64 (K,), sum 1: correlations of so many independent moments, and what is usual.

    Source: the likelihood of a linear model whose variance is not known, (1 - r ** 2) ** (-n / 2), for r > 0.
    """
    logs = -0.5 * RATE * seen * np.log1p(-(np.clip(curve, 0, 0.97) ** 2)) - 0.5 * (offsets / USUAL) ** 2
    chance = np.exp(logs - logs.max())
    return np.asarray(chance / chance.sum())


def peak(curve: Float64, offsets: Float64) -> float:
    """Where the curve is highest, between its points too, by a parabola through three."""
    top = int(np.argmax(curve))
    if not 0 < top < len(curve) - 1:
        return float(offsets[top])
    left, middle, right = curve[top - 1 : top + 2]
    bend = left - 2 * middle + right
    return float(offsets[top] + (STEP * 0.5 * (left - right) / bend if bend < 0 else 0.0))

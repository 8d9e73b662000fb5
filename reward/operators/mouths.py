"""Faces as SyncNet wants to see them: pictures kept at 25 a second, boxes followed inside shots, crops of 224 x 224.

Where a face is in a frame is known only once its neighbours in time are, since boxes come six times a second and are
smoothed; a window may be one frame long. So windows keep every picture small, as JPEG, and crops are taken when the
whole clip is there. Long films are looked at in samples, by the clock: memory is bounded, and windows of any length
agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cinereward.media.features import KEY_RATE, stride
from cinereward.networks.syncnet import FPS, RATE, SAMPLES, SIDE
from cinereward.operators.faces_follow import Seen, follow, shot_of_keys
from cinereward.operators.tracks import Tracks
from cinereward.types import Partial, Sound, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.networks.faces import Found

    Float64 = NDArray[np.float64]
    Int16 = NDArray[np.int16]
    Int64 = NDArray[np.int64]
    UInt8 = NDArray[np.uint8]

AREA = 640 * 360  # pixels of a kept picture
QUALITIES, MOST = (92, 70, 40), 100_000  # of its JPEG: the first that comes to no more bytes than this, or the last
WHOLE = 120 * FPS  # pictures that are all kept; of what comes after, stretches of
LOOK, GROWTH = 6 * FPS, 1.15  # so many, each beginning this much later than the one before
MARGIN = FPS  # pictures of sound kept to either side of a stretch: shifts reach 15, and a row 5 further
MEDIAN = 13  # pictures that places and sizes are medians of; the original's
ROOM, GREY = 0.40, 110  # about the face, in halves of its box; level of what lies outside the picture; the original's


class Stretch(NamedTuple):
    """A part of the clip that is looked at: pictures [first, last) at 25 a second, and its sound from `heard` on."""

    first: int
    last: int

    @property
    def heard(self) -> int:
        """The picture that the kept sound begins with."""
        return max(0, self.first - MARGIN)


class Track(NamedTuple):
    """One face inside one shot: its first picture at 25 a second, and a box for each, in heights of the frame (N, 4).

    pixels: its usual side in the clip's own pixels.
    """

    first: int
    boxes: Float64
    pixels: float

    @property
    def last(self) -> int:
        """The picture after its last."""
        return self.first + len(self.boxes)


# --- what is kept of a window ---


def looked(seconds: float) -> list[Stretch]:
    """What is looked at of a clip of so many seconds: all of two minutes, then six seconds ever more rarely.

    Four hours come to under six minutes.
    """
    out, end = [Stretch(0, WHOLE)], seconds * FPS
    while True:
        first = round(WHOLE * GROWTH ** len(out))
        if first >= end:
            return out
        out.append(Stretch(first, first + LOOK))


def kept_rows(window: Window) -> Int64:
    """Rows of the frames that a picture at 25 a second may be taken from, where the clip is looked at."""
    times = window.times
    pictures = np.rint(times * FPS)
    near = np.abs(pictures / FPS - times) <= 0.5 / window.fps + 1e-6
    within = np.zeros(len(times), bool)
    for stretch in looked(float(times[-1]) + 1):
        within |= (pictures >= stretch.first) & (pictures <= stretch.last)
    return np.asarray([row for row in np.flatnonzero(near & within) if row >= window.overlap], np.int64)


def kept_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) of a kept picture; never enlarged."""
    scale = min(1.0, (AREA / (height * width)) ** 0.5)
    return max(1, round(width * scale)), max(1, round(height * scale))


def encoded(frame: UInt8) -> UInt8:
    """A frame (H, W, 3), RGB, small and as JPEG: uint8 (bytes,)."""
    size = kept_size(*frame.shape[:2])
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    colours = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    code = np.zeros(0, np.uint8)
    for quality in QUALITIES:
        _, made = cv2.imencode(
            ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality, *colours]
        )
        code = np.asarray(made, np.uint8).ravel()
        if len(code) <= MOST:
            break
    return code


def decoded(code: UInt8) -> UInt8:
    """A kept picture: uint8 (h, w, 3), BGR."""
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)


def looked_at(window: Window, found: Found) -> Found:
    """The faces of those key frames that lie where the clip is looked at."""
    pictures = window.times * FPS
    spans = looked(float(window.times[-1]) + 1)
    return {row: faces for row, faces in found.items() if any(s.first <= pictures[row] <= s.last for s in spans)}


def kept_sound(sound: Sound) -> Int16:
    """The sound about the stretches that are looked at, in 16 bits: int16 (N,)."""
    start = round(sound.start * sound.sample_rate)
    samples = sound.samples[sound.lead :]
    spans = [_span(stretch) for stretch in looked((start + len(samples)) / RATE + 2)]
    parts = [samples[max(0, first - start) : max(0, last - start)] for first, last in spans]
    return np.asarray(np.clip(np.rint(np.concatenate(parts) * 32768.0), -32768, 32767), np.int16)


def sounds_of(kept: Int16) -> list[tuple[Stretch, Int16]]:
    """The kept sound of a clip, by stretches; those with none are left out.

    Args:
        kept: int16 (N,), all of the clip's `kept_sound` in order.
    """
    out: list[tuple[Stretch, Int16]] = []
    used = 0
    while used < len(kept):
        stretch = looked((1 + WHOLE * GROWTH ** len(out)) / FPS)[len(out)]
        first, last = _span(stretch)
        out.append((stretch, kept[used : used + last - first]))
        used += last - first
    return out


def _span(stretch: Stretch) -> tuple[int, int]:
    return stretch.heard * SAMPLES, (stretch.last + MARGIN) * SAMPLES


# --- faces over time ---


def face_tracks(seen: Seen, tracks: Tracks, fps: float) -> list[Track]:
    """Faces followed inside shots, with a box for every picture at 25 a second from the first box to the last.

    A face counts as there until half a step of the key frames beyond where it was found, and to the edge of the shot
    where that is no more than a step away.

    Args:
        seen: the clip's faces. tracks: with "thumbs", for the shots. fps: of the clip.
    """
    shots, step = tracks.shots(), stride(fps, KEY_RATE) / fps
    out = []
    for path in follow(seen, shot_of_keys(seen, tracks)):
        shot, at, boxes = shots[path.shot], seen.times[seen.at[path.rows]], seen.box[path.rows]
        begin = shot.start if at[0] - shot.start <= step + 1e-6 else at[0] - step / 2
        end = shot.end if shot.end - at[-1] <= step + 1 / fps + 1e-6 else at[-1] + step / 2
        pictures = np.arange(int(np.ceil(begin * FPS - 1e-6)), int(np.ceil(end * FPS - 1e-6)))
        sides = [np.interp(pictures / FPS, at, side) for side in boxes.T]
        if len(pictures):
            pixels = float(np.median(seen.pixels[path.rows]))
            out.append(Track(int(pictures[0]), np.stack(sides, axis=1), pixels))
    return sorted(out, key=lambda track: (track.first, -track.pixels))


# --- crops ---


def places(boxes: Float64) -> Float64:
    """Middle x, y and half the longer side of each box, float64 (N, 3), each the median of thirteen pictures.

    The original takes what lies before the first and after the last box for 0, which draws the first and last six crops
    into the picture's corner; here the end boxes are repeated.

    Args:
        boxes: float64 (N, 4), x0, y0, x1, y1.
    """
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.max(boxes[:, 2:] - boxes[:, :2], axis=1, keepdims=True) / 2
    padded = np.pad(np.concatenate([middle, half], axis=1), ((MEDIAN // 2, MEDIAN // 2), (0, 0)), mode="edge")
    return np.asarray(np.median(sliding_window_view(padded, MEDIAN, axis=0), axis=2))


def crop(picture: UInt8, place: Float64) -> UInt8:
    """The face at a place (middle x, y, half side; pixels), with room about it: uint8 (224, 224, 3).

    Source: crop_video of run_pipeline.py in joonson/syncnet_python.
    """
    height, width = picture.shape[:2]
    x, y = np.clip(place[:2], 0, (width, height)).tolist()  # a box may reach far beyond the frame
    half = float(min(place[2], max(height, width)))
    room = int(half * (1 + 2 * ROOM))
    top, bottom = int(y + room - half), int(y + room + half * (1 + 2 * ROOM))
    left, right = int(x + room - half * (1 + ROOM)), int(x + room + half * (1 + ROOM))
    padded = cv2.copyMakeBorder(picture, room, room, room, room, cv2.BORDER_CONSTANT, value=(GREY, GREY, GREY))
    face = padded[max(top, 0) : bottom, max(left, 0) : right]
    if face.size == 0:  # a box of less than a pixel
        return np.full((SIDE, SIDE, 3), GREY, np.uint8)
    return np.asarray(cv2.resize(face, (SIDE, SIDE)), np.uint8)


class Pictures:
    """The kept pictures of one clip at 25 a second, by the clock, the nearest in time for each.

    count: how many the clip has, those included that were not kept.
    """

    def __init__(self, partials: Sequence[Partial]) -> None:
        self._codes: list[UInt8] = []
        times = [np.zeros(0)]
        for partial in partials:
            ends = np.cumsum(partial.sounds["sizes"])
            self._codes += [partial.sounds["pictures"][a:b] for a, b in zip([0, *ends[:-1]], ends, strict=False)]
            times.append(partial.sounds["picture_times"])
        self._times = np.concatenate(times)
        end = float(partials[-1].times[-1]) + 1 / partials[-1].fps if partials else 0.0
        self.count = int(end * FPS + 1e-6)

    def crops(self, first: int, last: int, faces: Sequence[Track]) -> list[UInt8]:
        """Each face in the pictures [first, last): uint8 (last - first, 224, 224, 3), BGR; black where it is not."""
        out = [np.zeros((last - first, SIDE, SIDE, 3), np.uint8) for _ in faces]
        paths = [places(face.boxes) for face in faces]
        known, picture = -1, np.zeros((0, 0, 3), np.uint8)
        for at in range(first, last):
            nearest = self._nearest(at / FPS)
            if nearest != known:
                known, picture = nearest, decoded(self._codes[nearest])
            for rows, face, path in zip(out, faces, paths, strict=True):
                if face.first <= at < face.last:
                    rows[at - first] = crop(picture, path[at - face.first] * picture.shape[0])
        return out

    def _nearest(self, time: float) -> int:
        after = int(np.searchsorted(self._times, time))
        around = [at for at in (after - 1, after) if 0 <= at < len(self._times)]
        return min(around, key=lambda at: abs(float(self._times[at]) - time))

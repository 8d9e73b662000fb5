"""What several operators need of a window, computed once, on first use.

Every feature of a frame depends on that frame and at most the one before it, so windows of any length give the same
answers. Rows run over all frames of the window, the overlap frame included.

    small   uint8 (T, h, w, 3)     RGB, area-averaged to about 416 x 240 pixels, never enlarged
    grey    uint8 (T, h, w)        luma of `small`
    thumbs  uint8 (T, 18, 32, 3)   RGB; what the shot detector sees
    flow    float32 (T, h, w, 2)   optical flow in pixels of `grey` from each frame back to the one before; row 0 is 0
    keys    int (K,)               rows of the frames sampled for costly measures: about 6 a second, by absolute index
    luma    {row: uint8 (H, W)}    full-size luma of those frames, short side at most 720
    noise   {row: float}           standard deviation of the noise of `luma`, in levels
    faces   {row: int (F, 4)}      boxes x, y, w, h in pixels of `grey`, the surest first; at most 2 frames a second
    onsets  float32 (N,)           onset strength of the owned sound, one value a 10 ms
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cinereward.media.faces import find_faces
from cinereward.media.noise import noise_level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.types import Sound

    Flow = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

SMALL_PIXELS = 416 * 240
THUMB = (32, 18)  # width, height
KEY_RATE = 6.0  # frames a second
FACE_RATE = 2.0
LUMA_SIDE = 720
HOP, FFT = 160, 512  # 10 ms and 32 ms at 16 kHz


class Features(Mapping[str, Any]):
    """The features of one window, by name. flow: a network in the place of OpenCV's, from `small` to "flow"."""

    def __init__(
        self,
        frames: NDArray[np.uint8],
        start_frame: int,
        overlap: int,
        fps: float,
        sound: Sound | None,
        flow: Flow | None = None,
    ) -> None:
        self.seen_flow = flow
        self.frames, self.start_frame, self.overlap, self.fps, self.sound = frames, start_frame, overlap, fps, sound
        self.shared: dict[Any, Any] = {}  # what networks told of this window; see networks/sharing.py
        self._known: dict[str, Any] = {}
        self._lock = threading.RLock()  # operators with networks have threads of their own

    def __getitem__(self, name: str) -> Any:
        with self._lock:
            if name not in self._known:
                self._known[name] = FEATURES[name](self)
            return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(FEATURES)

    def __len__(self) -> int:
        return len(FEATURES)


def small_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) of the small picture."""
    scale = min(1.0, (SMALL_PIXELS / (height * width)) ** 0.5)
    return max(8, round(width * scale)), max(8, round(height * scale))


def stride(fps: float, rate: float) -> int:
    """Every how many frames a frame is taken to have about `rate` a second, by absolute index."""
    return max(1, round(fps / rate))


def _small(f: Features) -> NDArray[np.uint8]:
    size = small_size(*f.frames.shape[1:3])
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in f.frames])


def _grey(f: Features) -> NDArray[np.uint8]:
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in f["small"]])


def _thumbs(f: Features) -> NDArray[np.uint8]:
    return np.stack([cv2.resize(frame, THUMB, interpolation=cv2.INTER_AREA) for frame in f["small"]])


def _flow(f: Features) -> NDArray[np.float32]:
    if f.seen_flow is not None:
        return f.seen_flow(f["small"])
    # DIS divides its work by the number of threads, and its answer with it: one thread, so that machines agree.
    cv2.setNumThreads(1)
    grey = f["grey"]
    flow = np.zeros((*grey.shape, 2), np.float32)
    # DIS chooses its pyramid by the longer side and crashes where the shorter one then vanishes
    short = max(64, -(-max(grey.shape[1:]) // 16))
    below, right = (max(0, short - side) for side in grey.shape[1:])
    if below or right:
        grey = np.pad(grey, ((0, 0), (0, below), (0, right)), mode="edge")
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    height, width = flow.shape[1:3]
    for row in range(1, len(grey)):
        found = dis.calc(grey[row], grey[row - 1], np.zeros((*grey.shape[1:], 2), np.float32))
        flow[row] = found[:height, :width]
    return flow


def _keys(f: Features) -> NDArray[np.int64]:
    rows = np.arange(f.overlap, len(f.frames))
    return np.asarray(rows[(rows + f.start_frame) % stride(f.fps, KEY_RATE) == 0], np.int64)


def _luma(f: Features) -> dict[int, NDArray[np.uint8]]:
    height, width = f.frames.shape[1:3]
    scale = min(1.0, LUMA_SIDE / min(height, width))
    size = (round(width * scale), round(height * scale))
    out = {}
    for row in f["keys"]:
        luma = cv2.cvtColor(f.frames[row], cv2.COLOR_RGB2GRAY)
        out[int(row)] = luma if scale == 1.0 else cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    return out


def _noise(f: Features) -> dict[int, float]:
    return {row: noise_level(luma) for row, luma in f["luma"].items()}


def _faces(f: Features) -> dict[int, NDArray[np.int64]]:
    rows = np.arange(f.overlap, len(f.frames))
    rows = rows[(rows + f.start_frame) % stride(f.fps, FACE_RATE) == 0]
    return {int(row): find_faces(f["grey"][row]) for row in rows}


def _onsets(f: Features) -> NDArray[np.float32]:
    """Spectral flux: the rise of the log-magnitude spectrum from one hop to the next, averaged over frequency.

    Hops lie on the clip's own 10 ms grid; a hop belongs to the window its frame ends in.
    Source: "Evaluating the online capabilities of onset detection methods", Boeck et al., ISMIR 2012.
    """
    if f.sound is None:
        return np.zeros(0, np.float32)
    first = round(f.sound.start * f.sound.sample_rate)
    samples, lead = f.sound.samples, f.sound.lead
    hops = np.arange(-(-(first + 1) // HOP), (first + len(samples) - lead) // HOP + 1)
    if len(hops) == 0 or lead < FFT + HOP:
        return np.zeros(0, np.float32)
    ends = np.concatenate([hops[:1] - 1, hops]) * HOP - first + lead
    pieces = samples[ends[:, None] + np.arange(-FFT, 0)[None]] * np.hanning(FFT).astype(np.float32)
    spectra = np.log1p(100.0 * np.abs(np.fft.rfft(pieces, axis=1)))
    return np.asarray(np.maximum(np.diff(spectra, axis=0), 0).mean(axis=1), np.float32)


FEATURES: dict[str, Callable[[Features], Any]] = {
    "small": _small,
    "grey": _grey,
    "thumbs": _thumbs,
    "flow": _flow,
    "keys": _keys,
    "luma": _luma,
    "noise": _noise,
    "faces": _faces,
    "onsets": _onsets,
}

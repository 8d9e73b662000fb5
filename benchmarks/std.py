"""How far each curve moves under edits that must not matter: the `std` of configs/curves.

    python -m benchmarks.std [CLIP...] [--write]

The edits: recompression with H.264 at CRF 18, a crop of one pixel on each side, one frame trimmed from the start, a
resize to 0.95. A term's std is the root mean square of (curve after the edit - curve before) over all clips and edits.
Without CLIPs the project's samples are used, the good and the broken ones alike.
"""

from __future__ import annotations

import argparse
import io
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from cinereward import Clip, RewardModel
from cinereward.fusion import curve
from cinereward.media import open_clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]

ROOT = Path(__file__).resolve().parent.parent
CURVES = ROOT / "configs" / "curves" / "signal.yaml"


def recompressed(frames: Frames, fps: float) -> Frames:
    """Frames after H.264 at CRF 18."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=round(fps), options={"crf": "18", "threads": "1"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        out.mux(stream.encode())
    with av.open(io.BytesIO(buffer.getvalue())) as source:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)])


def resized(frames: Frames, fps: float) -> Frames:
    """Frames at 0.95 of their size."""
    height, width = (round(side * 0.95 / 2) * 2 for side in frames.shape[1:3])
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


EDITS: dict[str, Callable[[Frames, float], Frames]] = {
    "recompressed": recompressed,
    "cropped": lambda frames, fps: frames[:, 1:-1, 1:-1],
    "trimmed": lambda frames, fps: frames[1:],
    "resized": resized,
}


def differences(model: RewardModel, path: Path) -> dict[tuple[str, str], list[float]]:
    """(sub-dimension, measurement) -> how far the curve moved, for each edit of one clip."""
    reader = open_clip(Clip(path))
    frames = np.concatenate([window.frames[window.overlap :] for window in reader.windows(16)])
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    clips = [Clip(np.ascontiguousarray(edit(frames, reader.fps)), fps=reader.fps) for edit in EDITS.values()]
    batch = model([Clip(frames, fps=reader.fps), *clips])
    found = defaultdict(list)
    for name, terms in model.profile.curves.items():
        for term in terms:
            operator, _, key = term.measurement.partition(".")
            scores = [curve(term.points, float(evidence[operator][key].value)) for evidence in batch.evidence]
            found[name, term.measurement] += [score - scores[0] for score in scores[1:]]
    return found


def write(found: dict[tuple[str, str], float], path: Path = CURVES) -> None:
    """Put each std beside its curve, leaving every other line of the file as it is."""
    lines, name, term = [], "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(\S+):$", line):
            name = match[1]
        if match := re.match(r"  - measurement: (\S+)", line):
            term = match[1]
            lines += [line, f"    std: {found[name, term]:.4f}"]
        elif not line.startswith("    std:"):
            lines.append(line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, tell, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="clips to edit; the project's samples if none is named")
    parser.add_argument("--write", action="store_true", help=f"write the figures into {CURVES.relative_to(ROOT)}")
    options = parser.parse_args()
    model = RewardModel.from_profile("signal")
    moved: dict[tuple[str, str], list[float]] = defaultdict(list)
    for path in options.clips or sorted((ROOT / "samples").glob("*.mp4")):
        for key, values in differences(model, path).items():
            moved[key] += values
    found = {key: float(np.sqrt(np.mean(np.square(values)))) for key, values in moved.items()}
    for (name, measurement), value in found.items():
        print(f"{name:50s} {measurement:26s} {value:.4f}")
    if options.write:
        write(found)


if __name__ == "__main__":
    main()

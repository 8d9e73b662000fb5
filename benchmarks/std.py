"""How far each curve moves under edits that must not matter: the `std` of configs/curves.

    python -m benchmarks.std [CLIP...] [--write]

The edits: recompression with H.264 at CRF 18, a crop of one pixel on each side, one frame trimmed from the start with
its sound, a resize to 0.95; and of the sound, half a decibel less. A term's std is the root mean square of (curve after
the edit - curve before) over all clips and edits in which it was measured. Without CLIPs the project's own are used,
the good and the broken ones alike.
"""

from __future__ import annotations

import argparse
import io
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from benchmarks.clips import Take, cuts, music, of_file, sound, talk
from cinereward import RewardModel
from cinereward.fusion import curve
from cinereward.operators import OPERATORS, spec_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]

ROOT = Path(__file__).resolve().parent.parent
CURVES = ROOT / "configs" / "curves" / "signal.yaml"
HEARD = {name: spec_of(name).needs for name in OPERATORS}


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


def trimmed(take: Take) -> Take:
    """The take without its first frame, and without the sound of it."""
    cut = round(take.rate / take.fps)
    samples = None if take.samples is None else take.samples[..., cut:]
    return replace(take, frames=take.frames[1:], samples=samples)


def quieter(take: Take) -> Take:
    """The take half a decibel softer."""
    return take if take.samples is None else replace(take, samples=np.float32(10 ** (-0.5 / 20)) * take.samples)


EDITS: dict[str, Callable[[Take], Take]] = {
    "recompressed": lambda take: replace(take, frames=recompressed(take.frames, take.fps)),
    "cropped": lambda take: replace(take, frames=np.ascontiguousarray(take.frames[:, 1:-1, 1:-1])),
    "trimmed": trimmed,
    "resized": lambda take: replace(take, frames=resized(take.frames, take.fps)),
    "quieter": quieter,
}


def differences(model: RewardModel, take: Take) -> dict[tuple[str, str], list[float]]:
    """(sub-dimension, measurement) -> how far the curve moved, for each edit of one clip."""
    height, width = (side // 2 * 2 for side in take.frames.shape[1:3])
    even = replace(take, frames=np.ascontiguousarray(take.frames[:, :height, :width]))
    batch = model([even.clip(), *(edit(even).clip() for edit in EDITS.values())])
    found = defaultdict(list)
    for name, terms in model.profile.curves.items():
        for term in terms:
            operator, _, key = term.measurement.partition(".")
            if even.samples is None and "sound" in HEARD[operator]:
                continue
            scores = [curve(term.points, float(evidence[operator][key].value)) for evidence in batch.evidence]
            moved = [score - scores[0] for score in scores[1:]]
            found[name, term.measurement] += [step for step in moved if not np.isnan(step)]
    return found


def write(found: dict[tuple[str, str], float], path: Path = CURVES) -> None:
    """Put each std beside its curve, leaving every other line of the file as it is."""
    lines, name, term = [], "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(\S+):$", line):
            name = match[1]
        if match := re.match(r"  - measurement: (\S+)", line):
            term = match[1]
            lines += [line, f"    std: {found.get((name, term), 0.0):.4f}"]
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
    paths = options.clips or sorted((ROOT / "samples").glob("*.mp4"))
    takes = [of_file(path) for path in paths]
    if not options.clips:
        takes += [cuts(0), talk(0, shots=3), sound(0), music(0)]
    for take in takes:
        for key, values in differences(model, take).items():
            moved[key] += values
    found = {key: float(np.sqrt(np.mean(np.square(values)))) for key, values in moved.items() if values}
    for (name, measurement), value in found.items():
        print(f"{name:50s} {measurement:26s} {value:.4f}")
    if options.write:
        write(found)


if __name__ == "__main__":
    main()

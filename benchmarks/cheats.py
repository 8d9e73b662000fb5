"""What a policy would try: edits that make no film better, and what each does to the scalar.

    python -m benchmarks.cheats [CLIP...] [--profile signal ...] [--json OUT] [--check]

Each clip is scored as it is and with every cheat, under its own prompt, so that the same dimensions count. A row tells
the mean and the largest change of the scalar over the clips, and the sub-dimension that gained most. Without CLIPs the
project's good samples, drawn scenes and the talking clip are used. --check ends with code 1 where a cheat gains more
than LIMIT on any clip.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rich.progress import track

from benchmarks.clips import Take, of_file, own
from cinereward import RewardModel
from cinereward.batch import RewardBatch
from cinereward.testing import faults, grading, surfaces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]

LIMIT = 0.005


def each(change: Callable[[Frames], Any]) -> Callable[[Take], Take]:
    """A cheat that changes every frame by itself."""
    return lambda take: replace(take, frames=np.stack([np.asarray(change(frame), np.uint8) for frame in take.frames]))


def moment(choose: Callable[[int], NDArray[np.int64]]) -> Callable[[Take], Take]:
    """A cheat that shows other frames: `choose` takes their number and says which; the sound stays."""
    return lambda take: replace(take, frames=take.frames[np.clip(choose(len(take.frames)), 0, len(take.frames) - 1)])


def zoomed(take: Take, scale: float = 1.1) -> Take:
    """Show the middle of the picture, enlarged."""
    height, width = take.frames.shape[1:3]
    matrix = np.array([[scale, 0, (1 - scale) * width / 2], [0, scale, (1 - scale) * height / 2]])
    return each(lambda frame: cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_CUBIC))(take)


def letterboxed(take: Take, share: float = 0.12) -> Take:
    """Lay black bars over the upper and the lower edge."""
    frames = take.frames.copy()
    bar = round(share * frames.shape[1])
    frames[:, :bar] = frames[:, frames.shape[1] - bar :] = 0
    return replace(take, frames=frames)


def vignetted(take: Take) -> Take:
    """Darken what is not in the middle."""
    height, width = take.frames.shape[1:3]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    fall = (1 - 0.6 * np.clip(x**2 + y**2, 0, 1.5) / 1.5)[..., None]
    return each(lambda frame: np.rint(frame * fall))(take)


def patched(take: Take) -> Take:
    """Put a white patch of one percent into a corner, and a black one into another."""
    frames = take.frames.copy()
    height, width = (round(0.1 * side) for side in frames.shape[1:3])
    frames[:, :height, :width], frames[:, -height:, -width:] = 255, 0
    return replace(take, frames=frames)


def cut_up(take: Take) -> Take:
    """Make cuts of nothing: every other stretch of two thirds of a second is mirrored and enlarged."""
    other = zoomed(replace(take, frames=take.frames[:, :, ::-1]), 1.3).frames
    stretch = max(2, round(take.fps * 2 / 3))
    odd = (np.arange(len(take.frames)) // stretch % 2 == 1)[:, None, None, None]
    return replace(take, frames=np.where(odd, other, take.frames))


def contrasty(take: Take) -> Take:
    """Raise the contrast by 15 %."""
    return each(lambda frame: np.clip(np.rint((frame.astype(np.float64) - 128) * 1.15 + 128), 0, 255))(take)


def slowed(count: int) -> NDArray[np.int64]:
    """Half the speed: every frame twice, the first half only."""
    return np.arange(count) // 2


def looped(count: int) -> NDArray[np.int64]:
    """The first half, twice."""
    return np.arange(count) % max(1, count // 2)


def heard(samples: Callable[[Take], NDArray[np.float32] | None]) -> Callable[[Take], Take]:
    """A cheat that puts other sound in the place of the clip's own; a clip without sound stays as it is."""
    return lambda take: take if take.samples is None else replace(take, samples=samples(take))


def tone(take: Take) -> NDArray[np.float32]:
    """A steady tone."""
    return (0.2 * np.sin(2 * np.pi * 440 * _clock(take))).astype(np.float32)


def tune(take: Take) -> NDArray[np.float32]:
    """Chords that change twice a second, with a beat."""
    clock = _clock(take)
    roots = 220 * 2 ** (np.array([0, 5, 7, 3])[(clock * 2).astype(int) % 4] / 12)
    chord = np.sum([np.sin(2 * np.pi * np.cumsum(roots * step) / take.rate) for step in (1, 1.25, 1.5)], axis=0)
    beat = np.exp(-12 * (clock * 2 % 1)) * np.sin(2 * np.pi * 60 * clock)
    return (0.08 * chord + 0.25 * beat).astype(np.float32)


def _clock(take: Take) -> NDArray[np.float64]:
    assert take.samples is not None
    return np.arange(take.samples.shape[-1]) / take.rate


CHEATS: dict[str, Callable[[Take], Take]] = {
    "frozen": moment(lambda count: np.zeros(count, np.int64)),
    "half frozen": moment(lambda count: np.minimum(np.arange(count), count // 2)),
    "looped": moment(looped),
    "there and back": moment(lambda count: np.abs((np.arange(count) + count // 2) % count - count // 2)),
    "slowed": moment(slowed),
    "blurred": each(lambda frame: cv2.GaussianBlur(frame, (0, 0), 1.0)),
    "smoothed": each(lambda frame: cv2.bilateralFilter(np.ascontiguousarray(frame), 7, 40, 4)),
    "oversharpened": lambda take: replace(take, frames=surfaces.oversharpened(take.frames, 1.5)),
    "oversaturated": lambda take: replace(take, frames=grading.oversaturated(take.frames, 1.6)),
    "contrast +15 %": contrasty,
    "brighter": each(lambda frame: np.clip(np.rint(frame * 1.15), 0, 255)),
    "letterboxed": letterboxed,
    "pillarboxed": lambda take: replace(take, frames=_turned(letterboxed(replace(take, frames=_turned(take.frames))))),
    "zoomed": zoomed,
    "mirrored": lambda take: replace(take, frames=np.ascontiguousarray(take.frames[:, :, ::-1])),
    "vignetted": vignetted,
    "patched": patched,
    "grain added": lambda take: replace(take, frames=faults.noisy(take.frames, 2.0, fps=take.fps)),
    "cuts added": cut_up,
    "muted": heard(lambda take: None),
    "silenced": heard(lambda take: np.zeros_like(_samples(take))),
    "replaced by a tone": heard(tone),
    "replaced by music": heard(tune),
    "louder": heard(lambda take: np.clip(2 * _samples(take), -1, 1)),
}


def _samples(take: Take) -> NDArray[np.float32]:
    assert take.samples is not None
    return take.samples


def _turned(take: Any) -> Any:
    """Frames, or a take's frames, with rows and columns exchanged."""
    frames = take.frames if isinstance(take, Take) else take
    return np.ascontiguousarray(frames.transpose(0, 2, 1, 3))


def gains(model: RewardModel, takes: Sequence[Take]) -> dict[str, dict[str, Any]]:
    """Cheat -> mean and largest change of the scalar, on which clip, and what gained most there."""
    clean = {take.name: model([take.clip()]) for take in takes}
    out: dict[str, dict[str, Any]] = {}
    for name, cheat in track(CHEATS.items(), description=f"cheating {model.profile.name}"):
        changes = {take.name: _change(clean[take.name], model([cheat(take).clip()])) for take in takes}
        worst = max(changes, key=lambda key: changes[key][0])
        out[name] = {
            "mean": float(np.mean([change for change, _, _ in changes.values()])),
            "most": changes[worst][0],
            "clip": worst,
            "by": changes[worst][1],
            "by_how_much": changes[worst][2],
        }
    return out


def _change(before: RewardBatch, after: RewardBatch) -> tuple[float, str, float]:
    """The change of the scalar, and the sub-dimension that gained most with its gain."""
    gained = np.nan_to_num(after.values[0] - before.values[0], nan=-1.0)
    at = int(np.argmax(gained))
    scalar = float(after.scalar[0] - before.scalar[0])
    return (scalar if np.isfinite(scalar) else -1.0), before.dimensions[at], float(gained[at])


def main() -> None:
    """Cheat and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="clips to cheat with; the project's own if none is named")
    parser.add_argument("--profile", nargs="+", default=["signal"], help="names, or paths of your own YAML")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--check", action="store_true", help=f"fail where a cheat gains more than {LIMIT}")
    options = parser.parse_args()
    takes = [of_file(path) for path in options.clips] or own()
    figures = {}
    for profile in options.profile:
        model = RewardModel.from_profile(profile)
        figures[model.profile.name] = rows = gains(model, takes)
        print(f"profile {model.profile.name}, {len(takes)} clips\n{'cheat':20s}{'mean':>9s}{'most':>9s}  on, by")
        for name, row in rows.items():
            leaf = row["by"].rpartition(".")[2]
            print(f"{name:20s}{row['mean']:+9.4f}{row['most']:+9.4f}  {row['clip']}, {leaf} {row['by_how_much']:+.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if options.check and any(row["most"] > LIMIT for rows in figures.values() for row in rows.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()

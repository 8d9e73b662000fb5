"""What the learned operators cost: seconds a clip, batched over clips against one by one, on a CPU and on a GPU.

    python -m benchmarks.perception [--operators subject,vbench] [--device cpu,cuda] [--clips 4] [--json OUT]

The networks are of true size and random (benchmarks/true_size.py); --home keeps them for the next run. Ratios are of
one run: both ways take turns on the same clips, and the median of the rounds is told. "all" is the engine with all of
them, its lanes overlapping; "vbench" is set against VBench's own way (benchmarks/vbench_loop.py). Where others use the
machine, --clock cpu counts this process's seconds on its cores instead of those on the wall.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from cinereward import Clip
from cinereward.engine import Engine
from cinereward.errors import CinerewardError
from cinereward.media import open_clip
from cinereward.networks import running
from cinereward.operators import known, load
from cinereward.testing import talking
from cinereward.types import Operator, Partial, Window

WINDOW, FPS = 16, 24.0
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PROMPT = 'A woman in a red coat says "we are late", two dogs beside her, the camera pans left'


_clock = [CLOCKS["wall"]]


def _now() -> float:
    """Seconds, by the clock that was asked for."""
    return _clock[0]()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds a clip, medians over the rounds. ratio: one by one to batched, the median of each round's."""

    operator: str
    device: str
    load_s: float
    one_by_one_s: float
    batched_s: float
    ratio: float
    weights: tuple[str, ...] = ()


def made(count: int, frames: int, size: tuple[int, int]) -> list[Clip]:
    """Clips of a drawn face that speaks, with sound, as arrays: decoding them costs nothing."""
    out = []
    for seed in range(count):
        film, samples, rate = talking(frames / FPS, FPS, size, seed=seed)
        out.append(
            Clip(
                film,
                fps=FPS,
                layout="THWC",
                audio=samples,
                sample_rate=rate,
                prompt=PROMPT,
                task="r2v",
                reference=film[0],
                clip_id=f"{seed}",
            )
        )
    return out


def windows_of(clips: Sequence[Clip]) -> list[list[Window]]:
    """The windows of each clip, fresh: nothing that operators share is worked out yet."""
    return [list(open_clip(clip, sound=True).windows(WINDOW)) for clip in clips]


def one_by_one(operator: Operator, films: Sequence[Sequence[Window]]) -> float:
    """Seconds that an operator takes for these clips, window after window."""
    began = _now()
    for windows in films:
        operator.merge([_sound(operator.measure([window]))[0] for window in windows])
    return _now() - began


def batched(operator: Operator, films: Sequence[Sequence[Window]]) -> float:
    """Seconds that it takes where it is handed all windows of all clips at once."""
    began = _now()
    parts = iter(_sound(operator.measure([window for windows in films for window in windows])))
    for windows in films:
        operator.merge([next(parts) for _ in windows])
    return _now() - began


def _sound(parts: Sequence[Any]) -> list[Partial]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
    return list(parts)


def cost_of(name: str, device: str, clips: Sequence[Clip], rounds: int) -> Cost:
    """Load one operator and time it both ways."""
    running.forget()
    began = _now()
    operator = load(name, device)
    ready = _now() - began
    operator.measure(windows_of(clips[:1])[0][:1])  # the first call sets up kernels
    pairs = []
    for turn in range(rounds):
        ways = (one_by_one, batched) if turn % 2 == 0 else (batched, one_by_one)
        took = {way.__name__: way(operator, windows_of(clips)) for way in ways}
        pairs.append((took["one_by_one"], took["batched"]))
    return _cost(name, device, ready, pairs, len(clips), operator.spec.weights)


def cost_of_all(names: Sequence[str], device: str, clips: Sequence[Clip], rounds: int) -> Cost:
    """The engine with all of them: a window at a time and clip after clip, against whole batches of all clips."""
    running.forget()
    began = _now()
    operators = [load(name, device) for name in names]
    ready = _now() - began
    count = sum(map(len, windows_of(clips)))

    def run(some: Sequence[Clip], batch_size: int) -> float:
        began = _now()
        engine = Engine(operators, window_frames=WINDOW, workers=None, batch_size=batch_size)
        for _, measured in engine.run(some):
            if measured.error is not None or measured.failures:
                raise RuntimeError(f"{measured.error} {measured.failures}")
        return _now() - began

    run(clips[:1], count)
    pairs = [(sum(run([clip], 1) for clip in clips), run(clips, count)) for _ in range(rounds)]
    return _cost("all", device, ready, pairs, len(clips), ())


def _cost(
    name: str, device: str, ready: float, pairs: Sequence[tuple[float, float]], clips: int, weights: tuple[str, ...]
) -> Cost:
    return Cost(
        operator=name,
        device=device,
        load_s=ready,
        one_by_one_s=statistics.median(a for a, _ in pairs) / clips,
        batched_s=statistics.median(b for _, b in pairs) / clips,
        ratio=statistics.median(a / b for a, b in pairs),
        weights=weights,
    )


def learned() -> dict[str, tuple[str, ...]]:
    """Every operator that takes weights, with their names."""
    out = {}
    for name, target in known().items():
        module, _, kind = target.partition(":")
        weights = getattr(import_module(module), kind).spec.weights
        if weights:
            out[name] = tuple(weights)
    return out


def against_vbench(device: str, clips: Sequence[Clip], rounds: int, folder: Path) -> dict[str, Any]:
    """VBench's four measures from one decoding, against its own loop over the same files and weights."""
    from benchmarks.vbench_loop import DIMENSIONS, Loop, write

    running.forget()
    files = [write(folder / f"{clip.clip_id}.mp4", np.asarray(clip.video), FPS) for clip in clips]
    operator, loop = load("vbench", device), Loop(device)
    told: dict[str, Any] = {"device": device, "loop_s": {name: [] for name in DIMENSIONS}, "at_once_s": [], "apart": {}}

    def at_once() -> float:
        engine = Engine([operator], window_frames=WINDOW, workers=None, batch_size=64)
        began = _now()
        found = [measured for _, measured in engine.run([Clip(path) for path in files])]
        took = _now() - began
        told["values"] = [{name: float(one.evidence["vbench"][name].value) for name in DIMENSIONS} for one in found]
        return took

    at_once()
    loop(DIMENSIONS[0], files[:1])
    for _ in range(rounds):
        told["at_once_s"].append(at_once())
        for name in DIMENSIONS:
            began = _now()
            values = loop(name, files)
            told["loop_s"][name].append(_now() - began)
            apart = [abs(value - own[name]) for value, own in zip(values, told["values"], strict=True)]
            told["apart"][name] = max([*apart, told["apart"].get(name, 0.0)])
    rows = zip(told["at_once_s"], *told["loop_s"].values(), strict=True)
    told["ratio"] = statistics.median(sum(row[1:]) / row[0] for row in rows)
    told["at_once_s"] = statistics.median(told["at_once_s"]) / len(clips)
    told["loop_s"] = {name: statistics.median(took) / len(clips) for name, took in told["loop_s"].items()}
    return told


def run(options: argparse.Namespace, home: Path, passing: Path) -> dict[str, Any]:
    """All figures; what could not be timed is named with the reason. home: of the weights. passing: for films."""
    from benchmarks.true_size import provide

    chosen = learned()
    if options.operators:
        if unknown := sorted(set(options.operators) - chosen.keys()):
            raise SystemExit(f"no learned operator is called {', '.join(unknown)}; there are {', '.join(chosen)}")
        chosen = {name: chosen[name] for name in options.operators}
    lacking = provide((name for weights in chosen.values() for name in weights), home)
    skipped = {name: lacking[need] for name, needs in chosen.items() for need in needs if need in lacking}
    clips = made(options.clips, options.frames, options.size)
    figures: dict[str, Any] = {
        "clips": options.clips,
        "frames": options.frames,
        "size": options.size,
        "clock": options.clock,
        "machine": machine(),
    }
    costs: list[Cost] = []
    for device in options.device:
        for name in (name for name in chosen if name not in skipped):
            try:
                costs.append(cost_of(name, device, clips, options.repeat))
            except CinerewardError as error:
                skipped[f"{name} on {device}"] = str(error)
            else:
                tell(costs[-1])
        ready = [cost.operator for cost in costs if cost.device == device and cost.operator != "all"]
        if len(ready) > 1:
            costs.append(cost_of_all(ready, device, clips, options.repeat))
            tell(costs[-1])
        if "vbench" in ready:
            figures.setdefault("vbench", []).append(against_vbench(device, clips, options.repeat, passing))
    return figures | {"costs": [asdict(cost) for cost in costs], "skipped": skipped}


def machine() -> dict[str, Any]:
    """What this was timed on."""
    import torch

    gpus = [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
    return {"cores": os.cpu_count(), "gpus": gpus, "torch": torch.__version__, "threads": torch.get_num_threads()}


def tell(cost: Cost) -> None:
    """One line as soon as it is known: a run may take long."""
    print(f"{cost.operator:12s} {cost.device:6s} {cost.batched_s:8.3f} s a clip, {cost.ratio:.2f} x", flush=True)


def table(figures: dict[str, Any]) -> Any:
    """The figures as a table."""
    from rich.table import Table

    size, machine = figures["size"], figures["machine"]
    where = ", ".join([f"{machine['cores']} cores", *machine["gpus"]])
    title = f"{figures['clips']} clips of {figures['frames']} frames, {size[1]} x {size[0]}, {where}; seconds a clip"
    sheet = Table("operator", "device", "one by one", "batched", "ratio", "loading", "weights", title=title)
    for row in figures["costs"]:
        cells = (f"{row[key]:.3f}" for key in ("one_by_one_s", "batched_s"))
        last = (f"{row['ratio']:.2f}", f"{row['load_s']:.1f}", ", ".join(row["weights"]))
        sheet.add_row(row["operator"], row["device"], *cells, *last)
    for row in figures.get("vbench", ()):
        loop = sum(row["loop_s"].values())
        told = f"at most {max(row['apart'].values()):.1e} apart"
        sheet.add_row(
            "VBench's loop", row["device"], f"{loop:.3f}", f"{row['at_once_s']:.3f}", f"{row['ratio']:.2f}", "", told
        )
    return sheet


def main() -> None:
    """Measure and tell."""
    import torch
    from rich.console import Console

    def size(text: str) -> tuple[int, int]:
        width, _, height = text.partition("x")
        return int(height), int(width)

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--frames", type=int, default=48, help="of each clip, 24 a second")
    parser.add_argument("--size", type=size, default=(480, 832), help="WIDTHxHEIGHT, such as 832x480")
    parser.add_argument("--operators", type=lambda text: text.split(","), help="names; all that take weights")
    parser.add_argument("--device", type=lambda text: text.split(","), help="cpu, cuda, or both; all there are")
    parser.add_argument("--repeat", type=int, default=3, help="rounds")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--home", type=Path, help="keep the networks here for the next run")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    _clock[0] = CLOCKS[options.clock]
    options.device = options.device or (["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
    with tempfile.TemporaryDirectory() as passing:
        home = options.home or Path(passing)
        home.mkdir(parents=True, exist_ok=True)
        figures = run(options, home, Path(passing))
    console = Console(highlight=False)
    console.print(table(figures))
    for name, why in figures["skipped"].items():
        console.print(f"left out: {name}: {why}", markup=False)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

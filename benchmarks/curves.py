"""Where the curves' anchor points come from: what planted faults of known severity are measured as, and score.

    python -m benchmarks.curves [--seeds 4] [--json OUT]

For each fault of `cinereward.testing.FAULTS`, in synthetic scenes of several moves and seeds: the measurement that
names it, at rest and at five severities, and the score of each sub-dimension it must lower. The last columns tell in
how many of the cases the score fell from one severity to the next (ordered), and under the clean clip's (below).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from cinereward import RewardModel
from cinereward.testing import FAULTS, clip, scene

MOVES = ("static", "pan", "push", "handheld")
SIZE = (240, 416)


def measured(model: RewardModel, name: str, seeds: int) -> dict[str, Any]:
    """Medians over scenes of one fault's measurement and scores, at rest and at each severity."""
    fault = FAULTS[name]
    operator, _, key = fault.names.partition(".")
    values, scores = [], []
    for seed in range(seeds):
        frames = scene(1.5, 24, SIZE, seed, move=MOVES[seed % len(MOVES)])
        faulty = [fault(frames, severity, fps=24, seed=seed) for severity in fault.severities]
        batch = model([clip(frames), *(clip(part) for part in faulty)])
        values.append([float(evidence[operator][key].value) for evidence in batch.evidence])
        columns = [batch.dimensions.index(dimension) for dimension in fault.lowers]
        scores.append(batch.values[:, columns])
    table = np.array(scores, np.float64)  # scenes, 1 + severities, dimensions
    return {
        "measurement": fault.names,
        "unit": fault.unit,
        "severities": [0, *fault.severities],
        "values": np.median(values, axis=0).round(4).tolist(),
        "scores": {
            dimension: {
                "medians": np.median(table[..., at], axis=0).round(3).tolist(),
                "ordered": float(np.mean(np.diff(table[..., at], axis=1) < 0)),
                "below": float(np.mean(table[:, 1:, at] < table[:, :1, at])),
            }
            for at, dimension in enumerate(fault.lowers)
        },
    }


def main() -> None:
    """Measure every fault and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4, help="scenes a fault is put into")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    model = RewardModel.from_profile("signal")
    figures = {name: measured(model, name, options.seeds) for name in FAULTS}
    for name, row in figures.items():
        print(f"{name}: severity in {row['unit']}")
        print(f"  {'severity':34s}" + "".join(f"{value:9.3g}" for value in row["severities"]))
        print(f"  {row['measurement']:34s}" + "".join(f"{value:9.3g}" for value in row["values"]))
        for dimension, told in row["scores"].items():
            scores = "".join(f"{value:9.2f}" for value in told["medians"])
            shares = f"ordered {told['ordered']:.2f}  below {told['below']:.2f}"
            print(f"  {dimension.partition('.')[2]:34s}{scores}   {shares}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

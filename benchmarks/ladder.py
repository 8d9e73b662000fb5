"""The ladder: every fault of configs/ladder.yaml, put into the project's own clips, and what the scores do about it.

    python -m benchmarks.ladder [FAULT...] [--seeds 4] [--profile signal] [--json OUT] [--check]

For each fault and each sub-dimension it must lower, over the clips of its kind:
    rank    mean Spearman correlation of severity (0: the clean clip) and score; -1 is a score that falls at every rung
    pairs   share of the (clean, faulty) pairs in which the faulty clip scores less
    leak    mean absolute change at severity 5 of the sub-dimensions that the fault must neither lower nor touch, and
            which of them moved most
Then the same by sub-dimension. --check ends with code 1 where a rank is above -0.9, pairs below 0.97 or a leak over
0.05.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from scipy.stats import spearmanr

from benchmarks.clips import KINDS, Take
from cinereward import RewardBatch, RewardModel, Status
from cinereward.testing import FAULTS, SOUND_FAULTS, Fault, SoundFault

RANK, PAIRS, LEAK = -0.9, 0.97, 0.05
LEAST = 1e-6  # a smaller fall of a score is none


def faulty(take: Take, fault: Fault | SoundFault, severity: float, seed: int) -> Take:
    """The take with the fault in its picture or in its sound."""
    if isinstance(fault, Fault):
        return replace(take, frames=fault(take.frames, severity, fps=take.fps, seed=seed))
    assert take.samples is not None
    return replace(take, samples=fault(take.samples, severity, rate=take.rate, seed=seed))


def climb(
    model: RewardModel, fault: Fault | SoundFault, takes: Sequence[Take], clean: Mapping[str, RewardBatch]
) -> Any:
    """One fault's figures over its clips.

    Args:
        takes: clips of the fault's kind. clean: name of a take -> its scores without a fault.
    """
    names = model.dimensions
    lowered = [name for name in fault.lowers if name in model.profile.curves]
    rows: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in lowered}
    leaks: dict[str, list[float]] = defaultdict(list)
    values: list[list[float]] = []
    operator, _, key = fault.names.partition(".")
    for seed, take in enumerate(takes):
        batch = model([faulty(take, fault, severity, seed).clip() for severity in fault.severities])
        course = np.concatenate([clean[take.name].values, batch.values])
        evidence = [*clean[take.name].evidence, *batch.evidence]
        values.append([float(item[operator][key].value) if operator in item else np.nan for item in evidence])
        for name in lowered:
            scores = np.nan_to_num(course[:, names.index(name)], nan=2.0)  # what could not be scored did not fall
            rows[name]["rank"].append(float(spearmanr(np.arange(6), scores).statistic) if np.ptp(scores) else 0.0)
            rows[name]["pairs"].append(float(np.mean(scores[1:] < scores[0] - LEAST)))
        for at in np.flatnonzero(clean[take.name].status[0] == Status.SCORED):
            if names[at] not in (*fault.lowers, *fault.may_touch):
                leaks[names[at]].append(abs(float(course[5, at] - course[0, at])))
    means = {name: float(np.mean(moved)) for name, moved in leaks.items()}
    most = max(means, key=lambda name: means[name], default="")
    return {
        "measurement": fault.names,
        "severities": [0, *fault.severities],
        "unit": fault.unit,
        "values": np.nanmedian(values, axis=0).round(4).tolist() if values else [],
        "lowers": {name: {key: float(np.mean(parts)) for key, parts in row.items()} for name, row in rows.items()},
        "leak": float(np.mean(list(means.values()))) if means else 0.0,
        "leaks": means,
        "most": most,
    }


def by_dimension(figures: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Sub-dimension -> mean rank and pairs over the faults that must lower it, and its mean leak."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in figures.values():
        for name, told in row["lowers"].items():
            for key, value in told.items():
                found[name][key].append(value)
        for name, leak in row["leaks"].items():
            found[name]["leak"].append(leak)
    return {name: {key: float(np.mean(parts)) for key, parts in row.items()} for name, row in sorted(found.items())}


def tell(figures: Mapping[str, Any], summary: Mapping[str, Mapping[str, float]]) -> None:
    """Print both tables."""
    for name, row in figures.items():
        measured = " ".join(f"{value:.3g}" for value in row["values"])
        print(f"{name}: {row['measurement']} {measured} at {' '.join(map(str, row['severities']))} {row['unit']}")
        for dimension, told in row["lowers"].items():
            print(f"    {dimension.partition('.')[2]:45s} rank {told['rank']:+.2f}  pairs {told['pairs']:.2f}")
        if row["leaks"]:
            most = row["leaks"][row["most"]]
            print(f"    leak {row['leak']:.3f}, most {row['most'].rpartition('.')[2]} {most:.3f}")
    print(f"\n{'sub-dimension':55s}{'rank':>7s}{'pairs':>7s}{'leak':>7s}")
    for dimension, told in summary.items():
        cells = "".join(f"{told[key]:7.2f}" if key in told else f"{'-':>7s}" for key in ("rank", "pairs"))
        print(f"{dimension:55s}{cells}{told.get('leak', 0):7.3f}")


def main() -> None:
    """Climb and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faults", nargs="*", help="faults of configs/ladder.yaml; all if none is named")
    parser.add_argument("--seeds", type=int, default=4, help="clips a fault is put into")
    parser.add_argument("--profile", default="signal", help="a name, or the path of your own YAML")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--check", action="store_true", help="fail where a limit is passed")
    options = parser.parse_args()
    table: dict[str, Fault | SoundFault] = {**FAULTS, **SOUND_FAULTS}
    if unknown := sorted(set(options.faults) - set(table)):
        parser.error(f"no fault is called {', '.join(unknown)}; there are: {', '.join(table)}")
    chosen = {name: table[name] for name in options.faults or table}
    model = RewardModel.from_profile(options.profile)
    kinds = sorted({fault.clip for fault in chosen.values()})
    takes = {kind: [KINDS[kind](seed) for seed in range(options.seeds)] for kind in kinds}
    clean = {take.name: model([take.clip()]) for part in takes.values() for take in part}
    steps = track(chosen.items(), description="climbing")
    figures = {name: climb(model, fault, takes[fault.clip], clean) for name, fault in steps}
    summary = by_dimension(figures)
    tell(figures, summary)
    if options.json:
        options.json.write_text(json.dumps({"faults": figures, "summary": summary}, indent=2) + "\n", encoding="utf-8")
    failed = [name for name, told in summary.items() if told.get("rank", -1) > RANK or told.get("pairs", 1) < PAIRS]
    failed += [name for name, row in figures.items() if row["leak"] > LEAK]
    if options.check and failed:
        print(f"over a limit: {', '.join(failed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

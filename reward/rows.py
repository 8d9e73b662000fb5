"""One clip's result: as the command line handles it, and as JSON holds it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.batch import RewardBatch
from cinereward.types import Evidence, Status, Verdict

if TYPE_CHECKING:
    from cinereward.model import RewardModel
    from cinereward.profile import Profile


@dataclass(frozen=True, kw_only=True)
class Row:
    """One clip's result: its path as given, what to call it, its prompt, and its one-clip batch, folded or not."""

    path: str
    name: str
    prompt: str
    batch: RewardBatch

    @property
    def error(self) -> Exception | None:
        """What befell the clip as a whole, or None."""
        return self.batch.errors[0]

    @property
    def scalar(self) -> float:
        """The one number; NaN where something FAILED or nothing was scored."""
        return float(self.batch.scalar[0])

    def cell(self, dimension: str) -> tuple[float, float, Status]:
        """Value, uncertainty and status of one dimension."""
        at = self.batch.dimensions.index(dimension)
        return float(self.batch.values[0, at]), float(self.batch.std[0, at]), Status(int(self.batch.status[0, at]))

    def reason(self, dimension: str) -> str:
        """Why a value is what it is, or is missing."""
        return self.batch.reason(0, dimension)

    def failures(self) -> Iterator[str]:
        """Why the clip, or some of its dimensions, failed: one line a reason."""
        if self.error is not None:
            yield str(self.error)
            return
        reasons: dict[str, list[str]] = {}
        for name in self.having(Status.FAILED):
            reasons.setdefault(self.reason(name), []).append(name)
        for reason, names in reasons.items():
            yield f"{', '.join(names)}: {reason}"

    def having(self, status: Status) -> list[str]:
        """The dimensions of this status."""
        return [name for name, code in zip(self.batch.dimensions, self.batch.status[0], strict=True) if code == status]

    def fold(self, level: str) -> Row:
        """The same row with its scores folded to this level."""
        return replace(self, batch=self.batch.fold(level))


def identity(profile: Profile, version: str) -> dict[str, Any]:
    """What every artifact that holds scores begins with."""
    return {"version": version, "profile": profile.name, "validated": profile.validated}


def record_all(model: RewardModel, rows: Sequence[Row], level: str, *, complete: bool) -> dict[str, Any]:
    """All there is about the clips that were scored."""
    head = identity(model.profile, model.version) | {"level": str(level), "complete": complete}
    return head | {"clips": [record(row) for row in rows]}


def record(row: Row) -> dict[str, Any]:
    """One clip as JSON holds it: NaN is null. right, verdicts: only of a profile that has them."""
    batch = row.batch
    told = {
        "clip": row.path,
        "prompt": row.prompt,
        "scalar": number(batch.scalar[0]),
        "error": None if row.error is None else str(row.error),
        "dimensions": cells(batch),
        "critiques": [asdict(item) for item in batch.critiques[0]],
        "evidence": measured(batch.evidence[0]),
    }
    if batch.right is not None:
        told["right"] = {"scalar": number(batch.right.scalar[0]), "dimensions": cells(batch.right)}
    if batch.verdicts and batch.verdicts[0]:
        told["verdicts"] = {name: answered(one) for name, one in batch.verdicts[0].items()}
    if notes := {name: list(found.notes) for name, found in batch.evidence[0].items() if found.notes}:
        told["notes"] = notes
    return told


def cells(batch: RewardBatch) -> dict[str, dict[str, Any]]:
    """The values of a one-clip batch by name, each with its doubt, status and reason."""
    return {
        name: {
            "value": number(batch.values[0, at]),
            "std": number(batch.std[0, at]),
            "status": Status(int(batch.status[0, at])).name,
            "reason": batch.reasons[0][at],
        }
        for at, name in enumerate(batch.dimensions)
    }


def answered(verdict: Verdict) -> dict[str, Any]:
    """A judge's verdict on one question."""
    return {
        "score": number(verdict.score),
        "std": number(verdict.std),
        "mass": number(verdict.mass),
        "status": verdict.status.name,
        "reason": verdict.reason,
        "rationale": verdict.rationale,
        "reflection": verdict.reflection,
    }


def measured(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """Every measurement as "operator.name": value, unit, std; for tracks lists of values and of their times."""
    told: dict[str, Any] = {}
    for operator, found in evidence.items():
        for name in found:
            item = found[name]
            entry: dict[str, Any] = {"value": number(item.value), "unit": item.unit, "std": number(item.std)}
            if item.times is not None:
                entry["times"] = number(item.times)
            told[f"{operator}.{name}"] = entry
    return told


def number(value: Any) -> Any:
    """A number as JSON has it, or a list of them; null for what is not finite. float32 keeps its shortest digits."""
    if isinstance(value, np.ndarray):
        return [number(item) for item in value]
    if isinstance(value, np.floating) and value.dtype == np.float32:
        value = float(str(value))
    return float(value) if math.isfinite(value) else None

"""Compare what plug-ins return, and say in words where two answers differ."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import OperatorError
from cinereward.types import Evidence, Partial, Verdict

if TYPE_CHECKING:
    from cinereward.batch import RewardBatch


def expect(condition: object, message: str) -> None:
    """Fail the check with a message unless the condition holds; works under `python -O` too."""
    __tracebackhide__ = True
    if not condition:
        raise AssertionError(message)


def expect_none(differences: Sequence[str], rule: str) -> None:
    """Fail the check with the rule and the first differences, if there are any."""
    __tracebackhide__ = True
    shown = "\n".join(f"  - {line}" for line in differences[:6])
    more = f"\n  and {len(differences) - 6} more" if len(differences) > 6 else ""
    expect(not differences, f"{rule}\n{shown}{more}")


def differs(name: str, came: Any, expected: Any, tolerance: float = 0.0) -> list[str]:
    """Where a value, or an array, is not what was expected; NaN equals NaN.

    Args:
        name: of the value, for the message. came, expected: numbers or arrays.
        tolerance: absolute, and relative to `expected`; 0 asks for the same bits.

    Returns:
        One line for each difference; none where they agree.
    """
    a, b = np.asarray(came), np.asarray(expected)
    if a.shape != b.shape:
        return [f"{name} has shape {a.shape}; expected {b.shape}"]
    if a.dtype != b.dtype and tolerance == 0:
        return [f"{name} is {a.dtype}; expected {b.dtype}"]
    if a.dtype.kind not in "fc":
        wrong = np.asarray(a != b)
    elif tolerance == 0:
        wrong = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    else:
        wrong = ~np.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not wrong.any():
        return []
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = f"[{', '.join(map(str, at))}]" if at else ""
    return [f"{name}{where} came as {a[at]!s}; expected {b[at]!s} ({int(wrong.sum())} of {a.size} differ)"]


def partial_differences(came: Partial | OperatorError, expected: Partial | OperatorError) -> list[str]:
    """Where two answers for one window differ by a bit."""
    if isinstance(came, OperatorError) or isinstance(expected, OperatorError):
        same = type(came) is type(expected) and str(came) == str(expected)
        return [] if same else [f"came as {_told(came)}; expected {_told(expected)}"]
    if set(came.tracks) != set(expected.tracks):
        return [f"tracks came as {sorted(came.tracks)}; expected {sorted(expected.tracks)}"]
    lines = differs("times", came.times, expected.times)
    for name in expected.tracks:
        lines += differs(f"track {name!r}", came.tracks[name], expected.tracks[name])
    return lines


def evidence_differences(came: Evidence, expected: Evidence, tolerance: float = 0.0) -> list[str]:
    """Where two clips' evidence differs by more than the tolerance."""
    if set(came.measurements) != set(expected.measurements):
        return [f"measurements came as {sorted(came.measurements)}; expected {sorted(expected.measurements)}"]
    lines = []
    for name, measurement in expected.measurements.items():
        lines += differs(name, came[name].value, measurement.value, tolerance)
        lines += differs(f"std of {name}", came[name].std, measurement.std, tolerance)
    return lines


def verdict_differences(came: Sequence[Verdict], expected: Sequence[Verdict]) -> list[str]:
    """Where two lists of verdicts on one clip differ by a bit."""
    if len(came) != len(expected):
        return [f"{len(came)} verdicts came; expected {len(expected)}"]
    lines = []
    for a, b in zip(came, expected, strict=True):
        if (a.question, a.status) != (b.question, b.status):
            lines.append(f"{a.question} came as {a.status.name}; expected {b.question} as {b.status.name}")
        for field in ("score", "std", "mass"):
            lines += differs(f"{field} of {b.question}", float(getattr(a, field)), float(getattr(b, field)))
    return lines


def row_differences(came: RewardBatch, row: int, expected: RewardBatch, expected_row: int) -> list[str]:
    """Where one clip's row of a batch differs by a bit from another batch's row."""
    if came.dimensions != expected.dimensions:
        return [f"dimensions came as {came.dimensions[:3]}, ...; expected {expected.dimensions[:3]}, ..."]
    lines = []
    for field in ("values", "std", "status"):
        a, b = getattr(came, field)[row], getattr(expected, field)[expected_row]
        for name, x, y in zip(expected.dimensions, a, b, strict=True):
            lines += differs(f"{field} of {name}", x, y)
    lines += differs("scalar", came.scalar[row], expected.scalar[expected_row])
    if (came.errors[row] is None) != (expected.errors[expected_row] is None):
        lines.append(f"error came as {came.errors[row]!r}; expected {expected.errors[expected_row]!r}")
    return lines


def snapshot(thing: Any) -> Any:
    """A copy that no later change reaches: arrays, tensors, and what holds them."""
    if isinstance(thing, np.ndarray):
        return thing.copy()
    if hasattr(thing, "detach"):
        return thing.detach().cpu().clone().numpy()
    if isinstance(thing, Mapping):
        return {name: snapshot(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [snapshot(value) for value in thing]
    return copy.deepcopy(thing)


def changes(name: str, now: Any, before: Any) -> list[str]:
    """Where a thing is no longer what its `snapshot` was."""
    if isinstance(before, dict):
        return [line for key, value in before.items() for line in changes(f"{name}[{key!r}]", now[key], value)]
    if isinstance(before, list):
        pairs = enumerate(zip(now, before, strict=True))
        return [line for index, (a, b) in pairs for line in changes(f"{name}[{index}]", a, b)]
    if isinstance(before, np.ndarray):
        now = now.detach().cpu().numpy() if hasattr(now, "detach") else now
        return differs(name, now, before)
    same = now == before or (isinstance(before, float) and math.isnan(before) and math.isnan(now))
    return [] if same else [f"{name} came as {now!r}; expected {before!r}"]


def _told(answer: Partial | OperatorError) -> str:
    return f"OperatorError({str(answer)!r})" if isinstance(answer, OperatorError) else "a Partial"

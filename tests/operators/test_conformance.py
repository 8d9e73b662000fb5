"""Every operator of the table keeps the rules that plug-ins must keep, and sees the fault that it names."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from cinereward.operators import OPERATORS, load, spec_of
from cinereward.testing import FAULTS, OperatorConformance

from .planted import SEEDS, course, rank_correlation

CHECKS = [name for name, _ in inspect.getmembers(OperatorConformance, inspect.isfunction) if name.startswith("test_")]

# Where the order of severities is not kept to the letter: least rank correlation. An encoder may blur instead of
# showing its blocks, coarser steps make fewer contours, and what is mild may not show at all.
LOOSE = {"h264": 0.75, "banded": 0.75, "frozen": 0.95, "melting": 0.9}
PICTURE = [name for name, fault in FAULTS.items() if fault.clip in ("picture", "moving")]


# those with weights pass the same checks on tiny weights, each in its own file
FREE = [name for name in OPERATORS if not spec_of(name).weights]


@pytest.mark.parametrize("operator", FREE)
@pytest.mark.parametrize("check", CHECKS)
def test_the_operator_conforms(operator: str, check: str) -> None:
    class Checks(OperatorConformance):
        def operator(self) -> Any:
            return load(operator)

    getattr(Checks(), check)()  # asserts by itself, and fails with what to mend


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", PICTURE)
def test_a_fault_moves_the_measurement_that_names_it(fault: str, seed: int) -> None:
    values = course(FAULTS[fault].names, fault, seed)
    if FAULTS[fault].falls:
        values = [-value for value in values]
    assert values[-1] > values[0]
    assert rank_correlation(values) >= LOOSE.get(fault, 1.0) - 1e-9, values

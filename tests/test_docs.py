"""The page of measures says what the operators promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from cinereward.operators import OPERATORS, spec_of

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "measures.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_measurement_has_its_row(operator: str) -> None:
    section = PAGE.partition(f"\n## {operator}\n")[2].partition("\n## ")[0]
    assert section
    for item in spec_of(operator).measurements:
        assert f"| {item.name} | {item.unit} | {item.meaning} |" in section

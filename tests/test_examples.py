"""Each example runs small, as a user would run it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "rl_examples"


def test_the_policy_of_the_group_example_learns_from_the_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["group_reward.py", "--epochs", "5", "--group", "6"])
    history = runpy.run_path(str(EXAMPLES / "group_reward.py"))["main"]()
    assert history[-1] > history[0] + 0.05

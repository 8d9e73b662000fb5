"""What the README and the docstrings show, runs."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import cinereward

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_python_block_of_the_readme_runs(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    space: dict[str, object] = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), space)
    assert len(space) > 2


def test_the_package_docstring_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    tried = doctest.testmod(cinereward)
    assert (tried.attempted, tried.failed) == (3, 0)


def test_every_path_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links and [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_says_what_was_never_validated() -> None:
    assert "not yet validated against human ratings" in (ROOT / "README.md").read_text(encoding="utf-8")

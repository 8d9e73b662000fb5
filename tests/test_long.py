"""A film of any length is scored in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def peak_mb(path: Path) -> float:
    """Peak memory of scoring a file, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed", "--job", "file", str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=600)
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mb"])


@pytest.mark.slow
def test_a_long_film_needs_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT))
    from benchmarks.speed import make_file, make_long

    short, long = tmp_path / "short.mp4", tmp_path / "long.mp4"
    make_file(short, 5, (1080, 1920))
    make_long(long, 1)
    assert peak_mb(long) < min(1500, peak_mb(short) + 250)

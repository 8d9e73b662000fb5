"""Damaged files: whatever befalls their bytes, reading one ends within 10 s, in windows or in a ClipError."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from .making import H264, VP9, Kind, moving, tone, write

LIMIT = 10.0  # seconds a file
MUTANTS, BATCH = 500, 100  # in batches, so that workers may share them
KINDS: dict[str, Kind] = {
    "mp4": {**H264, "sound_codec": "aac"},
    "mkv": {**H264, "sound_codec": "flac"},
    "webm": {**VP9, "sound_codec": "libopus"},
}
# One file a line comes in, one verdict a line goes out; the test watches the clock and the process from outside.
READER = """
import sys
from cinereward.errors import ClipError
from cinereward.media import open_clip
from cinereward.types import Clip

for line in sys.stdin:
    try:
        reader = open_clip(Clip(line.rstrip("\\n")), sound=True)
        owned = sum(len(w.frames) - w.overlap for w in reader.windows(24))
        verdict = "windows" if owned == reader.count > 0 else f"{owned} frames of {reader.count}"
    except ClipError as error:
        verdict = "ClipError " + str(error)
    except BaseException as error:
        verdict = f"{type(error).__name__} {error}"
    print("VERDICT " + " ".join(verdict.split()), flush=True)
"""


class Mutant(NamedTuple):
    name: str
    data: bytes


def mutate(data: bytes, rng: np.random.Generator) -> Mutant:
    """One of: bytes flipped at a rate of 1e-6 to 1e-2, the end cut off, two blocks swapped, zeros put in."""
    kind = ("flip", "flip", "cut", "swap", "zeros")[rng.integers(5)]
    raw = np.frombuffer(data, np.uint8).copy()
    if kind == "flip":
        count = max(1, round(10.0 ** rng.uniform(-6, -2) * len(raw)))
        # half of them where the header is: damage there does the most
        where = rng.integers(0, len(raw) if rng.random() < 0.5 else min(len(raw), 4096), count)
        raw[where] ^= rng.integers(1, 256, count, dtype=np.uint8)
    elif kind == "cut":
        raw = raw[: rng.integers(1, len(raw))]
    elif kind == "swap":
        size = int(rng.integers(1, len(raw) // 4))
        a, b = sorted(int(at) for at in rng.integers(0, len(raw) - size, 2))
        first, second = raw[a : a + size].copy(), raw[b : b + size].copy()
        raw[b : b + size], raw[a : a + size] = first, second
    else:
        at = int(rng.integers(0, len(raw)))
        raw = np.concatenate([raw[:at], np.zeros(int(rng.integers(1, 5000)), np.uint8), raw[at:]])
    return Mutant(kind, raw.tobytes())


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    frames, sound = moving(40), tone(1.7, 48_000, channels=2)
    return {
        ending: write(folder / f"a.{ending}", frames, sound=sound, **kind).read_bytes()
        for ending, kind in KINDS.items()
    }


class Readers:
    """A process that reads files one after another, and is replaced where it dies or hangs."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def verdict(self, path: Path) -> str:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", READER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._read(path, 60.0)  # imports are no part of the limit; the verdict is asked for again below
        return self._read(path, LIMIT)

    def _read(self, path: Path, limit: float) -> str:
        process = self._process
        if process is None:
            return "the process is gone"
        assert process.stdin is not None and process.stdout is not None
        clock = threading.Timer(limit, process.kill)
        clock.start()
        began = time.monotonic()
        try:
            print(path, file=process.stdin, flush=True)
            for line in process.stdout:
                if line.startswith("VERDICT "):
                    return line.removeprefix("VERDICT ").strip()
        except BrokenPipeError:
            pass
        finally:
            clock.cancel()
        code = process.wait()
        self._process = None
        return f"no answer after {time.monotonic() - began:.1f} s, exit code {code}"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def outcomes(originals: dict[str, bytes], folder: Path, numbers: range) -> dict[str, str]:
    """The verdict on each mutant, by its number, kind and container."""
    readers = Readers()
    told: dict[str, str] = {}
    for number in numbers:
        ending = list(KINDS)[number % len(KINDS)]
        mutant = mutate(originals[ending], np.random.default_rng([20_26, number]))
        path = folder / f"{number}-{mutant.name}.{ending}"
        path.write_bytes(mutant.data)
        told[path.name] = readers.verdict(path)
        path.unlink()
    readers.close()
    return told


def check(told: dict[str, str]) -> None:
    bad = {name: verdict for name, verdict in told.items() if verdict != "windows" and verdict[:9] != "ClipError"}
    assert not bad
    kinds = {verdict.split()[0] for verdict in told.values()}
    assert kinds == {"windows", "ClipError"}, "the mutants are all alike: the test tests nothing"


@pytest.mark.parametrize("first", range(0, MUTANTS, BATCH))
def test_mutants_end_in_windows_or_a_clip_error(first: int, originals: dict[str, bytes], tmp_path: Path) -> None:
    check(outcomes(originals, tmp_path, range(first, first + BATCH)))


@pytest.mark.parametrize("ending", KINDS)
def test_the_originals_are_whole(ending: str, originals: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / f"whole.{ending}"
    path.write_bytes(originals[ending])
    readers = Readers()
    verdict = readers.verdict(path)
    readers.close()
    assert verdict == "windows"

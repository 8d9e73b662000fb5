"""What a judge said, kept on disk for threads and processes."""

from __future__ import annotations

import logging
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinereward.judge.cache import Cache, key_of, packed, unpacked
from cinereward.judge.labels import failed, unavailable
from cinereward.types import LOCI, Critique, Verdict

FINDING = Critique(
    dimension="a.b.c",
    shot=2,
    start=1.25,
    end=2.5,
    severity=0.4,
    finding="手 melts",
    remedy="Hide it.",
    locus=LOCI[0],
    evidence=("shots.cuts",),
)
WRITER = """
import sys
from cinereward.judge.cache import Cache
path, first, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
cache, at = Cache(path), first
print("ready", flush=True)
while count < 0 or at < first + count:
    cache.put({f"{n}": {"n": n, "pad": "x" * size} for n in range(at, at + 10)})
    at += 10
"""


def writer(path: Path, first: int, count: int, size: int = 10) -> subprocess.Popen[str]:
    told = [str(path), str(first), str(count), str(size)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *told], stdout=subprocess.PIPE, text=True)


def test_what_was_put_is_got(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new" / "kept.sqlite")
    cache.put({"a": {"x": [1.5, "手"]}, "b": None})
    assert cache.get(["b", "c", "a"]) == {"a": {"x": [1.5, "手"]}, "b": None}


def test_more_keys_than_sqlite_takes_at_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "kept")
    cache.put({f"{n}": n for n in range(1_700)})
    assert cache.get([f"{n}" for n in range(1_700)]) == {f"{n}": n for n in range(1_700)}


@given(
    score=st.floats(0, 1),
    std=st.floats(0, 1) | st.just(math.nan),
    text=st.text(),
    finding=st.none() | st.just(FINDING),
)
def test_a_verdict_comes_back_to_the_bit(score: float, std: float, text: str, finding: Critique | None) -> None:
    verdict = Verdict(question="a.b.c.q", score=score, std=std, mass=0.9, rationale=text, finding=finding)
    came = unpacked(packed(verdict))
    assert came is not None and repr(came) == repr(verdict)  # repr, since NaN equals nothing


@pytest.mark.parametrize("missing", [failed("q", "no label"), unavailable("q", "deaf")])
def test_what_was_not_answered_is_not_kept(missing: Verdict) -> None:
    assert packed(missing) is None


@pytest.mark.parametrize("odd", [None, 3, {}, {"question": "q"}, {"question": "q", "score": 7.0, "finding": None}])
def test_what_is_no_verdict_is_a_miss(odd: object) -> None:
    assert unpacked(odd) is None


def test_keys_differ_with_every_part() -> None:
    keys = {key_of("a", 1), key_of("a", 2), key_of("a1"), key_of(["a", 1]), key_of("a", {"b": 1}), key_of("a", 1.5)}
    assert len(keys) == 6 and key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


def test_a_damaged_row_is_a_miss(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "kept")
    cache.put({"a": 0.25, "b": 0.5})
    cache.close()
    with sqlite3.connect(tmp_path / "kept") as file:
        file.execute("UPDATE answers SET value = '0.75' WHERE key = 'a'")
    assert Cache(tmp_path / "kept").get(["a", "b"]) == {"b": 0.5}


def test_a_row_that_is_not_text_is_a_miss(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "kept")
    cache.put({"a": "word", "b": 0.5})
    cache.close()
    with sqlite3.connect(tmp_path / "kept") as file:
        file.execute("UPDATE answers SET value = CAST(x'22ff22' AS TEXT) WHERE key = 'a'")
    assert Cache(tmp_path / "kept").get(["a", "b"]) == {"b": 0.5}


@pytest.mark.parametrize("content", [b"this is no database" * 50, None])
def test_a_file_that_is_no_cache_is_told_once_and_left_alone(
    content: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "kept"
    if content is None:  # a database whose middle was overwritten
        Cache(path).put({f"{n}": "x" * 200 for n in range(500)})
        sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = path.read_bytes()
        content = content[:4096] + b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    cache = Cache(path)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            cache.put({"a": 1})
            assert cache.get([f"{n}" for n in range(500)]) == {}
    assert len(caplog.records) == 1 and str(path) in caplog.text and path.read_bytes() == content


def test_a_folder_that_is_a_file_is_told_and_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "taken").write_text("a file")
    cache = Cache(tmp_path / "taken" / "kept")
    cache.put({"a": 1})
    assert cache.get(["a"]) == {} and len(caplog.records) == 1


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    now = [0.0]
    cache = Cache(tmp_path / "kept", most=20, clock=lambda: now[0])
    for n in range(20):
        now[0] += 100
        cache.put({f"{n}": n})
    now[0] += 100
    cache.get(["0", "1"])
    for n in range(20, 26):
        now[0] += 100
        cache.put({f"{n}": n})
    left = cache.get([f"{n}" for n in range(26)])
    assert {"0", "1", "25"} <= set(left) and not {"2", "3", "4"} & set(left) and len(left) <= 20


def test_a_cache_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="most is 0"):
        Cache(tmp_path / "kept", most=0)


def test_threads_share_a_cache(tmp_path: Path) -> None:
    cache, wrong = Cache(tmp_path / "kept"), []

    def work(first: int) -> None:
        for n in range(first, first + 50):
            cache.put({f"{n}": n})
            if cache.get([f"{n}"]) != {f"{n}": n}:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(cache.get([f"{n}" for n in range(300)])) == 150


def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    both = [writer(path, first, 300) for first in (0, 200)]  # their keys overlap
    assert [one.wait(timeout=60) for one in both] == [0, 0]
    kept = Cache(path).get([f"{n}" for n in range(500)])
    assert len(kept) == 500 and all(kept[f"{n}"]["n"] == n for n in range(500))


def test_a_writer_killed_in_the_middle_leaves_it_readable(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    one = writer(path, 0, -1, size=20_000)
    assert one.stdout is not None and one.stdout.readline() == "ready\n"
    time.sleep(0.4)
    one.send_signal(signal.SIGKILL)
    one.wait(timeout=10)
    cache = Cache(path)
    kept = cache.get([f"{n}" for n in range(5_000)])
    assert len(kept) % 10 == 0 and kept  # each time all ten or none
    assert all(value == {"n": int(key), "pad": "x" * 20_000} for key, value in kept.items())
    cache.put({"after": 1})
    assert cache.get(["after"]) == {"after": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_opens_the_file_for_itself(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "kept")
    cache.put({"parent": 1})
    child = os.fork()
    if child == 0:
        cache.put({"child": 2})
        os._exit(0 if cache.get(["parent", "child"]) == {"parent": 1, "child": 2} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cache.get(["parent", "child"]) == {"parent": 1, "child": 2}


def test_a_cache_that_another_holds_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cinereward.judge.cache.WAIT", 0.1)
    cache = Cache(tmp_path / "kept")
    cache.put({"a": 1})
    other = sqlite3.connect(tmp_path / "kept", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    cache.put({"b": 2})
    assert cache.get(["a", "b"]) == {"a": 1} and "locked" in caplog.text
    other.execute("ROLLBACK")
    cache.put({"b": 2})
    assert cache.get(["b"]) == {"b": 2}

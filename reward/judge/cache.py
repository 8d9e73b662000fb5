"""Answers that are kept on disk, so that no clip is asked the same thing of the same judge twice.

One SQLite file in WAL mode: threads and processes of one machine may share it, and one that dies in the middle of
writing leaves it whole. Values are JSON. A cache is never needed: where it is locked, damaged or cannot be written, the
judge is asked instead. Every row carries a digest of itself, so that a damaged one is a miss and never a wrong number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cinereward.types import Critique, Status, Verdict

_log = logging.getLogger(__name__)

WAIT = 5.0  # seconds for another process to finish writing
STEP = 500  # keys in one question to SQLite, below the least limit of its builds
FRESH = 60.0  # seconds within which a further use is not written down
_TABLE = """CREATE TABLE IF NOT EXISTS answers
 (key TEXT PRIMARY KEY, value TEXT NOT NULL, digest TEXT NOT NULL, used REAL NOT NULL) WITHOUT ROWID"""


class Cache:
    """Values of JSON by key, in a file; safe for threads and for processes.

    Args:
        path: of the file; its folder is made. most: rows that are kept; beyond, those not used for longest go, a tenth
            at a time. clock: seconds, for the order of use.
    """

    def __init__(self, path: str | Path, *, most: int = 500_000, clock: Callable[[], float] = time.time) -> None:
        if most < 1:
            raise ValueError(f"most is {most}; a cache keeps 1 row or more; give None as the file to do without")
        self.path, self.most, self.clock = Path(path).expanduser(), most, clock
        self._pid, self._lock = os.getpid(), threading.RLock()
        self._open: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection] = []  # never to be closed in a forked child
        self._damaged = self._told = False
        self._written = 0

    def get(self, keys: Sequence[str]) -> dict[str, Any]:
        """What is known under these keys; a key that is not known, or whose row is damaged, is left out."""
        out: dict[str, Any] = {}
        with self._connection() as connection:
            if connection is None:
                return {}
            now = self.clock()
            stale: list[str] = []
            for some in _steps(keys):
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT key, value, digest, used FROM answers WHERE key IN ({marks})", some)
                for key, value, digest, used in rows:
                    if digest == _digest(key, value):
                        out[key] = json.loads(value)
                        if now - used > FRESH:
                            stale.append(key)
            if stale:
                with _writing(connection):
                    connection.executemany("UPDATE answers SET used = ? WHERE key = ?", [(now, key) for key in stale])
        return out

    def put(self, values: Mapping[str, Any]) -> None:
        """Keep these values, which JSON can hold; all of them or, where the file cannot be written, none."""
        texts = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
        if not texts:
            return
        with self._connection() as connection:
            if connection is None:
                return
            now = self.clock()
            rows = [(key, text, _digest(key, text), now) for key, text in texts.items()]
            with _writing(connection):
                connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)
                self._written += len(rows)
                if self._written > self.most // 10:
                    self._prune(connection)
                    self._written = 0

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._open is not None and self._pid == os.getpid():
                self._open.close()
                self._open = None

    def _prune(self, connection: sqlite3.Connection) -> None:
        (count,) = connection.execute("SELECT COUNT(*) FROM answers").fetchone()
        if count > self.most:
            over = count - self.most + self.most // 10
            connection.execute(
                "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY used, key LIMIT ?)", (over,)
            )

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection | None]:
        """The file, for one caller at a time; None once it is damaged. Its errors end the caller's block quietly."""
        if self._pid != os.getpid():  # in a fork, where SQLite's connections must not be used
            if self._open is not None:
                self._inherited.append(self._open)
            self._pid, self._lock, self._open = os.getpid(), threading.RLock(), None
        with self._lock:
            try:
                if self._open is None and not self._damaged:
                    self._open = _opened(self.path)
            except (sqlite3.Error, OSError) as error:
                self._tell(error)
            try:
                yield None if self._damaged else self._open
            except sqlite3.DatabaseError as error:
                self._tell(error)

    def _tell(self, error: Exception) -> None:
        """Say once what is wrong. Locked for long, a full disk, a read-only folder: these pass; others do not."""
        self._damaged = not isinstance(error, sqlite3.OperationalError)
        what = "is left alone; delete it, or name another file" if self._damaged else "could not be used this time"
        if not self._told:
            _log.warning("the judge's cache %s %s; the judge is asked instead: %s", self.path, what, error)
        self._told = True


def key_of(*parts: Any) -> str:
    """A key that names this content: sha256 over its canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def packed(verdict: Verdict) -> dict[str, Any] | None:
    """A verdict as JSON; None for one that must be asked again: what failed today may be answered tomorrow."""
    if verdict.status is not Status.SCORED or not math.isfinite(verdict.score):
        return None
    return dataclasses.asdict(verdict)


def unpacked(value: Any) -> Verdict | None:
    """The verdict that was packed; None where this is none (another release may have written it)."""
    try:
        fields = dict(value)
        finding = fields.pop("finding")
        critique = None if finding is None else Critique(**{**finding, "evidence": tuple(finding["evidence"])})
        return Verdict(**{**fields, "status": Status(fields["status"]), "finding": critique})
    except (TypeError, ValueError, KeyError):
        return None


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written in the block, or none of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + WAIT
    while True:
        connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        connection.text_factory = lambda text: text.decode("utf-8", "replace")  # its digest finds what is not UTF-8
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last rows, never the file
            connection.execute(_TABLE)
            return connection
        except sqlite3.Error as error:
            connection.close()
            # Where several processes open a new file at once, SQLite refuses WAL without waiting.
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _digest(key: str, value: str) -> str:
    return hashlib.sha256(f"{key}\n{value}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _steps(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    unique = list(dict.fromkeys(keys))
    for at in range(0, len(unique), STEP):
        yield unique[at : at + STEP]

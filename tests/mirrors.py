"""Weights for tests: a small manifest, a home of its own, a Hugging Face cache, and a web server that can misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

BLOB = bytes(range(256)) * 400  # 100 KiB
COMMIT = "a" * 40


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(*files: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An entry of a manifest; without files, one that is BLOB, its size and hash known."""
    known = {"name": "m.pt", "size": len(BLOB), "sha256": sha256(BLOB)}
    made = {
        "title": "A tiny model",
        "purpose": "tests",
        "source": {"repo": "org/tiny", "revision": COMMIT},
        "files": list(files) or [known],
        "licence": "MIT",
        "commercial": True,
    }
    return made | changes


@dataclass(kw_only=True)
class House:
    """The folders of a test, and its manifest."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    def knows(self, hub: str = "https://huggingface.co", **weights: dict[str, Any]) -> None:
        """Write the manifest that $CINEREWARD_MANIFEST names."""
        text = yaml.safe_dump(
            {"hub": hub, "weights": {name.replace("_", "-"): told for name, told in weights.items()}}, sort_keys=False
        )
        (self.root / "manifest.yaml").write_text(text)

    def write(self, place: str, data: bytes = BLOB) -> Path:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def cached(self, name: str, data: bytes, *, blob: str | None = None, commit: str = COMMIT) -> Path:
        """Put a file into the Hugging Face cache as huggingface_hub does: a link to a blob called by its hash."""
        repository = self.root / "hf" / "hub" / "models--org--tiny"
        self.write(str(repository / "blobs" / (blob or sha256(data))), data)
        link = repository / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(repository / "blobs" / (blob or sha256(data)))
        return link


VARIABLES = (
    *("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "XDG_CACHE_HOME"),
    *("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Empty folders, and a manifest that knows `tiny`."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CINEREWARD_MANIFEST", str(tmp_path / "manifest.yaml"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    made = House(root=tmp_path)
    made.knows(tiny=entry())
    return made


@dataclass(kw_only=True)
class Server:
    """What a server has and how it behaves. ways: path -> how: "cut", "silent", "slow", a status, a URL.

    "no ranges": sends the whole file. "elsewhere": goes on, but from another place than it was asked for.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    ways: dict[str, str | int] = field(default_factory=dict)
    linked: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server on this machine."""
    made = Server(url="")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append((self.path, dict(self.headers)))
            way, data = made.ways.get(self.path), made.files.get(self.path, b"")
            if way == "silent":
                made.closing.wait(20)
            elif isinstance(way, str) and "://" in way:
                self.send_response(302)
                self.send_header("Location", way)
                if self.path in made.linked:
                    self.send_header("X-Linked-Etag", f'"{made.linked[self.path]}"')
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif isinstance(way, int) or self.path not in made.files:
                self.send_error(way if isinstance(way, int) else 404)
            else:
                self._send(data, way)

        def _send(self, data: bytes, way: str | int | None) -> None:
            told = self.headers.get("Range") if way != "no ranges" else None
            start = 0 if way == "elsewhere" else int(told.removeprefix("bytes=").removesuffix("-")) if told else 0
            if start >= len(data) and told:
                return self.send_error(416)
            self.send_response(206 if told else 200)
            if told:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if way == "slow":
                for at in range(start, len(data)):
                    if made.closing.wait(0.05):
                        return None
                    self.wfile.write(data[at : at + 1])
            self.wfile.write(data[start : len(data) // 2 if way == "cut" else None])

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        web.daemon_threads = True
        made.url = f"http://127.0.0.1:{web.server_port}"
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        with contextlib.suppress(ConnectionError):
            yield made
        made.closing.set()
        web.shutdown()
        web.block_on_close = False

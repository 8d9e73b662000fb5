"""A real HTTP server on this machine that speaks OpenAI's chat completions as vLLM does, and misbehaves on demand."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
Said = Mapping[str, float] | str  # tokens with the logarithms of their chances, or what is written
LABELS = {"4": math.log(0.6), "5": math.log(0.2), "3": math.log(0.1), "The": math.log(0.1)}  # labels 0.9, score 0.7778


def plainly(body: Body) -> Said:
    return LABELS if body.get("logprobs") else '{"note": "A walk."}'


class Server:
    """Serve until the block is left.

    Args:
        answer: what is said to a request. model: what it is called. software: "vllm", "sglang" or another owner.
        fault: from the number of a question (from 0) and its body to what goes wrong with it; "" for nothing. lacks:
            of "label ids", "a JSON schema", "continue_final_message", "/health". sick: /health says so. cards: what
            /v1/models says beside the name. key: that must be sent, or "".

    posts: bodies of the questions, in order. asked: every path. most: questions under way at once. held: uuids.
    """

    def __init__(
        self,
        answer: Callable[[Body], Said] = plainly,
        *,
        model: str = "judge",
        software: str = "vllm",
        fault: Callable[[int, Body], str] = lambda number, body: "",
        lacks: tuple[str, ...] = (),
        sick: bool = False,
        key: str = "",
        tokens: Callable[[str], list[int]] = lambda text: [ord(letter) for letter in text],
        cards: Body | None = None,
    ) -> None:
        self.answer, self.model, self.software, self.fault, self.lacks = answer, model, software, fault, lacks
        self.sick, self.key, self.tokens, self.cards = sick, key, tokens, cards or {}
        self.posts: list[Body] = []
        self.asked: list[str] = []
        self.held: set[str] = set()
        self.most = self._now = 0
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._http = _Http(("127.0.0.1", 0), type("Bound", (_Handler,), {"server_of": self}))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """Stop, and break off every connection."""
        if not self.ended.is_set():
            self.ended.set()
            self._http.server_close()
            threading.Thread(target=self._http.shutdown, daemon=True).start()
        for one in list(self._open):
            self.drop(one)

    def drop(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        self._open.discard(one)

    def under_way(self, change: int) -> None:
        with self.lock:
            self._now += change
            self.most = max(self.most, self._now)

    def kept(self, one: socket.socket) -> None:
        self._open.add(one)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away is what some tests are about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_of: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.server_of.kept(self.connection)

    def do_GET(self) -> None:
        mine = self.server_of
        mine.asked.append(self.path)
        if self.path == "/health" and "/health" not in mine.lacks:
            self.give(503 if mine.sick else 200, {})
        elif mine.key and self.headers["Authorization"] != f"Bearer {mine.key}":
            self.give(401, {"error": {"message": "no such key"}})
        elif self.path == "/v1/models":
            self.give(200, {"data": [{"id": mine.model, "owned_by": mine.software, **mine.cards}]})
        elif self.path == "/version" and mine.software == "vllm":
            self.give(200, {"version": "0.20.0"})
        else:
            self.give(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        mine = self.server_of
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mine.asked.append(self.path)
        if self.path == "/tokenize":
            self.give(200, {"tokens": mine.tokens(body["prompt"])})
            return
        with mine.lock:
            number = len(mine.posts)
            mine.posts.append(body)
        mine.under_way(1)
        try:
            fault = mine.fault(number, body)
            if not self.goes_wrong(fault):
                self.goes_well(body, fault)
        finally:
            mine.under_way(-1)

    def goes_well(self, body: Body, fault: str) -> None:
        mine = self.server_of
        for name, field in (("a JSON schema", "response_format"), ("continue_final_message",) * 2):
            if name in mine.lacks and field in body:
                self.give(400, {"error": {"message": f"{field} is not supported"}})
                return
        for part in body["messages"][1]["content"]:
            if "uuid" in part and not part[part["type"]]:
                if part["uuid"] not in mine.held:
                    self.give(400, {"error": {"message": "no data and nothing held"}})
                    return
            elif "uuid" in part:
                mine.held.add(part["uuid"])
        said = mine.answer(body)
        reply = written(body, said) if isinstance(said, str) else chosen(said)
        reply["model"] = "another" if fault == "another model" else body["model"]
        reply["choices"] *= 2 if fault == "two answers" else 1
        if fault == "two tokens":
            reply["choices"][0]["logprobs"]["content"] *= 2
        if fault == "no probabilities":
            reply["choices"][0]["logprobs"] = None
        if fault == "too long":
            reply["usage"]["completion_tokens"] = body["max_tokens"] + 7
        self.give(200, reply)

    def goes_wrong(self, fault: str) -> bool:
        """Answer in a wrong way; False: nothing is wrong with the exchange itself."""
        plain = {
            "other JSON": b'{"hello": 1}',
            "a list": b"[1, 2]",
            "text": b"<html>busy</html>",
            "huge": b" " * (5 << 20),
        }
        name, _, more = fault.partition(":")
        if name == "death":
            self.server_of.die()
        elif name == "slow":
            self.server_of.ended.wait(float(more or 20))
            return bool(more == "")
        elif name == "half":
            self.start(200, 1000)
            self.wfile.write(b'{"choices": [')
            self.server_of.drop(self.connection)
        elif name == "silence":
            self.server_of.ended.wait(float(more))
            self.start(200, 1000)
            self.server_of.ended.wait(20)
        elif name == "drip":
            self.start(200, 1000)
            for _ in itertools.takewhile(lambda _: not self.server_of.ended.wait(0.05), range(400)):
                self.wfile.write(b" ")
        elif name == "drip before":
            for _ in itertools.takewhile(lambda _: not self.server_of.ended.wait(0.05), range(400)):
                self.wfile.write(b"H")
        elif name in plain:
            self.give(200, plain[name])
        elif name.isdecimal():
            wait = {"Retry-After": more} if more else {}
            self.give(int(name), {"error": {"message": f"fault {name}"}}, {**wait, "Location": "/elsewhere"})
        else:
            return False
        return True

    def give(self, status: int, body: Any, headers: Mapping[str, str] = {}) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.start(status, len(content), headers)
        self.wfile.write(content)

    def start(self, status: int, length: int, headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()


def chosen(said: Mapping[str, float]) -> Body:
    """A reply of one token, the first of these, with all their chances."""
    tops = [{"token": token, "logprob": log, "bytes": list(token.encode())} for token, log in said.items()]
    choice = {"index": 0, "message": {"role": "assistant", "content": next(iter(said))}, "finish_reason": "length"}
    choice["logprobs"] = {"content": [{**tops[0], "top_logprobs": tops}]}
    return {"object": "chat.completion", "choices": [choice], "usage": {"completion_tokens": 1}}


def written(body: Body, text: str) -> Body:
    """A reply in words, each of which counts as a token; "..." at its end: it came to its limit."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text.removesuffix("...")}, "logprobs": None}
    choice["finish_reason"] = "length" if text.endswith("...") else "stop"
    used = min(body["max_tokens"], len(text.split()))
    return {"object": "chat.completion", "choices": [choice], "usage": {"completion_tokens": used}}


def pictures(url: str) -> list[bytes]:
    """The files in a data URL of one picture or of a film."""
    return [base64.b64decode(data) for data in url.partition(";base64,")[2].split(",")]


def until(true: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait for something, and say whether it came."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()

"""One HTTP exchange with a server, whose end comes in time whatever the server does.

A server may take its time, send a byte now and then, break off, or send without end. So the seconds are counted over
the whole exchange, below HTTP, and the answer's size has a limit. Redirects are not followed, proxies are not asked,
and certificates are checked.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from cinereward.errors import ConfigError, JudgeError, MissingExtraError

try:
    import httpcore  # what httpx stands on; only here can the clock be put below the protocol
except ImportError as error:
    raise MissingExtraError("httpx", "judge") from error

LARGEST = 4 << 20  # bytes of an answer


class Broken(JudgeError):
    """No whole answer came."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server answered. body: its JSON, or None where it is none. text: the beginning of it, for messages.

    wait: s that the server asks to be left alone, or None.
    """

    status: int
    body: Any
    text: str
    wait: float | None = None


class _Clock(threading.local):
    """When the exchange of this thread has to be over."""

    end = 0.0

    def left(self, asked: float | None) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time is up")
        return left if asked is None else min(asked, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, clock: _Clock) -> None:
        self._inner, self._clock = inner, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._clock.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), 1 << 16):  # a server that reads slowly must not hold us either
            self._inner.write(buffer[start : start + (1 << 16)], self._clock.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, self._clock.left(timeout)), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(httpcore.SyncBackend):
    def __init__(self, clock: _Clock) -> None:
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        inner = super().connect_tcp(host, port, self._clock.left(timeout), local_address, socket_options)
        return _Stream(inner, self._clock)


class Wire:
    """The connections to one server. Threads may share it.

    Args:
        url: base URL, with or without "/v1" at its end: "http://judge-1:8000/v1". key: sent as a bearer token where it
            is not empty; it stands in no message. connect: s to wait for a connection. connections: at most.

    Raises:
        ConfigError: the URL is not one of a server, or holds a name, a password or a query.
    """

    def __init__(self, url: str, *, key: str = "", connect: float = 5.0, connections: int = 16) -> None:
        parts = urlsplit(url)
        host = parts.hostname
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigError(f"an endpoint of the judge is {url!r}; expected http://host:port/v1 or https://...")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigError(
                f"an endpoint at {host} holds more than a path; put its key into the environment, not into the URL"
            )
        if any(ord(letter) < 33 or ord(letter) > 126 for letter in key):
            raise ConfigError(
                "the key of the judge's servers holds a space or a letter that HTTP cannot send; check it"
            )
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.name = f"{host}:{port}"
        self._base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"
        self._headers = [("Accept", "application/json"), ("Content-Type", "application/json")]
        self._headers += [("Authorization", f"Bearer {key}")] if key else []
        self._key, self._connect, self._clock = key, connect, _Clock()
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context() if parts.scheme == "https" else None,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=15.0,
            network_backend=_Network(self._clock),
        )

    def send(self, path: str, body: Mapping[str, Any] | None = None, *, seconds: float) -> Reply:
        """Send a request and wait for the whole answer.

        Args:
            path: "/v1/models". body: of a POST; None: a GET. seconds: that all of it may take.

        Raises:
            Broken: there is no connection, the time is up, or the answer is cut short or too long.
        """
        content = None if body is None else json.dumps(body, ensure_ascii=True, allow_nan=False).encode("ascii")
        self._clock.end = time.monotonic() + seconds
        limits = {"connect": min(self._connect, seconds), "read": seconds, "write": seconds, "pool": seconds}
        try:
            with self._pool.stream(
                "GET" if content is None else "POST",
                self._base + path,
                headers=self._headers,
                content=content,
                extensions={"timeout": limits},
            ) as response:
                return self._told(response)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise Broken(f"{self.name} cannot be reached: {self.clean(str(error)) or 'no connection'}") from None
        except httpcore.TimeoutException:
            raise Broken(f"{self.name} did not answer within {seconds:.4g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise Broken(f"{self.name} broke off: {self.clean(str(error)) or type(error).__name__}") from None

    def clean(self, text: str, limit: int = 200) -> str:
        """A server's words for a message of ours: one line, short, and without the key."""
        plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        return (plain.replace(self._key, "***") if self._key else plain)[:limit]

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.close()

    def _told(self, response: httpcore.Response) -> Reply:
        whole = bytearray()
        for piece in response.iter_stream():
            whole += piece
            if len(whole) > LARGEST:
                raise Broken(f"{self.name} answered with more than {LARGEST} bytes")
        headers = {name.lower(): value for name, value in response.headers}
        text = whole.decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        asked = headers.get(b"retry-after", b"").decode("latin-1")
        return Reply(status=response.status, body=body, text=self.clean(text), wait=seconds_of(asked))


def seconds_of(text: str) -> float | None:
    """What Retry-After asks for, in s: a number, or a date; None where it is neither."""
    if text.strip().isdecimal():
        return float(min(int(text.strip()[:9]), 10**9))
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None

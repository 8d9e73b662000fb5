"""An exchange comes to its end in time, whatever is at the other end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("httpx")

from cinereward.judge.wire import Broken, Wire
from tests.judge.server import Server


@pytest.fixture
def deaf() -> Iterator[str]:
    """A server that takes connections and never reads."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_never_reads_does_not_hold_us(deaf: str) -> None:
    began = time.monotonic()
    with pytest.raises(Broken, match=r"within 0\.5 s"):
        Wire(deaf).send("/v1/chat/completions", {"text": "a" * (32 << 20)}, seconds=0.5)
    assert time.monotonic() - began < 3.0


def test_a_connection_that_is_kept_is_under_the_clock_too() -> None:
    with Server(fault=lambda number, body: "slow" if number else "") as server:
        wire = Wire(server.url)
        body = {"messages": [{}, {"content": []}], "model": "judge", "logprobs": True}
        assert wire.send("/v1/chat/completions", body, seconds=5.0).status == 200
        began = time.monotonic()
        with pytest.raises(Broken, match=r"within 0\.3 s"):
            wire.send("/v1/chat/completions", body, seconds=0.3)
        assert time.monotonic() - began < 2.0


def test_the_clock_runs_over_the_whole_and_not_over_each_part() -> None:
    began = time.monotonic()
    with Server(fault=lambda number, body: "silence:0.9") as server, pytest.raises(Broken, match="within 1 s"):
        Wire(server.url).send("/v1/chat/completions", {"model": "judge"}, seconds=1.0)
    assert time.monotonic() - began < 1.7


def test_a_server_without_a_certificate_is_not_trusted() -> None:
    with Server() as server, pytest.raises(Broken, match="cannot be reached"):
        Wire(server.url.replace("http:", "https:")).send("/v1/models", seconds=3.0)


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/"])
def test_a_base_url_may_end_in_its_version_or_not(tail: str) -> None:
    with Server() as server:
        assert Wire(server.url.removesuffix("/v1") + tail).send("/v1/models", seconds=5.0).status == 200


def test_a_redirect_is_not_followed() -> None:
    with Server(fault=lambda number, body: "307") as server:
        assert Wire(server.url).send("/v1/chat/completions", {"model": "judge"}, seconds=5.0).status == 307
    assert server.asked == ["/v1/chat/completions"]


def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Server() as server:
        assert Wire(server.url).send("/v1/models", seconds=5.0).status == 200


def test_a_servers_words_are_one_short_line_without_the_key() -> None:
    came = Wire("http://judge:1", key="sesame").clean("no\nkey \x1b[31msesame\x00" + "a" * 500)
    assert came.startswith("no key [31m***") and len(came) == 200 and came.isprintable()

"""The film judge over a server keeps what every judge must keep."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("httpx")

from cinereward.judge.film import FilmJudge
from cinereward.judge.served import ServedBackend
from cinereward.testing.judges import JudgeConformance
from tests.judge.requests import TAXONOMY, settings
from tests.judge.server import Body, Server


def by_content(body: Body) -> dict[str, float]:
    """Chances of the labels that hang on the film's name and on the question alone."""
    parts = body["messages"][1]["content"]
    named = "".join(part.get("uuid", "") for part in parts) + parts[-1]["text"]
    draw = np.random.default_rng(int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "little"))
    return {str(at + 1): float(np.log(0.95 * share)) for at, share in enumerate(draw.dirichlet(np.ones(5)))}


@pytest.fixture(scope="class", autouse=True)
def server(request: pytest.FixtureRequest) -> Iterator[None]:
    with Server(by_content) as serving:
        request.cls.url = serving.url
        yield


class TestServed(JudgeConformance):
    url: str

    def judge(self) -> FilmJudge:
        given = settings(kind="served", model="judge", endpoints=[self.url])
        return FilmJudge(ServedBackend(given), given, TAXONOMY)

"""The local judge and the served one over the same weights agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")
pytest.importorskip("httpx")

from cinereward.judge.backend import Ask
from cinereward.judge.labels import moments
from cinereward.judge.served import ServedBackend
from cinereward.judge.settings import JudgeSettings
from tests.judge.server import Server
from tests.judge.speaking import Speaking, first_slot
from tests.judge.tiny import ASKS, backend, shown

FAMILIES = ("qwen3_vl", "qwen2_5_vl", "qwen2_5_omni")


def served(server: Server, **changes: Any) -> ServedBackend:
    given = JudgeSettings(kind="served", model="judge", endpoints=(server.url,), concurrency=3, timeout=60)
    return ServedBackend(given, **changes)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_served_judge_agrees_with_the_local_one(family: str) -> None:
    local = backend(family)
    speaking = Speaking(local)
    clips = [(shown(n, frames=4 + n), ASKS) for n in range(2)]
    with Server(speaking, tokens=speaking.tokens) as server:
        there = served(server, hears=local.hears).read(clips)
    here = local.read(clips)
    assert not [read.error for reads in there for read in reads if read.error]
    came, expected = ([moments(read.logs) for reads in side for read in reads] for side in (there, here))
    assert np.abs(np.array(came) - np.array(expected)).max() < 1e-3
    assert np.ptp([score for score, _, _ in expected]) > 0.003  # the questions do not all come to the same


def test_they_agree_where_the_server_tells_only_its_top() -> None:
    local = backend()
    speaking = Speaking(local)
    with Server(speaking, tokens=lambda text: []) as server:
        [there] = served(server).read([(shown(3), ASKS)])
    assert not [body for body in server.posts if "logprob_token_ids" in body]
    [here] = local.read([(shown(3), ASKS)])
    for came, expected in zip(there, here, strict=True):
        assert abs(moments(came.logs)[0] - moments(expected.logs)[0]) < 1e-3


def test_jpeg_moves_the_score_little_on_a_smooth_picture() -> None:
    local = backend()
    speaking = Speaking(local)
    ramp = np.linspace(0, 255, 96).astype(np.uint8)
    clip = shown(4, frames=4, reference=None)
    smooth = shown(4, frames=4, reference=None, key="smooth")
    object.__setattr__(smooth, "frames", np.broadcast_to(ramp[None, None, :, None], clip.frames.shape).copy())
    with Server(speaking, tokens=speaking.tokens) as server:
        [[there]] = served(server, picture="jpeg").read([(smooth, ASKS[:1])])
    [[here]] = local.read([(smooth, ASKS[:1])])
    assert moments(there.logs)[0] == pytest.approx(moments(here.logs)[0], abs=0.05)


def test_the_labels_are_the_same_tokens_here_and_there() -> None:
    local = backend()
    speaking = Speaking(local)
    with Server(speaking, tokens=speaking.tokens) as server:
        served(server).read([(shown(), ASKS[:1])])
    assert tuple(server.posts[0]["logprob_token_ids"]) == first_slot(local, shown(), ASKS[0])


def test_the_same_is_written_here_and_there() -> None:
    local = backend()
    speaking = Speaking(local)
    asks = [Ask(name=ask.name, text=ask.text, lead="") for ask in ASKS[:3]]
    with Server(speaking, tokens=speaking.tokens) as server:
        [there] = served(server).write([(shown(5), asks)], most_tokens=8)
    [here] = local.write([(shown(5), asks)], most_tokens=8)
    assert [(one.text, one.finished) for one in there] == [(one.text, one.finished) for one in here]

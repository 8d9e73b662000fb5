"""A server that is down, slow, wrong or odd: always a reason, always in time, and never a made-up number."""

from __future__ import annotations

import time
from dataclasses import replace
from math import log

import numpy as np
import pytest

pytest.importorskip("httpx")

from cinereward.judge.backend import Ask
from cinereward.judge.labels import verdict
from cinereward.types import Status
from tests.judge.looks import ASKS, QUICK, parts, served, shown
from tests.judge.server import Server

LATE = ("slow", "drip", "drip before")
FAULTS = {
    **dict.fromkeys(LATE, "did not answer within 0.4 s"),
    "half": "broke off",
    "500": "failed (500): fault 500",
    "503": "failed (503)",
    "429": "is busy (429)",
    "429:3600": "asks to be left alone for 3600 s",
    "400": "refuses the question (400): fault 400",
    "413": "refuses the question (413)",
    "404": "has no chat completions for this model here (404)",
    "302": "(302)",
    "403": "does not take the key (403)",
    "text": "something else than a JSON object",
    "a list": "something else than a JSON object",
    "other JSON": "the model 'None' answered",
    "huge": "more than",
    "another model": "the model 'another' answered; 'judge' was asked",
    "two answers": "2 answers came; expected one",
    "two tokens": "it wrote 2 tokens; one was asked for",
    "no probabilities": "it tells no probabilities",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_ends_in_a_reason_in_time(fault: str) -> None:
    limits = replace(QUICK, total=0.4) if fault in LATE else QUICK
    began = time.monotonic()
    with Server(fault=lambda number, body: fault) as server:
        reads = served(server, limits=limits).read([(shown(), ASKS)])[0]
    assert time.monotonic() - began < 6.0
    assert len(reads) == 4 and all(FAULTS[fault] in read.error for read in reads), reads[0].error
    assert all(np.isnan(read.logs).all() and verdict("q", read).status is Status.FAILED for read in reads)
    assert len(server.posts) <= 2 * QUICK.tries


def test_a_server_that_is_down_is_told_at_once() -> None:
    server = Server()
    server.die()
    began = time.monotonic()
    reads = served(server).read([(shown(), ASKS)])[0]
    assert time.monotonic() - began < 3.0 and all("cannot be reached" in read.error for read in reads)


def test_a_server_that_is_not_well_is_not_asked() -> None:
    with Server(sick=True) as server:
        [[read]] = served(server).read([(shown(), ASKS[:1])])
    assert "not well (503)" in read.error and server.posts == []


def test_a_server_of_another_model_is_not_asked() -> None:
    with Server(model="qwen") as server:
        [[read]] = served(server).read([(shown(), ASKS[:1])])
    assert "serves qwen; the judge asks for judge" in read.error and server.posts == []


def test_a_server_without_a_health_page_is_asked() -> None:
    with Server(lacks=("/health",)) as server:
        assert not served(server).read([(shown(), ASKS[:1])])[0][0].error


def test_labels_outside_the_top_lower_the_mass_and_fail() -> None:
    said = {"The": log(0.6), "4": log(0.3), "A": log(0.1)}
    with Server(lambda body: said, software="other") as server:
        [[read]] = served(server).read([(shown(), ASKS[:1])])
    assert not read.error and verdict("q", read).status is Status.FAILED
    assert "0.30 of the probability" in verdict("q", read).reason


def test_a_label_with_and_without_a_space_is_one_label() -> None:
    said = {"4": log(0.5), " 4": log(0.2), "\u25814": log(0.1), "\u01204": log(0.1), "44": log(0.05)}
    with Server(lambda body: said) as server:
        [[read]] = served(server).read([(shown(), ASKS[:1])])
    assert np.exp(read.logs[3]) == pytest.approx(0.9)


def test_labels_of_more_than_all_probability_are_an_error() -> None:
    with Server(lambda body: {"4": log(0.9), " 4": log(0.9)}) as server:
        [[read]] = served(server).read([(shown(), ASKS[:1])])
    assert "expected 1 at most" in read.error


def test_a_server_that_refuses_a_begun_answer_says_so() -> None:
    with Server(lacks=("continue_final_message",), software="other") as server:
        [[read]] = served(server).read([(shown(), ASKS[:1])])
    assert "continue_final_message is not supported" in read.error


def test_a_server_that_begins_a_turn_of_its_own_is_found_out() -> None:
    with Server(lambda body: {"Score": -0.01}) as server:
        [[read]] = served(server).read([(shown(), ASKS[:1])])
    assert "begins a new turn" in read.error and "continue_final_message" in read.error


def test_one_odd_answer_is_asked_for_again() -> None:
    with Server(fault=lambda number, body: "half" if number == 0 else "") as server:
        assert not served(server).read([(shown(), ASKS[:1])])[0][0].error
    assert len(server.posts) == 2


def test_one_refused_question_does_not_spoil_the_others() -> None:
    with Server(fault=lambda number, body: "400" if "Question 0" in parts(body)[-1]["text"] else "") as server:
        errors = [read.error for read in served(server).read([(shown(), ASKS)])[0]]
    assert "refuses" in errors[0] and errors[1:] == ["", "", ""]


def test_a_refused_clip_is_not_sent_for_every_question() -> None:
    with Server(fault=lambda number, body: "400", software="other") as server:
        reads = served(server).read([(shown(), [Ask(name=str(n), text="?") for n in range(50)])])[0]
    assert len(server.posts) == 2 and len(reads) == 50
    assert "the first questions on this clip failed" in reads[-1].error and "fault 400" in reads[-1].error

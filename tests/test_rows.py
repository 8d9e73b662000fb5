"""One clip's result as JSON: what a profile with networks and a judge adds to it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from cinereward import RewardBatch, Status
from cinereward.parts import new_console
from cinereward.right import NAMES
from cinereward.rows import Row, record
from cinereward.show import Sheet
from cinereward.types import Evidence, Verdict


def batch(level: str, names: tuple[str, ...], scored: dict[str, float], **more: Any) -> RewardBatch:
    values = np.array([[scored.get(name, math.nan) for name in names]], np.float32)
    status = np.where(np.isnan(values), Status.GATED, Status.SCORED).astype(np.int8)
    content: dict[str, Any] = {
        "values": values,
        "status": status,
        "std": np.where(np.isnan(values), np.nan, 0.1).astype(np.float32),
        "scalar": np.array([0.5], np.float32),
        "dimensions": names,
        "reasons": (("because",) * len(names),),
        "errors": (None,),
        "critiques": ((),),
        "evidence": ({},),
        "version": "v",
        "level": level,
    }
    return RewardBatch(**content | more)


def row(**more: Any) -> Row:
    return Row(
        path="a.mp4", name="a.mp4", prompt="a dog", batch=batch("sub_dimension", ("a.b.c",), {"a.b.c": 0.5}, **more)
    )


RIGHT = batch("right", tuple(NAMES), {"subject": 0.25, "action": 0.75})
VERDICT = Verdict(question="a.b.c.q", score=0.25, std=0.2, mass=0.9, rationale="Grey.", reflection="Still grey.")


def test_prompt_following_is_told_where_there_is_any() -> None:
    told = record(row(right=RIGHT))["right"]
    assert told["scalar"] == 0.5
    assert told["dimensions"]["subject"] == {"value": 0.25, "std": 0.1, "status": "SCORED", "reason": "because"}
    assert told["dimensions"]["style"]["value"] is None


def test_verdicts_are_told_question_by_question() -> None:
    assert record(row(verdicts=({"a.b.c.q": VERDICT},)))["verdicts"] == {
        "a.b.c.q": {
            "score": 0.25,
            "std": 0.2,
            "mass": 0.9,
            "status": "SCORED",
            "reason": "",
            "rationale": "Grey.",
            "reflection": "Still grey.",
        }
    }


def test_what_befell_the_measuring_is_told() -> None:
    found = Evidence(operator="pose", measurements={}, notes=("cuda ran out of memory",))
    assert record(row(evidence=({"pose": found},)))["notes"] == {"pose": ["cuda ran out of memory"]}


@pytest.mark.parametrize("key", ["right", "verdicts", "notes"])
def test_a_profile_without_them_tells_nothing_of_them(key: str) -> None:
    assert key not in record(row())


def test_the_table_names_what_was_least_as_asked_first() -> None:
    lines = [str(line) for line in Sheet(console=new_console()).right([row(right=RIGHT)])]
    assert lines == ["as asked, a.mp4: subject 0.25, action 0.75"]


def test_the_table_says_where_nothing_can_be_told() -> None:
    empty = dataclasses.replace(RIGHT, values=RIGHT.values * np.nan, status=np.full_like(RIGHT.status, 1))
    assert str(next(Sheet(console=new_console()).right([row(right=empty)]))).endswith(": nothing that can be told")


def test_what_is_missing_is_counted_without_its_commands() -> None:
    told = "no evidence in profile perception; pose is not run: weights yolo; get them: x; face is not run: y"
    empty = batch(
        "sub_dimension", ("a.b.c",), {}, reasons=((told,),), status=np.full((1, 1), Status.UNAVAILABLE, np.int8)
    )
    lines = Sheet(console=new_console()).unscored([Row(path="a", name="a", prompt="", batch=empty)])
    assert [str(line) for line in lines] == ["1 not scored: 1 for want of pose, face"]

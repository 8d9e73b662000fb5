"""A ledger replays to the same bits, and whatever is changed in it is found."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import EXPOSURE, FOCUS, account, found, judged, ledger, reading, scores, term

from cinereward.account import Account
from cinereward.fusion import Fused
from cinereward.ledger import check, digest, replay, schema
from cinereward.types import Evidence, Status, Verdict


def through_json(made: dict[str, Any]) -> dict[str, Any]:
    back: dict[str, Any] = json.loads(json.dumps(made))
    return back


def bits(fused: Fused) -> tuple[Any, ...]:
    return fused.value.hex(), fused.std.hex(), fused.status, fused.reason, fused.terms


UNIT = st.floats(0, 1)
DOUBT = st.one_of(st.just(0.0), st.just(math.inf), st.floats(0, 10, allow_subnormal=False))
VALUES = st.one_of(st.floats(-5, 5), st.just(math.nan))
RISING = st.lists(st.floats(-4, 4), min_size=2, max_size=5, unique=True).map(sorted)


@st.composite
def terms_of(draw: st.DrawFn, operator: str) -> Any:
    """One term with a rising or falling curve, and what was measured for it: a value, a track, or nothing."""
    xs = draw(RISING)
    ys = sorted(draw(st.lists(UNIT, min_size=len(xs), max_size=len(xs))))
    falling = draw(st.booleans())
    points = tuple(zip(xs, ys[::-1] if falling else ys, strict=True))
    name = draw(st.sampled_from("abcdefgh"))
    made = term(
        f"{operator}.{name}",
        points=points,
        shape="falling" if falling and ys[0] < ys[-1] else "rising",
        weight=draw(st.floats(0.01, 4)),
        std=draw(UNIT),
    )
    kind = draw(st.sampled_from(["value"] * 6 + ["track", "nothing"]))
    if kind == "nothing":
        return made, None
    if kind == "track":
        return made, reading(name, [0.1, 0.2], times=[0.0, 0.5])
    return made, reading(name, draw(VALUES), draw(DOUBT), note=draw(st.text(max_size=5)))


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    """Two sub-dimensions of one to four terms each; now and then an operator failed, or the clip could not be read."""
    drawn = {name: draw(st.lists(terms_of(name), min_size=1, max_size=4)) for name in ("sharpness", "exposure")}
    terms = {
        dimension: [item for item, _ in drawn[name]]
        for dimension, name in ((FOCUS, "sharpness"), (EXPOSURE, "exposure"))
    }
    evidence: dict[str, Evidence] = {}
    for name, pairs in drawn.items():
        evidence |= found(name, *{item.name: item for _, item in pairs if item is not None}.values())
    failures = draw(st.sampled_from([{}, {}, {}, {"sharpness": "no picture"}]))
    parts: dict[str, Any] = {"terms": terms, "evidence": evidence, "failures": failures}
    parts["because"] = {EXPOSURE: draw(st.sampled_from(["", "the prompt asks for noir"]))}
    if draw(st.integers(0, 9)) > 0:
        return account(**parts)
    lost = Fused(value=math.nan, std=math.nan, status=Status.FAILED, reason="no video")
    fused = {name: lost if name in terms else item for name, item in scores(parts).items()}
    return account(0, **parts | {"fused": fused, "error": "no video", "evidence": {}, "failures": {}})


@given(accounts())
def test_a_ledger_replays_to_the_same_bits(given_account: Account) -> None:
    came = replay(through_json(ledger(given_account)))
    assert {name: bits(item) for name, item in came.items()} == {
        name: bits(item) for name, item in given_account.fused.items()
    }


@st.composite
def verdicts(draw: st.DrawFn) -> list[Verdict]:
    """One to four answers, of any status."""
    out = []
    for number in range(draw(st.integers(1, 4))):
        status = draw(st.sampled_from([Status.SCORED] * 4 + [Status.FAILED, Status.UNAVAILABLE]))
        score = draw(UNIT) if status is Status.SCORED else math.nan
        std = draw(st.one_of(st.just(math.nan), UNIT))
        out.append(Verdict(question=f"a.b.{number}", score=score, std=std, status=status, reason=status.name))
    return out


@given(accounts(), verdicts(), UNIT, st.dictionaries(st.sampled_from(["a.b.0", "a.b.1"]), st.floats(0, 3)))
def test_a_judged_ledger_replays_to_the_same_bits(
    given_account: Account, said: list[Verdict], weight: float, questions: dict[str, float]
) -> None:
    whole = judged(EXPOSURE, said, weight, questions, given_account)
    made = through_json(ledger(whole))
    assert {name: bits(item) for name, item in replay(made).items()} == {
        name: bits(item) for name, item in whole.fused.items()
    }
    assert check(made) == ()


@given(accounts())
def test_nothing_is_found_in_a_ledger_that_nobody_touched(given_account: Account) -> None:
    assert check(through_json(ledger(given_account))) == ()


# --- whatever is changed is found ---


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a ledger."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, inside in items:
        if isinstance(inside, dict | list):
            yield from leaves(inside, (*path, key))
        else:
            yield (*path, key)


def changed(content: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    out = copy.deepcopy(content)
    inside: Any = out
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return out


def other(value: Any) -> Any:
    """Something else of the same kind: for a number the next one that there is."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return math.nextafter(value, math.inf)
    return value + 1 if isinstance(value, int) else f"{value}x" if isinstance(value, str) else "was null"


WHOLE = ledger(judged(EXPOSURE, [Verdict(question="q.one", score=0.75, std=0.1)], 0.4))
PATHS = sorted(leaves(WHOLE), key=str)


def test_no_single_change_goes_unseen() -> None:
    for path in PATHS:
        inside: Any = WHOLE
        for key in path:
            inside = inside[key]
        try:
            assert check(changed(WHOLE, path, other(inside))), path
        except ValueError as error:  # no ledger any more: not a number, not a status
            assert str(path[-1]) in str(error) or str(path[-2]) in str(error)


ENTRY = ("scores", EXPOSURE, "terms", 0)
TAMPERED: list[tuple[tuple[Any, ...], Any, str]] = [
    ((*ENTRY, "reading", "value"), 0.01, f"{EXPOSURE} value"),
    ((*ENTRY, "reading", "std"), 0.5, f"{EXPOSURE} std"),
    ((*ENTRY, "curve", "weight"), 0.1, f"{EXPOSURE} value"),
    ((*ENTRY, "curve", "points", 1, 1), 0.3, f"{EXPOSURE} value"),
    (("scores", EXPOSURE, "opinion", "weight"), 0.9, f"{EXPOSURE} value"),
    (("scores", EXPOSURE, "opinion", "rulings", 0, "score"), 0.9, f"{EXPOSURE} value"),
    ((*ENTRY, "score"), 0.99, f"{EXPOSURE}, exposure.flicker score"),
    (("scores", EXPOSURE, "value"), 0.99, f"{EXPOSURE} value"),
    (("scores", EXPOSURE, "std"), 0.0, f"{EXPOSURE} std"),
    (("scores", EXPOSURE, "reason"), "splendid", f"{EXPOSURE} reason"),
    (("scores", FOCUS, "terms", 0, "failure"), None, f"{FOCUS} reason"),
    (("folds", "dimension", "cinematography.lens", "parts", FOCUS), 0.0, "dimension cinematography.lens value"),
    (("folds", "stage", "production", "status"), "GATED", "stage production status"),
    (("scalar", "value"), 0.9, "scalar value"),
]


@pytest.mark.parametrize(("path", "value", "where"), TAMPERED, ids=lambda item: str(item)[-40:])
def test_a_change_is_named_where_it_shows_even_when_it_is_sealed_again(
    path: tuple[Any, ...], value: Any, where: str
) -> None:
    made = changed(WHOLE, path, value)
    made["sha256"] = digest(made)
    assert where in [item.where for item in check(made)]


def test_a_difference_tells_what_stands_there_and_what_came() -> None:
    (told,) = [item for item in check(changed(WHOLE, ("scores", EXPOSURE, "value"), 0.99)) if "value" in item.where]
    assert told.told == 0.99
    assert str(told) == f"{EXPOSURE} value: the ledger tells 0.99, but its evidence comes to {told.came!r}"


def test_a_score_that_was_made_missing_is_found_in_what_it_was_folded_into() -> None:
    made = ledger(account(terms={EXPOSURE: [term()]}, failures={}))
    made["scores"][EXPOSURE] |= {"status": "GATED", "measured": "GATED", "value": None, "std": None}
    made["sha256"] = digest(made)
    assert "dimension cinematography.lens status" in [item.where for item in check(made)]


def test_a_change_that_moves_no_score_breaks_the_seal() -> None:
    made = changed(WHOLE, (*ENTRY, "seconds", 1), 1.0)
    assert [item.where for item in check(made)] == ["sha256"]


# --- what is no ledger ---


NO_LEDGER: list[tuple[tuple[Any, ...], Any, str]] = [
    (("ledger",), 2, "ledger"),
    (("clip", "frames"), -1, "frames"),
    (("scores", EXPOSURE, "terms"), [], "its evidence is SCORED and has no terms"),
    (("scores", EXPOSURE, "status"), "FINE", "status"),
    ((*ENTRY, "reading", "std"), -1.0, "std"),
    (("scores", EXPOSURE, "opinion", "rulings"), [], "rulings"),
    (("scores", EXPOSURE, "opinion", "rulings", 0, "status"), "FAILED", "expected a number where SCORED"),
    (("scores", EXPOSURE, "opinion", "weight"), 1.5, "weight"),
    ((*ENTRY, "reading", "value"), math.inf, "value"),
    ((*ENTRY, "reading", "track"), True, "it is a track and has the value"),
    ((*ENTRY, "curve", "shape"), "rising", "are not rising"),
    (("folds", "dimension", "cinematography.lens", "parts"), {}, "parts"),
    (("folds", "dimension", "cinematography.lens", "parts"), {"focal": 1.0}, "is folded of focal, which is not there"),
    (("folds", "dimension", "cinematography.lens", "parts"), {FOCUS: -1.0}, "expected 0 or more"),
    (("scalar", "parts"), {"credits": 1.0}, "scalar  is folded of credits"),
    (("extra",), 1, "extra"),
]


@pytest.mark.parametrize(("path", "value", "said"), NO_LEDGER, ids=lambda item: str(item)[-40:])
def test_what_is_no_ledger_is_refused_with_the_place(path: tuple[Any, ...], value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(changed(WHOLE, path, value))


# --- the schema ---


def test_the_published_schema_is_that_of_the_code() -> None:
    path = Path(__file__).resolve().parents[1] / "configs" / "schemas" / "ledger.json"
    assert json.loads(path.read_text(encoding="utf-8")) == schema(), "write it again: see `schema`"


def test_the_schema_names_every_part_of_a_ledger() -> None:
    told = schema()
    assert told["required"] == list(WHOLE)
    assert set(told["$defs"]["Entry"]["required"]) == set(WHOLE["scores"][EXPOSURE]["terms"][0])

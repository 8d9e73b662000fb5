"""`cinereward score --ledger` and `cinereward replay`: what they write, tell and refuse, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import run, strict
from ledgers import EXPOSURE, ledger


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps([ledger(), ledger(name="other.mp4")]))
    return path


def put(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def tampered() -> dict[str, Any]:
    made = ledger()
    made["scores"][EXPOSURE]["value"] = 0.99
    return made


# --- score --ledger ---


def test_score_writes_a_ledger_that_replays(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "ledger.json"
    got = run("score", folder / "plain.mp4", folder / "cut.mp4", "--prompt", "x", "--ledger", out)
    assert got.exit_code == 0
    assert [made["clip"]["name"] for made in strict(out.read_text())] == ["plain.mp4", "cut.mp4"]
    again = run("replay", out)
    assert again.exit_code == 0
    assert again.stdout.count("all replay to the bit") == 2


def test_a_clip_that_cannot_be_read_is_in_the_ledger_with_its_error(broken: Path, tmp_path: Path) -> None:
    out = tmp_path / "ledger.json"
    assert run("score", broken, "--prompt", "x", "--ledger", out).exit_code == 1
    assert strict(out.read_text())[0]["clip"]["error"]
    assert run("replay", out).exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ledger", "-"), "--ledger - is no file"),
        (("--ledger", "no/such/folder/x.json"), "there is no folder"),
        (("--ledger", "x.json", "--json", "x.json"), "--json and --ledger are both to be written to x.json"),
        (("--ledger", "x.json", "--html", "./x.json"), "--html and --ledger are both to be written to"),
    ],
)
def test_where_a_ledger_cannot_go_is_told_before_the_work(folder: Path, options: tuple[str, ...], said: str) -> None:
    got = run("score", folder / "plain.mp4", "--prompt", "x", *options)
    assert got.exit_code == 2 and said in got.stderr


# --- replay ---


def test_replay_tells_each_clip_with_its_scalar(tmp_path: Path) -> None:
    made = ledger(failures={}, terms={})
    got = run("replay", put(tmp_path, made))
    assert (got.exit_code, got.stdout) == (0, "film.mp4: 0 scores: all replay to the bit\n")


def test_replay_takes_a_file_of_several(kept: Path) -> None:
    assert [line.partition(":")[0] for line in run("replay", kept).stdout.splitlines()] == ["film.mp4", "other.mp4"]


def test_what_does_not_replay_is_named_and_the_exit_code_is_1(tmp_path: Path) -> None:
    got = run("replay", put(tmp_path, tampered()))
    assert got.exit_code == 1
    assert f"{EXPOSURE} value: the ledger tells 0.99, but its evidence comes to 0." in got.stdout


def test_replay_says_which_version_wrote_what_does_not_replay(tmp_path: Path) -> None:
    assert "was scored by cinereward=test, and this is cinereward=" in run("replay", put(tmp_path, tampered())).stderr


def test_json_holds_every_difference(tmp_path: Path) -> None:
    path = put(tmp_path, tampered())
    (told,) = strict(run("replay", path, "--json").stdout)
    assert (told["ledger"], told["clip"]) == (str(path), "film.mp4")
    assert [item["where"] for item in told["differences"]] == [f"{EXPOSURE} value", "sha256"]


def test_at_most_eight_differences_are_told_in_words(tmp_path: Path) -> None:
    made = ledger()
    for fold in made["folds"]["dimension"].values():
        fold["value"] = 0.123
    lines = run("replay", put(tmp_path, made)).stdout.splitlines()
    assert len(lines) == 10 and lines[-1] == f"  and {len(made['folds']['dimension']) + 1 - 8} more"


NO_LEDGERS = [
    ("{", "cannot be read as JSON"),
    ("[" * 100_000, "cannot be read as JSON"),
    ("\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), "cannot be read as JSON"),
    (3, "ledger 1 of 1"),
    ([ledger(), {}], "ledger 2 of 2"),
    ({**ledger(), "ledger": 7}, "ledger: Input should be 1"),
    ({**ledger(), "more": 1}, "unknown key; valid keys here: clip, folds, ledger, scalar, scores, sha256, version"),
    ({**ledger(), "scores": {EXPOSURE: {**ledger()["scores"][EXPOSURE], "value": float("nan")}}}, "finite number"),
    ({**ledger(), "scores": {}}, "which is not there"),
]


@pytest.mark.parametrize(("content", "said"), NO_LEDGERS, ids=[said for _, said in NO_LEDGERS])
def test_what_is_no_ledger_is_one_clean_error(tmp_path: Path, content: Any, said: str) -> None:
    got = run("replay", put(tmp_path, content))
    assert got.exit_code == 2
    assert said in got.stderr and "Traceback" not in got.stderr


def test_a_file_that_is_not_there_is_one_clean_error(tmp_path: Path) -> None:
    got = run("replay", tmp_path / "none.json")
    assert got.exit_code == 2 and "none.json cannot be read" in got.stderr

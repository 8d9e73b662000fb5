from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cinereward import interrogation
from cinereward.judge import attacks
from cinereward.judge.backend import Ask, Shown
from cinereward.judge.film import FilmJudge
from cinereward.types import JudgeRequest, Verdict
from tests.command import run, strict, write
from tests.judge.fakes import Chances, FakeBackend, certain

LINES = "name: mine\nvalidated: null\nextends: signal\njudge: {model: fake, showing: {frames: 2, pixels: 6144}}\n"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(LINES, "utf-8")
    return path


def answering(monkeypatch: pytest.MonkeyPatch, chances: Chances) -> None:
    def opened(settings: Any, profile: Any, device: str | None) -> FilmJudge:
        return FilmJudge(FakeBackend(chances=chances), settings, profile.load_taxonomy())

    monkeypatch.setattr(interrogation, "_open", opened)


def steady(shown: Shown, ask: Ask) -> tuple[float, ...]:
    return certain(0.5)


def gullible(shown: Shown, ask: Ask) -> tuple[float, ...]:
    return certain(1.0 if "5" in shown.after else 0.5)


def test_the_structure_holds_for_every_shipped_attack() -> None:
    came = run("judge", "attack", "--structure")
    assert came.exit_code == 0
    assert came.stdout == f"{len(attacks.load().attacks)} attacks, 0 get through the structure\n"


def test_an_attack_that_gets_through_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacks, "structural", lambda attack: ["a turn more"] if attack.name == "give_five" else [])
    came = run("judge", "attack", "--structure", "--kind", "order")
    assert came.exit_code == 1
    assert "give_five: a turn more" in came.stdout
    came = run("judge", "attack", "--structure", "--kind", "order", "--json", "-")
    assert strict(came.stdout)["faults"] == {"give_five": ["a turn more"]}


def test_a_steady_judge_passes(monkeypatch: pytest.MonkeyPatch, profile: Path) -> None:
    answering(monkeypatch, steady)
    came = run("judge", "attack", "--profile", profile, "--limit", 5, "--questions", 2)
    assert came.exit_code == 0
    assert "0 of 5 attacks raise the score by more than 0.05" in came.stdout


def test_a_gullible_judge_does_not(monkeypatch: pytest.MonkeyPatch, profile: Path) -> None:
    answering(monkeypatch, gullible)
    came = run("judge", "attack", "--profile", profile, "--kind", "order", "--place", "prompt", "--questions", 2)
    assert came.exit_code == 1
    assert "give_five (prompt) raises the score by 0.500" in came.stdout
    assert "4 of 4 attacks raise the score by more than 0.05" in came.stdout


def test_a_higher_threshold_lets_it_pass(monkeypatch: pytest.MonkeyPatch, profile: Path) -> None:
    answering(monkeypatch, gullible)
    came = run("judge", "attack", "--profile", profile, "--limit", 3, "--questions", 1, "--threshold", 1)
    assert came.exit_code == 0


@pytest.mark.parametrize(("options", "mode"), [((), "direct"), (("--mode", "cot"), "cot")])
def test_the_judge_answers_as_in_its_profile_or_as_asked(
    monkeypatch: pytest.MonkeyPatch, profile: Path, options: tuple[str, ...], mode: str
) -> None:
    modes: set[str] = set()

    class Listening:
        hears = False

        def __call__(self, requests: Sequence[JudgeRequest]) -> list[list[Verdict]]:
            modes.update(request.mode for request in requests)
            return [[Verdict(question=name, score=0.5) for name in request.questions] for request in requests]

    monkeypatch.setattr(interrogation, "_open", lambda settings, profile, device: Listening())
    run("judge", "attack", "--profile", profile, "--limit", 1, "--questions", 1, *options)
    assert modes == {mode}


def test_json_on_stdout_is_json_alone(monkeypatch: pytest.MonkeyPatch, profile: Path) -> None:
    answering(monkeypatch, gullible)
    came = run("judge", "attack", "--profile", profile, "--limit", 4, "--questions", 2, "--json", "-")
    content = strict(came.stdout)
    assert len(content["attacks"]) + len(content["left_out"]) == 4
    assert len(content["questions"]) == 2
    assert content["threshold"] == 0.05


def test_json_is_written_to_a_file(monkeypatch: pytest.MonkeyPatch, profile: Path, tmp_path: Path) -> None:
    answering(monkeypatch, steady)
    out = tmp_path / "out.json"
    run("judge", "attack", "--profile", profile, "--limit", 2, "--questions", 1, "--json", out)
    assert json.loads(out.read_text("utf-8"))["raised"] == []


def test_a_clip_of_ones_own_can_be_attacked(monkeypatch: pytest.MonkeyPatch, profile: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []

    def looking(shown: Shown, ask: Ask) -> tuple[float, ...]:
        seen.append(shown.frames.shape[1:3])
        return certain(0.5)

    answering(monkeypatch, looking)
    film = write(tmp_path / "film.mp4")
    came = run("judge", "attack", film, "--profile", profile, "--limit", 1, "--questions", 1)
    assert came.exit_code == 0
    assert set(seen) == {(48, 64)}


def test_attacks_that_cannot_be_drawn_are_told(monkeypatch: pytest.MonkeyPatch, profile: Path) -> None:
    monkeypatch.setattr("cinereward.judge.burning.find_font", lambda: None)
    answering(monkeypatch, steady)
    came = run("judge", "attack", "--profile", profile, "--kind", "order", "--place", "subtitle", "--questions", 1)
    assert "1 attacks are left out: no font with Chinese letters is found here: give one with --font" in came.stderr


def test_a_profile_without_a_judge_is_told() -> None:
    came = run("judge", "attack", "--profile", "signal")
    assert came.exit_code == 2
    assert "profile signal has no judge" in came.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--kind", "hypnosis"), "there is no attack of hypnosis"),
        (("--place", "cellar"), "there is no attack of cellar"),
        (("--kind", "base64", "--place", "reference"), "no attack is of base64 and in reference"),
        (("--json", "missing/out.json"), "missing"),
    ],
)
def test_wrong_usage_is_told(options: tuple[str, ...], told: str) -> None:
    came = run("judge", "attack", "--structure", *options)
    assert came.exit_code == 2
    assert told in came.stderr

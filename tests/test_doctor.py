"""The doctor: what it finds, and that it finds fault only where there is one."""

from __future__ import annotations

import importlib
import importlib.metadata as metadata
import json
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from cinereward import cli, doctor
from cinereward.profile import PROFILES


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return doctor.examine()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Versions that take the place of what is installed; None: not there."""
    instead: dict[str, str | None] = {}
    real = doctor.version_of
    monkeypatch.setattr(doctor, "version_of", lambda name: instead[name] if name in instead else real(name))
    return instead


def test_the_signal_profile_runs_here(facts: dict[str, Any]) -> None:
    assert facts["self_test"] is True and doctor.sound(facts)


def test_it_names_versions_codecs_cores_and_memory(facts: dict[str, Any]) -> None:
    assert facts["versions"]["numpy"] == metadata.version("numpy")
    assert facts["decoders"]["codecs"]["H.264"] == "h264" and facts["decoders"]["ffmpeg"]
    assert facts["machine"]["cores"] >= 1 and facts["machine"]["memory_bytes"] > 1e8


def test_it_says_that_no_profile_is_validated(facts: dict[str, Any]) -> None:
    assert facts["profiles"] == {name: {"validated": None} for name in PROFILES}


def test_every_operator_has_a_licence(facts: dict[str, Any]) -> None:
    assert {"exposure", "shots"} <= set(facts["operators"])
    assert all(told["licence"] for told in facts["operators"].values())


def test_json_is_the_facts_and_exit_code_0() -> None:
    got = CliRunner().invoke(cli.app, ["doctor", "--json"])
    assert got.exit_code == 0 and json.loads(got.stdout)["self_test"] is True


def test_the_page_fits_80_columns() -> None:
    got = CliRunner().invoke(cli.app, ["doctor"], env={"COLUMNS": "80"})
    assert "decodes" in got.stdout and max(map(len, got.stdout.splitlines())) <= 80


def test_something_broken_is_exit_code_1_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cinereward.operators.noise.Noise.merge", lambda *_: 1 / 0)
    got = CliRunner().invoke(cli.app, ["doctor"])
    assert got.exit_code == 1 and "broken: " in got.stdout and "mend it with: " in got.stdout


def test_two_opencvs_are_a_warning_with_the_command(installed: dict[str, str | None]) -> None:
    installed |= {"opencv-python": "5.0", "opencv-python-headless": "5.0"}
    problems: list[doctor.Problem] = []
    doctor.opencv(problems)
    assert problems[0].level == "warning" and "overwrite one another" in problems[0].what
    assert problems[0].remedy.startswith("pip uninstall -y opencv-python opencv-python-headless && pip install")


def test_one_opencv_is_no_problem(installed: dict[str, str | None]) -> None:
    installed |= dict.fromkeys(doctor.OPENCVS) | {"opencv-python-headless": "5.0"}
    problems: list[doctor.Problem] = []
    doctor.opencv(problems)
    assert problems == []


def test_an_opencv_that_does_not_load_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    problems: list[doctor.Problem] = []
    assert doctor.opencv(problems)["loaded"] is None and problems[0].level == "broken"


def test_no_torch_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert doctor.gpu()["devices"] == []


def test_a_decord_that_does_not_load_is_a_warning_only(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str | None]
) -> None:
    installed["decord"] = "0.6.0"
    monkeypatch.setitem(sys.modules, "decord", None)
    problems: list[doctor.Problem] = []
    assert doctor.decoders(problems)["decord"] is None
    assert [problem.level for problem in problems] == ["warning"]


def test_a_codec_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    av = importlib.import_module("av")
    monkeypatch.setattr(av, "codecs_available", frozenset({"h264", "hevc", "vp9", "av1", "prores"}))
    problems: list[doctor.Problem] = []
    assert doctor.decoders(problems)["codecs"]["AV1"] is None  # FFmpeg's own av1 needs a GPU
    assert "no AV1" in problems[0].what


REQUIRES = [
    "numpy>=1.26",
    'decord>=0.6.0; platform_system == "Linux"',
    'trl>=0.24; extra == "rl"',
    'cinereward[rl,judge]; extra == "all"',
    "peft>=0.15; extra == 'judge'",
]


def test_an_extra_names_what_is_missing_and_its_command(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str | None]
) -> None:
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: REQUIRES)
    installed |= {"trl": "0.9.6", "peft": "0.21.2"}
    found = doctor.extras([])
    assert found["rl"] == {
        "complete": False,
        "missing": ["trl >= 0.24 (0.9.6 is installed)"],
        "install": 'pip install "cinereward[rl]"',
    }
    assert found["judge"]["complete"] and found["all"]["missing"] == found["rl"]["missing"]


def test_a_missing_core_library_is_broken(monkeypatch: pytest.MonkeyPatch, installed: dict[str, str | None]) -> None:
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: REQUIRES)
    installed["numpy"] = None
    problems: list[doctor.Problem] = []
    doctor.versions(problems)
    assert [(problem.level, problem.what) for problem in problems] == [("broken", "numpy >= 1.26 is needed")]


def test_restricted_licences_are_told_where_they_apply(installed: dict[str, str | None]) -> None:
    installed |= {"ultralytics": "8.4", "insightface": None}
    facts = doctor.examine()
    assert list(facts["licences"]) == ["ultralytics"] and "AGPL-3.0" in facts["licences"]["ultralytics"]


def test_a_plugin_that_does_not_load_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cinereward.operators.known", lambda: {"mine": "no_such_module:Mine"})
    problems: list[doctor.Problem] = []
    assert doctor.operators(problems) == {} and problems[0].level == "warning"

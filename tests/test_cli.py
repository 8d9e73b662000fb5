"""The command line: what it prints where, its exit codes, and what it reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import run, shell, strict

import cinereward
from cinereward.taxonomy import load

# --- score: what it prints ---


def test_score_puts_the_scalar_and_a_named_dimension_on_stdout(folder: Path) -> None:
    out = run("score", folder / "plain.mp4", "--prompt", "x").stdout
    assert "scalar" in out and "cinematography.lens" in out and "focus" in out


def test_score_says_that_nobody_has_validated_the_profile(folder: Path) -> None:
    assert "not yet validated against human ratings" in run("score", folder / "plain.mp4", "--prompt", "x").stdout


def test_score_counts_what_is_not_scored_by_reason(folder: Path) -> None:
    out = run("score", folder / "plain.mp4", "--prompt", "x").stdout
    assert "27 not scored: 21 the prompt does not ask for, 6 no evidence in profile signal" in out


def test_all_lists_each_dimension_with_its_reason(folder: Path) -> None:
    out = run("score", folder / "plain.mp4", "--prompt", "x", "--all").stdout
    assert all(name in out for name in load().names) and "the prompt does not ask for sound" in out


def test_level_folds_the_table(folder: Path) -> None:
    out = run("score", folder / "plain.mp4", "--prompt", "x", "--level", "aspect").stdout
    assert "cinematography" in out and "movement_pacing" not in out.partition("worst finding")[0]


@pytest.mark.parametrize("clips", [1, 2, 7, 16])
def test_no_line_is_wider_than_the_terminal(folder: Path, tmp_path: Path, clips: int) -> None:
    for number in range(clips):
        (tmp_path / f"a clip with a name that is far too long for any column {number}.mp4").symlink_to(
            folder / "plain.mp4"
        )
    out = run("score", tmp_path, "--prompt", "x, then cut to y", "--all", env={"COLUMNS": "80"}).stdout
    assert max(map(len, out.splitlines())) <= 80


def test_many_clips_get_a_line_each(folder: Path, tmp_path: Path) -> None:
    for number in range(16):
        (tmp_path / f"{number:02}.mp4").symlink_to(folder / "plain.mp4")
    lines = run("score", tmp_path, "--prompt", "x", env={"COLUMNS": "80"}).stdout.splitlines()
    assert len([line for line in lines if line.startswith("07.mp4")]) == 1


def test_quiet_prints_scalar_tab_clip(folder: Path) -> None:
    got = run("score", folder / "plain.mp4", "-q")
    value, path = got.stdout.strip().split("\t")
    assert 0 <= float(value) <= 1 and path == str(folder / "plain.mp4") and got.stderr == ""


def test_markup_in_a_file_name_is_shown_as_it_is(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "[red]x[bold].mp4").symlink_to(folder / "plain.mp4")
    assert "[red]x[bold].mp4" in run("score", tmp_path / "[red]x[bold].mp4", "--prompt", "[bold]").stdout


def test_control_characters_in_a_file_name_do_not_reach_the_terminal(tmp_path: Path) -> None:
    got = run("score", tmp_path / "a\x1b[31mb.mp4", "--prompt", "x")
    assert "\x1b" not in got.output and "\\x1b[31mb.mp4" in got.output


def test_a_folder_is_its_videos_and_says_how_many(folder: Path) -> None:
    got = run("score", folder, "--prompt", "x")
    assert got.exit_code == 0 and "2 video files" in got.stderr and "2 clips" in got.stdout


def test_a_terminal_without_unicode_gets_ascii(folder: Path) -> None:
    got = shell("score", folder / "plain.mp4", "--prompt", "x", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert got.returncode == 0 and got.stdout.isascii() and "#" in got.stdout and "+-.0" in got.stdout


# --- score: exit codes ---


def test_a_bad_clip_is_named_and_the_others_are_scored(folder: Path, broken: Path) -> None:
    got = shell("score", folder / "plain.mp4", broken, "--prompt", "x")
    assert got.returncode == 1
    assert "failed: broken.mp4: " in got.stderr and "1 of 2 clips scored" in got.stdout and "focus" in got.stdout


def test_a_missing_clip_is_a_failed_clip(folder: Path) -> None:
    got = run("score", folder / "plain.mp4", folder / "nope.mp4")
    assert got.exit_code == 1 and "failed: nope.mp4" in got.stderr and "scalar" in got.stdout


def test_an_operator_that_fails_fails_the_clip(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cinereward.operators.noise.Noise.merge", lambda *_: 1 / 0)
    got = run("score", folder / "plain.mp4", "--prompt", "x")
    assert got.exit_code == 1 and "noise failed" in got.stderr and "failed" in got.stdout


MISUSES = [
    ("score", "{clip}", "--profile", "nope"),
    ("score", "{clip}", "--prompts", "/nope.yaml"),
    ("score", "{clip}", "--prompt", "x", "--prompts", "{clip}"),
    ("score", "{clip}", "--expects", "smell"),
    ("score", "{clip}", "--level", "shot"),
    ("score", "{clip}", "--task", "t2i"),
    ("score", "{clip}", "--workers", "0"),
    ("score", "{clip}", "--json", "/nope/out.json"),
    ("score", "{clip}", "--nope"),
    ("score",),
    ("score", "{empty}"),
    ("score", ""),
    ("score", "{clip}", ""),
    ("explain", "focsu"),
    ("explain", "focus", "--profile", "nope"),
    ("critique", "{empty}"),
    ("nope",),
]


@pytest.mark.parametrize("arguments", MISUSES, ids=" ".join)
def test_wrong_usage_is_exit_code_2_with_a_message_and_no_traceback(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    got = run(*(item.format(clip=folder / "plain.mp4", empty=tmp_path) for item in arguments))
    assert got.exit_code == 2 and got.stderr and "Traceback" not in got.output


def test_an_empty_path_is_not_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    got = run("score", "")
    assert got.exit_code == 2 and got.stdout == ""
    assert "a clip's path is empty; expected a file or a folder; for the current folder give ." in " ".join(
        got.stderr.split()
    )


@pytest.mark.usefixtures("interrupted")
def test_ctrl_c_writes_what_was_scored_and_exits_130(folder: Path, tmp_path: Path) -> None:
    got = run("score", folder, "--prompt", "x", "--json", tmp_path / "out.json")
    told = json.loads((tmp_path / "out.json").read_text())
    assert got.exit_code == 130 and len(told["clips"]) == 1 and told["complete"] is False


# --- the other commands ---


def test_critique_tells_place_finding_and_remedy(folder: Path) -> None:
    out = run("critique", folder / "plain.mp4", "--prompt", "one thing, then cut to another").stdout
    assert "0:00.0 to 0:01.0" in out and "The prompt asks for several shots" in out and "Remedy:" in out


def test_critique_says_so_when_there_is_nothing_to_say(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cinereward.critique.find", lambda *_: ())
    assert "Nothing notable was found" in run("critique", folder / "plain.mp4", "--prompt", "x").stdout


def test_critique_of_a_bad_clip_is_exit_code_1(broken: Path) -> None:
    got = run("critique", broken, "--prompt", "x")
    assert got.exit_code == 1 and "broken.mp4" in got.stderr and got.stdout == ""


def test_critique_as_json(folder: Path) -> None:
    told = strict(run("critique", folder / "plain.mp4", "--prompt", "x, cut to y", "--json").stdout)
    assert {"finding", "remedy", "severity", "shot", "start", "end"} <= set(told["critiques"][0])


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"cinereward {cinereward.__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from cinereward.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "cv2", "av", "yaml", "pydantic"} & set(got.split())


@pytest.mark.parametrize("command", ["score", "critique"])
def test_a_device_that_is_none_is_told(folder: Path, command: str) -> None:
    done = run(command, str(folder / "plain.mp4"), "--device", "gpu9")
    assert done.exit_code == 2
    assert "device is 'gpu9'; give cpu, cuda, cuda:0 or mps" in done.stderr


def test_without_networks_the_device_makes_no_difference(folder: Path) -> None:
    plain, there = (run("score", str(folder / "plain.mp4"), "-q", *more) for more in ((), ("--device", "cpu")))
    assert plain.stdout == there.stdout != ""

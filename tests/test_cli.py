"""The command line: what it prints where, its exit codes, and what it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

import cinereward
from cinereward import asked, cli
from cinereward.errors import ConfigError
from cinereward.explain import shares
from cinereward.model import RewardModel
from cinereward.show import bar, plain, shorten, timecode
from cinereward.taxonomy import load
from cinereward.types import Status
from cinereward.weighting import scalar

WIDE = {"COLUMNS": "160"}


def write(path: Path, *, cut: bool = False, sound: bool = False) -> Path:
    """Twelve frames of 64 x 48: a texture that drifts; another one from the middle on, if `cut`."""
    rng = np.random.default_rng(3)
    texture, other = (rng.integers(0, 256, (6, 16, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(2))
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        track = file.add_stream("aac", rate=16_000) if sound else None
        for step in range(24 if cut else 12):
            pixels = 255 - other[:, :64] if cut and step >= 12 else texture[:, step : step + 64]
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")))
        file.mux(stream.encode())
        if track is not None:
            wave = np.sin(np.arange(16_000) / 8, dtype=np.float32)[None] / 2
            frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
            frame.sample_rate = 16_000
            file.mux(track.encode(frame))
            file.mux(track.encode())
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain clip, one with sound and a cut, a text file that says it is a video, and a note."""
    at = tmp_path_factory.mktemp("clips")
    write(at / "plain.mp4")
    write(at / "cut.mp4", cut=True, sound=True)
    (at / "note.txt").write_text("not a video")
    return at


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.mp4"
    path.write_text("this is text")
    return path


def run(*arguments: object, env: dict[str, str] | None = None) -> Any:
    return CliRunner().invoke(cli.app, [str(item) for item in arguments], env=env or WIDE)


def shell(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with stdout and stderr apart."""
    program = [sys.executable, "-c", "from cinereward.cli import main; main()"]
    environment = {**os.environ, **WIDE, **env}
    command = [*program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


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


# --- score: what is expected of a clip without a prompt ---


def test_without_a_prompt_the_file_says_what_is_expected(folder: Path) -> None:
    got = run("score", folder / "cut.mp4")
    assert "no prompt given: expecting sound and cuts, because the file has them" in got.stderr


def test_what_the_file_holds_opens_the_gate(folder: Path) -> None:
    rhythm = "multi_shot.rhythm.rhythmic_layering"
    told = json.loads(run("score", folder / "cut.mp4", "--json", "-").stdout)
    assert told["clips"][0]["dimensions"][rhythm]["status"] == "SCORED"


def test_a_prompt_closes_what_it_does_not_ask_for_whatever_the_file_holds(folder: Path) -> None:
    rhythm = "multi_shot.rhythm.rhythmic_layering"
    told = json.loads(run("score", folder / "cut.mp4", "--prompt", "a lake", "--json", "-").stdout)
    assert told["clips"][0]["dimensions"][rhythm]["status"] == "GATED"


def test_clips_that_differ_are_told_apart(folder: Path) -> None:
    err = run("score", folder / "cut.mp4", folder / "plain.mp4").stderr
    assert "cut.mp4: no prompt given: expecting sound and cuts" in err
    assert "plain.mp4: no prompt given: expecting a picture alone" in err


def test_expects_on_the_command_line_is_the_last_word(folder: Path) -> None:
    got = run("score", folder / "cut.mp4", "--expects", "none", "--json", "-")
    assert json.loads(got.stdout)["clips"][0]["dimensions"]["multi_shot.rhythm.rhythmic_layering"]["status"] == "GATED"
    assert "no prompt given" not in got.stderr


# --- score: prompts from a file ---

PROMPTS = {
    "p.yaml": 'plain.mp4: "a lake"\nother.mp4: "x"\n',
    "p.json": '{"plain.mp4": "a lake", "other.mp4": "x"}',
    "p.jsonl": '{"clip": "plain.mp4", "prompt": "a lake"}\n\n{"file": "other.mp4", "prompt": "x"}\n',
    "p.csv": 'path,prompt\nplain.mp4,"a lake"\nother.mp4,x\n',
    "p.tsv": "clip\tprompt\nplain.mp4\ta lake\nother.mp4\tx\n",
}


@pytest.mark.parametrize("name", PROMPTS)
def test_prompts_are_read_from_any_of_the_formats(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(PROMPTS[name])
    assert asked.read_prompts(tmp_path / name) == {"plain.mp4": "a lake", "other.mp4": "x"}


WRONG = {
    "p.yaml": "just text",
    "null.yaml": "a.mp4:\n",
    "twice.csv": "clip,prompt\na.mp4,x\na.mp4,y\n",
    "column.csv": "name,prompt\na.mp4,x\n",
    "p.json": "{",
    "p.jsonl": "[1]\n",
    "bad.yaml": "a: [",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_prompts_are_an_error_that_names_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(WRONG[name])
    with pytest.raises(ConfigError, match=name):
        asked.read_prompts(tmp_path / name)


def test_a_path_fits_before_a_file_name(tmp_path: Path) -> None:
    prompts = {"x.mp4": "by name", "b/x.mp4": "by path"}
    paths = [str(tmp_path / "a/x.mp4"), str(tmp_path / "b/x.mp4")]
    assert asked.match(paths, prompts, tmp_path / "p.yaml")[0] == ["by name", "by path"]


def test_an_entry_without_a_clip_is_noted(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PROMPTS["p.yaml"])
    got = run("score", folder / "plain.mp4", "--prompts", tmp_path / "p.yaml")
    assert got.exit_code == 0 and "no clip for other.mp4" in got.stderr


def test_a_clip_without_an_entry_is_wrong_usage_and_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PROMPTS["p.yaml"])
    got = run("score", folder, "--prompts", tmp_path / "p.yaml")
    assert got.exit_code == 2 and "cut.mp4" in got.stderr and got.stdout == ""


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


def test_ctrl_c_writes_what_was_scored_and_exits_130(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = RewardModel.stream

    def interrupted(self: RewardModel, clips: Any) -> Iterator[Any]:
        yield next(whole(self, clips))
        raise KeyboardInterrupt

    monkeypatch.setattr(RewardModel, "stream", interrupted)
    got = run("score", folder, "--prompt", "x", "--json", tmp_path / "out.json")
    told = json.loads((tmp_path / "out.json").read_text())
    assert got.exit_code == 130 and len(told["clips"]) == 1 and told["complete"] is False


# --- JSON ---


def strict(text: str) -> Any:
    """JSON that holds no NaN or Infinity."""

    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_on_stdout_is_json_and_nothing_else(folder: Path, broken: Path) -> None:
    got = shell("score", folder / "plain.mp4", broken, "--json", "-")
    assert [clip["error"] is None for clip in strict(got.stdout)["clips"]] == [True, False]


def test_json_says_what_scored(folder: Path) -> None:
    told = strict(run("score", folder / "plain.mp4", "--prompt", "x", "--json", "-").stdout)
    assert (told["profile"], told["validated"], told["level"], told["complete"]) == (
        *("signal", None, "sub_dimension"),
        True,
    )
    assert told["version"].startswith(f"cinereward={cinereward.__version__} ")


def test_json_holds_the_numbers_of_the_library(folder: Path) -> None:
    clip = strict(run("score", folder / "plain.mp4", "--prompt", "x", "--json", "-").stdout)["clips"][0]
    batch = RewardModel.from_profile("signal")([cinereward.Clip(folder / "plain.mp4", prompt="x")])
    got = [clip["dimensions"][name]["value"] for name in batch.dimensions]
    assert np.array_equal(np.array(got, np.float32), batch.values[0], equal_nan=True)


def test_json_holds_tracks_with_their_times(folder: Path) -> None:
    evidence = strict(run("score", folder / "plain.mp4", "--json", "-").stdout)["clips"][0]["evidence"]
    track = evidence["shots.duration_track"]
    assert track["times"] == [0.0] and track["value"] == [1.0] and track["unit"]


def test_json_file_is_written_beside_the_table(folder: Path, tmp_path: Path) -> None:
    got = run("score", folder / "plain.mp4", "--prompt", "x", "--json", tmp_path / "out.json")
    assert strict((tmp_path / "out.json").read_text())["clips"] and "scalar" in got.stdout


def test_json_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        cli.write_json(str(tmp_path / "out.json"), {"value": float("nan")})
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_json_keeps_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    cli.write_json(str(tmp_path / "out.json"), {"clip": "a\udc80.mp4"})
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == {"clip": "a\udc80.mp4"}


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


def test_explain_shows_the_whole_tree() -> None:
    out = run("explain", env={"COLUMNS": "80"}).stdout
    assert "3 stages > 7 aspects > 18 dimensions > 45 sub-dimensions" in out
    assert all(name.rpartition(".")[2] in out for name in load().names)


def test_explain_tells_meaning_questions_curve_and_weight() -> None:
    out = run("explain", "cinematography.lens.focus").stdout
    sub = load()["cinematography.lens.focus"].sub_dimensions[0]
    assert sub.meaning[:40] in out and sub.questions[0].text in out and sub.questions[0].anchors[3] in out
    assert "sharpness.subject_blur" in out and "->" in out and "% of the scalar" in out


@pytest.mark.parametrize("name", ["production", "sound_design", "acting.expression", "sound_design.vocal.lip_sync"])
def test_explain_takes_every_level(name: str) -> None:
    got = run("explain", name, env={"COLUMNS": "80"})
    assert got.exit_code == 0 and max(map(len, got.stdout.splitlines())) <= 80


def test_explain_takes_the_end_of_a_name() -> None:
    assert "cinematography.lens.exposure" in run("explain", "exposure").stdout


def test_explain_suggests_close_names() -> None:
    assert "cinematography.lens.focus" in run("explain", "focsu").stderr


def test_explain_as_json_has_the_questions() -> None:
    assert len(strict(run("explain", "acting", "--json").stdout)["sub_dimensions"][0]["questions"]) >= 3


def test_a_share_is_what_the_scalar_loses_when_that_score_goes_to_zero() -> None:
    taxonomy, names = load(), load().names
    weights = {"stage": {"production": 3.0}, "aspect": {"acting": 0.0}, "sub_dimension": {names[0]: 2.5}}
    values = 1 - np.eye(len(names), dtype=np.float32)
    batch = cinereward.RewardBatch(
        values=values,
        std=np.zeros_like(values),
        status=np.full(values.shape, Status.SCORED, np.int8),
        scalar=np.zeros(len(names), np.float32),
        dimensions=names,
        reasons=(("",) * len(names),) * len(names),
        errors=(None,) * len(names),
        critiques=((),) * len(names),
        evidence=({},) * len(names),
        version="",
    )
    lost = 1 - scalar(batch, taxonomy=taxonomy, weights=weights)
    got = shares(taxonomy.sub_dimensions, weights)
    assert np.allclose([got.get(name, 0.0) for name in names], lost, atol=1e-6)


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"cinereward {cinereward.__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from cinereward.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "cv2", "av", "yaml", "pydantic"} & set(got.split())


# --- small things ---


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00.0"), (59.97, "1:00.0"), (61.25, "1:01.2"), (3600, "60:00.0")])
def test_timecode(seconds: float, text: str) -> None:
    assert timecode(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, ""), (1.0, "████"), (0.5, "██"), (0.03125, "▏"), (0.99, "████")])
def test_a_bar_is_exact_to_an_eighth_of_a_cell(value: float, text: str) -> None:
    assert bar(value, 4) == text


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert shorten("night_street_broken.mp4", 12) == "night~en.mp4"


def test_chinese_and_markup_stay_as_they_are() -> None:
    assert plain("[red]雨夜[/]") == "[red]雨夜[/]"

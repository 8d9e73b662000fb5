"""The command `cinereward`. What takes time to import is imported inside the commands, so that --help is quick.

Exit codes: 0 done; 1 some clips failed, each named on stderr, or the doctor found something broken; 2 wrong usage;
130 stopped by Ctrl-C. Scores go to stdout; notes, errors and progress to stderr.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cinereward import __version__
from cinereward.errors import CinerewardError, ConfigError
from cinereward.interrogation import app as judge
from cinereward.output import STDOUT, write_json
from cinereward.parts import (
    check_outputs,
    gather,
    new_console,
    print_scalars,
    print_scores,
    run,
    say,
    tell_failures,
    write_report,
)
from cinereward.replay import replay
from cinereward.shelf import app as weights
from cinereward.training import app as training

FAILED, MISUSED, STOPPED = 1, 2, 130


class Level(StrEnum):
    """How far scores are folded."""

    sub_dimension = "sub_dimension"
    dimension = "dimension"
    aspect = "aspect"
    stage = "stage"


class Task(StrEnum):
    """What the generator was given."""

    t2v = "t2v"
    i2v = "i2v"
    r2v = "r2v"


class _Group(TyperGroup):
    """Shows this package's own errors as one clean line, never as a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CinerewardError as error:
            say(f"error: {error}", lines=True)
            raise typer.Exit(MISUSED) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(STOPPED) from error


app = typer.Typer(
    name="cinereward",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A dense cinematic reward for video: what is good, what is not, where, and why.",
)

ProfileOption = Annotated[str, typer.Option("--profile", help="A profile's name, or the path of your own YAML.")]
PromptOption = Annotated[str | None, typer.Option("--prompt", help="What was asked for; gates what is scored.")]
ExpectsOption = Annotated[
    str | None,
    typer.Option("--expects", help='Out of sound,speech,music,cuts,people, or "none"; else read from the prompt.'),
]
TaskOption = Annotated[Task, typer.Option("--task", help="What the generator was given.")]
HtmlOption = Annotated[
    str | None, typer.Option("--html", metavar="OUT", help="Write a report to look at: one file, readable anywhere.")
]
LedgerOption = Annotated[
    str | None,
    typer.Option("--ledger", metavar="OUT", help="Write what stands behind each score, for `cinereward replay`."),
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="For networks: cpu, cuda, cuda:1, mps; the first GPU unless given.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command; the entry point of the installed script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 is no reason to crash
    app()


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"cinereward {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


app.add_typer(training)
app.add_typer(judge)
app.add_typer(weights)
app.command()(replay)


@app.command()
def score(
    clips: Annotated[list[str], typer.Argument(metavar="CLIP...", help="Video files, or folders of them.")],
    prompt: PromptOption = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Clip -> prompt: a YAML or JSON mapping, or CSV or JSONL with clip and prompt.")
    ] = None,
    profile: ProfileOption = "signal",
    expects: ExpectsOption = None,
    task: TaskOption = Task.t2v,
    level: Annotated[Level | None, typer.Option(help="Fold the scores; sub_dimension unless given.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that measure; one a core unless given.")] = None,
    device: DeviceOption = None,
    json_out: Annotated[
        str | None, typer.Option("--json", metavar="OUT", help='Write all there is to a file; "-": to stdout.')
    ] = None,
    html_out: HtmlOption = None,
    ledger_out: LedgerOption = None,
    every: Annotated[bool, typer.Option("--all", help="List every dimension with its reason.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print scalar and clip, and nothing else.")] = False,
) -> None:
    """Score clips on the dimensions of cinema, each with its uncertainty and its reason."""
    asked, notes = gather(clips, prompt, prompts, expects, task)
    check_outputs(json_out, html_out, ledger_out)
    from cinereward.model import RewardModel

    model = RewardModel.from_profile(profile, device=device, workers=workers)
    if not quiet:
        for name, why in model.missing.items():
            say(f"{name} is left out: {why}")
    scored, found, stopped = run(model, asked, progress=not quiet)
    from cinereward.asked import told
    from cinereward.rows import record_all

    if not quiet:
        for note in [*notes, *told(found)]:
            say(note)
    rows = [row.fold(level or Level.sub_dimension) for row in scored]
    if json_out is not None:
        write_json(json_out, record_all(model, rows, level or Level.sub_dimension, complete=not stopped))
        if json_out != STDOUT and not quiet:
            say(f"written to {json_out}")
    if ledger_out is not None:
        write_json(ledger_out, [row.batch.ledger(0) for row in scored])
        if not quiet:
            say(f"written to {ledger_out}")
    stop = f"stopped: {len(rows)} of {len(asked)} clips were scored" if stopped else ""
    if html_out is not None:
        write_report(html_out, model, asked, scored, found, note=stop, quiet=quiet)
    if stopped:
        say(stop)
        raise typer.Exit(STOPPED)
    if json_out != STDOUT:
        (print_scalars if quiet else print_scores)(model, rows, level, every)
    if tell_failures(rows):
        raise typer.Exit(FAILED)


@app.command()
def explain(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A stage, aspect, dimension or below.")] = None,
    profile: ProfileOption = "signal",
    as_json: JsonFlag = False,
) -> None:
    """Say what a dimension means, what measures it, what it weighs, when it is left out; without NAME, list all."""
    from cinereward import explain as explaining
    from cinereward.profile import load_profile
    from cinereward.show import Sheet

    loaded = load_profile(profile)
    if as_json:
        facts = explaining.record(explaining.explain(name, loaded)) if name else explaining.tree_record(loaded)
        write_json("-", facts)
        return
    console = new_console()
    if name:
        Sheet(console=console).print(explaining.page(explaining.explain(name, loaded), console))
    else:
        console.print(explaining.tree(loaded))
        console.print(explaining.legend(loaded))


@app.command()
def critique(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A video file.")],
    prompt: PromptOption = None,
    profile: ProfileOption = "signal",
    expects: ExpectsOption = None,
    task: TaskOption = Task.t2v,
    device: DeviceOption = None,
    html_out: HtmlOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what is wrong with a clip, worst first: where, what a viewer feels, and what would mend it."""
    from dataclasses import asdict

    from cinereward.asked import told
    from cinereward.model import RewardModel
    from cinereward.rows import identity
    from cinereward.show import Sheet

    if Path(clip).is_dir():
        raise ConfigError(f"{clip} is a folder; critique takes one clip (score takes folders)")
    asked, _ = gather([clip], prompt, None, expects, task)
    check_outputs(None, html_out)
    model = RewardModel.from_profile(profile, device=device)
    rows, found, stopped = run(model, asked, progress=False)
    if stopped:
        raise typer.Exit(STOPPED)
    for note in told(found):
        say(note)
    if html_out is not None:
        write_report(html_out, model, asked, rows, found, quiet=False)
    row = rows[0]
    if as_json:
        head = identity(model.profile, model.version) | {"clip": clip, "prompt": row.prompt}
        error = None if row.error is None else str(row.error)
        write_json("-", head | {"error": error, "critiques": [asdict(item) for item in row.batch.critiques[0]]})
    elif row.error is None:
        sheet = Sheet(console=new_console())
        sheet.print(sheet.critique(row, model.profile.validated))
    if tell_failures(rows):
        raise typer.Exit(FAILED)


@app.command()
def doctor(as_json: JsonFlag = False) -> None:
    """Say what this machine has, what is missing and how to mend it; exit code 1 if something is broken."""
    from cinereward import doctor as doctoring
    from cinereward.show import Sheet

    facts = doctoring.examine()
    if as_json:
        write_json("-", facts)
    else:
        console = new_console()
        Sheet(console=console).print(doctoring.page(facts, console))
    if not doctoring.sound(facts):
        raise typer.Exit(FAILED)


if __name__ == "__main__":
    main()

"""What the commands are made of: clips gathered, scored, told on the terminal and written to files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cinereward.errors import ConfigError
from cinereward.output import STDOUT, check_output
from cinereward.words import plain

if TYPE_CHECKING:
    from cinereward.asked import Asked
    from cinereward.model import RewardModel
    from cinereward.rows import Row
    from cinereward.types import Clip


def say(message: str, *, lines: bool = False) -> None:
    """Tell the user something on stderr; control characters are written out. lines: it may hold several."""
    parts = message.splitlines() if lines else [message]
    typer.echo("\n".join(plain(part) for part in parts), err=True)


def gather(
    clips: Sequence[str], prompt: str | None, prompts: Path | None, expects: str | None, task: str
) -> tuple[list[Asked], list[str]]:
    """What is asked of each clip, and what to tell the user about it.

    Raises:
        ConfigError: the arguments contradict one another, or a clip has no prompt in the file.
    """
    from cinereward import asked as asking

    if prompt is not None and prompts is not None:
        raise ConfigError("--prompt and --prompts are both given; keep one")
    expected = asking.parse_expects(expects)
    table = asking.read_prompts(prompts) if prompts is not None else {}
    paths, notes = asking.find_clips(clips)
    texts = [prompt or ""] * len(paths)
    if prompts is not None:
        texts, unused = asking.match(paths, table, prompts)
        if unused:
            notes.append(f"{prompts}: no clip for {', '.join(unused[:5])}{', ...' if len(unused) > 5 else ''}")
    return [
        asking.Asked(
            path=path,
            name=name,
            prompt=text,
            task=str(task),
            expects=expected,
            by_file=prompt is None and prompts is None and expected is None,
        )
        for path, name, text in zip(paths, asking.call(paths), texts, strict=True)
    ], notes


def check_outputs(json_out: str | None, html_out: str | None, ledger_out: str | None = None) -> None:
    """Find out before the work whether the results can be written.

    Raises:
        ConfigError: one cannot, or two are to go to the same place.
    """
    outs = {"--json": json_out, "--html": html_out, "--ledger": ledger_out}
    given = {option: out for option, out in outs.items() if out is not None}
    for option, out in given.items():
        check_output(option, out)
    for option, example in (("--html", "report.html"), ("--ledger", "ledger.json")):
        if given.get(option) == STDOUT:
            raise ConfigError(f"{option} - is no file; give the name of one, such as {example}")
    for (one, path), (other, second) in itertools.combinations(given.items(), 2):
        if Path(path).resolve() == Path(second).resolve():
            raise ConfigError(f"{one} and {other} are both to be written to {second}; give each a name of its own")


def run(
    model: RewardModel, asked: Sequence[Asked], *, progress: bool
) -> tuple[list[Row], dict[str, frozenset[str]], bool]:
    """Score; a row for each clip that was, what was read from files, and whether Ctrl-C ended it early."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from cinereward.asked import read_expectations
    from cinereward.rows import Row

    found: dict[str, frozenset[str]] = {}

    def clips() -> Iterator[Clip]:
        for item in asked:
            holds = read_expectations(item) if item.by_file else None
            if holds is not None:
                found[item.name] = holds
            yield item.clip(holds)

    rows: list[Row] = []
    console = Console(stderr=True)
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (progress and console.is_terminal)) as shown:
        clock = shown.add_task("", total=len(asked))
        try:
            for item, batch in zip(asked, model.stream(clips()), strict=False):
                rows.append(Row(path=item.path, name=item.name, prompt=item.prompt, batch=batch))
                shown.advance(clock)
        except KeyboardInterrupt:
            return rows, found, True
    return rows, found, False


def write_report(
    out: str,
    model: RewardModel,
    asked: Sequence[Asked],
    rows: Sequence[Row],
    found: Mapping[str, frozenset[str]],
    *,
    note: str = "",
    quiet: bool,
) -> None:
    """Write the HTML report of what was scored, and say what had to be left out of it."""
    from rich.console import Console
    from rich.progress import track

    from cinereward import report

    clips = [item.clip(found.get(item.name)) for item, _ in zip(asked, rows, strict=False)]
    console = Console(stderr=True)
    shown = track(clips, "report", console=console, transient=True, disable=quiet or not console.is_terminal)
    made = report.write(out, shown, [row.batch for row in rows], model, note=note)
    if not quiet:
        for told in made.notes:
            say(f"{out}: {told}")
        say(f"written to {out}")


def new_console() -> Any:
    """What stdout is to be printed on."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def print_scalars(model: RewardModel, rows: Sequence[Row], level: str | None, every: bool) -> None:
    """A line for each clip: the scalar, a tab, the clip."""
    for row in rows:
        typer.echo(f"{row.scalar:.4f}\t{plain(row.path)}")


def print_scores(model: RewardModel, rows: Sequence[Row], level: str | None, every: bool) -> None:
    """The table, what is missing from it, and the worst of each clip."""
    from cinereward.show import Sheet

    sheet = Sheet(console=new_console(), all_reasons=every)
    sheet.print(sheet.scored(rows, model.taxonomy, model.profile, level=level))


def tell_failures(rows: Sequence[Row]) -> bool:
    """Name each clip that failed, as a whole or in part, on stderr; whether there was one."""
    failed = False
    for row in rows:
        for why in row.failures():
            say(f"failed: {row.name}: {why}")
            failed = True
    return failed

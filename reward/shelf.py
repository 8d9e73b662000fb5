"""The command `cinereward weights`: which model weights are here, whether they are right, and how to get them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cinereward.errors import ConfigError, WeightsError
from cinereward.output import write_json
from cinereward.words import plain

if TYPE_CHECKING:
    from cinereward.manifest import Entry
    from cinereward.weights import Located

FAILED = 1
PLACES = {"added": "added by path", "home": "fetched", "cache": "Hugging Face cache"}

app = typer.Typer(
    name="weights",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Model weights: what is on this machine, under which licence, and how to get the rest.",
)

NamesArgument = Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="All that are here unless given.")]


@dataclass(frozen=True, kw_only=True)
class Held:
    """Weights as `list` shows them: nothing of their files was read.

    commercial: None: one's own, whose licence nobody here knows. place: "own", "added", "home", "cache", or None:
    missing. size: bytes, of the files that are here, or else those that the manifest knows; None: it knows none.
    problem: why what is there cannot be used, or "". command: what brings them.
    """

    name: str
    title: str
    purpose: str
    licence: str
    commercial: bool | None
    extra: str
    notes: str
    place: str | None
    folder: str | None
    size: int | None
    problem: str
    command: str


def held() -> list[Held]:
    """What is here and what is not, of the manifest and of one's own.

    Raises:
        ConfigError: the manifest holds what it may not.
    """
    from cinereward.manifest import load_manifest
    from cinereward.weights import pinned_names

    known = load_manifest().weights
    return [_held(name, known.get(name)) for name in [*known, *(name for name in pinned_names() if name not in known)]]


def _held(name: str, entry: Entry | None) -> Held:
    from cinereward.weights import candidates, pin_of

    told, place, folder, size, problem = _describe(entry), None, None, None, ""
    try:
        pin = pin_of(name)
    except WeightsError as error:
        pin, problem = None, str(error)
    own = pin is not None and (pin.own or entry is None)
    if pin is not None and own:
        told |= {"licence": "your own", "commercial": None}
        place, paths = "own", pin.paths
        expected: dict[str, int | None] = {key: file.size for key, file in pin.files.items()}
    elif entry is not None:
        place, paths = next(iter(candidates(name, entry, pin)), (None, {}))
        expected = {file.name: file.size for file in entry.files}
    if place is not None:
        sizes = {key: path.stat().st_size if path.is_file() else 0 for key, path in paths.items()}
        folder, size = str(next(iter(paths.values())).parent), sum(sizes.values())
        wrong = [key for key, count in sizes.items() if expected.get(key) not in (None, count)]
        problem = problem or (f"{wrong[0]} has {sizes[wrong[0]]} bytes, not {expected[wrong[0]]}" if wrong else "")
    elif entry is not None:
        size = sum(file.size or 0 for file in entry.files) or None
    by_hand = entry is None or entry.source.by_hand is not None
    command = f"cinereward weights add {name} PATH" if by_hand or own else f"cinereward weights fetch {name}"
    return Held(name=name, place=place, folder=folder, size=size, problem=problem, command=command, **told)


def _describe(entry: Entry | None) -> dict[str, Any]:
    if entry is None:
        return {"title": "", "purpose": "", "licence": "your own", "commercial": None, "extra": "", "notes": ""}
    return entry.model_dump(include={"title", "purpose", "licence", "commercial", "extra", "notes"})


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List all weights with their licence, where they are, and what they weigh. Files are not read: see verify."""
    rows = held()
    if as_json:
        write_json("-", [asdict(row) for row in rows])
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cinereward.show import BAD, DIM, GOOD

    table = Table(box=None, padding=(0, 2, 1, 0), header_style="bold", show_edge=False)
    for title in ("weights", "licence", "where", "size"):
        table.add_column(title, overflow="fold", justify="right" if title == "size" else "left")
    words = {True: ("commercial use: yes", GOOD), False: ("commercial use: no", BAD), None: ("", "")}
    for row in rows:
        said, style = words[row.commercial]
        where = Text("missing", BAD) if row.place is None else Text(PLACES.get(row.place, row.place), GOOD)
        beside = plain(row.problem or row.folder or "")
        table.add_row(
            Text(plain(row.name), "bold").append(f"\n{plain(row.title)}" if row.title else "", "not bold dim"),
            Text(plain(row.licence)).append(f"\n{said}" if said else "", style),
            where.append(f"\n{beside}" if beside else "", BAD if row.problem else DIM),
            "" if row.size is None else in_bytes(row.size),
        )
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(table)
    if any(row.place is None for row in rows):
        console.print(Text("What is missing: cinereward weights fetch NAME, or add NAME PATH", DIM))


@app.command()
def verify(names: NamesArgument = None) -> None:
    """Hash all files and hold them against the manifest, the pins or the cache; exit code 1 where one is wrong."""
    from cinereward.weights import locate

    rows = [row.name for row in held() if row.place is not None or row.problem]
    wrong = 0
    for name in names or rows:
        try:
            found = locate(name)
            typer.echo(f"right  {found.sha256}  {name}  {plain(str(found.folder))}{'  own' if found.own else ''}")
        except WeightsError as error:
            typer.echo(f"wrong  {plain(str(error))}", err=True)
            wrong += 1
    if not names and not rows:
        typer.echo("no weights are on this machine; cinereward weights list names those there are", err=True)
    if wrong:
        raise typer.Exit(FAILED)


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `list` shows; with --own, any.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="The folder that holds the files, or the one file.")],
    own: Annotated[bool, typer.Option("--own", help="Your own weights, in the place of the published ones.")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the files to $CINEREWARD_HOME.")] = False,
) -> None:
    """Say where weights lie. They are hashed, stay where they are unless --copy is given, and must not change."""
    from cinereward import weights

    found = weights.add(name, path, own=own)
    if copy:
        found = _copied(found)
    count = len(found.files)
    typer.echo(f"{name}: {count} file{'s' * (count != 1)} in {plain(str(found.folder))}, sha256 {found.sha256}")
    if not copy:
        typer.echo("They stay there: whoever moves or changes them has to add them again.")
    if not own:
        _tell_terms(weights.entry_of(name))


def _tell_terms(entry: Entry) -> None:
    typer.echo(f"  licence: {entry.licence}{'' if entry.commercial else '; not for commercial use'}")
    if entry.notes:
        typer.echo(f"  {entry.notes}")


def _copied(found: Located) -> Located:
    """The same files, copied to the home folder and pinned there."""
    from cinereward import weights

    folder = weights.home() / ("own" if found.own else "weights") / found.name
    for key, path in found.files.items():
        target = folder / key
        if target.exists() and target.samefile(path):
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f"{target.name}.{os.getpid()}.part")
            try:
                shutil.copyfile(path, part)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise WeightsError(f"{target} cannot be written ({error.strerror or error}); free some space") from error
    only = len(found.files) == 1
    return weights.add(found.name, folder / next(iter(found.files)) if only else folder, own=found.own)


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names that `list` shows.")],
    accept: Annotated[
        bool, typer.Option("--accept-licence", help="You keep to a licence that forbids commercial use.")
    ] = False,
    mirror: Annotated[
        str | None, typer.Option(metavar="URL", help="Take files from URL/NAME/FILE, such as a server in your cluster.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for a connection, and for more to come.")
    ] = 20.0,
    offline: Annotated[bool, typer.Option("--offline", help="Only tell where the files would come from.")] = False,
) -> None:
    """Fetch weights from where they were published, verify and pin them. Run it again where it broke off."""
    from cinereward import weights

    entries = {name: weights.entry_of(name) for name in names}
    missing = {name: entry for name, entry in entries.items() if not _is_here(name)}
    if offline or os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return _tell_sources(missing, mirror, asked=offline)
    if refused := {name: entry for name, entry in missing.items() if not entry.commercial and not accept}:
        told = "\n".join(f"  {name}: {entry.licence}" for name, entry in refused.items())
        raise ConfigError(f"not for commercial use:\n{told}\nif you keep to that, say so with --accept-licence")
    from cinereward.fetching import Terms, clear_archives
    from cinereward.fetching import fetch as get

    failed = False
    with _progress() as tell:
        for name, entry in missing.items():
            try:
                found = get(name, entry, Terms(mirror=mirror, timeout=timeout, tell=tell))
                typer.echo(f"{name}: {plain(str(found.folder))}, sha256 {found.sha256}")
                _tell_terms(entry)
            except WeightsError as error:
                typer.echo(f"failed: {plain(str(error))}", err=True)
                failed = True
    clear_archives(missing.values())
    if failed:
        raise typer.Exit(FAILED)


def _is_here(name: str) -> bool:
    """Whether nothing has to be fetched; what stands in the way is told."""
    from cinereward.weights import locate

    with contextlib.suppress(WeightsError):
        found = locate(name)
        if not found.own:
            typer.echo(f"{name}: here already, {plain(str(found.folder))}, sha256 {found.sha256}")
            return True
        typer.echo(f"{name}: takes the place of your own weights in {plain(str(found.folder))}", err=True)
    return False


def _tell_sources(missing: dict[str, Entry], mirror: str | None, *, asked: bool) -> None:
    """What a person could carry over from a machine that is online."""
    from cinereward.fetching import address
    from cinereward.weights import kept

    if missing and not asked:
        typer.echo("HF_HUB_OFFLINE is set: nothing is fetched", err=True)
    for name, entry in missing.items():
        typer.echo(f"{name}: to {plain(str(kept(name)))}, then: cinereward weights add {name} {plain(str(kept(name)))}")
        for file in entry.files:
            packed = f" ({file.inside} inside it)" if file.inside and mirror is None else ""
            source = address(name, entry, file, mirror) or entry.source.by_hand
            typer.echo(f"  {source}{packed}  sha256 {file.sha256 or 'not known'}")
    if missing:
        raise typer.Exit(FAILED)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar a file on stderr; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as shown:
        bars: dict[tuple[str, int | None], Any] = {}

        def tell(name: str, here: int, whole: int | None) -> None:
            if (name, whole) not in bars:
                bars[name, whole] = shown.add_task(plain(name), total=whole)
            shown.update(bars[name, whole], completed=here)

        yield tell


def in_bytes(count: int) -> str:
    """Such as 330.3 MiB."""
    return (
        f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count} B"
    )


# --- for the doctor ---


def examine(warn: Callable[[str, str], None]) -> dict[str, dict[str, Any]]:
    """Weights for the doctor: name -> its licence, whether for commerce, and its place; files are not read.

    Args:
        warn: is told what is wrong and what mends it.
    """
    try:
        rows = held()
    except ConfigError as error:
        warn(str(error), "unset CINEREWARD_MANIFEST, or mend that file")
        return {}
    for row in rows:
        if row.problem:
            warn(f"weights {row.name}: {row.problem}", row.command)
    return {
        row.name: {"place": row.place, "licence": row.licence, "commercial": row.commercial, "command": row.command}
        for row in rows
    }


def lines(facts: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The doctor's lines about weights: a name, what is told of it, a style."""
    from cinereward.show import DIM, GOOD

    for name, told in facts["weights"].items():
        terms = told["licence"] + {False: ", not for commercial use"}.get(told["commercial"], "")
        if told["place"] is None:
            yield name, f"not here; {terms}", DIM
        else:
            yield name, f"{PLACES.get(told['place'], told['place'])}; {terms}", GOOD
    if any(told["place"] is None for told in facts["weights"].values()):
        yield "", "cinereward weights fetch NAME gets one; profile signal needs none", DIM

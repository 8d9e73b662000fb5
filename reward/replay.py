"""The command `cinereward replay`: scores worked out anew from the evidence that a ledger holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cinereward import __version__
from cinereward.errors import ConfigError
from cinereward.output import STDOUT, write_json
from cinereward.words import plain

if TYPE_CHECKING:
    from cinereward.ledger import Difference

FAILED = 1
MANY = 8  # differences told of one clip; --json tells all


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One ledger of a file, and what does not replay in it."""

    path: str
    content: dict[str, Any]
    differences: tuple[Difference, ...]

    @property
    def clip(self) -> str:
        """What the scored clip was called."""
        return str(self.content["clip"]["name"])

    def lines(self) -> list[str]:
        """What is told of it."""
        scored = sum(score["status"] == "SCORED" for score in self.content["scores"].values())
        if not self.differences:
            scalar = (self.content["scalar"] or {}).get("value")
            told = "" if scalar is None else f", scalar {scalar:.4f}"
            return [f"{self.clip}: {scored} scores{told}: all replay to the bit"]
        head = f"{self.clip}: {len(self.differences)} things do not replay"
        more = len(self.differences) - MANY
        first = [f"  {item}" for item in self.differences[:MANY]]
        return [head, *first, *([f"  and {more} more"] if more > 0 else [])]

    def record(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        return {"ledger": self.path, "clip": self.clip, "differences": [asdict(item) for item in self.differences]}


def replay(
    ledgers: Annotated[list[Path], typer.Argument(metavar="LEDGER...", help="Files that `score --ledger` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Work scores out anew from the evidence in a ledger; exit code 1, and what differs, if one does not come out."""
    from cinereward.ledger import check

    done = [
        Replayed(path=str(path), content=content, differences=check(content))
        for path in ledgers
        for content in read(path)
    ]
    for item in done:
        if item.differences and (wrote := item.content["version"].partition(" ")[0]) != f"cinereward={__version__}":
            typer.echo(plain(f"{item.clip} was scored by {wrote}, and this is cinereward={__version__}"), err=True)
    if as_json:
        write_json(STDOUT, [item.record() for item in done])
    else:
        for line in (line for item in done for line in item.lines()):
            typer.echo(plain(line))
    if any(item.differences for item in done):
        raise typer.Exit(FAILED)


def read(path: Path) -> list[dict[str, Any]]:
    """The ledgers of a file, which holds one or a list of them.

    Raises:
        ConfigError: it cannot be read, or holds something else; the message says where.
    """
    from cinereward.ledger import Ledger
    from cinereward.profile import build

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}; give a file that `score --ledger` wrote") from error
    several = content if isinstance(content, list) else [content]
    for at, item in enumerate(several):
        build(Ledger, item, f"{path}, ledger {at + 1} of {len(several)}")
    return several

"""The page: what there is to say of each clip, put into the templates beside this file.

Templates escape everything they are given, and the page's own policy forbids it to run or to fetch anything that is
not in it, so that neither a prompt nor a file's name can do more than be read.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from cinereward.batch import RewardBatch
from cinereward.output import write_text
from cinereward.report import pictures
from cinereward.report.beside import remarks
from cinereward.report.pictures import Allowance
from cinereward.report.scores import Score
from cinereward.report.sections import MANY, NOTABLE, Told, keyframes_of, readable, tell
from cinereward.types import Clip, Status
from cinereward.words import UNVALIDATED, plain, timecode

if TYPE_CHECKING:
    from cinereward.model import RewardModel

SHORT_NAMES = 5  # clips a note names
PRINTED = "\n\u200c\u200d"  # a prompt's lines, and what joins the parts of emoji and of some scripts


@dataclass(frozen=True, kw_only=True)
class Report:
    """The file's content, and what had to be left out of it, a sentence each."""

    html: str
    notes: tuple[str, ...]


def write(
    path: str | Path,
    clips: Iterable[Clip],
    batches: RewardBatch | Sequence[RewardBatch],
    reward: RewardModel,
    *,
    note: str = "",
) -> Report:
    """Write the report to a file, whole or not at all; arguments as in `render`.

    Raises:
        ConfigError: it cannot be written.
    """
    made = render(clips, batches, reward, note=note)
    write_text(path, made.html)
    return made


def render(
    clips: Iterable[Clip], batches: RewardBatch | Sequence[RewardBatch], reward: RewardModel, *, note: str = ""
) -> Report:
    """Make the report of clips that were scored. Each is decoded once more, for its pictures.

    Args:
        clips: what was scored. batches: what came of it, not folded: one batch, or several one after another.
        reward: what scored them. note: what the reader should know first, such as that the work was broken off.

    Raises:
        ValueError: the numbers of clips and results differ, or a batch is folded already.
    """
    rows = [(batch, at) for batch in _listed(batches) for at in range(len(batch))]
    if folded := {batch.level for batch, _ in rows} - {"sub_dimension"}:
        raise ValueError(f"a batch is folded to {', '.join(sorted(folded))}; give it as RewardModel returned it")
    allowance = Allowance()
    told: list[Told] = []
    for clip in clips:
        if len(told) == len(rows):
            raise ValueError(
                f"more clips than the {len(rows)} results; give the clips that were scored, in their order"
            )
        batch, at = rows[len(told)]
        told.append(tell(clip, batch, at, len(told) + 1, len(rows), reward, allowance))
    if len(told) < len(rows):
        raise ValueError(f"{len(told)} clips for {len(rows)} results; give the clips that were scored, in their order")
    notes = tuple(_left_out(allowance, len(rows)))
    profile = reward.profile
    html = (
        _environment()
        .get_template("page.html")
        .render(
            clips=told,
            profile=profile,
            validated=profile.validated or UNVALIDATED,
            version=reward.version,
            missing=reward.missing,
            remarks=tuple(_remarked(rows, told)),
            columns=_columns(told, reward),
            style=_asset("style.css"),
            script=_asset("script.js"),
            policy=_policy(),
            notes=notes,
            note=note,
        )
    )
    return Report(html=html, notes=notes)


def _listed(batches: RewardBatch | Sequence[RewardBatch]) -> Sequence[RewardBatch]:
    return [batches] if isinstance(batches, RewardBatch) else batches


def _columns(told: Sequence[Told], reward: RewardModel) -> dict[str, Any]:
    """What the tables of several clips compare: aspects, and sub-dimensions by aspect, that any clip has scored."""

    def counts(score: Score | None) -> bool:
        return score is not None and score.status in (Status.SCORED, Status.FAILED)

    taxonomy, told = reward.taxonomy, [clip for clip in told if not clip.error]
    aspects = [name for name in taxonomy.aspects if any(counts(clip.aspects.get(name)) for clip in told)]
    groups: dict[str, list[str]] = {}
    for sub in taxonomy.sub_dimensions:
        if any(counts(clip.all_scores[sub.name]) for clip in told):
            groups.setdefault(sub.aspect, []).append(sub.name)
    return {"aspects": aspects, "groups": groups, "titles": taxonomy.titles}


def _remarked(rows: Sequence[tuple[RewardBatch, int]], told: Sequence[Told]) -> Iterable[str]:
    """What befell the measuring, and of several clips on which."""
    for text, names in remarks(rows, [clip.name for clip in told]).items():
        yield text if len(told) == 1 else f"{text} (on {_few(names)})"


def _left_out(allowance: Allowance, count: int) -> Iterable[str]:
    """What the reader does not find in the file of so many clips, and why."""
    if count > MANY:
        yield (
            f"of more than {MANY} clips only the {NOTABLE} worst findings' measurements are drawn over time, and only "
            f"{keyframes_of(count)} keyframes each are put in; report fewer clips to see all"
        )
    if few := allowance.unplayed:
        yield (
            f"{_few(few)} cannot be played from here: only mp4 and webm files of up to "
            f"{pictures.SMALL // pictures.MEGABYTE} MB, of codecs that every browser plays, are put in"
        )
    if few := allowance.crowded:
        yield f"{_few(few)} cannot be played from here: {pictures.VIDEOS // pictures.MEGABYTE} MB of clips are the most"
    if few := allowance.unseen:
        yield f"{_few(few)}: keyframes are missing, because the file could not be read again or the report is full"


def _few(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHORT_NAMES} more" if len(names) > SHORT_NAMES else ""
    return ", ".join(names[:SHORT_NAMES]) + rest


# --- templates ---


def number(value: float) -> str:
    """A coordinate, as short as it may be."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def breakable(text: str) -> Markup:
    """A file's name that may go on in the next line after a point, a slash, a dash or an underscore."""
    shown = str(escape(plain(text)))
    for mark in "_-./":  # none of these is part of what escaping writes
        shown = shown.replace(mark, f"{mark}\0")
    return Markup(shown.replace("\0", "<wbr>"))


@cache
def _asset(name: str) -> Markup:
    """A file of this package, which needs no escaping."""
    return Markup((files("cinereward.report") / name).read_text(encoding="utf-8"))


@cache
def _policy() -> str:
    """What the page may do: show what is in it, and run its own script; nothing else, and nothing from elsewhere."""

    def hashed(name: str) -> str:
        return base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode("ascii")

    return (
        f"default-src 'none'; img-src data:; media-src data:; style-src 'sha256-{hashed('style.css')}'; "
        f"script-src 'sha256-{hashed('script.js')}'; base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(lambda name: str(_asset(name))),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        finalize=_shown,
    )
    made.filters |= {"number": number, "timecode": timecode, "readable": readable, "breakable": breakable}
    return made


def _shown(value: Any) -> Any:
    """What a template prints: text from outside without characters that act instead of being seen."""
    return plain(value, PRINTED) if isinstance(value, str) and not isinstance(value, Markup) else value

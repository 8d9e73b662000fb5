"""Scores and findings as people read them in a terminal, and as programs read them in JSON.

Lines are laid out by hand rather than by a table widget, so that headings span the width and each column stays where it
is from 80 columns to 200. Colour is never the only sign: a bar's length says the same, and the hues, blue for good and
orange for bad, differ for every kind of colour blindness.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from cinereward.rows import Row
from cinereward.types import Critique, Evidence, Status
from cinereward.words import MENDS, UNVALIDATED, plain, timecode

if TYPE_CHECKING:
    from cinereward.profile import Profile
    from cinereward.taxonomy import Taxonomy

EIGHTHS = " ▏▎▍▌▋▊▉"
GOOD, FAIR, BAD, DIM = "bright_blue", "", "bold dark_orange", "dim"
CELL, BARS = len("0.78 ±0.02 "), (4, 12)  # a value with its uncertainty; the shortest and the longest bar
GAP = 2
BLOCKS = 3  # side by side, clips fill at most so many blocks; beyond, each clip gets a line
LOWEST = 5  # of many clips, so many have their worst finding told


# --- small things ---
LOST = re.compile(r"(?:^|; )(\S+) is not run: ")  # an operator without its weights or its library, in a reason


def bar(value: float, width: int, *, ascii_only: bool = False) -> str:
    """A value in [0, 1] as a bar of at most `width` cells, exact to an eighth of one."""
    if ascii_only:
        return "#" * round(value * width)
    eighths = round(value * width * 8)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def hue(value: float) -> str:
    """The style of a value: blue from 0.8 up, orange below 0.5."""
    return GOOD if value >= 0.8 else BAD if value < 0.5 else FAIR


def shorten(text: str, width: int) -> str:
    """The text, or its beginning and end, in at most `width` cells."""
    if cell_len(text) <= width:
        return text
    head = max(1, (width - 1) // 2)
    tail = max(0, width - 1 - head)
    return set_cell_size(text, head).rstrip() + "~" + (text[-tail:] if tail else "")


def fit(text: str, width: int, style: str = "") -> Text:
    """The text in exactly `width` cells."""
    return Text(set_cell_size(shorten(text, width), width), style)


def wrapped(console: Console, text: Text, indent: str, width: int | None = None) -> Iterator[Text]:
    """The text folded into the width that is left beside an indent."""
    room = max(20, (width or console.width) - len(indent))
    for line in text.wrap(console, room):
        line.rstrip()
        yield Text(indent) + line


# --- the table ---


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A page for scores: its width in cells, and whether it takes more than ASCII."""

    console: Console
    all_reasons: bool = False

    @property
    def width(self) -> int:
        """In cells."""
        return self.console.width

    @property
    def ascii_only(self) -> bool:
        """Whether bars and plus-minus signs must do without their own characters."""
        return not self.console.encoding.lower().startswith("utf")

    def print(self, lines: Iterator[Text]) -> None:
        """Print lines as they are: no markup, no highlighting, no folding."""
        for line in lines:
            line.rstrip()
            self.console.print(line, soft_wrap=True, highlight=False)

    def value(self, value: float, std: float, width: int) -> Text:
        """Such as "0.78 ±0.02 █████▌", in `width` cells."""
        spread = f"±{std:.2f}" if math.isfinite(std) else ""
        if self.ascii_only:
            spread = spread.replace("±0", "+-")  # as wide
        length = max(0, min(BARS[1], width - CELL))
        style = hue(value)
        line = Text(f"{value:.2f} ", style)
        line.append(f"{spread:<6}", DIM).append(bar(value, length, ascii_only=self.ascii_only), style)
        line.append(" " * (width - line.cell_len))
        return line

    def missing(self, status: Status, width: int) -> Text:
        """What stands where there is no number."""
        words = {Status.GATED: "not asked", Status.UNAVAILABLE: "no evidence", Status.FAILED: "failed"}
        return fit(words[status], width, BAD if status is Status.FAILED else DIM)

    def scores(self, rows: Sequence[Row], groups: Mapping[str, str], *, blocks: int = BLOCKS) -> Iterator[Text]:
        """The table of all clips that were read.

        Args:
            rows: of one level. groups: dimension -> the heading it stands under. blocks: how many blocks of columns the
                clips may take before each is given a line.
        """
        shown = [name for name in groups if any(row.cell(name)[2] in (Status.SCORED, Status.FAILED) for row in rows)]
        label = max([len("scalar"), *(len(leaf(name)) + 2 for name in shown)]) + GAP
        fits = max(1, (self.width - label + GAP) // (CELL + BARS[0] + GAP))
        if len(rows) > blocks * fits:
            yield from self._by_line(rows)
            return
        even = math.ceil(len(rows) / math.ceil(len(rows) / fits)) if rows else 1
        for start in range(0, len(rows), even):
            if start:
                yield Text()
            yield from self._block(rows[start : start + even], shown, groups, label)

    def _block(
        self, rows: Sequence[Row], shown: Sequence[str], groups: Mapping[str, str], label: int
    ) -> Iterator[Text]:
        lone = len(rows) == 1 and self.width - label >= CELL + BARS[0] + 2 * GAP + 20
        most = CELL + BARS[1] if self.width >= 100 or not lone else CELL + BARS[0]
        cell = min(most, (self.width - label + GAP) // len(rows) - GAP)
        gap = " " * GAP
        if len(rows) == 1:
            yield Text(" " * label) + Text(shorten(plain(rows[0].name), self.width - label), "bold")
        else:
            names = [_two_lines(plain(row.name), cell) for row in rows]
            for line in range(2):
                if any(name[line] for name in names):
                    yield Text(" " * label) + Text(gap).join(fit(name[line], cell, "bold") for name in names)
        yield fit("scalar", label, "bold") + Text(gap).join(self._scalar(row, cell) for row in rows)
        heading = ""
        for name in shown:
            if groups[name] != heading:
                heading = groups[name]
                yield Text(heading, DIM)
            line_of_cells = fit("  " + leaf(name), label) + Text(gap).join(self._cell(row, name, cell) for row in rows)
            if not lone:
                yield line_of_cells
                continue
            why = list(
                wrapped(self.console, Text(plain(_worst_term(rows[0], name)), DIM), "", self.width - label - cell - GAP)
            )
            yield line_of_cells + Text(gap) + (why[0] if why else Text())
            yield from (Text(" " * (label + cell + GAP)) + line for line in why[1:])

    def _cell(self, row: Row, name: str, width: int) -> Text:
        value, std, status = row.cell(name)
        return self.value(value, std, width) if status is Status.SCORED else self.missing(status, width)

    def _scalar(self, row: Row, width: int) -> Text:
        if math.isnan(row.scalar):
            return fit(_unscored(row), width, BAD)
        line = self.value(row.scalar, math.nan, width)
        line.stylize("bold")
        return line

    def _by_line(self, rows: Sequence[Row]) -> Iterator[Text]:
        """A line for each of many clips: the scalar, the scored aspects, and the weakest dimension."""
        folded = {row.name: row.batch.fold("aspect") if row.batch.level != "stage" else row.batch for row in rows}
        first = next(iter(folded.values()))
        aspects = [at for at in range(len(first.dimensions)) if any(batch.mask[0, at] for batch in folded.values())]
        name_width = max(12, min(max(cell_len(plain(row.name)) for row in rows), self.width // 3))
        column = 6 if self.width < 120 else 16
        scalar_width = 10
        gap = " " * GAP
        rest = self.width - name_width - scalar_width - (column + GAP) * len(aspects) - 2 * GAP
        heads = [
            fit(first.dimensions[at][: column - 1] if column == 6 else first.dimensions[at], column) for at in aspects
        ]
        yield Text(gap, "bold").join([fit("clip", name_width), fit("scalar", scalar_width), *heads, Text("weakest")])
        for row in rows:
            cells = [fit(plain(row.name), name_width), self._short(row.scalar, scalar_width, missing=_unscored(row))]
            cells += [self._short(float(folded[row.name].values[0, at]), column) for at in aspects]
            cells.append(fit(_weakest(row), rest, DIM) if rest >= 12 else Text())
            yield Text(gap).join(cells)

    def _short(self, value: float, width: int, *, missing: str = "-") -> Text:
        if math.isnan(value):
            return fit(missing, width, DIM if missing == "-" else BAD)
        length = 0 if missing == "-" else max(0, width - 5)
        line = Text(f"{value:.2f} " + bar(value, length, ascii_only=self.ascii_only), hue(value))
        line.append(" " * (width - line.cell_len))
        return line

    # --- the whole page ---

    def scored(self, rows: Sequence[Row], taxonomy: Taxonomy, profile: Profile, *, level: str | None) -> Iterator[Text]:
        """All that `score` prints: the table, what is missing from it, and the worst of each clip."""
        good = [row for row in rows if row.error is None]
        head = Text(f"{len(good)} of {len(rows)} clips scored" if len(good) < len(rows) else _count(len(rows), "clip"))
        head.append(f", profile {plain(profile.name)}", "")
        yield head.append(f", {profile.validated or UNVALIDATED}", DIM)
        if not good:
            return
        yield Text()
        groups = {name: _heading(name, taxonomy) for name in good[0].batch.dimensions}
        yield from self.scores(good, groups, blocks=BLOCKS if level is None else len(rows))
        yield Text()
        yield from self.unscored(good)
        yield from self.right(good)
        if not self.all_reasons:
            yield Text("(--all lists every dimension with its reason)", DIM)
        else:
            for row in good:
                yield Text()
                yield from self.reasons(row)
        yield Text()
        yield from self.worst(good)

    def critique(self, row: Row, validated: str | None) -> Iterator[Text]:
        """All that `critique` prints: every finding, worst first."""
        found = row.batch.critiques[0]
        yield Text(plain(row.name), "bold").append(f"  {_count(len(found), 'finding')}, worst first" if found else "")
        if validated is None:
            yield Text(UNVALIDATED, DIM)
        for number_of, item in enumerate(found, start=1):
            yield Text()
            yield from self.finding(item, evidence=row.batch.evidence[0], head=f"{number_of}. ")
        if not found:
            yield Text("Nothing notable was found in what this profile measures and the prompt asks for.")

    # --- under the table ---

    def unscored(self, rows: Sequence[Row]) -> Iterator[Text]:
        """What has no number, counted by reason; one line for clips that agree."""
        groups: dict[tuple[tuple[str, int], ...], list[str]] = {}
        for row in rows:
            counts: Counter[str] = Counter()
            for name in row.having(Status.GATED) + row.having(Status.UNAVAILABLE):
                gated = row.cell(name)[2] is Status.GATED
                counts["the prompt does not ask for" if gated else _lack(row.reason(name))] += 1
            groups.setdefault(tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))), []).append(row.name)
        for counted, clips in groups.items():
            total = sum(count for _, count in counted)
            whom = f"{plain(_few(clips))}: " if len(groups) > 1 else ""
            parts = ", ".join(f"{count} {why}" for why, count in counted)
            if total:
                yield from wrapped(self.console, Text(plain(f"{whom}{total} not scored: {parts}")), "")

    def right(self, rows: Sequence[Row]) -> Iterator[Text]:
        """How far each clip is what was asked for, where the profile tells: one line a clip, the least first."""
        for row in rows:
            batch = row.batch.right
            if batch is None:
                continue
            cells = zip(batch.dimensions, batch.values[0], batch.status[0], strict=True)
            scored = sorted((float(value), name) for name, value, status in cells if status == Status.SCORED)
            told = ", ".join(f"{name} {value:.2f}" for value, name in scored) or "nothing that can be told"
            yield from wrapped(self.console, Text(plain(f"as asked, {row.name}: {told}")), "")

    def reasons(self, row: Row) -> Iterator[Text]:
        """Every dimension of a clip with its reason."""
        yield Text(plain(row.name), "bold")
        for name in row.batch.dimensions:
            value, _, status = row.cell(name)
            number = f"{value:.2f}" if status is Status.SCORED else status.name.lower()
            style = hue(value) if status is Status.SCORED else BAD if status is Status.FAILED else DIM
            yield Text("  ").append(f"{number:<11} ", style).append(plain(name))
            yield from wrapped(self.console, Text(plain(row.reason(name)), DIM), " " * 14)

    def finding(
        self, item: Critique, *, evidence: Mapping[str, Evidence] | None = None, head: str = ""
    ) -> Iterator[Text]:
        """One finding: where and how bad, what a viewer feels, what to do and who can mend it."""
        line = Text("  ").append(head, "bold").append(f"{_place(item)}  ")
        line.append(f"{bar(item.severity, 8, ascii_only=self.ascii_only):<8}", BAD).append(f" {item.severity:.2f}", DIM)
        yield line
        yield from wrapped(self.console, Text(plain(item.finding)), "    ")
        remedy = Text("Remedy: ", "bold").append(plain(item.remedy), "not bold")
        yield from wrapped(self.console, remedy.append(f" [{MENDS[item.locus]}]", "not bold dim"), "    ")
        if evidence is not None:
            yield from wrapped(self.console, Text(plain("Seen in " + _seen(item, evidence)), DIM), "    ")

    def worst(self, rows: Sequence[Row]) -> Iterator[Text]:
        """The worst finding of each clip; of many clips, of the lowest only."""
        many = len(rows) > 2 * LOWEST
        chosen = (
            sorted(rows, key=lambda row: row.scalar if not math.isnan(row.scalar) else 2.0)[:LOWEST] if many else rows
        )
        title = f"The worst finding of the {LOWEST} lowest clips" if many else "The worst finding"
        yield Text(title, "bold") + Text("  (cinereward critique CLIP tells all)", "not bold dim")
        for row in chosen:
            found = row.batch.critiques[0]
            if found:
                yield Text(shorten(plain(row.name), self.width), hue(row.scalar))
                yield from self.finding(found[0])
            else:
                yield Text(shorten(plain(row.name), self.width - 20), hue(row.scalar)) + Text("  nothing notable", DIM)


def _heading(name: str, taxonomy: Taxonomy) -> str:
    """What a dimension of any level stands under in the table, such as "production: cinematography.lens"."""
    stage = taxonomy[name].sub_dimensions[0].stage
    above = name.rpartition(".")[0]
    return "" if name == stage else f"{stage}: {above}" if above else stage


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def leaf(name: str) -> str:
    """The last part of a dimension's name."""
    return name.rpartition(".")[2]


def _two_lines(name: str, width: int) -> tuple[str, str]:
    """A clip's name over at most two lines of a column."""
    if cell_len(name) <= width:
        return "", name
    name = shorten(name, 2 * width)
    head = set_cell_size(name, width)
    return head, name[len(head.rstrip()) :]


def _lack(reason: str) -> str:
    """Why there is no evidence, without the commands that would bring it: those are told once, above."""
    lost = LOST.findall(reason)
    return f"for want of {', '.join(lost)}" if lost else reason


def _unscored(row: Row) -> str:
    """What stands for a scalar that is not there."""
    return "failed" if row.having(Status.FAILED) else "nothing"


def _worst_term(row: Row, name: str) -> str:
    """The first part of a reason: reasons name their parts worst first."""
    return row.reason(name).partition("; ")[0]


def _weakest(row: Row) -> str:
    values = row.batch.values[0]
    if bool(np.all(np.isnan(values))):
        return ""
    at = int(np.nanargmin(values))
    return f"{values[at]:.2f} {leaf(row.batch.dimensions[at])}"


def _few(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _place(item: Critique) -> str:
    where = f"shot {item.shot}" if item.shot is not None else "whole clip" if item.start == 0 else "across shots"
    return f"{where}, {timecode(item.start)} to {timecode(item.end)}"


def _seen(item: Critique, evidence: Mapping[str, Evidence]) -> str:
    parts = []
    for name in item.evidence:
        operator, _, measurement = name.partition(".")
        got = evidence[operator][measurement] if operator in evidence else None
        value = "" if got is None or isinstance(got.value, np.ndarray) else f" {got.value:.3g} {got.unit}"
        parts.append(name + value)
    return f"{', '.join(parts)}; lowers {item.dimension}"

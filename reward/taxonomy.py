"""Read the taxonomy: stage > aspect > dimension > sub-dimension > question.

The taxonomy is data. The shipped one, `configs/taxonomy.yaml`, follows section 3 of the EvalVerse paper; a studio
points `load` at its own file, of any size. All is checked on loading, so that the rest of the house can trust it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, ClassVar

from cinereward.errors import ConfigError

LEVELS = ("stage", "aspect", "dimension", "sub_dimension")
NEEDS = ("sound", "speech", "face", "people", "cuts", "reference")
COUNTS = {"stages": 3, "aspects": 7, "dimensions": 18, "sub_dimensions": 45, "questions": 196}
MAX_BUDGET = 40

# What each mapping of the file holds; `inferred` may be left out.
_KEYS: dict[str, dict[str, type]] = {
    "file": {"version": int, "stages": list},
    "stage": {"name": str, "title": str, "aspects": list},
    "aspect": {"name": str, "title": str, "dimensions": list},
    "dimension": {"name": str, "title": str, "sub_dimensions": list},
    "sub_dimension": {"name": str, "title": str, "meaning": str, "inferred": bool, "questions": list},
    "question": {"id": str, "text": str, "anchors": dict, "needs": list, "clause": str},
}
_IMPLIED = {"speech": "sound", "face": "people"}
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# A word, or one punctuation mark. Chinese and Japanese put no spaces between words, so there a character is a word.
_TOKEN = re.compile(r"[^\W\u3040-\u30ff\u3400-\u9fff]+|\S")


def budget(text: str) -> int:
    """Count the words and punctuation marks of a question, which may have `MAX_BUDGET` of them."""
    return len(_TOKEN.findall(text))


@dataclass(frozen=True, kw_only=True)
class Question:
    """One closed question about a clip, answered by 1 to 5, where 5 is best."""

    id: str  # unique within its sub-dimension
    text: str  # at most `MAX_BUDGET` words and punctuation marks
    anchors: Mapping[int, str] = field(hash=False)  # what the answers 1, 3 and 5 look like
    needs: frozenset[str]  # what the prompt must call for before this is asked, out of `NEEDS`
    clause: str  # which clause of the paper's definition it comes from
    name: str  # aspect.dimension.sub_dimension.id

    def __post_init__(self) -> None:
        """Check length, anchors and needs."""
        if (length := budget(self.text)) > MAX_BUDGET:
            raise ConfigError(f"{self.name}: {length} words and punctuation marks, at most {MAX_BUDGET}; shorten it")
        if set(self.anchors) != {1, 3, 5} or not all(isinstance(text, str) for text in self.anchors.values()):
            raise ConfigError(f"{self.name}: anchors must give a text for exactly 1, 3 and 5, not {self.anchors}")
        if unknown := self.needs.difference(NEEDS):
            raise ConfigError(f"{self.name}: unknown needs {_listed(sorted(unknown))}; valid: {_listed(NEEDS)}")
        for need, implied in _IMPLIED.items():
            if need in self.needs and implied not in self.needs:
                raise ConfigError(f"{self.name}: needs {need!r}, so it also needs {implied!r}; list both")


@dataclass(frozen=True, kw_only=True)
class SubDimension:
    """One column of a reward: what it means and what is asked about it; `name` and `dimension` are full paths."""

    name: str
    title: str
    meaning: str
    stage: str
    aspect: str
    dimension: str
    inferred: bool
    questions: tuple[Question, ...]
    level: ClassVar[str] = "sub_dimension"

    @property
    def needs(self) -> frozenset[str]:
        """Return what all of its questions need: where that is missing, nothing can be asked."""
        return frozenset.intersection(*(question.needs for question in self.questions))

    @property
    def sub_dimensions(self) -> tuple[SubDimension, ...]:
        """Return itself alone, so that nodes of all levels read alike."""
        return (self,)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A stage, an aspect or a dimension, with all sub-dimensions under it."""

    name: str
    title: str
    level: str
    sub_dimensions: tuple[SubDimension, ...]


@dataclass(frozen=True, kw_only=True)
class Taxonomy:
    """The whole tree in the file's order: its sub-dimensions, and the title of every node by name."""

    titles: Mapping[str, str] = field(hash=False)
    sub_dimensions: tuple[SubDimension, ...]

    @cached_property
    def _nodes(self) -> dict[str, Group | SubDimension]:
        nodes: dict[str, Group | SubDimension] = {}
        for level in LEVELS[:-1]:
            for name in dict.fromkeys(getattr(sub, level) for sub in self.sub_dimensions):
                members = tuple(sub for sub in self.sub_dimensions if getattr(sub, level) == name)
                nodes[name] = Group(name=name, title=self.titles[name], level=level, sub_dimensions=members)
        return nodes | {sub.name: sub for sub in self.sub_dimensions}

    def __getitem__(self, name: str) -> Group | SubDimension:
        """Return the node of this name at any level; an unknown name is a ConfigError that lists close matches."""
        if name not in self._nodes:
            close = difflib.get_close_matches(name, self._nodes) or self.aspects
            raise ConfigError(f"{name!r} is not in the taxonomy; try {_listed(close)}")
        return self._nodes[name]

    def _at(self, level: str) -> tuple[str, ...]:
        return tuple(name for name, node in self._nodes.items() if node.level == level)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """Return the stages' names, such as "production"."""
        return self._at("stage")

    @cached_property
    def aspects(self) -> tuple[str, ...]:
        """Return the aspects' names, such as "acting"."""
        return self._at("aspect")

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """Return the dimensions' names, such as "acting.expression"."""
        return self._at("dimension")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the sub-dimensions' names, such as "acting.expression.continuity"."""
        return self._at("sub_dimension")

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """Return the questions of all sub-dimensions."""
        return tuple(question for sub in self.sub_dimensions for question in sub.questions)

    @cached_property
    def hash(self) -> str:
        """Return the SHA-256 of the content as canonical JSON, whatever the file's layout."""
        # `sorted` turns the sets of needs, which JSON lacks, into lists of one order.
        content = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=sorted)
        return hashlib.sha256(content.encode()).hexdigest()

    def fold_index(self, level: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Return the names at one of `LEVELS`, and for each sub-dimension the index of its own among them."""
        if level not in LEVELS:
            raise ConfigError(f"{level!r} is not a level; valid: {_listed(LEVELS)}")
        names = self._at(level)
        index = {sub.name: i for i, name in enumerate(names) for sub in self[name].sub_dimensions}
        return names, tuple(index[name] for name in self.names)


def load(path: str | Path | None = None) -> Taxonomy:
    """Read a taxonomy from a YAML file, or the shipped one (once); a ConfigError names a broken rule and its place."""
    return _shipped() if path is None else _read(Path(path))


def check_counts(taxonomy: Taxonomy) -> None:
    """Raise ConfigError unless the counts are the paper's, as the shipped ones must be and a studio's need not."""
    found = {part: len(getattr(taxonomy, part)) for part in COUNTS}
    if found != COUNTS:
        raise ConfigError(f"the taxonomy has {found}, expected {COUNTS}")


@cache
def _shipped() -> Taxonomy:
    with as_file(files("cinereward.configs") / "taxonomy.yaml") as path:
        taxonomy = _read(path)
    check_counts(taxonomy)
    return taxonomy


def _read(path: Path) -> Taxonomy:
    import yaml  # on use, so that `import cinereward` stays quick

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one, where there is one, is six times quicker
    try:
        return _taxonomy(yaml.load(path.read_text(encoding="utf-8"), Loader=loader))
    except (OSError, UnicodeError, yaml.YAMLError, ConfigError) as error:
        raise ConfigError(f"taxonomy {path}: {error}") from error


def _taxonomy(raw: object) -> Taxonomy:
    titles: dict[str, str] = {}
    subs: list[SubDimension] = []
    file = _row("file", raw, "the file")
    if file["version"] != 1:
        raise ConfigError(f"version {file['version']!r}; this release reads version 1")
    for stage in _rows("stage", file["stages"], "", titles):
        for aspect in _rows("aspect", stage["aspects"], "", titles):
            for dimension in _rows("dimension", aspect["dimensions"], aspect["name"], titles):
                place = {"stage": stage["name"], "aspect": aspect["name"], "dimension": dimension["name"]}
                for sub in _rows("sub_dimension", dimension["sub_dimensions"], dimension["name"], titles):
                    questions = _rows("question", sub.pop("questions"), sub["name"], {})
                    subs.append(SubDimension(**place, **sub, questions=tuple(Question(**q) for q in questions)))
    return Taxonomy(titles=titles, sub_dimensions=tuple(subs))


def _rows(kind: str, rows: list[object], parent: str, titles: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the checked rows of one list, each under its full name, and note their titles."""
    for raw in rows:
        row = _row(kind, raw, parent or "the file")
        short = row["id"] if kind == "question" else row["name"]
        name = f"{parent}.{short}" if parent else short
        if not _SNAKE_CASE.fullmatch(short):
            raise ConfigError(f"{name}: {short!r} must be in lower snake case, such as 'shot_size'")
        if name in titles:
            raise ConfigError(f"{name}: this name is taken; give the {kind} another")
        titles[name] = row.get("title", "")
        yield row | {"name": name}


def _row(kind: str, raw: object, parent: str) -> dict[str, Any]:
    """Return a copy of one mapping of the file, its keys and their types checked."""
    if not isinstance(raw, dict):
        raise ConfigError(f"{parent}: expected a {kind} with {_listed(_KEYS[kind])}, not {raw!r}")
    row: dict[str, Any] = {"inferred": False, **raw} if kind == "sub_dimension" else {**raw}
    where = f"{parent}, {kind} {row.get('id', row.get('name'))!r}"
    if unknown := [key for key in row if key not in _KEYS[kind]]:
        raise ConfigError(f"{where}: unknown keys {_listed(unknown)}; valid: {_listed(_KEYS[kind])}")
    for key, expected in _KEYS[kind].items():
        if not isinstance(row.get(key), expected) or (row[key] in ("", [], {}) and key != "needs"):
            raise ConfigError(f"{where}: {key} must be a {expected.__name__} and not empty, not {row.get(key)!r}")
    if kind == "question":
        row["needs"] = frozenset(map(str, row["needs"]))
    return row


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(repr, items))

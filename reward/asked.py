"""What the command line was asked: which clips, with which prompt, and what is expected of each.

Only the command reads expectations from a file, and only where it was told nothing; the library never does.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cinereward.errors import ClipError, ConfigError
from cinereward.types import EXPECTATIONS, Clip

VIDEOS = "mp4 m4v mov mkv webm avi mpg mpeg ts mts mxf 3gp flv ogv gif apng"
SUFFIXES = frozenset(f".{ending}" for ending in VIDEOS.split(" "))
NAMES = ("clip", "file", "path")  # the column that names the clip
SEEN = ("sound", "cuts")  # what can be read from a file, in the order it is told


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One clip of the command: its path as given, what to call it, its prompt, and whether the file says the rest."""

    path: str
    name: str
    prompt: str = ""
    task: str = "t2v"
    expects: frozenset[str] | None = None
    by_file: bool = False

    def clip(self, expects: frozenset[str] | None = None) -> Clip:
        """What the library is given; `expects` is what the file was found to hold."""
        return Clip(
            self.path,
            prompt=self.prompt,
            task=self.task,
            expects=self.expects if expects is None else expects,
            clip_id=self.name,
        )


def find_clips(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """The clips' paths, those of folders spelled out and sorted; and what to tell the user of each folder.

    Raises:
        ConfigError: a folder holds no video, or a path is empty.
    """
    paths: list[str] = []
    notes: list[str] = []
    for item in given:
        if not item:  # to Path, that is the current folder
            raise ConfigError("a clip's path is empty; expected a file or a folder; for the current folder give .")
        if not Path(item).is_dir():
            paths.append(item)  # a file that is missing is that clip's failure, told when it is scored
            continue
        inside = sorted(
            path for path in Path(item).iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not inside:
            raise ConfigError(f"the folder {item} holds no video file ({' '.join(sorted(SUFFIXES))})")
        notes.append(f"{item}: {len(inside)} video file{'s' * (len(inside) > 1)}")
        paths += [str(path) for path in inside]
    return paths, notes


def call(paths: Sequence[str]) -> list[str]:
    """What to call each clip: its file name, or its path where two clips have the same name."""
    names = [Path(path).name or path for path in paths]
    return [path if names.count(name) > 1 else name for path, name in zip(paths, names, strict=True)]


def parse_expects(text: str | None) -> frozenset[str] | None:
    """The set behind "sound,cuts"; "none" is the empty set.

    Raises:
        ConfigError: a word in it is no expectation.
    """
    if text is None:
        return None
    words = {word.strip().lower() for word in text.split(",")} - {"", "none"}
    if unknown := sorted(words - EXPECTATIONS):
        raise ConfigError(
            f"--expects holds {', '.join(unknown)}; it may hold {', '.join(sorted(EXPECTATIONS))}, or none"
        )
    return frozenset(words)


def read_prompts(file: Path) -> dict[str, str]:
    """Clip (a file name or a path) -> prompt, from YAML, JSON, JSON lines, CSV or TSV, by the file's ending.

    Raises:
        ConfigError: it cannot be read, or an entry is no prompt, or two entries contradict one another.
    """
    kind = file.suffix.lower()
    try:
        text = file.read_text(encoding="utf-8-sig")
        if kind in (".csv", ".tsv"):
            return _table(csv.DictReader(io.StringIO(text), dialect="excel" if kind == ".csv" else "excel-tab"), file)
        if kind in (".jsonl", ".ndjson"):
            return _table((json.loads(line) for line in text.splitlines() if line.strip()), file)
        return _mapping(_parse(text, file), file)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"the prompts {file} cannot be read: {reason}") from error
    except (json.JSONDecodeError, csv.Error) as error:
        raise ConfigError(f"the prompts {file} are no {kind[1:].upper()}: {error}") from error


def _parse(text: str, file: Path) -> Any:
    if file.suffix.lower() == ".json":
        return json.loads(text)
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise ConfigError(f"the prompts {file} are no YAML: {told}") from error


def _mapping(content: Any, file: Path) -> dict[str, str]:
    if isinstance(content, list):
        return _table(content, file)
    if not isinstance(content, Mapping):
        raise ConfigError(f'{file} holds no mapping of clips to prompts; write lines such as  a.mp4: "what was asked"')
    for name, prompt in content.items():
        if not isinstance(prompt, str):
            raise ConfigError(f'{file}: the prompt of {name} is {prompt!r}; write it as text in quotes ("" for none)')
    return {str(name): prompt for name, prompt in content.items()}


def _table(rows: Iterable[Any], file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        keys = [key for key in NAMES if isinstance(row, Mapping) and isinstance(row.get(key), str)]
        if not keys or not isinstance(row.get("prompt"), str):
            raise ConfigError(f"{file}, entry {number}: expected 'prompt' and one of {', '.join(map(repr, NAMES))}")
        name, prompt = row[keys[0]], row["prompt"]
        if found.setdefault(name, prompt) != prompt:
            raise ConfigError(f"{file}, entry {number}: {name} has two different prompts; keep one")
    return found


def match(paths: Sequence[str], prompts: Mapping[str, str], file: Path) -> tuple[list[str], list[str]]:
    """The prompt of each clip, and the entries that no clip answers to.

    An entry fits by its path, as written or from the prompts' own folder, before it fits by its file name alone.

    Raises:
        ConfigError: clips have no entry; it names them.
    """
    by_path = {Path(root, name).resolve(): name for root in (file.parent, Path()) for name in prompts}
    found: list[str] = []
    missing: list[str] = []
    used: set[str] = set()
    for path in paths:
        fits = (path, by_path.get(Path(path).resolve()), Path(path).name)
        key = next((fit for fit in fits if fit is not None and fit in prompts), None)
        if key is None:
            missing.append(path)
            continue
        used.add(key)
        found.append(prompts[key])
    if missing:
        raise ConfigError(f"{file} has no prompt for {_few(missing)}; add an entry, or leave the clip out")
    return found, [name for name in prompts if name not in used]


def read_expectations(asked: Asked) -> frozenset[str] | None:
    """What the file itself holds: sound, where it has a sound stream, and cuts, where it has more than one shot.

    None where the file cannot be read: scoring meets the same fault, and tells it. This decodes the clip once more than
    scoring does. The gate has to be open before a clip is scored, so the only other way is to score it twice; and
    thumbnails cost a fifth of that.
    """
    import numpy as np

    from cinereward.media import find_shots, open_clip
    from cinereward.media.pictures import open_container, source_of

    found = set()
    try:
        with open_container(source_of(asked.path)) as container:
            if container.streams.audio:
                found.add("sound")
        reader = open_clip(asked.clip())
        seen = [
            (window.times[window.overlap :], window.features["thumbs"][window.overlap :])
            for window in reader.windows(64)
        ]
        times, thumbs = (np.concatenate(parts) for parts in zip(*seen, strict=True))
        if len(find_shots(times, thumbs, reader.fps)) > 1:
            found.add("cuts")
    except ClipError:
        return None
    return frozenset(found)


def told(found: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """What was read from the files, in words, one line for all clips that hold the same.

    Args:
        found: clip name -> what its file holds.
    """
    groups: dict[frozenset[str], list[str]] = {}
    for name, holds in found.items():
        groups.setdefault(holds, []).append(name)
    for holds, names in groups.items():
        what = " and ".join(word for word in SEEN if word in holds)
        one = len(names) == 1
        because = f"because the file{' has' if one else 's have'} {'it' if len(holds) == 1 else 'them'}"
        whom = f"{_few(names)}: " if len(groups) > 1 else ""
        if not what:
            what, because = "a picture alone", f"because the file{' has' if one else 's have'} neither sound nor cuts"
        yield f"{whom}no prompt given: expecting {what}, {because}; give --prompt to score against what was asked"


def _few(names: Sequence[str], most: int = 5) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest

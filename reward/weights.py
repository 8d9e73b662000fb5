"""Model weights on this machine: where they lie, and that they are what they must be. Nothing here uses the network.

Weights are looked for in three places: where they were added by path, in $CINEREWARD_HOME, and in the Hugging Face
cache. They are hashed before anything is loaded; what nobody vouched for is not loaded at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from cinereward.errors import WeightsError
from cinereward.manifest import NAME, Entry, File, Source, load_manifest
from cinereward.profile import close_to

HOME = "CINEREWARD_HOME"
MOST_FILES = 500  # of one's own weights: more is a wrong folder
_SHA256, _COMMIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")

Place = Literal["added", "home", "cache"]


@dataclass(frozen=True, kw_only=True)
class Located:
    """Weights that were found and verified.

    folder: where the files lie. files: name -> path. sha256: of the one file, or of the lines "sha256  name" of
    several, sorted by name, as sha256sum writes them. place: how they were found: added by path, in $CINEREWARD_HOME,
    or in the Hugging Face cache. own: they stand in the place of the manifest's.
    """

    name: str
    folder: Path
    files: Mapping[str, Path]
    sha256: str
    place: Place
    own: bool = False

    @property
    def path(self) -> Path:
        """The only file.

        Raises:
            WeightsError: there are several.
        """
        if len(self.files) != 1:
            told = ", ".join(sorted(self.files)[:5])
            raise WeightsError(f"weights {self.name} are {len(self.files)} files ({told}); expected one file")
        return next(iter(self.files.values()))


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """A file as `add` or `fetch` saw it. size: bytes."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What was added under a name. own: one's own weights, in the place of the manifest's. files: name -> file."""

    own: bool
    files: Mapping[str, Pinned]

    @property
    def paths(self) -> dict[str, Path]:
        """File name -> path."""
        return {name: file.path for name, file in self.files.items()}


def locate(name: str) -> Located:
    """Find weights and verify them: added by path, else in $CINEREWARD_HOME, else in the Hugging Face cache.

    Raises:
        WeightsError: they are missing, cut short, or not those they must be; it names the command that mends it.
    """
    pin = pin_of(name)
    if pin is not None and pin.own:
        if gone := [str(path) for path in pin.paths.values() if not _is_file(path)]:
            raise WeightsError(f"your own weights {name} are gone from {gone[0]}; {mend(name, own=True)}")
        _verify(name, None, pin.paths, pin, first=False)
        return _located(name, pin.paths, "added", own=True)
    entry = entry_of(name)
    for place, found in candidates(name, entry, pin):
        _verify(name, entry, found, pin, first=False)
        return _located(name, found, place)
    gone_from = "" if pin is None else f" (they were at {next(iter(pin.paths.values())).parent})"
    raise WeightsError(f"weights {name} ({entry.title}) are not on this machine{gone_from}; {mend(name, entry)}")


def identity(name: str) -> str:
    """What the weights are, in a few letters: dinov2-base@0123456789ab.

    Raises:
        WeightsError: as `locate`.
    """
    return f"{name}@{locate(name).sha256[:12]}"


def add(name: str, path: Path | str, *, own: bool = False) -> Located:
    """Pin files where they lie: they are found from now on, and must stay what they are.

    Args:
        name: of the manifest; with `own`, any. path: the folder that holds the files, or the one file. own: these are
            your own weights, in the place of the manifest's: all files of the folder, of whatever hash.

    Raises:
        WeightsError: there is nothing, a file lacks, or it is not the one that the manifest names.
    """
    given = Path(path).expanduser().absolute()
    _pin_path(name)
    if not given.exists():
        raise WeightsError(f"weights {name}: {given} does not exist; give the folder or the file that holds them")
    entry = None if own else entry_of(name)
    found = _own_files(name, given) if entry is None else _named_files(name, given, entry)
    if entry is not None:
        _verify(name, entry, found, None, first=True)
    files = {
        key: Pinned(path=file, size=size_of(name, file), sha256=sha256_of(name, file)) for key, file in found.items()
    }
    _write_pin(name, Pin(own=own, files=files))
    return _located(name, found, "added", own=own)


def _own_files(name: str, given: Path) -> dict[str, Path]:
    if given.is_file():
        return {given.name: given}
    found: dict[str, Path] = {}
    for file in sorted(given.rglob("*")):
        inner = file.relative_to(given)
        if file.is_file() and not any(part.startswith(".") for part in inner.parts):
            found[inner.as_posix()] = file
        if len(found) > MOST_FILES:
            raise WeightsError(f"weights {name}: {given} holds over {MOST_FILES} files; give a folder of their own")
    if not found:
        raise WeightsError(f"weights {name}: {given} holds no files; give the folder or the file that holds them")
    return found


def _named_files(name: str, given: Path, entry: Entry) -> dict[str, Path]:
    wanted = [file.name for file in entry.files]
    if given.is_file():
        if len(wanted) > 1:
            raise WeightsError(f"weights {name} are {len(wanted)} files ({', '.join(wanted)}); give their folder")
        return {wanted[0]: given}
    if lacking := [key for key in wanted if not _is_file(given / key)]:
        raise WeightsError(
            f"weights {name}: {given} lacks {', '.join(lacking)}; if these are other weights of your own: "
            f"cinereward weights add {name} {given} --own"
        )
    return {key: given / key for key in wanted}


# --- where they are ---


def home() -> Path:
    """The folder of this package: $CINEREWARD_HOME, or ~/.cache/cinereward."""
    return Path(os.environ.get(HOME) or "~/.cache/cinereward").expanduser().absolute()


def hub_cache() -> Path:
    """Where Hugging Face's libraries keep what they download."""
    if given := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(given).expanduser().absolute()
    base = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(base).expanduser().absolute() / "hub"


def kept(name: str) -> Path:
    """The folder in $CINEREWARD_HOME that `fetch` fills."""
    return home() / "weights" / name


def candidates(name: str, entry: Entry, pin: Pin | None) -> Iterator[tuple[Place, dict[str, Path]]]:
    """Every place that holds all files, in the order in which they are taken; nothing is read of them."""
    wanted = [file.name for file in entry.files]
    places: list[tuple[Place, dict[str, Path]]] = []
    if pin is not None and set(wanted) == set(pin.files):
        places.append(("added", pin.paths))
    places.append(("home", {key: kept(name) / key for key in wanted}))
    if (snapshot := _snapshot(entry.source)) is not None:
        places.append(("cache", {key: snapshot / key for key in wanted}))
    for place, found in places:
        if all(map(_is_file, found.values())):
            yield place, found


def _snapshot(source: Source) -> Path | None:
    """A repository in the cache: the manifest's revision, or the cached main where it names none."""
    if source.repo is None:
        return None
    folder = hub_cache() / f"models--{source.repo.replace('/', '--')}"
    revision = source.revision
    if revision is None and _is_file(folder / "refs" / "main"):
        revision = (folder / "refs" / "main").read_text(encoding="ascii", errors="replace").strip()
    return folder / "snapshots" / revision if _COMMIT.fullmatch(revision or "") and revision else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be looked into
        return False


def entry_of(name: str) -> Entry:
    """The manifest's entry.

    Raises:
        WeightsError: it has none of this name.
    """
    known = load_manifest().weights
    if name not in known:
        raise WeightsError(f"weights: {close_to(name, known)}; for your own: cinereward weights add {name} PATH --own")
    return known[name]


def mend(name: str, entry: Entry | None = None, *, own: bool = False) -> str:
    """What to do about weights that are missing or wrong, as the end of a message."""
    if own or entry is None:
        return f"name them again: cinereward weights add {name} PATH{' --own' if own else ''}"
    if entry.source.by_hand is not None:
        return f"{entry.source.by_hand}; then: cinereward weights add {name} PATH"
    return f"get them with: cinereward weights fetch {name}; or name a copy: cinereward weights add {name} PATH"


# --- what they are ---

_KNOWN: dict[tuple[str, int, int, int], str] = {}
_HASHING = threading.Lock()


def size_of(name: str, path: Path) -> int:
    """Bytes of a file; WeightsError where it cannot be read."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise WeightsError(f"weights {name}: {path} cannot be read ({error.strerror}); nothing was loaded") from error


def sha256_of(name: str, path: Path) -> str:
    """Of a file, read once a process as long as it stays the same; WeightsError where it cannot be read."""
    try:
        with _HASHING:
            told = path.stat()
            key = (str(path), told.st_size, told.st_mtime_ns, told.st_ino)
            if key not in _KNOWN:
                with path.open("rb") as file:
                    _KNOWN[key] = hashlib.file_digest(file, "sha256").hexdigest()
            return _KNOWN[key]
    except OSError as error:
        raise WeightsError(f"weights {name}: {path} cannot be read ({error.strerror}); nothing was loaded") from error


def _verify(name: str, entry: Entry | None, found: Mapping[str, Path], pin: Pin | None, *, first: bool) -> None:
    """Raise unless every file is what it must be. first: a file that nobody vouches for is taken at its word."""
    by_name = {} if entry is None else {file.name: file for file in entry.files}
    for key, path in found.items():
        file = by_name.get(key) or File.model_construct(name=key)
        pinned = pin.files.get(key) if pin is not None else None
        size = file.size if file.size is not None else pinned.size if pinned is not None else None
        came = size_of(name, path)
        again = mend(name, entry, own=entry is None)
        if size is not None and came != size:
            told = f"{'cut short' if came < size else 'too long'}: {came} bytes came, {size} were expected"
            raise WeightsError(f"weights {name}: {path} is {told}; nothing was loaded; {again}")
        sha256 = sha256_of(name, path)
        fits, expected = _expected(file, pinned, path, sha256)
        if expected is None and not first:
            raise WeightsError(
                f"weights {name}: nothing says what {path} must be (its sha256 is {sha256}), so it was not loaded; "
                f"if you trust it: cinereward weights add {name} {path.parent}"
            )
        if expected is not None and not fits:
            raise WeightsError(
                f"weights {name}: {path} has sha256 {sha256}, expected {expected}; nothing was loaded; {again}"
            )


def _expected(file: File, pinned: Pinned | None, path: Path, came: str) -> tuple[bool, str | None]:
    """Whether a file of this sha256 is what it must be, and what that is, in words; None: nobody says.

    The manifest says it, else the pin, else the file's name in the Hugging Face cache: there large files are called by
    their sha256 and small ones as git calls them.
    """
    if file.sha256 is not None:
        return came == file.sha256, file.sha256
    if pinned is not None:
        return came == pinned.sha256, f"{pinned.sha256} as it was pinned"
    if file.sha256_prefix is not None:
        return came.startswith(file.sha256_prefix), f"{file.sha256_prefix}..."
    blob = path.resolve()
    if blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name):
        return came == blob.name, f"{blob.name} by its name in the cache"
    if blob.parent.name == "blobs" and _COMMIT.fullmatch(blob.name):
        data = blob.read_bytes()
        sha1 = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        return sha1 == blob.name, f"the git blob {blob.name} by its name in the cache"
    return False, None


def _located(name: str, found: Mapping[str, Path], place: Place, *, own: bool = False) -> Located:
    sums = {key: sha256_of(name, path) for key, path in sorted(found.items())}
    lines = "".join(f"{sha256}  {key}\n" for key, sha256 in sums.items())
    whole = next(iter(sums.values())) if len(sums) == 1 else hashlib.sha256(lines.encode(errors="replace")).hexdigest()
    key, path = next(iter(found.items()))
    folder = path.parents[len(PurePosixPath(key).parts) - 1]
    return Located(name=name, folder=folder, files=dict(found), sha256=whole, place=place, own=own)


# --- what was pinned ---


def _pin_path(name: str) -> Path:
    if not NAME.fullmatch(name):
        raise WeightsError(f"{name!r} is no name for weights; expected letters, digits, dots, dashes, underscores")
    return home() / "pins" / f"{name}.json"


def pin_of(name: str) -> Pin | None:
    """What was pinned under a name, or None.

    Raises:
        WeightsError: the pin cannot be read.
    """
    path = _pin_path(name)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        files = {
            str(key): Pinned(path=home() / item["path"], size=int(item["size"]), sha256=str(item["sha256"]))
            for key, item in told["files"].items()
        }
        if not files:
            raise ValueError("it names no files")
        return Pin(own=told["own"] is True, files=files)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        told = f"{path} cannot be read ({type(error).__name__}: {error})"
        raise WeightsError(f"weights {name}: {told}; delete it, then {mend(name)}") from error


def pinned_names() -> list[str]:
    """The names of all pins, sorted."""
    return sorted(path.stem for path in (home() / "pins").glob("*.json") if NAME.fullmatch(path.stem))


def _write_pin(name: str, pin: Pin) -> None:
    """Whole or not at all, whoever else writes: each writes a file of its own and puts it in place in one move."""
    path = _pin_path(name)
    told: dict[str, Any] = {"own": pin.own, "files": {}}
    for key, file in sorted(pin.files.items()):
        inside = file.path.is_relative_to(home())  # so that the folder may be moved, or copied to another machine
        kept_as = str(file.path.relative_to(home()) if inside else file.path)
        told["files"][key] = {"path": kept_as, "size": file.size, "sha256": file.sha256}
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written ({error.strerror}); set ${HOME} to a folder of yours") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()

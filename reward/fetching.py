"""Weights from where they were published: https only, with time limits, taken up again where a transfer broke off.

Nothing counts before its hash was checked: what comes is written beside its place and put there in one move.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import ipaddress
import os
import re
import shutil
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import quote, urlsplit

from cinereward.errors import WeightsError
from cinereward.manifest import Entry, File, load_manifest
from cinereward.weights import Located, add, home, kept, mend, pin_of

CHUNK = 1 << 20
STALLED = 1 << 16  # bytes: less than this within three time limits is no transfer
OFFLINE = "without a network, `fetch --offline` tells what to carry over from another machine"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How files are fetched.

    mirror: a URL under which files lie as in $CINEREWARD_HOME/weights: MIRROR/name/file. timeout: seconds, of a
    connection and of each wait for more. tell: is told a file's name, the bytes that are here, and those that there
    will be, or None where nobody knows.
    """

    mirror: str | None = None
    timeout: float = 20.0
    tell: Callable[[str, int, int | None], None] = lambda name, here, whole: None


def fetch(name: str, entry: Entry, terms: Terms) -> Located:
    """Bring weights to $CINEREWARD_HOME, verify and pin them. Files that are there already are not fetched again.

    Raises:
        WeightsError: what went wrong, and what to do. Part of a file whose hash is known stays, and the same command
            goes on from there.
    """
    if entry.source.by_hand is not None and terms.mirror is None:
        raise WeightsError(f"weights {name} cannot be fetched by a program: {mend(name, entry)}")
    for file in [_as_pinned(name, file) for file in entry.files]:
        target = kept(name) / file.name
        try:
            if target.is_file() and file.sha256 is not None and _hash(target) == file.sha256:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.inside is not None and terms.mirror is None:
                _unpack(_archive(entry, terms), file, target)
            else:
                _download(address(name, entry, file, terms.mirror), target, file, terms)
        except OSError as error:
            raise WeightsError(f"weights {name}: {target} cannot be written ({error.strerror or error})") from error
    return add(name, kept(name))


def address(name: str, entry: Entry, file: File, mirror: str | None = None) -> str:
    """The URL of a file, or of the archive that holds it; empty where a person has to get it."""
    source = entry.source
    if mirror is not None:
        return f"{mirror.rstrip('/')}/{quote(name)}/{quote(file.name)}"
    if source.repo is not None:
        hub = (os.environ.get("HF_ENDPOINT") or load_manifest().hub).rstrip("/")
        return f"{hub}/{source.repo}/resolve/{source.revision or 'main'}/{quote(file.name)}"
    return source.url or ""


def clear_archives(entries: Iterable[Entry]) -> None:
    """Delete the archives that these weights were taken out of."""
    for entry in entries:
        if any(file.inside is not None for file in entry.files):
            _archive_path(entry).unlink(missing_ok=True)


def _as_pinned(name: str, file: File) -> File:
    """The file, with the hash that its pin knows where the manifest knows none."""
    pin = pin_of(name)
    known = pin.files.get(file.name) if pin is not None and not pin.own else None
    if known is None or file.sha256 is not None:
        return file
    return file.model_copy(update={"size": known.size, "sha256": known.sha256})


# --- one file ---


def _download(url: str, target: Path, file: File, terms: Terms) -> None:
    """A file of a URL, whole and verified, or nothing under its name."""
    part = target.with_name(f"{target.name}.part")
    with _alone(part) as out:
        # Without a hash nobody could tell a patchwork of two versions from the file.
        have = part.stat().st_size if file.sha256 is not None else 0
        if file.size is None or have != file.size:
            told = _pull(url, out, have if file.size is None or have < file.size else 0, file, terms)
            file = file if file.sha256 is not None else file.model_copy(update={"sha256": told})
        out.flush()
        os.fsync(out.fileno())
        _put(part, target, file, url)


def _put(part: Path, target: Path, file: File, source: str) -> None:
    """Put a file in its place, or throw it away where it is not the one that was expected."""
    came = _hash(part)
    if came != (file.sha256 or came) or not came.startswith(file.sha256_prefix or ""):
        part.unlink()
        expected = file.sha256 or f"{file.sha256_prefix}..."
        raise WeightsError(f"{source}: sha256 {came} came, {expected} was expected; it was thrown away")
    part.replace(target)


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """A file to append to, which no other process may write meanwhile; what cannot be gone on with is deleted."""
    with part.open("ab") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes when the process does, however it ends
        except OSError as error:
            raise WeightsError(f"{part} is being fetched by another process; wait for it") from error
        if not part.exists() or part.stat().st_ino != os.fstat(out.fileno()).st_ino:
            raise WeightsError(f"{part} was fetched by another process just now; run the same command again")
        try:
            yield out
        finally:
            if part.exists() and part.stat().st_size == 0:
                part.unlink()


def _pull(url: str, out: IO[bytes], have: int, file: File, terms: Terms) -> str | None:
    """Append what is missing of a file; the sha256 that the server tells of it, or None."""
    here, whole = have, file.size
    try:
        answer, linked = _ask(url, have, terms.timeout)
        with answer:
            here = have if have and answer.status == 206 and _starts_at(answer) == have else 0
            if here == 0 and answer.status != 200:
                raise ValueError(f"it answered {answer.status}, not with the file")
            length = answer.headers.get("Content-Length") or ""
            whole = here + int(length) if length.isdigit() else file.size
            if file.size is not None and whole != file.size:
                raise ValueError(
                    f"it has {whole} bytes, {file.size} were expected; it is another file, or no file at all"
                )
            out.truncate(here)
            _room(out, (whole or 0) - here)
            for data in _pieces(answer, terms.timeout):
                here += len(data)
                if whole is not None and here > whole:
                    raise ValueError(f"more than its {whole} bytes came")
                out.write(data)
                terms.tell(file.name, here, whole)
        if whole is not None and here != whole:
            raise ValueError(f"it broke off: {here} bytes came, {whole} were expected")
        return linked
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # what is here cannot be gone on with
            return _pull(url, out, 0, file, terms)
        raise WeightsError(f"{url} answered {error.code} {error.reason}{_advice(error.code)}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if file.sha256 is None:
            out.truncate(0)
        out.flush()
        stays = os.fstat(out.fileno()).st_size > 0
        advice = "what came is kept: the same command goes on from it" if stays else OFFLINE
        raise WeightsError(f"{url} cannot be fetched: {_reason(error, terms.timeout)}; {advice}") from error


def _reason(error: Exception, timeout: float) -> str:
    """What went wrong on the way, in words."""
    told = error.reason if isinstance(error, urllib.error.URLError) else error
    return f"no answer within {timeout:g} s" if isinstance(told, TimeoutError) else str(told) or "it broke off"


def _pieces(answer: Any, timeout: float) -> Iterator[bytes]:
    """What comes, as it comes. A server that sends a byte now and then is one that does not answer."""
    since, count = time.monotonic(), 0
    while data := answer.read1(CHUNK):
        yield data
        count += len(data)
        if count >= STALLED:
            since, count = time.monotonic(), 0
        elif time.monotonic() - since > 3 * timeout:
            raise TimeoutError


def _room(out: IO[bytes], needed: int) -> None:
    folder = Path(str(out.name)).parent
    if (free := shutil.disk_usage(folder).free) < needed:
        raise ValueError(f"{needed} bytes are needed and {folder} has {free} free")


def _starts_at(answer: Any) -> int | None:
    match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range") or "")
    return int(match.group(1)) if match else None


def _advice(code: int) -> str:
    if code in (401, 403):
        return "; its owner asks for consent: give it on the repository's page, then set HF_TOKEN to a token of yours"
    if code < 400:
        return "; that is no place to fetch weights from"
    if code in (404, 410):
        return "; it has moved: take it from a --mirror, or bring a copy: cinereward weights add NAME PATH"
    return "; try again later"


# --- the network ---


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Goes where it is sent, but never from https to less, and keeps what Hugging Face says of the file on the way."""

    linked: str | None = None

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check(newurl)
        told = str(headers.get("X-Linked-Etag") or "").strip('"')
        self.linked = told if _SHA256.fullmatch(told) else self.linked
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _ask(url: str, have: int, timeout: float) -> tuple[Any, str | None]:
    """The answer to a request, and the sha256 that came on the way to it."""
    _check(url)
    headers = {"User-Agent": "cinereward", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers | ({"Range": f"bytes={have}-"} if have else {}))
    hub = os.environ.get("HF_ENDPOINT") or load_manifest().hub
    if (token := os.environ.get("HF_TOKEN")) and urlsplit(url).netloc == urlsplit(hub).netloc:
        request.add_unredirected_header("Authorization", f"Bearer {token}")  # never goes along to another host
    opener, redirect = urllib.request.OpenerDirector(), _Redirect()
    for handler in (  # the usual ones, without file: and ftp:
        urllib.request.ProxyHandler({} if _is_here(url) else None),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        redirect,
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener.open(request, timeout=timeout), redirect.linked


def _check(url: str) -> None:
    if urlsplit(url).scheme != "https" and not (urlsplit(url).scheme == "http" and _is_here(url)):
        raise WeightsError(f"{url} is not https; weights are fetched over https only (http from this machine itself)")


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# --- archives ---


def _archive_path(entry: Entry) -> Path:
    return home() / "archives" / PurePosixPath(urlsplit(entry.source.url or "").path).name


def _archive(entry: Entry, terms: Terms) -> Path:
    """The archive that the source is, fetched once for all that is taken out of it."""
    target, source = _archive_path(entry), entry.source
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_file():
        file = File(name=target.name, size=source.archive_size, sha256=source.archive_sha256)
        _download(source.url or "", target, file, terms)
    return target


def _unpack(archive: Path, file: File, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    inside = file.inside or file.name
    try:
        with zipfile.ZipFile(archive) as packed, packed.open(inside) as source, part.open("wb") as out:
            size = packed.getinfo(inside).file_size
            if file.size is not None and size != file.size:
                raise WeightsError(f"{inside} in {archive.name} has {size} bytes, {file.size} were expected")
            _room(out, size)
            shutil.copyfileobj(source, out, CHUNK)
        _put(part, target, file, f"{inside} in {archive.name}")
    except (KeyError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, WeightsError):
            raise
        archive.unlink(missing_ok=True)
        raise WeightsError(f"{inside} cannot be taken out of {archive.name} ({error}); fetch it again") from error
    finally:
        part.unlink(missing_ok=True)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

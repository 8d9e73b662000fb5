"""The manifest of model weights: what each is for, where it comes from, what its files must be, and its licence."""

from __future__ import annotations

import functools
import os
import re
from importlib.resources import as_file, files
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cinereward.errors import ConfigError
from cinereward.profile import build, read_yaml

VARIABLE = "CINEREWARD_MANIFEST"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SHA256 = r"^[0-9a-f]{64}$"
HTTP = r"^https?://[^\s/]+"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Frozen):
    """One file of some weights.

    name: as it lies in their folder. size: bytes. sha256: lower-case hex; None: not known to this release, and pinned
    when the file is first added or fetched. sha256_prefix: what the published name of a file tells of it, as
    torchvision's do. inside: its name within the archive that the source is.
    """

    name: str
    size: int | None = Field(default=None, ge=0)
    sha256: str | None = Field(default=None, pattern=SHA256)
    sha256_prefix: str | None = Field(default=None, pattern=r"^[0-9a-f]{8,63}$")
    inside: str | None = None

    @field_validator("name")
    @classmethod
    def _check(cls, value: str) -> str:
        path = PurePosixPath(value)
        plain = value.isprintable() and "\\" not in value and str(path) == value
        if not plain or not path.parts or path.is_absolute() or any(part.startswith(".") for part in path.parts):
            raise ValueError(f"{value!r} is no name of a file inside a folder, such as model.safetensors")
        return value


class Source(_Frozen):
    """Where weights come from: a Hugging Face repository, a URL, or a way that a person has to go.

    repo: such as facebook/dinov2-base, with its revision (a commit; None: main). url: of the one file, or of the zip
    archive that holds all, with the archive's own size and sha256. by_hand: what to do where no file can be fetched.
    """

    repo: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    url: str | None = Field(default=None, pattern=HTTP)
    archive_size: int | None = Field(default=None, ge=0)
    archive_sha256: str | None = Field(default=None, pattern=SHA256)
    by_hand: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Source:
        if sum((self.repo is not None, self.url is not None, self.by_hand is not None)) != 1:
            raise ValueError("give one of repo, url, by_hand")
        if self.revision is not None and self.repo is None:
            raise ValueError("a revision belongs to a repo")
        return self


class Entry(_Frozen):
    """Weights as the manifest names them.

    title: for people. purpose: what is measured with them. licence: of the weights, not of the code. commercial:
    whether that licence, as far as this project can tell, lets them be used for profit. extra: what of cinereward
    runs them. notes: what else whoever takes them should know.
    """

    title: str
    purpose: str
    source: Source
    files: tuple[File, ...] = Field(min_length=1)
    licence: str
    commercial: bool
    extra: str = "perception"
    notes: str = ""

    @model_validator(mode="after")
    def _check(self) -> Entry:
        if len({file.name for file in self.files}) < len(self.files):
            raise ValueError("two files have the same name")
        packed = [file for file in self.files if file.inside is not None]
        if packed and (self.source.url is None or len(packed) < len(self.files)):
            raise ValueError("`inside` is for archives: source.url names one, and every file has its name in it")
        if self.source.url is not None and not packed and len(self.files) > 1:
            raise ValueError("several files of one url are in an archive; give each its name `inside`")
        return self


class Manifest(_Frozen):
    """All weights that this release knows, by name. hub: where repositories are, unless $HF_ENDPOINT says otherwise."""

    hub: str = Field(pattern=HTTP)
    weights: dict[str, Entry]

    @field_validator("weights")
    @classmethod
    def _check(cls, value: dict[str, Entry]) -> dict[str, Entry]:
        for name in value:
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name for weights: letters, digits, dots, dashes, underscores")
        return value


def load_manifest() -> Manifest:
    """The manifest of $CINEREWARD_MANIFEST, or the shipped one.

    Raises:
        ConfigError: it cannot be read, or holds what it may not.
    """
    if given := os.environ.get(VARIABLE):
        path = Path(given).expanduser()
        if not path.is_file():
            raise ConfigError(f"{VARIABLE} names {given}, which is no file; give the path of a YAML, or unset it")
        return _read(path, path.stat().st_mtime_ns)
    with as_file(files("cinereward.configs") / "weights.yaml") as path:
        return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> Manifest:
    return build(Manifest, read_yaml(path), str(path))

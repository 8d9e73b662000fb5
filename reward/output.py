"""Files the command writes: checked before the work, written whole or not at all."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from cinereward.errors import ConfigError

STDOUT = "-"


def check_output(option: str, out: str | None) -> None:
    """Find out before the work whether the result can be written.

    Args:
        option: what the user calls it, such as "--json". out: the path, "-" for stdout, or None: not asked for.

    Raises:
        ConfigError: it cannot.
    """
    if out is None or out == STDOUT:
        return
    path = Path(out)
    if path.is_dir():
        raise ConfigError(f"{option} {out} is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {out}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent if not path.exists() else path, os.W_OK):
        raise ConfigError(f"{option} {out} cannot be written; you lack the permission")


def write_json(out: str, content: Any) -> None:
    """Write strict JSON to a file, whole or not at all, or to stdout ("-").

    Raises:
        ConfigError: it cannot be written.
    """
    write_text(out, json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2) + "\n")


def write_text(out: str | Path, text: str) -> None:
    r"""Write UTF-8 to a file, whole or not at all, or to stdout ("-").

    A file name that is not UTF-8 holds lone surrogates, which are written as escapes: \udc80.

    Raises:
        ConfigError: it cannot be written.
    """
    data = text.encode("utf-8", "backslashreplace")
    if str(out) == STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(out)
    try:
        if path.exists() and not path.is_file():  # a pipe or a device: nothing to replace
            path.write_bytes(data)
            return
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            beside.write_bytes(data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror or error}") from error

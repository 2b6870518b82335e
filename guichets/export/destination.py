"""Where an export goes: a file that appears only when it is whole, or standard output."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from guichets.errors import ArgumentError, GuichetsError


@contextmanager
def open_destination(out: str, *, force: bool = False, binary: bool = False) -> Iterator[BinaryIO]:
    """A stream to write to; ``-`` is standard output.

    A file is written under a temporary name beside its own and renamed once it is whole, so nothing
    half-written is ever found. Raises ArgumentError for a place that cannot be written to.
    """
    if out == "-":
        if binary and sys.stdout.isatty():
            raise ArgumentError("--out: this format is not text and would garble the terminal; name a file")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(out)
    _check(path, force=force)
    try:
        if path.exists() and not path.is_file():  # a device or pipe cannot be renamed onto
            with path.open("wb") as stream:
                yield stream
            return
        with _whole_or_nothing(path) as stream:
            yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        raise GuichetsError(f"{out}: cannot be written: {error.strerror or error}") from error


def _check(path: Path, *, force: bool) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        if not path.parent.is_dir():
            raise ArgumentError(f"--out: {path.parent} is not a folder; make it first") from None
        return
    if stat.S_ISDIR(mode):
        raise ArgumentError(f"--out: {path} is a folder; name a file in it")
    if stat.S_ISREG(mode) and not force:
        raise ArgumentError(f"--out: {path} already exists; add --force to replace it")


@contextmanager
def _whole_or_nothing(path: Path) -> Iterator[BinaryIO]:
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner may read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

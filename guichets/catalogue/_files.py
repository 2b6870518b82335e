"""The files of a catalogue folder, as bytes and then as TOML tables; nothing on disk can surprise it."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from guichets.catalogue._wording import printable

MAX_FILE_BYTES = 4_000_000  # the bundled files hold a few kilobytes each

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One TOML file as it was read."""

    name: str
    path: str  # as reasons show it
    data: bytes


def bundled_files() -> list[SourceFile]:
    """The files that come with the program; read through importlib.resources so that archives work too."""
    folder = files("guichets.catalogue").joinpath("data")
    return [
        SourceFile(entry.name, f"{folder}/{entry.name}", entry.read_bytes())
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    ]


def folder_files(folder: Path, reasons: list[str]) -> list[SourceFile]:
    """The readable TOML files of ``folder`` by name; each thing in the way becomes a reason."""
    shown = printable(str(folder))
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except FileNotFoundError:
        reasons.append(f"{shown}: there is no such folder")
        return []
    except NotADirectoryError:
        reasons.append(f"{shown}: is not a folder; give the folder that holds the .toml files")
        return []
    except (OSError, ValueError) as error:
        reasons.append(f"{shown}: cannot be read: {_cause(error)}")
        return []
    found = []
    for entry in entries:
        # Editors keep their locks and swap files under names that begin with a dot.
        if entry.name.startswith(".") or entry.suffix.lower() != ".toml":
            continue
        path = printable(str(entry))
        data = _file_bytes(entry, path, reasons)
        if data is not None:
            found.append(SourceFile(entry.name, path, data))
    if not found and not reasons:
        reasons.append(f"{shown}: holds no .toml file; one file per département is expected, such as 92.toml")
    return found


def parse(source: SourceFile, reasons: list[str]) -> tuple[Mapping[str, Any], str] | None:
    """The tables of one file and its text, or None with a reason."""
    try:
        text = source.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.data.count(b"\n", 0, error.start) + 1
        reasons.append(
            f"{source.path}:{line}: byte {error.start} (0x{source.data[error.start]:02x}) is not UTF-8: "
            "save the file as UTF-8"
        )
        return None
    text = text.replace("\r\n", "\n")
    try:
        return tomllib.loads(text), text
    except RecursionError:
        reasons.append(f"{source.path}:1: brackets are nested too deeply to be read")
    except ValueError as error:  # TOMLDecodeError, and what int() says of endless numbers
        reasons.append(_syntax_reason(source, text, str(error)))
    return None


def _syntax_reason(source: SourceFile, text: str, message: str) -> str:
    place = _TOML_PLACE.search(message)
    line = 1
    if place:
        line = int(place[1]) if place[1] else text.rstrip().count("\n") + 1
        message = message[: place.start()]
    return f"{source.path}:{line}: not TOML: {printable(message)}"


def _file_bytes(entry: Path, path: str, reasons: list[str]) -> bytes | None:
    try:
        # A named pipe would wait for ever and a device never end: only plain files are opened.
        if not stat.S_ISREG(entry.stat().st_mode):
            reasons.append(f"{path}: is not a plain file; rename or remove it")
            return None
        with entry.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reasons.append(f"{path}: cannot be read: {_cause(error)}")
        return None
    if len(data) > MAX_FILE_BYTES:
        reasons.append(f"{path}: is larger than {MAX_FILE_BYTES} bytes; split it")
        return None
    return data


def _cause(error: Exception) -> str:
    return printable((isinstance(error, OSError) and error.strerror) or str(error))

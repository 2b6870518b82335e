"""A whole catalogue, checked row by row and then across rows: taken as a whole or refused as a whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guichets import configuration
from guichets.catalogue._departements import departements
from guichets.catalogue._files import SourceFile, bundled_files, folder_files, parse
from guichets.catalogue._lines import FileLines, read_lines
from guichets.catalogue._row import Row
from guichets.catalogue._tables import read_channel, read_desk, read_host
from guichets.catalogue._wording import departement_hint, did_you_mean, printable, quoted
from guichets.catalogue.model import Catalogue, Channel, Desk, HostRule
from guichets.catalogue.urls import entry_key
from guichets.errors import CatalogueError

HOSTS_FILE = "hosts.toml"

_LOOKS_LIKE_A_CODE = re.compile(r"[0-9]{1,3}|[0-9][ABab]")


@dataclass(slots=True)
class _Reading:
    """What was read so far, and where each name was first seen."""

    reasons: list[str] = field(default_factory=list)
    desks: list[Desk] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    hosts: list[HostRule] = field(default_factory=list)
    places: dict[tuple[str, ...], str] = field(default_factory=dict)  # what may exist once -> "file:line"

    def first(self, row: Row, *identity: str, key: str) -> str | None:
        """Where ``identity`` was seen before; remembers it when it was not."""
        before = self.places.get(identity)
        if before is None:
            self.places[identity] = f"{row.path}:{row.lines.of(key)}"
        return before


def load(folder: Path | None = None) -> Catalogue:
    """The catalogue of ``folder``, else of GUICHETS_CATALOGUE, else the bundled one.

    Raises CatalogueError with every reason at once, each on one line with file and line.
    """
    if folder is None:
        folder = _configured_folder()
    reading = _Reading()
    sources = bundled_files() if folder is None else folder_files(folder, reading.reasons)
    shown = "the bundled catalogue" if folder is None else printable(str(folder))
    for source in sources:
        _read_file(source, reading)
    if not reading.reasons and not reading.desks:
        reading.reasons.append(f"{shown}: no file holds a [[desk]] table, so there would be nothing to probe")
    if reading.reasons:
        raise CatalogueError(reading.reasons)
    return Catalogue(
        departements=departements(),
        desks=tuple(reading.desks),
        channels=tuple(reading.channels),
        hosts=tuple(reading.hosts),
        folder=shown,
        version=_version(sources),
    )


def _configured_folder() -> Path | None:
    configured: str = configuration.read("GUICHETS_CATALOGUE")
    if not configured:
        return None
    try:
        return Path(configured).expanduser()
    except RuntimeError as error:  # a home that cannot be found
        raise CatalogueError([f"GUICHETS_CATALOGUE={quoted(configured)}: {error}"]) from None


def _read_file(source: SourceFile, reading: _Reading) -> None:
    parsed = parse(source, reading.reasons)
    if parsed is None:
        return
    tables, text = parsed
    lines = read_lines(text)
    is_hosts = source.name.lower() == HOSTS_FILE
    kinds = ("host",) if is_hosts else ("desk", "channel")
    code = None if is_hosts else _file_departement(source, reading)
    for name, value in tables.items():
        if name not in kinds:
            reading.reasons.append(_stray(source, lines, name, value, kinds))
        elif not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
            line = lines.table(name, 0).line
            reading.reasons.append(
                f"{source.path}:{line}: write [[{name}]] between double brackets, once above each {name}"
            )
        else:
            for position, table in enumerate(value):
                row = _row(source, name, position, table, lines, reading)
                _take(row, reading, file_departement=code)


def _row(
    source: SourceFile,
    kind: str,
    position: int,
    table: Mapping[str, Any],
    lines: FileLines,
    reading: _Reading,
) -> Row:
    named = table.get({"desk": "id", "host": "host"}.get(kind, ""))
    name = quoted(named) if isinstance(named, str) and named.strip() else f"no. {position + 1} of the file"
    return Row(source.path, kind, name, table, lines.table(kind, position), reading.reasons)


def _take(row: Row, reading: _Reading, *, file_departement: str | None) -> None:
    """Read one row and compare it with those before; a row with an error still takes its name."""
    if row.kind == "desk":
        _take_desk(row, reading, file_departement)
    elif row.kind == "channel":
        _take_channel(row, reading, file_departement)
    else:
        rule = read_host(row)
        if rule and (before := reading.first(row, "host", rule.host, key="host")):
            row.refuse(f"this host already has a rule at {before}: keep one of the two", "host")
        elif rule:
            reading.hosts.append(rule)


def _take_desk(row: Row, reading: _Reading, file_departement: str | None) -> None:
    desk_id = row.table.get("id")
    if isinstance(desk_id, str) and (before := reading.first(row, "desk", desk_id.strip(), key="id")):
        row.refuse(f"id {quoted(desk_id)} is already taken at {before}: ids are never shared or reused", "id")
    desk = read_desk(row, file_departement=file_departement)
    if desk is None:
        return
    before = reading.first(row, "entry", entry_key(desk.family, desk.url, desk.params), key="url")
    if before:
        row.refuse(
            f"url {quoted(desk.url)} is the same entry as the desk at {before}: keep one of the two, "
            "sub-choices are found on the page",
            "url",
        )
    reading.desks.append(desk)


def _take_channel(row: Row, reading: _Reading, file_departement: str | None) -> None:
    channel = read_channel(row, file_departement=file_departement)
    if channel is None:
        return
    identity = (channel.departement, channel.office, channel.procedure, channel.channel)
    before = reading.first(row, "channel", *identity, str(channel.valid_from), key="channel")
    if before:
        row.refuse(f"the same channel with the same valid_from stands at {before}: keep one of the two")
    reading.channels.append(channel)


def _file_departement(source: SourceFile, reading: _Reading) -> str | None:
    """The département that the file's name promises: ``92.toml``; None for any other name."""
    stem = source.name[: -len(".toml")]
    if stem.upper() in departements():
        return stem.upper()
    if _LOOKS_LIKE_A_CODE.fullmatch(stem):
        hint = departement_hint(stem, departements())
        reading.reasons.append(f"{source.path}: the file's name is not the code of a département.{hint}")
    return None


def _stray(source: SourceFile, lines: FileLines, name: str, value: Any, kinds: tuple[str, ...]) -> str:
    """Why something at the top of a file belongs nowhere."""
    is_table = isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))
    place = f"{source.path}:{lines.table(name, 0).line}"
    brackets = " or ".join(f"[[{kind}]]" for kind in kinds)
    if not is_table:
        return f"{place}: key {quoted(name)} stands outside any table: put it below a {brackets} line"
    if name in {"desk", "channel", "host"}:
        where = f"in {HOSTS_FILE}" if name == "host" else f"in a file per département, not in {HOSTS_FILE}"
        return f"{place}: table [[{name}]] belongs {where}"
    hint = did_you_mean(name, kinds, listing=False)
    return f"{place}: table {quoted(name)} is unknown: expected {brackets}.{hint}"


def _version(sources: list[SourceFile]) -> str:
    """SHA-256 over the sorted names and bytes, each preceded by its length so that none can run on."""
    digest = hashlib.sha256()
    for source in sorted(sources, key=lambda source: source.name):
        for part in (source.name.encode("utf-8", "surrogateescape"), source.data):
            digest.update(len(part).to_bytes(8))
            digest.update(part)
    return digest.hexdigest()

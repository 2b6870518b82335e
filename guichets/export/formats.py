"""The forms observations are exported in, each written row by row."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, BinaryIO

from guichets.errors import ArgumentError
from guichets.export.dictionary import FIELDS, Kind
from guichets.items import EXPORT_FIELDS

ROWS_PER_GROUP = 10_000  # of a Parquet file; what is held in memory at a time

Row = Mapping[str, Any]


def write_csv(rows: Iterable[Row], stream: BinaryIO) -> None:
    """UTF-8, commas, one heading line; a missing value is empty."""
    writer = csv.writer(_Utf8(stream), lineterminator="\n")
    writer.writerow(EXPORT_FIELDS)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in EXPORT_FIELDS])


def write_jsonl(rows: Iterable[Row], stream: BinaryIO) -> None:
    """UTF-8, one JSON object per line; a missing value is null."""
    for row in rows:
        ordered = {name: _jsonable(row[name]) for name in EXPORT_FIELDS}
        stream.write(json.dumps(ordered, ensure_ascii=False).encode() + b"\n")


def write_parquet(rows: Iterable[Row], stream: BinaryIO) -> None:
    """A typed file in compressed groups of rows; slots stay texts because some have no time."""
    import pyarrow
    from pyarrow import parquet

    arrow_types = {
        Kind.TEXT: pyarrow.string(),
        Kind.INTEGER: pyarrow.int32(),
        Kind.INSTANT: pyarrow.timestamp("us", tz="UTC"),
        Kind.SLOT: pyarrow.string(),
        Kind.DATE: pyarrow.date32(),
        Kind.JSON: pyarrow.string(),
    }
    schema = pyarrow.schema(
        [
            pyarrow.field(
                field.name, arrow_types[field.kind], metadata={"fr": field.french, "en": field.english}
            )
            for field in FIELDS
        ]
    )
    remaining = iter(rows)
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        while group := list(islice(remaining, ROWS_PER_GROUP)):
            columns = {
                field.name: [_column_value(row[field.name], field.kind) for row in group] for field in FIELDS
            }
            writer.write_table(pyarrow.table(columns, schema=schema))


FORMATS: Mapping[str, Callable[[Iterable[Row], BinaryIO], None]] = MappingProxyType(
    {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}
)
"""Name of a form -> what writes it."""


def format_of(out: str, asked: str | None) -> str:
    """The form asked for, else the one that the file's name ends with, else CSV."""
    if asked is None:
        suffix = PurePath(out).suffix.lower().lstrip(".")
        return suffix if suffix in FORMATS else "csv"
    if asked not in FORMATS:
        raise ArgumentError(f'--format: "{asked}" is unknown. Known: {", ".join(FORMATS)}.')
    return asked


def _jsonable(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value  # a datetime is a date


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _jsonable(value)


def _column_value(value: Any, kind: Kind) -> Any:
    return value if kind in {Kind.INSTANT, Kind.DATE} else _cell(value)


@dataclass(frozen=True, slots=True)
class _Utf8:
    """The one method csv wants; a TextIOWrapper would close a stream that is the caller's."""

    stream: BinaryIO

    def write(self, text: str) -> int:
        return self.stream.write(text.encode())

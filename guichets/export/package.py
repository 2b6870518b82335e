"""The open data as a Frictionless data package: CSV and Parquet, a dictionary in two languages, checksums."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from guichets import __version__
from guichets.errors import ArgumentError, GuichetsError
from guichets.export.public import TABLES, Column, Row, Table, date_text
from guichets.statistics.quarters import Reports

LICENCE = {
    "name": "etalab-2.0",
    "title": "Licence Ouverte 2.0",
    "path": "https://www.etalab.gouv.fr/wp-content/uploads/2017/04/ETALAB-Licence-Ouverte-v2.0.pdf",
}
ROWS_PER_GROUP = 20_000
Progress = Callable[[int, int], None]


def write_package(reports: Reports, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Write every table and the description of all; files that would not change are left alone.

    Raises ArgumentError for a folder that holds something else.
    """
    _check(folder)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    resources, sums, written = [], {}, []
    for number, table in enumerate(TABLES, start=1):
        rows = list(table.rows(reports))
        for suffix, content in (("csv", csv_of(table.columns, rows)), ("parquet", _parquet_of(table, rows))):
            path = folder / "data" / f"{table.name}.{suffix}"
            if write_if_changed(path, content):
                written.append(path)
            sums[f"data/{table.name}.{suffix}"] = hashlib.sha256(content).hexdigest()
            resources.append(_resource(table, suffix, content, sums[f"data/{table.name}.{suffix}"]))
        if progress:
            progress(number, len(TABLES))
    until = reports.observatory.published_until
    described = {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "guichets",
        "title": "Guichets : disponibilité des rendez-vous en préfecture",
        "description": "Observatoire ouvert des guichets de rendez-vous des préfectures. "
        "Open observatory of appointment desks in French préfectures.",
        "version": until.isoformat() if until else "0",
        "licenses": [LICENCE],
        "contributors": [{"title": f"Guichets {__version__}", "roles": ["creator"]}],
        "resources": resources,
    }
    others = {
        "datapackage.json": json.dumps(described, ensure_ascii=False, indent=1).encode() + b"\n",
        "README.md": dictionary().encode(),
        "LICENCE.md": _licence_text().encode(),
    }
    for name, content in others.items():
        sums[name] = hashlib.sha256(content).hexdigest()
        if write_if_changed(folder / name, content):
            written.append(folder / name)
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    if write_if_changed(folder / "SHA256SUMS", lines.encode()):
        written.append(folder / "SHA256SUMS")
    return written


def csv_of(columns: Iterable[Column], rows: Iterable[Row]) -> bytes:
    """UTF-8, commas, one heading line; a missing value is empty."""
    names = [column.name for column in columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return text.getvalue().encode()


def write_if_changed(path: Path, content: bytes) -> bool:
    """Write a file whole or not at all; False when it already held this."""
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)  # noqa: PTH105 - one call, and the same on every system
    except OSError as error:
        raise GuichetsError(f"{path}: cannot be written: {error.strerror or error}") from error
    return True


def dictionary() -> str:
    """What each column means, as a Markdown page."""
    return "\n".join(_dictionary_lines()) + "\n"


def _dictionary_lines() -> Iterator[str]:
    yield "# Guichets : données ouvertes / open data\n"
    yield "Chaque table existe en CSV et en Parquet sous `data/`. Définitions : `methodology.md` du projet.\n"
    yield "Each table is there as CSV and Parquet in `data/`. Definitions: the project's `methodology.md`.\n"
    for table in TABLES:
        yield f"## `{table.name}`\n\n{table.french}\n\n{table.english}\n"
        yield "| colonne / column | type | sens | meaning |\n|---|---|---|---|"
        for column in table.columns:
            yield f"| `{column.name}` | {column.type} | {column.french} | {column.english} |"
        yield ""


def _licence_text() -> str:
    return files("guichets.export").joinpath("licence.md").read_text(encoding="utf-8")


def _resource(table: Table, suffix: str, content: bytes, digest: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": table.name if suffix == "csv" else f"{table.name}-parquet",
        # Parquet says its own columns; Frictionless would read it through two more libraries.
        "type": "table" if suffix == "csv" else "file",
        "path": f"data/{table.name}.{suffix}",
        "title": table.french,
        "description": table.english,
        "format": suffix,
        "mediatype": "text/csv" if suffix == "csv" else "application/vnd.apache.parquet",
        "bytes": len(content),
        "hash": f"sha256:{digest}",
    }
    if suffix == "parquet":
        return described
    schema: dict[str, Any] = {
        "fields": [
            {
                "name": column.name,
                "type": column.type,
                "title": column.french,
                "description": column.english,
                **({"constraints": {"required": True}} if column.required else {}),
            }
            for column in table.columns
        ],
        "missingValues": [""],
    }
    if table.key:
        schema["primaryKey"] = list(table.key)
    if table.refers:
        schema["foreignKeys"] = [
            {"fields": [column], "reference": {"resource": other, "fields": [field]}}
            for column, (other, field) in table.refers.items()
        ]
    return described | {"encoding": "utf-8", "schema": schema}


def _parquet_of(table: Table, rows: list[Row]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    types = {
        "string": pyarrow.string(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
        "date": pyarrow.date32(),
    }
    schema = pyarrow.schema(
        [
            pyarrow.field(
                column.name, types[column.type], metadata={"fr": column.french, "en": column.english}
            )
            for column in table.columns
        ]
    )
    columns = {column.name: [row[column.name] for row in rows] for column in table.columns}
    stream = io.BytesIO()
    parquet.write_table(
        pyarrow.table(columns, schema=schema), stream, compression="zstd", row_group_size=ROWS_PER_GROUP
    )
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return date_text(value)


def _check(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"--out: {folder} is not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "datapackage.json").exists():
        raise ArgumentError(f"--out: {folder} holds something else; name a new folder")

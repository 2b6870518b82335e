"""The open data as a stranger reads it: valid for Frictionless, the same in Parquet, nothing exact in it."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from guichets.errors import ArgumentError
from guichets.export.package import dictionary, write_package
from guichets.export.public import TABLES, office_id
from tests.site.conftest import World


@pytest.fixture(scope="module")
def package(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("open") / "data"
    write_package(world.reports, folder)
    return folder


def test_frictionless_finds_the_package_valid(package: Path) -> None:
    """In a process of its own: the library warns on import, and warnings are errors here."""
    code = (
        "import json, sys; from frictionless import validate; found = validate(sys.argv[1]); "
        "print(json.dumps([found.valid, found.stats['tasks'], found.flatten(['message'])]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(package / "datapackage.json")],
        capture_output=True,
        text=True,
        check=False,
        cwd=package,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [True, 2 * len(TABLES), []]


def test_parquet_holds_the_rows_of_csv_with_their_meaning(package: Path) -> None:
    for table in TABLES:
        with (package / "data" / f"{table.name}.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        found = parquet.read_table(package / "data" / f"{table.name}.parquet")
        assert found.num_rows == len(rows), table.name
        assert found.column_names == [column.name for column in table.columns]
        for column in table.columns:
            metadata = found.schema.field(column.name).metadata
            assert (metadata[b"fr"].decode(), metadata[b"en"].decode()) == (column.french, column.english)
            assert "timestamp" not in str(found.schema.field(column.name).type)
        for name in table.key:
            assert [str(value) for value in found[name].to_pylist()] == [row[name] for row in rows]


def test_checksums_hold_and_nothing_changes_the_second_time(world: World, package: Path) -> None:
    lines = (package / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == 2 * len(TABLES) + 3
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((package / name).read_bytes()).hexdigest() == digest
    assert write_package(world.reports, package) == []


def test_every_column_is_told_in_both_languages(package: Path) -> None:
    text = (package / "README.md").read_text(encoding="utf-8")
    assert text == dictionary()
    described = json.loads((package / "datapackage.json").read_text(encoding="utf-8"))
    assert described["licenses"][0]["name"] == "etalab-2.0"
    for table in TABLES:
        for column in table.columns:
            assert column.french
            assert column.english
            assert f"| `{column.name}` |" in text


def test_no_table_tells_a_time_of_day(package: Path) -> None:
    for path in (package / "data").glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\d{1,2}:\d{2}", text), path
        assert "first_slot" not in text


def test_ids_of_offices_are_plain_and_stable() -> None:
    assert office_id("92", "Préfecture des Hauts-de-Seine") == "92-prefecture-des-hauts-de-seine"
    assert office_id("2A", "ä" * 300) == "2a-" + "a" * 80
    assert office_id("75", "محافظة") == "75-service"


def test_a_folder_with_something_else_is_left_alone(world: World, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="holds something else"):
        write_package(world.reports, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]

"""``guichets export``: fields, zones, filters, and what is left when it cannot finish."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from observation_rows import EVIDENCE, add_desk, add_observation
from pyarrow import parquet

from guichets.export import destination
from guichets.items import EXPORT_FIELDS

Run = Callable[..., tuple[int, str, str]]

START = datetime(2026, 3, 1, 9, 30, 0, 250_000, tzinfo=UTC)
SLOT = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # 29 March in Paris, the night the clocks change


@pytest.fixture
def connection(database: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The database the command reads, to fill."""
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    with database.connect() as connection:
        yield connection


def exported(run: Run, *arguments: str) -> list[dict[str, Any]]:
    code, out, err = run("export", "--format", "jsonl", *arguments)
    assert (code, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_every_field_is_there_in_its_order(run: Run, connection: Any) -> None:
    observation = add_observation(
        connection,
        "92-a",
        "92",
        START,
        outcome="offered",
        first_slot=SLOT,
        second_slot=SLOT + timedelta(hours=3),
        slot_has_time=True,
        slot_count=2,
        horizon_end=date(2026, 4, 5),
        http_status=200,
        counter_key="12",
        counter_label='Guichet "B", matin',
    )
    (row,) = exported(run)
    assert tuple(row) == EXPORT_FIELDS
    assert row == {
        "id": str(observation),
        "desk": "92-a",
        "counter": "12",
        "counter_label": 'Guichet "B", matin',
        "family": "ezbooking",
        "departement": "92",
        "observed_at": "2026-03-01T09:30:00.250000+00:00",
        "outcome": "offered",
        "rule": "ezbooking.none.step2-sentence",
        "purpose": "baseline",
        "step": None,
        "first_slot": "2026-03-29T00:30:00+01:00",
        "second_slot": "2026-03-29T04:30:00+02:00",
        "slot_count": 2,
        "horizon_end": "2026-04-05",
        "http_status": 200,
        "latency_ms": None,
        "requests": 3,
        "evidence": EVIDENCE,
        "parser": "ezbooking/1",
        "worker": "test",
    }


@pytest.mark.parametrize(
    ("departement", "midnight", "has_time", "written"),
    [
        ("92", datetime(2026, 3, 29, 22, tzinfo=UTC), False, "2026-03-30"),
        ("974", datetime(2026, 3, 29, 20, tzinfo=UTC), False, "2026-03-30"),
        ("971", datetime(2026, 3, 30, 4, tzinfo=UTC), False, "2026-03-30"),
        ("973", datetime(2026, 3, 30, 3, tzinfo=UTC), True, "2026-03-30T00:00:00-03:00"),
    ],
)
def test_slots_are_written_in_the_zone_of_the_departement(
    run: Run, connection: Any, departement: str, midnight: datetime, has_time: bool, written: str
) -> None:
    add_observation(
        connection, "x", departement, START, outcome="offered", first_slot=midnight, slot_has_time=has_time
    )
    assert exported(run)[0]["first_slot"] == written


def test_csv_holds_the_same_values(run: Run, connection: Any) -> None:
    add_observation(connection, "92-a", "92", START, counter_label="a;b,\n«c»")
    code, out, _ = run("export")
    assert code == 0
    (row,) = csv.DictReader(io.StringIO(out))
    assert tuple(row) == EXPORT_FIELDS
    assert row["counter_label"] == "a;b,\n«c»"
    assert row["first_slot"] == ""
    assert json.loads(row["evidence"]) == EVIDENCE


def test_parquet_is_typed_and_tells_what_its_fields_mean(run: Run, connection: Any, tmp_path: Path) -> None:
    add_observation(
        connection,
        "92-a",
        "92",
        START,
        outcome="offered",
        first_slot=SLOT,
        slot_has_time=True,
        horizon_end=START,
    )
    out = tmp_path / "observations.parquet"
    assert run("export", "--out", str(out))[0] == 0
    table = parquet.read_table(out)
    assert tuple(table.column_names) == EXPORT_FIELDS
    assert table.schema.field("observed_at").type == pyarrow.timestamp("us", tz="UTC")
    assert table.schema.field("horizon_end").type == pyarrow.date32()
    assert b"en" in table.schema.field("rule").metadata
    (row,) = table.to_pylist()
    assert row["observed_at"] == START
    assert row["first_slot"] == "2026-03-29T00:30:00+01:00"
    assert row["slot_count"] is None


def test_an_empty_database_gives_a_whole_file_without_rows(run: Run, connection: Any, tmp_path: Path) -> None:
    assert run("export") == (0, ",".join(EXPORT_FIELDS) + "\n", "")
    assert exported(run) == []
    out = tmp_path / "x.parquet"
    run("export", "--out", str(out))
    assert parquet.read_table(out).num_rows == 0


def test_rows_come_oldest_first_over_several_months_and_fetches(
    run: Run, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guichets.export.selection.ROWS_PER_FETCH", 3)
    for days in (40, 0, 80, 20, 1, 60, 2):
        add_observation(connection, f"92-{days}", "92", START + timedelta(days=days))
    assert [row["desk"] for row in exported(run)] == [f"92-{days}" for days in (0, 1, 2, 20, 40, 60, 80)]


@pytest.mark.parametrize(
    ("arguments", "desks"),
    [
        ((), ["a", "b", "c"]),
        (("--departements", "93,971"), ["b", "c"]),
        (("--departements", "93", "--departements", "92"), ["a", "b"]),
        (("--desks", "a,c"), ["a", "c"]),
        (("--family", "ezbooking"), ["a", "b", "c"]),
        (("--family", "troov"), []),
        (("--since", "2026-03-02"), ["b", "c"]),
        (("--until", "2026-03-01"), ["a"]),
        (("--since", "2026-03-02", "--until", "2026-03-02"), ["b"]),
        (("--since", "2026-03-02T09:30:00.25Z", "--until", "2026-03-03T09:30:00.25Z"), ["b"]),
        (("--until", "2026-03-02T10:30:00.25"), ["a"]),  # Paris is one hour ahead
    ],
)
def test_what_is_asked_for_is_all_that_comes(
    run: Run, connection: Any, arguments: tuple[str, ...], desks: list[str]
) -> None:
    for day, (desk, departement) in enumerate((("a", "92"), ("b", "93"), ("c", "971"))):
        add_desk(connection, desk, departement)
        add_observation(connection, desk, departement, START + timedelta(days=day))
    assert [row["desk"] for row in exported(run, *arguments)] == desks


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--since", "hier"), '--since: "hier" is not a date: write 2026-03-01, or 2026-03-01T08:00'),
        (("--until", "9999-12-31"), '--until: "9999-12-31" is not a date'),
        (("--since", "2026-03-02", "--until", "2026-03-01"), "does not come before --until"),
        (("--departements", "9"), '--departements: "9" is unknown. Did you mean "09"?'),
        (("--family", "ezboking"), '--family: "ezboking" is unknown. Did you mean "ezbooking"?'),
        (("--desks", "92-nowhere"), "--desks: the database knows no 92-nowhere"),
        (("--format", "xml"), '--format: "xml" is unknown. Known: csv, jsonl, parquet.'),
        (("--out", "/nowhere/x.csv"), "--out: /nowhere is not a folder; make it first"),
        (("--out", "/"), "--out: / is a folder; name a file in it"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    run: Run, connection: Any, arguments: tuple[str, ...], line: str
) -> None:
    code, out, err = run("export", *arguments)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1


def test_an_existing_file_is_only_replaced_on_demand(run: Run, connection: Any, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    out.write_text("mine")
    code, _, err = run("export", "--out", str(out))
    assert code == 2
    assert err == f"guichets: --out: {out} already exists; add --force to replace it\n"
    assert out.read_text() == "mine"
    assert run("export", "--out", str(out), "--force")[0] == 0
    assert out.read_text().startswith("id,desk,")
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_nothing_half_written_stays_when_the_export_fails(run: Run, connection: Any, tmp_path: Path) -> None:
    add_observation(connection, "92-a", "92", START)
    connection.execute("DROP TABLE slots, observations CASCADE")
    connection.execute("CREATE VIEW observations AS SELECT 1 / 0 AS id")
    code, out, err = run("export", "--out", str(tmp_path / "x.csv"))
    assert (code, out) == (2, "")
    assert re.fullmatch(r"guichets: PostgreSQL at .*: (permission denied|column|relation).*\n", err)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_lost_on_the_way_is_one_line(
    run: Run, connection: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guichets.export.selection.ROWS_PER_FETCH", 1)
    for day in range(3):
        add_observation(connection, "92-a", "92", START + timedelta(days=day))

    def cut(rows: Any, stream: Any) -> None:
        next(iter(rows))
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        list(rows)

    monkeypatch.setattr("guichets.export.FORMATS", {"csv": cut})
    code, out, err = run("export", "--format", "csv", "--out", str(tmp_path / "x.csv"))
    assert (code, out) == (2, "")
    assert re.fullmatch(r"guichets: PostgreSQL at .*: terminating connection.*\n", err)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(
    run: Run, connection: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(destination.os, "fsync", full)
    out = tmp_path / "x.csv"
    code, _, err = run("export", "--out", str(out))
    assert code == 2
    assert err == f"guichets: {out}: cannot be written: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_written_to_and_stays_a_device(run: Run, connection: Any) -> None:
    assert run("export", "--out", "/dev/null") == (0, "", "")
    assert not Path("/dev/null").is_file()


def test_the_bundled_dictionary_page_is_fresh(run: Run) -> None:
    page = Path(__file__).parents[2] / "docs" / "data-dictionary.md"
    assert run("export", "--dictionary") == (0, page.read_text("utf-8"), ""), (
        "docs/data-dictionary.md is stale: guichets export --dictionary > docs/data-dictionary.md"
    )


def test_the_dictionary_explains_every_field() -> None:
    from guichets.export import FIELDS
    from guichets.export.dictionary import OUTCOMES
    from guichets.outcomes import Outcome

    assert tuple(field.name for field in FIELDS) == EXPORT_FIELDS
    assert list(OUTCOMES) == list(Outcome)

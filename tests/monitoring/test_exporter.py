from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql

from guichets import configuration
from guichets.outcomes import Outcome
from monitoring import collector, metrics
from monitoring.collector import Figures, GuichetsCollector
from monitoring.exporter import build, reader
from monitoring.machine import Machine
from monitoring.metrics import METRICS, MOST_SERIES
from tests.cluster.proxy import DatabaseProxy
from tests.database.seeds import observe
from tests.database_fixtures import Database
from tests.monitoring.conftest import DESKS
from tests.monitoring.plans import whole_scans
from tests.monitoring.scrapes import Scrape
from tests.monitoring.seeding import seed_catalogue

UNITS = ("_seconds", "_bytes", "_ratio", "_days", "_rows", "_total")
MOST_MEGABYTES = 100


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GUICHETS_HOME", str(tmp_path))
    monkeypatch.setenv("GUICHETS_NODE", "here")
    mark = tmp_path / "backup.done"
    mark.touch()
    monkeypatch.setenv("GUICHETS_BACKUP_MARK", str(mark))
    return tmp_path


def _scrape(dsn: str) -> Scrape:
    made, figures = build(dsn=dsn)
    assert figures is not None
    figures.update()
    page = made.page()
    made.close()
    figures.close()
    return Scrape(page)


def test_every_declared_metric_is_told_with_its_type_and_help(seeded_country: Database) -> None:
    found = _scrape(seeded_country.dsn)
    for metric in METRICS:
        base = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
        assert found.types.get(base), f"{metric.name} is declared and not told"
        assert found.types[base] == metric.kind.replace("gauge histogram", "histogram")
        assert found.help[base] == metric.help
    assert found["guichets_up"] == 1
    assert found.total("guichets_exporter_query_failed") == 0


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: metrics.Metric) -> None:
    assert re.fullmatch(r"guichets_[a-z_]+", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert metric.help.endswith(".")
    assert not re.search(r"_(ms|milliseconds|minutes|hours|percent|kb|mb)(_|$)", metric.name)
    if "histogram" in metric.kind:
        assert metric.name.endswith(UNITS) or metric.name == "guichets_probe_requests"


def test_fifteen_hundred_desks_make_at_most_twenty_thousand_series(database: Database) -> None:
    with database.connect() as connection:
        seed_catalogue(connection, desks=1_500, days=40)
        # a site that invents rules, steps, workers and versions, and hosts that all refuse
        connection.execute(
            """INSERT INTO probe_totals
            SELECT family, 'none', 'http.status-' || n, n::text, 1, 1, '{1}', 1, 1, 1, '{1}', 0
            FROM (SELECT DISTINCT family FROM desks) AS f CROSS JOIN generate_series(1, 500) AS n"""
        )
        connection.execute(
            """INSERT INTO nodes_seen SELECT 'pod-' || n, now(), now(), 'x@1'
            FROM generate_series(1, 5000) AS n"""
        )
        connection.execute(
            """INSERT INTO versions_seen SELECT 'parser', 'ezbooking', n::text, now(), now()
            FROM generate_series(1, 5000) AS n"""
        )
        connection.execute(
            "INSERT INTO host_events (host, what, who, why) SELECT host, 'refused', 'w', '403' FROM hosts"
        )
        connection.execute(
            """INSERT INTO crawls (id, family, worker, version, started_at, finished_at, finish_reason)
            SELECT gen_random_uuid(), 'ezbooking', 'pod-' || n || '-1', n::text, now(), now(), 'reason ' || n
            FROM generate_series(1, 1000) AS n"""
        )
        # one visit each, so that every ratio has its denominator
        connection.execute("SELECT ensure_partitions(now(), 0)")
        connection.execute(
            """WITH visit AS (
                INSERT INTO baseline_visits (desk_id, slot_starts_at, probe, fencing_token)
                SELECT id, now(), gen_random_uuid(), 1 FROM desks RETURNING desk_id, probe
            )
            INSERT INTO observations (id, probe, desk_id, family, departement, observed_at, outcome, rule,
                purpose, requests, parser, worker, host, first_slot)
            SELECT probe, probe, desk_id, family, departement, now(), 'offered', 'r',
                'baseline', 1, 'p', 'w', 'h', now() + interval '5 days'
            FROM visit JOIN desks ON desks.id = desk_id"""
        )
    found = _scrape(database.dsn)
    assert found.total("guichets_desks_watched") == 1_500
    assert len(found.of("guichets_first_slot_days")) > 1_000
    assert len(found.samples) <= MOST_SERIES
    # what is left out by name is not left out of the sum
    assert found.total("guichets_rule_hits_total", family="ezbooking", rule="other") > 400


def test_a_scrape_of_a_new_database_has_no_ratio_and_counters_at_zero(database: Database) -> None:
    found = _scrape(database.dsn)
    assert found["guichets_up"] == 1
    assert not found.of("guichets_availability_ratio")
    for outcome in Outcome:
        assert found.get("guichets_probes_total", family="ezbooking", outcome=outcome) == 0
    assert found.get("guichets_gate_refusals_total", family="ezbooking") == 0


def test_a_gate_refusal_shows_at_the_next_round(country: Database) -> None:
    made, figures = build(dsn=country.dsn)
    assert figures is not None
    figures.update()
    with country.connect() as connection:
        observe(connection, "desk-0", "now", "observer_fault", rule="gate.method")
    figures.update()
    found = Scrape(made.page())
    assert found.get("guichets_gate_refusals_total", family="ezbooking") == 1
    made.close()
    figures.close()


def test_a_login_that_only_reads_is_enough_and_keeps_the_figures_fresh(
    country: Database, request: pytest.FixtureRequest
) -> None:
    name = f"grafana_{uuid.uuid4().hex}"
    with country.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' IN ROLE guichets_reader").format(sql.Identifier(name))
        )
    try:
        dsn = conninfo.make_conninfo(country.dsn, user=name, password="x")
        with country.connect() as connection:
            observe(connection, "desk-0", "now", "offered")
        found = _scrape(dsn)
        assert found["guichets_up"] == 1
        assert found["guichets_rollup_queue_rows"] == 0
        assert found.total("guichets_exporter_query_failed") == 0
    finally:
        with country.connect() as connection:
            connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def test_status_and_metrics_agree(seeded_country: Database) -> None:
    found = _scrape(seeded_country.dsn)
    with seeded_country.connect("reader") as connection:
        rows = connection.execute("SELECT departement, desks, offered FROM departement_status").fetchall()
        [(rated, offered)] = connection.execute(
            """SELECT sum(rated), sum(offered) FROM desk_days JOIN departements ON code = departement
            WHERE departement = '75' AND procedure = 'premiere_demande'
            AND day >= (now() AT TIME ZONE 'Europe/Paris')::date - 7"""
        )
    assert rows
    for departement, desks, offering in rows:
        assert found.total("guichets_desks_watched", departement=departement) == desks
        assert found.total("guichets_desks_offering", departement=departement) == offering
    ratio = found.get(
        "guichets_availability_ratio", departement="75", procedure="premiere_demande", window="7d"
    )
    assert ratio == pytest.approx(float(offered) / float(rated))


@pytest.fixture
def proxy(country: Database) -> Iterator[DatabaseProxy]:
    made = DatabaseProxy(str(conninfo.conninfo_to_dict(country.dsn)["host"]))
    yield made
    made.close()


def test_without_database_the_endpoint_answers_and_recovers_by_itself(
    country: Database, proxy: DatabaseProxy
) -> None:
    connect = reader(conninfo.make_conninfo(country.dsn, host=str(proxy.folder)))
    figures = Figures(connect)
    machine = Machine(configuration.home(), None)
    made = GuichetsCollector(connect=connect, figures=figures, machine=machine, node="here")
    figures.update()
    assert Scrape(made.page())["guichets_up"] == 1
    proxy.cut()
    figures.update()
    for _ in range(2):
        away = Scrape(made.page())
        assert away["guichets_up"] == 0
        assert not away.of("guichets_desks_watched")  # an old figure is not told as today's
        assert away.get("guichets_disk_free_bytes", node="here")
    proxy.mend()
    figures.update()
    back = Scrape(made.page())
    assert back["guichets_up"] == 1
    assert back.of("guichets_desks_watched")
    made.close()
    figures.close()


def test_a_half_migrated_schema_tells_what_it_can_and_names_what_it_cannot(country: Database) -> None:
    with country.connect() as connection:
        connection.execute(
            "DROP VIEW desk_freshness; DROP FUNCTION changes_between; DROP FUNCTION refresh_rollups"
        )
    found = _scrape(country.dsn)
    assert found["guichets_up"] == 1
    failed = {
        dict(labels)["query"] for labels, value in found.of("guichets_exporter_query_failed").items() if value
    }
    assert failed == {"freshness", "changes"}
    assert found.total("guichets_desks_watched") == DESKS
    assert "guichets_rollups_refreshed_timestamp_seconds" not in found.names


def test_crawls_that_may_plan_the_watch_are_those_that_last_and_have_not_ended(database: Database) -> None:
    assert _scrape(database.dsn)["guichets_watch_planners"] == 0
    crawls = [
        ("-10 min", None, '{"minutes": 55, "watches": true}'),
        ("-3 days", None, '{"minutes": 7200, "watches": true}'),
        ("-56 min", None, '{"minutes": 55, "watches": true}'),  # killed, or about to end
        ("-10 min", "-1 min", '{"minutes": 55, "watches": true}'),
        ("-10 min", None, '{"minutes": 55, "watches": false}'),
        ("-10 min", None, '{"minutes": null, "watches": true}'),
        ("-10 min", None, "{}"),  # of an older program
    ]
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO crawls (id, family, worker, version, started_at, finished_at, arguments) VALUES"
            " (gen_random_uuid(), 'orion', 'w', '1', now() + %s::interval, now() + %s::interval, %s)",
            crawls,
        )
    found = _scrape(database.dsn)
    assert found["guichets_watch_planners"] == 2
    assert "guichets_watch_planned_until_timestamp_seconds" not in found.names
    assert found.total("guichets_exporter_query_failed") == 0


def test_a_database_without_any_schema_is_no_crash(empty_database: Database) -> None:
    found = _scrape(empty_database.dsn)
    assert found.total("guichets_exporter_query_failed") >= len(collector.AT_EACH_SCRAPE)


def test_the_machine_tells_its_spool_archive_and_disk(home: Path) -> None:
    (home / "spool").mkdir()
    (home / "spool" / "worker-1-1.jsonl").write_text('{"id": 1}\n{"id": 2}\n{"torn')
    (home / "spool" / "refused.log").write_text("{}\n")
    day = home / "archive" / "2026" / "01" / "02"
    day.mkdir(parents=True)
    (day / "one.warc.gz").write_bytes(b"x" * 1000)
    found = dict(Machine(home, home / "never").read())
    assert found["guichets_spool_observations"] == 2
    assert found["guichets_refused_observations"] == 1
    assert found["guichets_archive_bytes"] == 1000
    assert found["guichets_backup_last_success_timestamp_seconds"] == 0
    assert 0 < found["guichets_disk_free_bytes"] <= found["guichets_disk_size_bytes"]


def test_a_home_that_is_not_there_is_no_crash(home: Path) -> None:
    found = dict(Machine(home / "not" / "yet", None).read())
    assert found["guichets_disk_free_bytes"] > 0
    assert found["guichets_spool_observations"] == 0


def test_no_query_of_a_scrape_reads_observations_through(seeded_country: Database) -> None:
    with seeded_country.connect("reader") as connection:
        for name, query in collector.QUERIES.items():
            parameters = {"most": collector.LIMITS[name]} if name in collector.LIMITS else None
            assert whole_scans(connection, query, parameters) == [], name


def test_the_command_serves_until_it_is_told_to_stop(seeded_country: Database, home: Path) -> None:
    environment = {**os.environ, "GUICHETS_DATABASE_URL": seeded_country.dsn}
    command = [sys.executable, "-m", "guichets", "exporter", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            for _ in range(3):
                with urllib.request.urlopen(url, timeout=30) as answer:
                    page = answer.read()
            assert Scrape(page)["guichets_up"] == 1
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(url.replace("/metrics", "/etc/passwd"), timeout=30)
            if sys.platform == "linux":
                status = Path(f"/proc/{process.pid}/status").read_text()
                kilobytes = int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]
                assert kilobytes / 1024 <= MOST_MEGABYTES
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def test_a_port_that_is_taken_is_one_line(seeded_country: Database) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "guichets", "exporter", "--port", str(port)],
            env={**os.environ, "GUICHETS_DATABASE_URL": seeded_country.dsn},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert re.search(rf"--port {port}: Address already in use", done.stderr)


def test_the_clock_is_compared_with_the_databases(
    seeded_country: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(collector.time, "time", lambda: real() + 3600)
    found = _scrape(seeded_country.dsn)
    assert found.get("guichets_clock_offset_seconds", node="here") == pytest.approx(3600, abs=60)


def test_the_reader_of_a_scrape_can_write_nothing(country: Database) -> None:
    made, figures = build(dsn=country.dsn)
    made.page()
    assert made._connection is not None
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        made._connection.execute("SELECT refresh_rollups(1, false)")
    made.close()
    assert figures is not None

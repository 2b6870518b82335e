from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml

from monitoring import collector
from monitoring.exporter import serving
from tests.database.seeds import observe
from tests.database_fixtures import Database
from tests.monitoring.panels import queries
from tests.monitoring.prometheus_server import CONFIGURATION, PATIENCE_SECONDS, PrometheusServer, running
from tests.monitoring.seeding import FAMILIES

CHOICES = {"family": list(FAMILIES)}
ONE = {"family": ["ezbooking"]}


def _asked() -> dict[str, str]:
    """Every expression of every panel; those of one family ask for one."""
    return {
        query.name: query.promql(ONE if 'family="$family"' in query.text else CHOICES)
        for query in queries()
        if not query.is_sql
    }


def _missing(server: PrometheusServer) -> list[str]:
    return [name for name, expr in _asked().items() if not server.query(expr)]


def test_a_real_prometheus_has_data_for_every_panel_and_rule(
    country: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "backup"
    mark.touch()
    monkeypatch.setenv("GUICHETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GUICHETS_BACKUP_MARK", str(mark))
    monkeypatch.setenv("GUICHETS_DATABASE_URL", country.dsn)
    monkeypatch.setattr(collector, "REFRESH_SECONDS", 0.3)
    with serving() as port, running(tmp_path, port) as server, country.connect() as connection:
        until = time.monotonic() + PATIENCE_SECONDS
        number = 0
        while missing := _missing(server):
            assert time.monotonic() < until, missing
            # visits go on, so that rates have something to count
            for family, desk in zip(FAMILIES, range(len(FAMILIES)), strict=True):
                number += 1
                outcome = "unrecognised" if number % 2 else "none"
                connection.execute(
                    """INSERT INTO baseline_visits (
                        desk_id, slot_starts_at, begun_at, probe, fencing_token, due_at
                    )
                    SELECT %s, now(), now(), %s, 1, now() - interval '5 minutes'""",
                    [f"desk-{desk}", probe := _uuid7()],
                )
                observe(connection, f"desk-{desk}", "now", outcome, family=family, step="2", probe=probe)
            time.sleep(1)
        rules = server.rules()
        assert {rule["health"] for rule in rules} == {"ok"}
        assert {rule["name"] for rule in rules} == _names()
        # an alert that is silent for want of data would look like one that is silent because all is well
        asked = {name for rule in rules for name in re.findall(r"\bguichets_[a-z_]+", rule["query"])}
        assert [name for name in sorted(asked) if not server.query(name)] == []


def _names() -> set[str]:
    groups = yaml.safe_load((CONFIGURATION / "rules" / "guichets.yml").read_text("utf-8"))["groups"]
    return {rule.get("alert") or rule["record"] for group in groups for rule in group["rules"]}


def _uuid7() -> str:
    from guichets.items import new_probe_id

    return str(new_probe_id())

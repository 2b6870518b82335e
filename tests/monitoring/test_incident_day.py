from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.database_fixtures import Database
from tests.monitoring.alerts import RULES, Alert, Mailbox, alertmanager, firing, send
from tests.monitoring.incident_day import (
    DISK,
    KILL,
    KILLED,
    REDESIGN,
    REDESIGNED,
    STEP,
    STORM,
    STORMY,
    lived_day,
)

INCIDENTS: dict[str, tuple[datetime, dict[str, str]]] = {
    "GuichetsDrift": (REDESIGN, {"family": REDESIGNED}),
    "GuichetsHostRefuses": (STORM + timedelta(minutes=50), {"host": STORMY}),  # from the second refusal on
    "GuichetsNodeSilent": (KILL, {"node": KILLED}),
    "GuichetsDiskFilling": (DISK, {"node": "node-0"}),
}
SILENCED = {"GuichetsFamilySilent"}  # no conclusive answer of a family whose pages nobody recognises


def _promised(alert: str) -> timedelta:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    rules = {rule.get("alert"): rule for group in groups for rule in group["rules"]}
    units = {"d": "days", "h": "hours", "m": "minutes"}
    parts = re.findall(r"(\d+)([dhm])", rules[alert]["annotations"]["delay"])
    return timedelta(**{units[unit]: int(number) for number, unit in parts})


def test_four_incidents_of_a_day_are_four_alerts_each_once_in_time(
    empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lived_day(empty_database, monkeypatch, tmp_path / "home") as (day, told):
        assert day.verdict(REDESIGNED) == "platform"  # nothing of ours changed, and everywhere at once
        assert day.verdict("orion") == "steady"
    history = firing(told, tmp_path)

    names = {dict(alert)["alertname"] for _, alerts in history for alert in alerts}
    assert names == set(INCIDENTS) | SILENCED
    for name, (began, labels) in INCIDENTS.items():
        seen = [(at, alert) for at, alerts in history for alert in alerts if dict(alert)["alertname"] == name]
        assert len({alert for _, alert in seen}) == 1
        assert labels.items() <= dict(seen[0][1]).items()  # the screen's choice: which one it is
        first = seen[0][0]
        assert began <= first <= began + _promised(name) + STEP, f"{name} at {first}"
        assert seen[-1][0] - first == STEP * (len(seen) - 1), f"{name} stopped and came again"

    mailbox = Mailbox()
    with alertmanager(tmp_path, mailbox) as url:
        sent: set[Alert] = set()
        for _, alerts in history:
            if alerts != sent:
                send(url, sorted(alerts))
                sent = alerts
        mailbox.wait_for(len(INCIDENTS))
    assert sorted(mailbox.told()) == sorted(INCIDENTS)
    assert (mailbox.messages_of("pages"), mailbox.messages_of("tickets")) == (3, 1)

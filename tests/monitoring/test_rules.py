from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.metrics import METRICS
from monitoring.tools import find_tool

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
RULES = MONITORING / "prometheus" / "rules" / "guichets.yml"
ALERTMANAGER = MONITORING / "alertmanager" / "alertmanager.yml"
GROUPS = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
NAMES = [alert["alert"] for alert in ALERTS]


def _run(tool: str, *arguments: object) -> str:
    command = [str(find_tool(tool)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_rules_and_configuration() -> None:
    _run("promtool", "check", "config", MONITORING / "prometheus" / "prometheus.yml")


def test_rules_hold_their_unit_tests() -> None:
    _run("promtool", "test", "rules", *sorted((MONITORING / "prometheus" / "tests").glob("*.yml")))


def test_every_alert_is_seen_firing_and_silent() -> None:
    text = "".join(path.read_text("utf-8") for path in (MONITORING / "prometheus" / "tests").glob("*.yml"))
    for name in NAMES:
        checks = re.findall(rf'alertname="{name}"\}}\)\n\s+exp_samples:( \[\])?', text)
        assert "" in checks, f"{name} is never seen firing"
        assert " []" in checks or name == "GuichetsHeartbeat", f"{name} is never seen silent"


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_says_how_bad_it_is_what_it_promises_and_where_to_read(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket", "heartbeat"}
    notes = alert["annotations"]
    assert notes["summary"]
    assert re.fullmatch(r"(\d+[dhm])+", notes["delay"])
    page = (ROOT / notes["runbook_url"]).read_text("utf-8")
    assert page.startswith(f"# {alert['alert']} :")
    for heading in ("**Symptôme.**", "**Ce que cela veut dire.**", "## Vérifier", "## Réparer"):
        assert heading in page


def test_every_page_of_the_runbook_belongs_to_an_alert() -> None:
    pages = {path.name for path in (ROOT / "docs" / "runbook").glob("*.md")}
    assert pages == {Path(alert["annotations"]["runbook_url"]).name for alert in ALERTS}


def test_rules_ask_for_metrics_that_exist() -> None:
    known = {metric.name for metric in METRICS}
    for group in GROUPS:
        for rule in group["rules"]:
            asked = set(re.findall(r"\bguichets_[a-z_]+", rule["expr"]))
            assert asked <= known, rule


def test_amtool_takes_the_configuration() -> None:
    _run("amtool", "check-config", ALERTMANAGER)


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_goes_to_the_receiver_of_its_severity(alert: dict[str, Any]) -> None:
    receiver = {"page": "pages", "ticket": "tickets", "heartbeat": "heartbeat"}[alert["labels"]["severity"]]
    found = _run(
        *("amtool", "config", "routes", "test", "--config.file", ALERTMANAGER),
        *(f"alertname={alert['alert']}", f"severity={alert['labels']['severity']}"),
    )
    assert found.split() == [receiver]


def test_what_silences_and_what_is_silenced_exists() -> None:
    rules = yaml.safe_load(ALERTMANAGER.read_text("utf-8"))["inhibit_rules"]
    for rule in rules:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            for alternatives in re.findall(r'"Guichets\(?([A-Za-z|]+)\)?"', matcher):
                for name in alternatives.split("|"):
                    assert f"Guichets{name}" in NAMES, matcher

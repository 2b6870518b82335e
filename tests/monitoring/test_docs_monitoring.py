from __future__ import annotations

import re
from pathlib import Path

import yaml

from monitoring.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")


def test_the_page_tells_every_metric_as_it_is_declared() -> None:
    told = re.findall(r"^\| `(guichets_\w+)` \| ([\w ]+) \| ([\w, ]*) \| (.+) \|$", PAGE, re.MULTILINE)
    assert told == [(metric.name, metric.kind, ", ".join(metric.labels), metric.help) for metric in METRICS]


def test_the_page_tells_every_alert_with_its_delay() -> None:
    told = re.findall(r"^\| `(Guichets\w+)` \| (\w+) \| (\w+) \| \[", PAGE, re.MULTILINE)
    groups = yaml.safe_load((ROOT / "monitoring/prometheus/rules/guichets.yml").read_text("utf-8"))["groups"]
    assert told == [
        (rule["alert"], rule["labels"]["severity"], rule["annotations"]["delay"])
        for group in groups
        for rule in group["rules"]
        if "alert" in rule
    ]

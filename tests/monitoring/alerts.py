"""What the rules say over a recorded day, by promtool; and what Alertmanager then sends, by a real one."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from monitoring.local import free_port
from monitoring.tools import command as command_of
from monitoring.tools import find_tool
from tests.monitoring.incident_day import BEGINS, STEP, Timeline

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
RULES = MONITORING / "prometheus" / "rules" / "guichets.yml"
SAMPLES_A_STEP = 2  # Prometheus forgets what is older than five minutes
PATIENCE_SECONDS = 30.0
SETTLED_SECONDS = 0.6  # several times group_wait and group_interval below

Alert = tuple[tuple[str, str], ...]  # its labels, sorted


def firing(told: Timeline, folder: Path) -> list[tuple[datetime, set[Alert]]]:
    """At each step of the day, the alerts that fire: the committed rules over the recorded series."""
    text = RULES.read_text("utf-8")
    asked = set(re.findall(r"\bguichets_[a-z_]+", text))
    interval = STEP / SAMPLES_A_STEP
    steps = len(next(iter(told.values())))
    # the rules count from the epoch, promtool from its own zero: which is set to the day's beginning
    offset = BEGINS.timestamp()
    series = [{"series": 'up{job="guichets", instance="x"}', "values": f"1x{steps * SAMPLES_A_STEP}"}]
    for (name, labels), values in told.items():
        if name in asked:
            shown = ", ".join(f'{label}="{value}"' for label, value in sorted(labels))
            shift = offset if name.endswith("_timestamp_seconds") else 0.0
            numbers = " ".join(
                " ".join(["_" if value is None else repr(value - shift)] * SAMPLES_A_STEP) for value in values
            )
            series.append({"series": f"{name}{{{shown}}}", "values": numbers})
    instants = [number * STEP for number in range(steps)]
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": _duration(interval),
        "tests": [
            {
                "interval": _duration(interval),
                "input_series": series,
                # every answer is told, because none is expected
                "promql_expr_test": [
                    {
                        "expr": 'ALERTS{alertstate="firing", alertname!="GuichetsHeartbeat"}',
                        "eval_time": _duration(instant),
                        "exp_samples": [{"labels": "nothing", "value": 1}],
                    }
                    for instant in instants
                ],
            }
        ],
    }
    path = folder / "day.yml"
    path.write_text(yaml.safe_dump(test), "utf-8")
    done = subprocess.run(
        [str(find_tool("promtool")), "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    answers = re.findall(r"time: (\S+),\s+exp:.*\n\s+got: ?(.*)", done.stdout + done.stderr)
    assert len(answers) == steps, done.stdout[-2000:] + done.stderr[-2000:]
    return [
        (BEGINS + instant, {_alert(labels) for labels in re.findall(r"(?:ALERTS)?\{(.*?)\} ", answer)})
        for instant, (_, answer) in zip(instants, answers, strict=True)
    ]


def _alert(labels: str) -> Alert:
    found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    return tuple(
        sorted((name, value) for name, value in found.items() if name not in {"alertstate", "__name__"})
    )


def _duration(length: timedelta) -> str:
    return f"{round(length.total_seconds())}s"


class Mailbox:
    """Receives what Alertmanager sends."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        mailbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                mailbox.messages.append((self.path.strip("/"), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self) -> list[str]:
        """Names of the alerts in messages about something that fires, heartbeats left out, in order."""
        return [
            alert["labels"]["alertname"]
            for receiver, body in self.messages
            if receiver != "heartbeat"
            for alert in body["alerts"]
            if alert["status"] == "firing"
        ]

    def wait_for(self, count: int) -> None:
        """Until so many alerts were told, and a little longer, for one too many."""
        until = time.monotonic() + PATIENCE_SECONDS
        while len(self.told()) < count and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(2 * SETTLED_SECONDS)

    def messages_of(self, receiver: str) -> int:
        return sum(1 for found, body in self.messages if found == receiver and body["status"] == "firing")


@contextmanager
def alertmanager(folder: Path, mailbox: Mailbox) -> Iterator[str]:
    """The committed configuration, but for the receivers' address and the pace."""
    text = (MONITORING / "alertmanager" / "alertmanager.yml").read_text("utf-8")
    text = text.replace("127.0.0.1:9099", f"127.0.0.1:{mailbox.server.server_port}")
    text = re.sub(r"group_wait: \w+", "group_wait: 100ms", text)
    text = re.sub(r"group_interval: \w+", "group_interval: 100ms", text)
    path = folder / "alertmanager.yml"
    path.write_text(text, "utf-8")
    port = free_port()
    command = [
        *command_of("alertmanager"),
        f"--config.file={path}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    url = f"http://127.0.0.1:{port}"
    with (
        (folder / "alertmanager.log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            until = time.monotonic() + PATIENCE_SECONDS
            while not _is_ready(url):
                assert process.poll() is None, (folder / "alertmanager.log").read_text()
                assert time.monotonic() < until, "Alertmanager does not become ready"
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(30)
            mailbox.server.shutdown()
            mailbox.server.server_close()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def send(url: str, alerts: Sequence[Alert]) -> None:
    """As Prometheus does: all that fires, each time."""
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = json.dumps([{"labels": dict(alert), "endsAt": ends} for alert in alerts]).encode()
    request = urllib.request.Request(f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10):
        pass
    time.sleep(SETTLED_SECONDS)

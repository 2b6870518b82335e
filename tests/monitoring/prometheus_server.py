"""A real Prometheus for a test: its own folder, its own port, a scrape each second."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from monitoring.local import free_port
from monitoring.tools import find_tool

CONFIGURATION = Path(__file__).resolve().parents[2] / "monitoring" / "prometheus"
PATIENCE_SECONDS = 60.0


class PrometheusServer:
    """Answers questions."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series an expression has now. Raises AssertionError for one Prometheus refuses."""
        data = urllib.parse.urlencode({"query": expr}).encode()
        try:
            with urllib.request.urlopen(f"{self._url}/api/v1/query", data=data, timeout=30) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expr}: {error.read().decode()}") from None
        return found

    def rules(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self._url}/api/v1/rules", timeout=30) as answer:
            groups = json.load(answer)["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextmanager
def running(folder: Path, exporter_port: int) -> Iterator[PrometheusServer]:
    """The committed configuration, but for ports and pace."""
    settings = yaml.safe_load((CONFIGURATION / "prometheus.yml").read_text("utf-8"))
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(CONFIGURATION / "rules" / "*.yml")]
    del settings["alerting"]
    settings["scrape_configs"] = [
        {"job_name": "guichets", "static_configs": [{"targets": [f"127.0.0.1:{exporter_port}"]}]}
    ]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(settings), "utf-8")
    port = free_port()
    command = [
        str(find_tool("prometheus")),
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        server = PrometheusServer(port)
        try:
            until = time.monotonic() + PATIENCE_SECONDS
            while not server.is_ready():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, "Prometheus does not become ready"
                time.sleep(0.1)
            yield server
        finally:
            process.terminate()
            process.wait(30)

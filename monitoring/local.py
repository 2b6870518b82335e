"""``make monitor``: database, exporter and Prometheus on this machine, and Grafana where there is one.

Everything it writes is under GUICHETS_HOME/monitor. Ctrl-C ends it all.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg import conninfo

from guichets import configuration, database
from guichets.errors import ConfigurationError, GuichetsError
from monitoring.exporter import serving
from monitoring.tools import command as command_of

ROOT = Path(__file__).parent
PORTS = {"exporter": 9108, "prometheus": 9090, "alertmanager": 9093, "grafana": 3000}


def free_port(wanted: int = 0) -> int:
    """``wanted`` if nobody listens there, else another one."""
    for port in (wanted, 0):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(tried.getsockname()[1])
    raise ConfigurationError("no TCP port is free on 127.0.0.1")


def main() -> int:
    home = configuration.home() / "monitor"
    home.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with ExitStack() as stack:
            dsn = database.prepare()
            os.environ["GUICHETS_DATABASE_URL"] = dsn
            port = stack.enter_context(serving(port=free_port(PORTS["exporter"])))
            print(f"Base          {database.place(dsn)}")
            print(f"Exporteur     http://127.0.0.1:{port}/metrics")
            alerts = stack.enter_context(_alertmanager(home))
            print(f"Alertmanager  {alerts}")
            prometheus = stack.enter_context(_prometheus(home, exporter=port, alertmanager=alerts))
            print(f"Prometheus    {prometheus}/alerts")
            grafana = stack.enter_context(_grafana(home, dsn, prometheus))
            print(f"Grafana       {grafana or 'absent : docs/monitoring.md dit comment l’avoir'}", flush=True)
            stop.wait()
    except GuichetsError as error:
        print(f"guichets: {error}", file=sys.stderr)
        return 2
    return 0


@contextmanager
def _program(name: str, home: Path, command: list[str], **environment: str) -> Iterator[None]:
    with (home / f"{name}.log").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **environment}
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _alertmanager(home: Path) -> Iterator[str]:
    port = free_port(PORTS["alertmanager"])
    command = [
        *command_of("alertmanager"),
        f"--config.file={ROOT / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={home / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with _program("alertmanager", home, command):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _prometheus(home: Path, *, exporter: int, alertmanager: str) -> Iterator[str]:
    port = free_port(PORTS["prometheus"])
    text = (ROOT / "prometheus" / "prometheus.yml").read_text("utf-8")
    text = text.replace("127.0.0.1:9108", f"127.0.0.1:{exporter}").replace(
        "127.0.0.1:9093", alertmanager.removeprefix("http://")
    )
    text = text.replace("127.0.0.1:9090", f"127.0.0.1:{port}")
    text = text.replace("rules/*.yml", str(ROOT / "prometheus" / "rules" / "*.yml"))
    path = home / "prometheus.yml"
    path.write_text(text, "utf-8")
    command = [
        *command_of("prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={home / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with _program("prometheus", home, command):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _grafana(home: Path, dsn: str, prometheus: str) -> Iterator[str | None]:
    """The system's Grafana, if any, on the committed screens."""
    binary, homepath = shutil.which("grafana"), Path("/usr/share/grafana")
    if binary is None or not homepath.is_dir():
        yield None
        return
    port = free_port(PORTS["grafana"])
    parts = conninfo.conninfo_to_dict(dsn)
    with psycopg.connect(dsn) as connection:  # a socket's folder is host and port in one to Grafana
        where = f"{parts.get('host') or connection.info.host}:{connection.info.port}"
    command = [binary, "server", "--homepath", str(homepath)]
    environment = {
        "GF_PATHS_DATA": str(home / "grafana"),
        "GF_PATHS_PROVISIONING": str(ROOT / "grafana" / "provisioning"),
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GUICHETS_DASHBOARDS": str(ROOT / "grafana" / "dashboards"),
        "GUICHETS_PROMETHEUS_URL": prometheus,
        "GRAFANA_DATABASE_HOST": where,
        "GRAFANA_DATABASE_USER": str(parts.get("user") or ""),
        "GRAFANA_DATABASE_NAME": str(parts.get("dbname") or ""),
        "GRAFANA_DATABASE_PASSWORD": str(parts.get("password") or ""),
        "GRAFANA_DATABASE_SSLMODE": str(parts.get("sslmode") or "disable"),
    }
    with _program("grafana", home, command, **environment):
        yield f"http://127.0.0.1:{port}/dashboards"


if __name__ == "__main__":
    sys.exit(main())

"""The exporter's life: connections, the thread that keeps figures, the endpoint Prometheus asks."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import psycopg
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from psycopg import conninfo

from guichets import configuration, database
from guichets.nodes.naming import node_name
from monitoring.collector import Connect, Figures, GuichetsCollector
from monitoring.machine import Machine

CONNECT_SECONDS = 3  # less than Prometheus waits for a scrape
SILENCE_MS = 8_000  # after which a connection that answers nothing is given up

What = Literal["all", "database", "machine"]


def reader(dsn: str) -> Connect:
    """Makes reading connections, whatever the schema, which a scrape tells about by itself."""
    # a network that swallows everything must not hold a scrape for ever
    target = conninfo.make_conninfo(
        dsn,
        connect_timeout=CONNECT_SECONDS,
        tcp_user_timeout=SILENCE_MS,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=2,
    )

    def connect() -> psycopg.Connection[Any]:
        return database.connect("reader", dsn=target, check=False, autocommit=True)

    return connect


def build(what: What = "all", *, dsn: str | None = None) -> tuple[GuichetsCollector, Figures | None]:
    """The collector over the database in force, this machine, or both; its figures are not kept yet."""
    mark = configuration.read("GUICHETS_BACKUP_MARK")
    machine = Machine(configuration.home(), Path(mark) if mark else None) if what != "database" else None
    if what == "machine":
        # still asked for its clock and whether it is there, nothing else
        return GuichetsCollector(connect=None, figures=None, machine=machine, node=node_name()), None
    if dsn is None:  # the embedded server is ours to upgrade; of a user's, the schema is told as it is
        dsn = database.prepare() if database.is_embedded() else database.dsn()
    connect = reader(dsn)
    figures = Figures(connect)
    return GuichetsCollector(connect=connect, figures=figures, machine=machine, node=node_name()), figures


class Server(ThreadingHTTPServer):
    """Answers /metrics, one thread to a request."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], collector: GuichetsCollector) -> None:
        self.collector = collector
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10.0  # seconds a client may keep silent

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "Only /metrics")
            return
        page = self.server.collector.page()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *arguments: object) -> None:
        """A line per scrape tells nothing."""


@contextmanager
def serving(what: What = "all", *, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Serve until the block ends; the port, which is chosen by the system for 0. Raises OSError."""
    collector, figures = build(what)
    server = Server((address, port), collector)
    threads = [threading.Thread(target=server.serve_forever, name="guichets-metrics", daemon=True)]
    if figures is not None:
        figures.update()  # so that the first scrape is whole
        threads.append(threading.Thread(target=figures.run, name="guichets-figures", daemon=True))
    gc.freeze()  # what start-up made is not looked at again at each collection
    for thread in threads:
        thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        if figures is not None:
            figures.stop()
        for thread in threads:
            thread.join()
        if figures is not None:
            figures.close()
        collector.close()

"""Town softwares of a test's own: what the hub asks each of them, and the answers the test chooses."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass
class Town:
    """A town with one mairie and a software of its own; ``dates`` are what it has free."""

    slug: str
    zip_code: str
    dates: tuple[str, ...] = ()
    status: int = 200  # of the answer about slots
    hangs: bool = False  # when asked about slots
    asked: list[dict[str, list[str]]] = field(default_factory=list)  # what the hub asked about slots

    @property
    def mairie(self) -> dict[str, Any]:
        return {
            "id": f"interne-{self.slug}",
            "name": f"Mairie de {self.slug.title()}",
            "longitude": 3.0348,
            "latitude": 50.5491,
            "public_entry_address": f"1 place du Beffroi {self.zip_code}",
            "zip_code": self.zip_code,
            "city_name": self.slug.upper(),
            "website": f"https://{self.slug}.example",
            "city_logo": None,
        }

    @property
    def slots(self) -> list[dict[str, str]]:
        form = f"https://{self.slug}.example/rendez-vous?creneau="
        return [{"datetime": written, "callback_url": form + written} for written in self.dates]


class TownSoftwares:
    """One server for many towns: /<slug>/getManagedMeetingPoints and /<slug>/availableTimeSlots."""

    def __init__(self, *towns: Town) -> None:
        self.towns: Mapping[str, Town] = {town.slug: town for town in towns}
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No town answers any more: the port is closed. May be called twice."""
        self._over.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    @property
    def addresses(self) -> dict[str, str]:
        port = self._server.server_address[1]
        return {slug: f"http://127.0.0.1:{port}/{slug}" for slug in self.towns}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        softwares = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                _, slug, what = parts.path.split("/")
                town = softwares.towns[slug]
                if self.headers["x-hub-rdv-auth-token"] != f"de-{slug}":
                    self._answer(401, {})
                elif what == "getManagedMeetingPoints":
                    self._answer(200, [town.mairie])
                else:
                    assert what == "availableTimeSlots"
                    town.asked.append(parse_qs(parts.query))
                    if town.hangs:
                        softwares._over.wait()
                    self._answer(town.status, {town.mairie["id"]: town.slots})

            def _answer(self, status: int, value: Any) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    return  # the hub has given up

            def log_message(self, *_: object) -> None:
                """Nothing on the test's output."""

        return Handler

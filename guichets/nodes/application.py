"""Scrapyd's application with this project's habits; ``application`` of ``deploy/scrapyd.conf``.

Scrapyd answers anybody who reaches its port, writes below the folder it was started in, and leaves its jobs
alone when it stops. Here a node has a password whatever happens, writes below GUICHETS_HOME, and ends its
jobs in order before it ends itself, so that their leases go back at once.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import scrapy
import scrapyd
from scrapyd.app import application as scrapyd_application
from scrapyd.launcher import Launcher
from scrapyd.webservice import WsResource
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList

from guichets import __version__, configuration
from guichets.errors import ConfigurationError
from guichets.nodes.credentials import credentials_file, ensure_credentials
from guichets.nodes.naming import node_name

FOLDERS = ("eggs_dir", "logs_dir", "items_dir", "dbs_dir")
EGGS_VARIABLE = "SCRAPYD_EGGS_DIR"  # tells the jobs' runner where this node keeps its eggs
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})
STOP_SECONDS = 60.0  # a crawl gives its hosts back within a few; then it is killed


def application(config: Any) -> Any:
    """Scrapyd's application. Raises ConfigurationError when it would be open to anybody."""
    options = config.cp["scrapyd"]
    folder = configuration.home() / "scrapyd"
    for name in FOLDERS:
        if options.get(name):
            options[name] = str((folder / options[name]).absolute()).replace("%", "%%")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["GUICHETS_NODE"] = options["node_name"] = options.get("node_name") or node_name()
    os.environ["GUICHETS_HOME"] = str(configuration.home())  # jobs may be started elsewhere
    os.environ[EGGS_VARIABLE] = config.get("eggs_dir")
    _set_password(options)
    made = scrapyd_application(config)
    os.environ.pop("SCRAPYD_PASSWORD", None)  # no concern of the jobs
    return made


def _set_password(options: Any) -> None:
    """From SCRAPYD_PASSWORD, else from the file of credentials, where one is made at the first start."""
    user = os.environ.get("SCRAPYD_USERNAME") or options.get("username") or ""
    if not user or ":" in user:
        raise ConfigurationError(f"scrapyd.conf: username={user!r}: expected a name without a colon")
    if options.get("password"):
        raise ConfigurationError(
            "scrapyd.conf: no password belongs into this file: set SCRAPYD_PASSWORD, or leave it to be made"
        )
    if os.environ.get("SCRAPYD_PASSWORD"):
        return
    bound = os.environ.get("SCRAPYD_BIND_ADDRESS") or options["bind_address"]
    port = os.environ.get("SCRAPYD_HTTP_PORT") or options["http_port"]
    host = "127.0.0.1" if bound in ANY_ADDRESS else f"[{bound}]" if ":" in bound else bound
    known = ensure_credentials(Path(credentials_file()), f"http://{host}:{port}", user)
    options["username"], options["password"] = (
        part.replace("%", "%%") for part in (known.user, known.password)
    )


class Version(WsResource):  # type: ignore[misc]  # Scrapyd has no types
    """``version.json``: what this node runs."""

    def render_GET(self, request: Any) -> dict[str, Any]:
        return {
            "versions": {
                "guichets": __version__,
                "python": platform.python_version(),
                "scrapy": scrapy.__version__,
                "scrapyd": scrapyd.__version__,
            }
        }


class OrderlyLauncher(Launcher):  # type: ignore[misc]  # Scrapyd has no types
    """Scrapyd's launcher, but when the service stops, jobs are asked to end and waited for."""

    _stopping = False

    def stopService(self) -> Deferred[Any]:
        self._stopping = True
        super().stopService()
        running = list(self.processes.values())
        for process in running:
            process.transport.signalProcess("INT")
        clock: Any = reactor  # a module to the type checker
        late = clock.callLater(STOP_SECONDS, self._kill)

        def no_need_to_kill(result: Any) -> Any:
            if late.active():
                late.cancel()
            return result

        return DeferredList([process.deferred for process in running]).addBoth(no_need_to_kill)

    def _kill(self) -> None:
        for process in self.processes.values():
            process.transport.signalProcess("KILL")

    def _get_message(self, slot: int) -> None:
        if not self._stopping:  # what is pending stays in the queue until the next start
            super()._get_message(slot)

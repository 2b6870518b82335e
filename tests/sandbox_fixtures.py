"""A sandbox in a process of its own, for tests that crawl it: ``pytest_plugins = ["sandbox_fixtures"]``.

``sandbox`` is a factory: ``sandbox(desks=12, mixture="states")`` starts ``guichets sandbox`` on free ports
and returns a ``RunningSandbox``; whatever the test does, the process is gone afterwards.
Simulated time stands still unless ``speed`` is given, so that nothing flips during a crawl.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import pytest

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60  # a loaded machine may be slow to import
STOP_SECONDS = 20
COMMAND = "from guichets.cli import main; main()"

_opener = build_opener(ProxyHandler({}))  # a proxy of the environment must not see loopback


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A started sandbox, and its control API."""

    process: subprocess.Popen[bytes]
    control: str  # base URL of the control API
    catalogue: Path
    hosts: tuple[str, ...]  # name:port of each préfecture
    ledger_file: Path

    def truth(self, *, at: str | None = None) -> dict[str, dict[str, Any]]:
        """What an honest probe must establish, by desk id."""
        found: dict[str, dict[str, Any]] = self._get("/truth", {"at": at} if at else {})
        return found

    def ledger(self, **filters: object) -> list[dict[str, Any]]:
        """The requests so far, in the order in which they ended; ``desk="…"`` and the like filter."""
        query = urlencode(filters)
        with _opener.open(f"{self.control}/ledger?{query}", timeout=60) as answer:
            return [json.loads(line) for line in answer]

    def tripwires(self) -> list[dict[str, Any]]:
        """The requests that broke a rule."""
        found: list[dict[str, Any]] = self._get("/tripwires")
        return found

    def desks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("/catalogue")["desks"]
        return found

    def scenes(self) -> list[dict[str, Any]]:
        """Every scene: name, outcome (None: the life's), sentence, slow."""
        found: list[dict[str, Any]] = self._get("/scenes")
        return found

    def set_scene(
        self, desk: str | Sequence[str], scene: str | None, manners: Mapping[str, object] | None = None
    ) -> None:
        """Pin a desk, several, or ``*``."""
        self._post("/scene", {"desk": desk, "scene": scene, "manners": manners or {}})

    def set_host(self, host: str = "*", **switches: object) -> None:
        """robots, crawl_delay, ban_after, ban_seconds, retry_after, status, down, latency_ms; None: off."""
        self._post("/host", {"host": host, **switches})

    def advance(self, seconds: float) -> None:
        """Move simulated time forward."""
        self._post("/clock", {"advance_seconds": seconds})

    def stop(self) -> int:
        """End it as Ctrl-C would; the exit status is 1 when a rule was broken."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        address = f"{self.control}{path}" + (f"?{urlencode(query)}" if query else "")
        with _opener.open(address, timeout=60) as answer:
            return json.load(answer)

    def _post(self, path: str, value: Mapping[str, object]) -> Any:
        request = Request(f"{self.control}{path}", json.dumps(value).encode(), method="POST")
        try:
            with _opener.open(request, timeout=60) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise AssertionError(f"sandbox refused {value}: {error.read().decode()}") from None


def start_sandbox(folder: Path, **options: object) -> RunningSandbox:
    """Start ``guichets sandbox`` with these options (``host_scheme="port"`` is ``--host-scheme port``)."""
    ready_file = folder / "ready.json"
    given = {"port": 0, "speed": 0, "ready_file": ready_file, "ledger": folder / "ledger.jsonl",
             "catalogue": folder / "catalogue", **options}  # fmt: skip
    arguments = [
        text
        for name, value in given.items()
        for one in (value if isinstance(value, list) else [value])  # ``family=["troov", "lutece"]``
        for text in (f"--{name.replace('_', '-')}", str(one))
    ]
    log = folder / "sandbox.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "sandbox", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + START_SECONDS
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            _end(process)
            raise AssertionError(f"the sandbox did not start: {log.read_text(errors='replace')}")
        time.sleep(0.02)
    ready = json.loads(ready_file.read_text())
    return RunningSandbox(
        process, ready["control"], Path(ready["catalogue"]), tuple(ready["hosts"]), Path(ready["ledger"])
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop it, by force if it must be."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


@pytest.fixture
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningSandbox]]:
    """Start sandboxes; all of them end with the test."""
    running: list[RunningSandbox] = []

    def start(**options: object) -> RunningSandbox:
        started = start_sandbox(tmp_path_factory.mktemp("sandbox"), **options)
        running.append(started)
        return started

    yield start
    for started in running:
        _end(started.process)

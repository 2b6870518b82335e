"""Running ``scrapy crawl`` for real, as a user does, in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CRAWL_SECONDS = 120


@dataclass
class CrawlResult:
    """What a crawl left: exit status, log, and the exported lines."""

    status: int
    log: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def desks(self) -> dict[str, dict[str, Any]]:
        """The desks' own lines by desk id."""
        return {line["desk"]: line for line in self.lines if line["counter"] is None}


class Crawler:
    """Starts crawls with no delay and no form interval, unless a test says otherwise."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.environment = {**clean_environment(), "GUICHETS_HOME": str(home), **environment}
        self._number = 0

    def command(
        self, family: str, arguments: Mapping[str, Any], settings: Mapping[str, Any], out: Path
    ) -> list[str]:
        defaults = {
            "GUICHETS_HOST_DELAY": 0,
            "GUICHETS_FORM_INTERVAL": 0,
            "GUICHETS_CONTROL_URLS": "",
        }
        words = [sys.executable, "-m", "scrapy", "crawl", family, "-O", str(out)]
        for name, value in {**defaults, **settings}.items():
            words += ["-s", f"{name}={value}"]
        for name, value in arguments.items():
            words += ["-a", f"{name}={value}"]
        return words

    def start(
        self, family: str = "ezbooking", *, settings: Mapping[str, Any] | None = None, **arguments: Any
    ) -> tuple[subprocess.Popen[str], Path]:
        """A crawl under way, and the file it exports to; the caller waits for it or kills it."""
        self._number += 1
        out = self.home / f"out-{self._number}.jsonl"
        self.home.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            self.command(family, arguments, settings or {}, out),
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return process, out

    def run(
        self, family: str = "ezbooking", *, settings: Mapping[str, Any] | None = None, **arguments: Any
    ) -> CrawlResult:
        """A whole crawl."""
        process, out = self.start(family, settings=settings, **arguments)
        try:
            log, _ = process.communicate(timeout=CRAWL_SECONDS)
        finally:
            process.kill()
        return CrawlResult(process.returncode, log, read_lines(out))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The exported lines; none when the crawl wrote no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def clean_environment() -> dict[str, str]:
    """The environment without what would lead a test to a user's database or catalogue, or a proxy."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GUICHETS_", "SCRAPY_")) and not name.lower().endswith("_proxy")
    }


@pytest.fixture
def crawler(database: Any, tmp_path: Path) -> Crawler:
    """Crawls into the test's own database. Set ``environment["GUICHETS_CATALOGUE"]`` before running."""
    return Crawler(tmp_path / "home", {"GUICHETS_DATABASE_URL": database.dsn})

"""Pages in a browser: visits per second, memory at several contexts, what an HTTP family loses by them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from guichets.browser import find_browser
from tests.bench.crawl import environment
from tests.crawl_fixtures import ROOT, read_lines
from tests.process_tree import memory_mb
from tests.sandbox_fixtures import RunningSandbox, start_sandbox

VISITS = {1: 40, 4: int(os.environ.get("BENCH_BROWSER_VISITS", "500")), 8: 120}  # contexts: visits
HOSTS = 40
LOOK_SECONDS = 1.0
HTTP_HOSTS, HTTP_DESKS, HTTP_DELAY = 60, 120, 2.0  # 30 requests per second: the pace of 300 hosts

TOGETHER = """
import json, sys
from scrapy.crawler import CrawlerProcess
from scrapy.utils.project import get_project_settings

settings = get_project_settings()
for name, value in json.loads(sys.argv[1]).items():
    settings.set(name, value, priority="cmdline")
process = CrawlerProcess(settings)
for name in sys.argv[2:]:
    process.crawl(name, due="all")
process.start()
"""

# A process's time goes to whoever waited for its end. Nobody waits for those that a browser leaves when it
# ends, one of which waited for all its pages: they come to this process instead.
COUNTED = """
import ctypes, os, sys

if sys.platform == "linux":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
crawl = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ)
status = 1
while True:
    try:
        ended, said = os.wait()
    except ChildProcessError:
        sys.exit(status)
    if ended == crawl:
        status = os.waitstatus_to_exitcode(said)
"""


@dataclass(frozen=True)
class Measured:
    """One crawl of browser pages."""

    per_second: float  # visits, from the first that ended to the last
    cpu_seconds: float  # of both processors, a visit, browser included and its start left out
    peak_mb: float  # crawl, driver and browser; what they share counts once
    early_mb: float  # median after the first tenth
    late_mb: float  # median of the last fifth


def main() -> None:
    print(f"Visits of pages in a browser (sandbox, no delay): {find_browser()}")
    start = _start_cpu()
    for contexts, visits in VISITS.items():
        found = _crawl(contexts, visits, start)
        print(
            f"  {contexts} contexts, {visits} visits: {found.per_second:.2f} per second, "
            f"{found.cpu_seconds:.2f} s of processor time each, peak {found.peak_mb:.0f} MB"
        )
        if contexts == 4:
            print(
                f"    memory early {found.early_mb:.0f} MB, late {found.late_mb:.0f} MB; goals: 3 per second "
                "on 2 cores, 900 MB, flat"
            )
    _beside_http()


def _start_cpu() -> float:
    """Processor time of a crawl that makes one visit: nearly all of it is the start."""
    with tempfile.TemporaryDirectory(prefix="guichets-bench-") as folder:
        return _run(Path(folder), contexts=1, visits=1)[1]


def _crawl(contexts: int, visits: int, start: float) -> Measured:
    with tempfile.TemporaryDirectory(prefix="guichets-bench-") as folder:
        instants, cpu, memory = _run(Path(folder), contexts=contexts, visits=visits)
    tenth, fifth = max(1, len(memory) // 10), max(1, len(memory) // 5)
    return Measured(
        per_second=(len(instants) - 1) / (instants[-1] - instants[0]),
        cpu_seconds=(cpu - start) / (visits - 1),
        peak_mb=max(memory),
        early_mb=statistics.median(memory[tenth : 3 * tenth] or memory),
        late_mb=statistics.median(memory[-fifth:]),
    )


def _run(home: Path, *, contexts: int, visits: int) -> tuple[list[float], float, list[float]]:
    """When each visit asked for its slots (seconds), the processor time, and the memory now and then."""
    sandbox = start_sandbox(
        home, desks=visits, departements=min(HOSTS, visits), mixture="lives", family="orion"
    )
    settings = {"GUICHETS_BROWSER_HOSTS": contexts, "GUICHETS_STORE": "none"}
    try:
        process = _start(sandbox, home, settings, "orion", is_counted=True)
        memory = []
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            memory.append(memory_mb(process.pid))
            time.sleep(LOOK_SECONDS)
        assert ended[1] == 0, f"the crawl ended with status {ended[1]}"
        lines = read_lines(home / "orion.jsonl")
        wrong = [line["rule"] for line in lines if line["outcome"] not in {"none", "offered"}]
        if wrong:
            print(f"    {len(wrong)} visits told nothing: {sorted(set(wrong))}", file=sys.stderr)
        asked = sorted(entry["ended_monotonic"] for entry in sandbox.ledger(method="POST"))
        return asked, ended[2].ru_utime + ended[2].ru_stime, memory
    finally:
        sandbox.stop()


def _start(
    sandbox: RunningSandbox, home: Path, settings: dict[str, Any], *families: str, is_counted: bool = False
) -> subprocess.Popen[bytes]:
    """A crawl. ``is_counted``: below a process whose time, once it ended, is that of all it started."""
    given = {
        "GUICHETS_HOST_DELAY": 0,
        "GUICHETS_FORM_INTERVAL": 0,
        "GUICHETS_CONTROL_URLS": "",
        "LOG_LEVEL": "WARNING",
        "LOG_FILE": str(home / "crawl.log"),
        "FEEDS": {f"{home}/%(name)s.jsonl": {"format": "jsonlines"}},
        **settings,
    }
    crawl = ["-W", "ignore", "-c", TOGETHER, json.dumps(given), *families]
    return subprocess.Popen(
        [sys.executable, "-c", COUNTED, *crawl] if is_counted else [sys.executable, *crawl],
        cwd=ROOT,
        env={**environment(sandbox.catalogue), "GUICHETS_HOME": str(home / "home")},
    )


def _beside_http() -> None:
    """One worker with an HTTP family, alone and with browser pages in the same process."""
    alone, beside = _http_rate("ezbooking"), _http_rate("ezbooking", "orion")
    print(f"HTTP family at its pace, {HTTP_HOSTS} hosts: {alone:.0f} requests per second")
    print(f"  the same with browser pages in the same worker: {beside:.0f}")
    print(f"  kept: {beside / alone:.0%}   goal 90 % or more")


def _http_rate(*families: str) -> float:
    with tempfile.TemporaryDirectory(prefix="guichets-bench-") as folder:
        home = Path(folder)
        (home / "http").mkdir()
        (home / "pages").mkdir()
        http = start_sandbox(
            home / "http", desks=HTTP_DESKS, departements=HTTP_HOSTS, mixture="lives", family="ezbooking"
        )
        pages = start_sandbox(home / "pages", desks=120, departements=HOSTS, mixture="lives", family="orion")
        both = home / "both"
        both.mkdir()
        for sandbox in (http, pages):
            for path in sandbox.catalogue.glob("*.toml"):
                with (both / path.name).open("a", encoding="utf-8") as stream:
                    stream.write(path.read_text(encoding="utf-8") + "\n")
        together = replace(http, catalogue=both)
        settings = {
            "GUICHETS_STORE": "none",
            "GUICHETS_HOST_DELAY": HTTP_DELAY,
            "GUICHETS_MAX_HOSTS": HTTP_HOSTS,
        }
        try:
            process = _start(together, home, settings, *families)
            while process.poll() is None and not _has_ended(http):
                time.sleep(LOOK_SECONDS)
            rate = _between(http)
            process.terminate()
            process.wait(60)
            return rate
        finally:
            http.stop()
            pages.stop()


def _has_ended(sandbox: RunningSandbox) -> bool:
    """Whether every desk of the HTTP family has been asked."""
    return len({entry["desk"] for entry in sandbox.ledger() if entry["desk"]}) == HTTP_DESKS


def _between(sandbox: RunningSandbox) -> float:
    """Requests per second of the middle eight tenths: neither the start nor the last hosts' tails."""
    started = sorted(entry["started_monotonic"] for entry in sandbox.ledger())
    tenth = len(started) // 10
    middle = started[tenth : -tenth or None]
    return (len(middle) - 1) / (middle[-1] - middle[0])


if __name__ == "__main__":
    main()

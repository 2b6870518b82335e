"""The crawl: spider without and with database against a plain client, requests per second on one core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.crawl_fixtures import ROOT, clean_environment
from tests.sandbox_fixtures import RunningSandbox, start_sandbox

ROUNDS = 5
HOSTS = 64
DESKS = 500
IN_FLIGHT = 500
PREFECTURES = 100  # hosts of one sandbox
LATE_MS = 5_000


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="guichets-bench-") as folder:
        home = Path(folder)
        pin_to(1)
        sandbox = start_sandbox(home, desks=DESKS, departements=80, mixture="lives")
        pin_to(0)
        try:
            _rates(sandbox, home)
        finally:
            sandbox.stop()
        with ExitStack() as playing:
            _memory(_crowd(home, playing), home)


def _rates(sandbox: RunningSandbox, home: Path) -> None:
    _reference(sandbox)  # warms the sandbox's own cache, not counted
    rows = []
    for number in range(ROUNDS):
        rows.append(
            (_reference(sandbox), _spider(sandbox, home, store=False), _spider(sandbox, home, store=True))
        )
        print(f"  round {number + 1}/{ROUNDS}", file=sys.stderr)
    alone = median(spider / reference for reference, spider, _ in rows)
    cost = median(1 - stored / spider for _, spider, stored in rows)
    print("Funnel requests per second of processor time, medians of", ROUNDS, "rounds")
    for label, column in (("reference client", 0), ("spider, no database", 1), ("spider, database", 2)):
        print(f"  {label:<22}{median(row[column] for row in rows):8.0f}")
    print(f"  spider / reference    {alone:8.2f}   goal 0.45 or more")
    print(f"  cost of the database  {cost:8.0%}   goal 15 % or less")


def _reference(sandbox: RunningSandbox) -> float:
    command = [sys.executable, "-m", "tests.bench.reference", str(sandbox.catalogue), str(HOSTS)]
    found = subprocess.run(
        command, cwd=ROOT, env=environment(sandbox.catalogue), capture_output=True, check=True
    )
    return float(json.loads(found.stdout)["per_cpu_second"])


def _spider(sandbox: RunningSandbox, home: Path, *, store: bool) -> float:
    return crawl(sandbox, home, store=store, hosts=HOSTS)["per_cpu_second"]


def _memory(sandbox: RunningSandbox, home: Path) -> None:
    found = crawl(sandbox, home, store=True, hosts=IN_FLIGHT)
    print(f"Peak memory of a crawl of {IN_FLIGHT} desks, {found['hosts_at_once']} in flight")
    print(f"  {found['peak_mb']:.0f} MB   goal 300 MB or less")


def _crowd(home: Path, playing: ExitStack) -> RunningSandbox:
    """A desk on each of IN_FLIGHT hosts: a sandbox has one host per préfecture, so several play together.

    They answer so late that the last host is claimed before the first visit ends.
    """
    pin_to(1)
    sandboxes = []
    together = home / "crowd"
    together.mkdir()
    for number in range(IN_FLIGHT // PREFECTURES):
        folder = home / f"crowd-{number}"
        folder.mkdir()
        sandbox = start_sandbox(
            folder, desks=PREFECTURES, departements=PREFECTURES, mixture="lives", latency=LATE_MS, seed=number
        )
        playing.callback(sandbox.stop)
        sandboxes.append(sandbox)
        for path in sandbox.catalogue.glob("*.toml"):
            text = path.read_text(encoding="utf-8").replace("-sandbox-", f"-sandbox-{number}-")
            with (together / path.name).open("a", encoding="utf-8") as stream:
                stream.write(text)
    pin_to(0)
    hosts = tuple(host for sandbox in sandboxes for host in sandbox.hosts)
    return replace(sandboxes[0], catalogue=together, hosts=hosts)


def crawl(
    sandbox: RunningSandbox,
    home: Path,
    *,
    store: bool,
    hosts: int,
    archive: bool = False,  # measured by the archive's own bench
    folder: str = "home",
) -> dict[str, float]:
    """What the meter measured in a crawl of every desk."""
    out = home / "meter.json"
    settings = {
        "GUICHETS_MAX_HOSTS": hosts,
        "GUICHETS_STORE": "postgres" if store else "none",
        "GUICHETS_ARCHIVE": archive,
        "EXTENSIONS": json.dumps({"tests.bench.meter.Meter": 1, "guichets.crawl.record.CrawlRecord": 500}),
        "BENCH_OUT": out,
    }
    subprocess.run(
        words(settings),
        cwd=ROOT,
        env={**environment(sandbox.catalogue), "GUICHETS_HOME": str(home / folder)},
        check=True,
        capture_output=True,
    )
    found: dict[str, float] = json.loads(out.read_text(encoding="utf-8"))
    return found


def words(settings: Mapping[str, object]) -> list[str]:
    """A crawl of every desk, unpaced, with these settings besides."""
    unpaced = {"GUICHETS_HOST_DELAY": 0, "GUICHETS_FORM_INTERVAL": 0, "GUICHETS_CONTROL_URLS": ""}
    given = [sys.executable, "-m", "scrapy", "crawl", "ezbooking", "-a", "due=all"]
    for name, value in {**unpaced, "LOG_LEVEL": "WARNING", **settings}.items():
        given += ["-s", f"{name}={value}"]
    return given


def environment(catalogue: Path) -> dict[str, str]:
    return {**clean_environment(), "GUICHETS_CATALOGUE": str(catalogue), "PYTHONPATH": str(ROOT)}


def pin_to(core: int) -> None:
    """Where the system can: the server on one core, what is measured on the other."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    main()

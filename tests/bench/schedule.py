"""The schedule: claims per second, planning of a national round, scale-out over workers."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

from guichets import database
from guichets.clock import AgreedClock
from guichets.crawl.commands.crawl import calm_collector
from guichets.database import embedded
from guichets.items import new_probe_id
from guichets.schedule.baseline import Pattern
from guichets.schedule.lease import Selection
from guichets.schedule.postgres import CLAIM_BATCH, PostgresSchedule
from tests.bench.canned import HOSTS, serve_canned, write_catalogue
from tests.crawl_fixtures import ROOT, clean_environment
from tests.sandbox_fixtures import start_sandbox

CLAIMERS = 16
CLAIM_HOSTS = 10_000
CLAIM_SECONDS = 2.0
CLAIM_GOAL = 2000


def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="guichets-bench-"))
    try:
        dsn = embedded.join(home)
        database.upgrade(dsn)
        _claims(dsn)
        _national_round(home, dsn)
        _scale_out(home)
        _processor_bound(home)
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def fill(dsn: str, *, hosts: int, desks: int) -> None:
    """That many hosts and desks, all due, in a database without any."""
    with database.connect("owner", dsn=dsn) as connection:
        connection.execute("TRUNCATE hosts, desks, host_queue, baseline_visits, host_events, offices CASCADE")
        connection.execute(
            "INSERT INTO departements VALUES ('92', 'Hauts-de-Seine', 'IDF', 'Nanterre', 'Europe/Paris')"
            " ON CONFLICT DO NOTHING"
        )
        row = connection.execute(
            "INSERT INTO offices (departement, name) VALUES ('92', 'Préfecture') RETURNING id"
        ).fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO hosts (host) SELECT 'h' || n FROM generate_series(1, %s) AS n", [hosts]
        )
        connection.execute(
            "INSERT INTO desks (id, family, departement, office_id, procedure, label, url, host, opened_at,"
            " next_due_at, last_probed_at)"
            " SELECT 'd' || n, 'ezbooking', '92', %(office)s, 'remise_titre', 'x', 'http://h/' || n,"
            " 'h' || (n %% %(hosts)s + 1), now(), now() - random() * interval '20 minutes',"
            " now() - interval '1 hour'"
            " FROM generate_series(1, %(desks)s) AS n",
            {"office": row[0], "hosts": hosts, "desks": desks},
        )
    with database.connect("owner", dsn=dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _claims(dsn: str) -> None:
    print(f"Claims: {CLAIM_HOSTS} hosts, {3 * CLAIM_HOSTS} desks, {CLAIMERS} claimers, each a process")
    flat_out = _claim(dsn, at_most=CLAIM_BATCH, hosts_per_second=None)
    print(f"  flat out, up to {CLAIM_BATCH} hosts at a time {flat_out}   goal 2,000 or more")
    alone = _claim(dsn, at_most=1, hosts_per_second=None)
    print(f"  flat out, one host at a time     {alone}")
    paced = _claim(dsn, at_most=CLAIM_BATCH, hosts_per_second=CLAIM_GOAL)
    print(f"  {CLAIM_GOAL} hosts a second asked for   {paced}   goal p99 20 ms or less")


@dataclass(frozen=True, slots=True)
class Claims:
    """What some claimers did."""

    hosts_per_second: float
    milliseconds: list[float]  # of each call of claim()

    def __str__(self) -> str:
        found = quantiles(self.milliseconds, n=100)
        return f"{self.hosts_per_second:6.0f} hosts/s, {found[49]:5.1f} / {found[98]:5.1f} ms p50 / p99"


def _claim(dsn: str, *, at_most: int, hosts_per_second: int | None) -> Claims:
    fill(dsn, hosts=CLAIM_HOSTS, desks=3 * CLAIM_HOSTS)
    context = multiprocessing.get_context("spawn")
    pause = CLAIMERS * at_most / hosts_per_second if hosts_per_second else 0.0
    with context.Manager() as manager:
        together = manager.Barrier(CLAIMERS)
        with context.Pool(CLAIMERS) as pool:
            found = pool.starmap(
                claim_for_a_while, [(dsn, number, together, at_most, pause) for number in range(CLAIMERS)]
            )
    hosts = Counter(host for _, held, _ in found for host in held)
    assert max(hosts.values(), default=1) == 1, "a host was claimed twice while it was held"
    began = min(instants[0] for _, _, instants in found)
    ended = max(instants[1] for _, _, instants in found)
    return Claims(len(hosts) / (ended - began), [one for latencies, _, _ in found for one in latencies])


def claim_for_a_while(
    dsn: str, number: int, together: Any, at_most: int, pause: float
) -> tuple[list[float], list[str], tuple[float, float]]:
    """Claim as a worker does, in a process of its own, until the hosts or the time run out.

    Milliseconds of each call, the hosts, and when it began and ended. ``pause``: seconds from call to call.
    """

    async def claim() -> tuple[list[float], list[str], tuple[float, float]]:
        schedule = _schedule(dsn, f"bench-{number}")
        await schedule.open()
        latencies: list[float] = []
        hosts: list[str] = []
        calm_collector()  # as a worker does: else all claimers walk over all they have loaded at one instant
        together.wait()
        began = ended = time.monotonic()
        due = began + pause * number / CLAIMERS  # not all at the same instant
        while ended < began + CLAIM_SECONDS:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += pause
            asked = time.perf_counter()
            leases = await schedule.claim(at_most)
            took = time.perf_counter() - asked
            if not leases:
                break
            ended = time.monotonic()
            latencies.append(took * 1000)
            hosts += [lease.host for lease in leases]
        await schedule.close()
        return latencies, hosts, (began, ended)

    return asyncio.run(claim())


def _national_round(home: Path, dsn: str) -> None:
    """1,500 desks on 120 hosts: what the schedule itself costs, from the first claim to the last release."""
    fill(dsn, hosts=120, desks=1500)
    began, cpu = time.monotonic(), time.process_time()
    hosts, desks = asyncio.run(_plan(dsn, visit=False))
    planned = time.monotonic() - began
    fill(dsn, hosts=120, desks=1500)
    cpu, server = time.process_time(), _server_cpu(home)
    visited = asyncio.run(_plan(dsn, visit=True))
    print(f"National round: {desks} desks on {hosts} hosts")
    print(f"  planned from the database in {planned:.2f} s   goal 1 s or less")
    print(
        f"  every claim, begin, finish and release of {visited[1]} visits: "
        f"{time.process_time() - cpu:.1f} s of worker CPU, {_server_cpu(home) - server:.1f} s of PostgreSQL's"
    )


async def _plan(dsn: str, *, visit: bool) -> tuple[int, int]:
    schedule = _schedule(dsn, "bench")
    await schedule.open()
    hosts = desks = 0
    while leases := await schedule.claim(CLAIM_BATCH):
        for lease in leases:
            hosts += 1
            if visit:
                for due in lease.desks:
                    if await schedule.begin(lease, due, new_probe_id()) is not None:
                        schedule.finish(lease, due)
                        desks += 1
                await schedule.release(lease)
            else:
                desks += len(lease.desks)
    await schedule.close()
    return hosts, desks


def _schedule(dsn: str, worker: str) -> PostgresSchedule:
    return PostgresSchedule(
        dsn,
        Selection(family="ezbooking"),
        crawl_id=new_probe_id(),
        worker=worker,
        clock=AgreedClock(),
        delay_seconds=0,
        form_interval_seconds=900,
        pattern=Pattern(),
        lease_seconds=120,
    )


def _server_cpu(home: Path) -> float:
    """Seconds of processor time of that home's server so far, its ended sessions included (Linux)."""
    postmaster = (home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if stat.parent.name == postmaster or fields[1] == postmaster:
            total += sum(map(int, fields[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


PACED_HOSTS = 16
PACED_DELAY = 5.0
PACED_LATENCY_MS = 200


def _scale_out(home: Path) -> None:
    """Pace as the limit: 1, 2, 4 workers on one round; the bound is the most requests of a host × delay."""
    print(
        f"Pace as the limit: {PACED_HOSTS} hosts, {PACED_DELAY:.0f} s delay, answers in {PACED_LATENCY_MS} ms"
    )
    for workers in (1, 2, 4):
        folder = Path(tempfile.mkdtemp(dir=home))
        sandbox = start_sandbox(
            folder, desks=2 * PACED_HOSTS, departements=PACED_HOSTS, mixture="none", latency=PACED_LATENCY_MS
        )
        try:
            sandbox.set_scene("*", "none-redirect", {"plannings": 1, "lists_one_planning": False})
            _crawl(folder, sandbox.catalogue, workers=workers, hosts=PACED_HOSTS)
            ledger = sandbox.ledger()
        finally:
            sandbox.stop()
        requests = Counter(line["host"] for line in ledger)
        starts: dict[str, list[float]] = defaultdict(list)
        for line in ledger:
            starts[line["host"]].append(line["started_monotonic"])
        took = max(line["ended_monotonic"] for line in ledger) - min(map(min, starts.values()))
        gaps = [later - one for times in starts.values() for one, later in pairwise(sorted(times))]
        bound = max(requests.values()) * PACED_DELAY
        print(
            f"  {workers} workers: {took:5.1f} s = {took / bound:.2f} × the bound   goal 1.05 or less; "
            f"between requests {mean(gaps) / PACED_DELAY:.3f} × the delay, at least "
            f"{min(gaps) / PACED_DELAY:.3f}"
        )


BOUND_DESKS = 1200
BOUND_ROUNDS = 3


def _processor_bound(home: Path) -> None:
    """The processor as the limit: one worker, then two, on canned pages that cost next to nothing.

    Three ratios, because sandbox or canned server, PostgreSQL and workers share the same two cores:
    by the clock; by requests per second of the workers' own processor time, which is what two cores of their
    own would give as long as neither waits for the other; and how often one did wait for the other.
    """
    folder = Path(tempfile.mkdtemp(dir=home))
    sandbox = start_sandbox(folder, desks=1, departements=1, mixture="none")
    rounds = []
    try:
        sandbox.set_scene("*", "none-redirect", {"plannings": 1, "lists_one_planning": False})
        with serve_canned(sandbox.desks()[0]["url"]) as (port, answered):
            catalogue = write_catalogue(folder / "canned", desks=BOUND_DESKS, port=port)
            for number in range(BOUND_ROUNDS):
                rounds.append([_bound(home, catalogue, answered, workers=workers) for workers in (1, 2)])
                print(f"  round {number + 1}/{BOUND_ROUNDS}", file=sys.stderr)
    finally:
        sandbox.stop()
    print(f"The processor as the limit: {BOUND_DESKS} desks, canned pages, {BOUND_ROUNDS} rounds, no start")
    for index, workers in enumerate((1, 2)):
        found = [pair[index] for pair in rounds]
        print(
            f"  {workers} workers: {median(one.per_second for one in found):5.0f} requests/s; "
            f"per request {1000 / median(one.per_cpu_second for one in found):.2f} ms of a worker, "
            f"{median(one.server_ms for one in found):.2f} ms of PostgreSQL; waiting for another's lock "
            f"{median(one.waiting for one in found):.1%} of the time"
        )
    each = median(2 * two.per_cpu_second / one.per_cpu_second for one, two in rounds)
    clock = median(two.per_second / one.per_second for one, two in rounds)
    print(
        f"  two workers / one: {each:.2f} with a core each   goal 1.70 or more; {clock:.2f} by the clock, "
        f"all on {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.1f}"
    )


@dataclass(frozen=True, slots=True)
class Bound:
    """What a crawl as fast as the processor allows did."""

    per_second: float
    per_cpu_second: float  # of the workers' processor time, from the hundredth answer on
    server_ms: float  # PostgreSQL's processor time per request
    waiting: float  # share of looks at which a worker's session waited for a lock


def _bound(home: Path, catalogue: Path, answered: Any, *, workers: int) -> Bound:
    folder = Path(tempfile.mkdtemp(dir=home))
    crawls = _start(
        folder,
        catalogue,
        workers=workers,
        settings={
            "GUICHETS_HOST_DELAY": 0,
            "GUICHETS_MAX_HOSTS": len(HOSTS) // workers,
            "GUICHETS_ARCHIVE": False,
            "EXTENSIONS": json.dumps(
                {"tests.bench.meter.Meter": 1, "guichets.crawl.record.CrawlRecord": 500}
            ),
        },
    )
    before = answered.value
    marks: list[tuple[float, int, float]] = []
    looks = waits = 0
    with database.connect("reader", dsn=embedded.join(folder / "home"), autocommit=True) as connection:
        while any(crawl.poll() is None for crawl in crawls):
            time.sleep(0.05)
            count = answered.value - before
            if count > 100 * workers:
                marks.append((time.monotonic(), count, _server_cpu(folder / "home")))
                row = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                ).fetchone()
                looks, waits = looks + workers, waits + (row[0] if row else 0)
    _finish(folder, crawls)
    most = marks[-1][1]
    first, last = marks[0], next(mark for mark in marks if mark[1] >= 0.95 * most)
    meters = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("meter-*.json")]
    spent = sum(meter["requests"] / meter["per_cpu_second"] for meter in meters)
    return Bound(
        (last[1] - first[1]) / (last[0] - first[0]),
        sum(meter["requests"] for meter in meters) / spent,
        (last[2] - first[2]) / (last[1] - first[1]) * 1000,
        waits / looks,
    )


def _crawl(folder: Path, catalogue: Path, *, workers: int, hosts: int) -> None:
    settings = {"GUICHETS_HOST_DELAY": PACED_DELAY, "GUICHETS_MAX_HOSTS": max(1, hosts // workers)}
    _finish(folder, _start(folder, catalogue, workers=workers, settings=settings))


def _start(
    folder: Path, catalogue: Path, *, workers: int, settings: Mapping[str, object]
) -> list[subprocess.Popen[bytes]]:
    home = folder / "home"
    database.upgrade(embedded.join(home))
    environment = {
        **clean_environment(),
        "GUICHETS_CATALOGUE": str(catalogue),
        "GUICHETS_HOME": str(home),
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, "-m", "scrapy", "crawl", "ezbooking"]
    for name, value in {"GUICHETS_CONTROL_URLS": "", "LOG_LEVEL": "ERROR", **settings}.items():
        words += ["-s", f"{name}={value}"]
    return [
        subprocess.Popen([*words, "-s", f"BENCH_OUT={folder}/meter-{number}.json"], cwd=ROOT, env=environment)
        for number in range(workers)
    ]


def _finish(folder: Path, crawls: list[subprocess.Popen[bytes]]) -> None:
    for crawl in crawls:
        if crawl.wait() != 0:
            raise RuntimeError(f"a crawl of the bench ended with status {crawl.returncode}")
    embedded.stop(folder / "home")


if __name__ == "__main__":
    random.seed(1)
    print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()}))
    main()

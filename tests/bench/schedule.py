"""The schedule: claims per second, planning of a national round, scale-out over workers."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from guichets import database
from guichets.clock import AgreedClock
from guichets.database import embedded
from guichets.items import new_probe_id
from guichets.schedule.baseline import Pattern
from guichets.schedule.lease import Selection
from guichets.schedule.pace import JITTER
from guichets.schedule.postgres import CLAIM_BATCH, PostgresSchedule
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
        _national_round(dsn)
        _scale_out(home)
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


def _national_round(dsn: str) -> None:
    """1,500 desks on 120 hosts: what the schedule itself costs, from the first claim to the last release."""
    fill(dsn, hosts=120, desks=1500)
    began, cpu = time.monotonic(), time.process_time()
    hosts, desks = asyncio.run(_plan(dsn, visit=False))
    planned = time.monotonic() - began
    fill(dsn, hosts=120, desks=1500)
    cpu, server = time.process_time(), _server_cpu(dsn)
    visited = asyncio.run(_plan(dsn, visit=True))
    print(f"National round: {desks} desks on {hosts} hosts")
    print(f"  planned from the database in {planned:.2f} s   goal 1 s or less")
    print(
        f"  every claim, begin, finish and release of {visited[1]} visits: "
        f"{time.process_time() - cpu:.1f} s of worker CPU, {_server_cpu(dsn) - server:.1f} s of PostgreSQL's"
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


def _server_cpu(dsn: str) -> float:
    """Seconds of processor time of the server's processes, where /proc tells."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition(")")
        except OSError:
            continue
        if name.endswith("(postgres"):
            fields = rest.split()
            total += sum(map(int, fields[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


PACED_HOSTS = 16
PACED_DELAY = 1.5


def _scale_out(home: Path) -> None:
    """Pace as the limit, then the processor as the limit: 1, 2, 4 workers on the same round."""
    print(f"Scale-out: {PACED_HOSTS} hosts, {PACED_DELAY} s delay, the sandbox answers after 200 ms")
    for workers in (1, 2, 4):
        folder = Path(tempfile.mkdtemp(dir=home))
        sandbox = start_sandbox(folder, desks=48, departements=PACED_HOSTS, mixture="none", latency=200)
        try:
            sandbox.set_scene("*", "none-redirect", {"plannings": 1, "lists_one_planning": False})
            _crawl(folder, sandbox.catalogue, workers=workers, delay=PACED_DELAY, hosts=PACED_HOSTS)
            ledger = sandbox.ledger()
        finally:
            sandbox.stop()
        requests = Counter(line["host"] for line in ledger)
        took = max(line["ended_monotonic"] for line in ledger) - min(
            line["started_monotonic"] for line in ledger
        )
        bound = max(requests.values()) * PACED_DELAY
        mean = PACED_DELAY * (1 + sum(JITTER) / 2)
        print(
            f"  {workers} workers: makespan {took:6.1f} s = {took / bound:.2f} × requests × delay, "
            f"{took / (max(requests.values()) * mean):.2f} × the same with its jitter   goal 1.05 or less"
        )
    rates, costs = {}, {}
    for workers in (1, 2):
        folder = Path(tempfile.mkdtemp(dir=home))
        sandbox = start_sandbox(folder, desks=400, departements=80, mixture="lives")
        try:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            _crawl(folder, sandbox.catalogue, workers=workers, delay=0, hosts=80 // workers)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            ledger = sandbox.ledger()
        finally:
            sandbox.stop()
        took = max(line["ended_monotonic"] for line in ledger) - min(
            line["started_monotonic"] for line in ledger
        )
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rates[workers], costs[workers] = len(ledger) / took, cpu / len(ledger)
        print(
            f"  processor-bound, {workers} workers: {rates[workers]:5.0f} requests/s, {cpu:5.1f} s of CPU, "
            f"start included; 6,000 requests: {6000 * cpu / len(ledger):.0f} s   goal 60 s or less"
        )
    print(
        f"  two workers / one {rates[2] / rates[1]:5.2f} beside the sandbox; by CPU per request, on two "
        f"cores of their own, {2 * costs[1] / costs[2]:.2f}   goal 1.70 or more"
    )


def _crawl(folder: Path, catalogue: Path, *, workers: int, delay: float, hosts: int) -> None:
    home = folder / "home"
    server = embedded.join(home)
    database.upgrade(server)
    environment = {
        **clean_environment(),
        "GUICHETS_CATALOGUE": str(catalogue),
        "GUICHETS_HOME": str(home),
        "PYTHONPATH": str(ROOT),
    }
    settings = {
        "GUICHETS_HOST_DELAY": delay,
        "GUICHETS_CONTROL_URLS": "",
        "GUICHETS_MAX_HOSTS": max(1, hosts // workers),
        "LOG_LEVEL": "WARNING",
    }
    words = [sys.executable, "-m", "scrapy", "crawl", "ezbooking"]
    for name, value in settings.items():
        words += ["-s", f"{name}={value}"]
    crawls = [subprocess.Popen(words, cwd=ROOT, env=environment) for _ in range(workers)]
    for crawl in crawls:
        if crawl.wait() != 0:
            raise RuntimeError(f"a crawl of the bench ended with status {crawl.returncode}")
    embedded.stop(home)


if __name__ == "__main__":
    random.seed(1)
    print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()}))
    main()

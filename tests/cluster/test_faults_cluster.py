"""Workers are killed, stopped past their lease, cut off from PostgreSQL, and PostgreSQL itself is restarted.

Truth comes from the sandbox's own ledger. The suite runs a short version; GUICHETS_FAULT_SECONDS=180 runs the
whole one (4 workers, 60 hosts), with GUICHETS_FAULT_SEED for another course of events.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from psycopg import conninfo

from guichets import database as guichets_database
from guichets.database import embedded
from guichets.schedule.baseline import Pattern
from tests.cluster.proxy import DatabaseProxy
from tests.crawl_fixtures import Crawler, Workshop, read_rows
from tests.database_fixtures import Database
from tests.sandbox_fixtures import RunningSandbox

FULL_SECONDS = float(os.environ.get("GUICHETS_FAULT_SECONDS", "0"))
SEED = int(os.environ.get("GUICHETS_FAULT_SEED", "1"))
SECONDS = FULL_SECONDS or 16.0
WORKERS, HOSTS, DESKS = (4, 60, 180) if FULL_SECONDS else (3, 9, 27)
DELAY_SECONDS = 0.5
LEASE_SECONDS = 5.0
FORM_INTERVAL_SECONDS = 3.0
SLOT_SECONDS = 12.0 if FULL_SECONDS else 6.0
SKEWS = (300, -300, 0, 0)  # seconds by which the workers' wall clocks are wrong
SLACK_SECONDS = 0.02  # the sandbox stamps a request when it has read it
PATTERN = Pattern(day_slot_seconds=SLOT_SECONDS, night_slot_seconds=SLOT_SECONDS)

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.timeout(SECONDS * 2 + 180)]


@dataclass
class Node:
    """A machine: its home, its way to PostgreSQL, its worker."""

    number: int
    crawler: Crawler
    proxy: DatabaseProxy
    worker: subprocess.Popen[str] | None = None
    starts: int = 0
    is_stopped: bool = False
    log: Path = field(default_factory=Path)

    def start(self) -> None:
        self.starts += 1
        name = f"node{self.number}-{self.starts}"
        settings = {
            "GUICHETS_WORKER": name,
            "GUICHETS_CONTACT": f"https://{name}.example",  # the ledger tells workers apart by it
            "GUICHETS_HOST_DELAY": DELAY_SECONDS,
            "GUICHETS_LEASE": LEASE_SECONDS,
            "GUICHETS_FORM_INTERVAL": FORM_INTERVAL_SECONDS,
            "GUICHETS_BASELINE_DAY_SLOT": SLOT_SECONDS,
            "GUICHETS_BASELINE_NIGHT_SLOT": SLOT_SECONDS,
            "GUICHETS_MAX_HOSTS": 2 * HOSTS // WORKERS,
            "GUICHETS_WATCH_EVERY": 1,
            "EXTENSIONS": json.dumps(
                {
                    "tests.cluster.skew.Skew": 1,
                    "guichets.crawl.record.CrawlRecord": 500,
                    "tests.cluster.skew.HastyWatch": 600,
                }
            ),
        }
        self.crawler.home.mkdir(parents=True, exist_ok=True)
        self.log = self.crawler.home / f"{name}.log"
        words = self.crawler.command(
            "ezbooking", {"minutes": 60}, settings, self.crawler.home / f"{name}.jsonl"
        )
        with self.log.open("w") as output:
            self.worker = subprocess.Popen(
                words,
                cwd=Path(__file__).parents[2],
                env={**self.crawler.environment, "CLOCK_SKEW_SECONDS": str(SKEWS[self.number])},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def has_begun(self) -> bool:
        """Whether its worker is past its start, which lasts long where processor time is scarce."""
        return "Spider opened" in self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        if self.worker is not None and self.worker.poll() is None:
            self.worker.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self.worker is not None:
            self.worker.wait(30)


@dataclass
class Story:
    """What happened, for a message when a test fails, and what there is to be judged."""

    box: RunningSandbox
    database: Database
    nodes: list[Node]
    events: list[str]

    def mistakes(self) -> list[str]:
        found = []
        for node in self.nodes:
            for file in node.crawler.home.glob("*.log"):
                lines = file.read_text(errors="replace").splitlines()
                for number, line in enumerate(lines):
                    if "Traceback" in line or " CRITICAL: " in line:
                        found.append("\n".join([file.name, *lines[max(0, number - 3) : number + 60]]))
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """A home whose PostgreSQL may be restarted."""
    home = Path(tempfile.mkdtemp(prefix="guichets-tests-"))
    yield home
    embedded.stop(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def story(module_workshop: Workshop, server: Path) -> Iterator[Story]:
    dsn = embedded.join(server)
    guichets_database.upgrade(dsn)
    socket_folder = str(conninfo.conninfo_to_dict(dsn)["host"])
    box = module_workshop.sandbox(desks=DESKS, departements=HOSTS, mixture="none-redirect", latency=30)
    box.set_scene("*", "none-redirect", {"plannings": 1, "lists_one_planning": False, "radios_change": False})
    nodes = []
    for number in range(WORKERS):
        proxy = DatabaseProxy(socket_folder)
        own_dsn = conninfo.make_conninfo(dsn, host=str(proxy.folder))
        environment = {"GUICHETS_DATABASE_URL": own_dsn, "GUICHETS_CATALOGUE": str(box.catalogue)}
        nodes.append(Node(number, Crawler(module_workshop.folder("node"), environment), proxy))
    events: list[str] = []
    try:
        for node in nodes:
            node.start()
        time.sleep(3)
        play(nodes, server, events, random.Random(SEED))
        for node in nodes:
            end(node)
            node.proxy.mend()
        for node in nodes:  # whoever crawls next drains what the dead left
            drained = node.crawler.run(
                settings={
                    "GUICHETS_HOST_DELAY": DELAY_SECONDS,
                    "GUICHETS_FORM_INTERVAL": 900,
                    "GUICHETS_BASELINE_DAY_SLOT": SLOT_SECONDS,
                    "GUICHETS_BASELINE_NIGHT_SLOT": SLOT_SECONDS,
                },
                minutes=0.02,
            )
            assert drained.status == 0, drained.log[-3000:]
        yield Story(box, Database(dsn), nodes, events)
    finally:
        for node in nodes:
            node.signal(signal.SIGCONT)
            node.kill()
            node.proxy.close()


def end(node: Node) -> None:
    """Ask a worker to stop, as systemd would."""
    node.signal(signal.SIGTERM)
    if node.worker is not None:
        try:
            node.worker.wait(60)
        except subprocess.TimeoutExpired:
            node.kill()


def play(nodes: list[Node], server: Path, events: list[str], dice: random.Random) -> None:
    """One mishap after the other, on whichever node the dice say."""
    began = time.monotonic()
    undo: list[tuple[float, Callable[[], None]]] = []
    restart_at = sorted(dice.uniform(0.2, 0.9) * SECONDS for _ in range(max(1, int(SECONDS // 60))))
    next_at = 0.0

    def tell(text: str) -> None:
        events.append(f"{time.monotonic() - began:6.1f} {text}")

    while (now := time.monotonic() - began) < SECONDS or undo:
        for due in sorted((item for item in undo if item[0] <= now), key=lambda item: item[0]):
            undo.remove(due)
            due[1]()
        for node in nodes:
            if node.worker is not None and node.worker.poll() is not None:  # cut off while it started
                tell(f"node{node.number} starts again after status {node.worker.returncode}")
                node.start()
        if restart_at and now >= restart_at[0] and now < SECONDS:
            restart_at.pop(0)
            tell("PostgreSQL restarts")
            embedded.stop(server)
            time.sleep(dice.uniform(0.2, 2.0))
            embedded.join(server)
        if now >= next_at and now < SECONDS:
            next_at = now + dice.uniform(0.5, 2.5)
            node = dice.choice(nodes)
            mishap = dice.choice(["kill", "stop", "stop", "cut"])
            long = dice.uniform(0.3, LEASE_SECONDS + 3)
            if node.is_stopped or (not node.has_begun() and dice.random() < 0.8):
                continue  # mostly spared until it works: what is killed before that proves little
            tell(f"{mishap} node{node.number} for {long:.1f}")
            if mishap == "kill":
                node.kill()
                node.start()
            elif mishap == "stop":
                node.signal(signal.SIGSTOP)
                node.is_stopped = True

                def resume(node: Node = node) -> None:
                    node.signal(signal.SIGCONT)
                    node.is_stopped = False

                undo.append((now + long, resume))
            else:
                node.proxy.cut()
                undo.append((now + long, node.proxy.mend))
        time.sleep(0.05)


def by_host(story: Story) -> dict[str, list[dict[str, Any]]]:
    hosts = defaultdict(list)
    for entry in sorted(story.box.ledger(), key=lambda entry: entry["started_monotonic"]):
        hosts[entry["host"]].append(entry)
    return hosts


def told(entry: dict[str, Any]) -> str:
    worker = entry["user_agent"].partition("https://")[2].partition(".")[0]
    return f"{entry['started_at']}–{entry['ended_at']} {worker} {entry['method']} {entry['path']}"


def test_no_two_requests_to_a_host_overlap(story: Story) -> None:
    broken = [
        (host, told(one), told(later))
        for host, entries in by_host(story).items()
        for one, later in pairwise(entries)
        if later["started_monotonic"] < one["ended_monotonic"] - SLACK_SECONDS
    ]
    assert broken == [], story.events


def test_no_two_requests_to_a_host_are_closer_than_the_delay(story: Story) -> None:
    broken = [
        (host, round(later["started_monotonic"] - one["started_monotonic"], 3), told(one), told(later))
        for host, entries in by_host(story).items()
        for one, later in pairwise(entries)
        if later["started_monotonic"] - one["started_monotonic"] < DELAY_SECONDS - SLACK_SECONDS
    ]
    assert broken == [], story.events


def test_no_form_is_visited_twice_within_the_interval(story: Story) -> None:
    visits = defaultdict(list)
    for entry in story.box.ledger():
        if entry["desk"] and entry["method"] == "GET" and entry["path"].endswith("/0"):
            visits[entry["desk"]].append(entry)
    assert len(visits) > DESKS / 2
    broken = [
        (desk, told(one), told(later))
        for desk, entries in visits.items()
        for one, later in pairwise(sorted(entries, key=lambda entry: entry["started_monotonic"]))
        if later["started_monotonic"] - one["started_monotonic"] < FORM_INTERVAL_SECONDS - SLACK_SECONDS
    ]
    assert broken == [], story.events


def test_a_slot_counts_one_probe_at_most_and_each_probe_once(story: Story) -> None:
    twice = read_rows(
        story.database,
        "SELECT desk_id, slot_starts_at FROM baseline_observations WHERE counter_key IS NULL"
        " GROUP BY desk_id, slot_starts_at HAVING count(*) > 1",
    )
    assert twice == []
    counted = read_rows(
        story.database,
        "SELECT probe, count(*) AS times FROM baseline_observations WHERE counter_key IS NULL GROUP BY probe"
        " HAVING count(*) > 1",
    )
    assert counted == []


def test_every_slot_that_was_due_is_observed_or_counted_as_missed(story: Story) -> None:
    rows = read_rows(story.database, "SELECT *, now() AS now FROM coverage")
    zones = {
        row["id"]: (ZoneInfo(row["timezone"]), row["opened_at"])
        for row in read_rows(
            story.database,
            "SELECT id, opened_at, timezone FROM desks JOIN departements ON code = departement",
        )
    }
    found: dict[str, int] = defaultdict(int)
    for row in rows:
        assert row["slots_due"] == row["observed"] + row["inconclusive"] + row["missed"]
        found[row["desk_id"]] += row["slots_due"]
    now = rows[0]["now"]
    for desk, (zone, opened_at) in zones.items():
        slot = PATTERN.slot_after(PATTERN.slot_at(opened_at, zone), zone)
        due = 0
        while slot.ends_at <= now:
            due += 1
            slot = PATTERN.slot_after(slot, zone)
        assert found[desk] == due, desk
    observed, due = sum(row["observed"] for row in rows), sum(row["slots_due"] for row in rows)
    print(f"{observed} of {due} slots observed, {len(story.events)} mishaps")
    assert observed > 0


def test_what_is_observed_was_asked_for(story: Story) -> None:
    """Each baseline observation rests on requests that the sandbox received in the slot's visit."""
    asked = defaultdict(list)
    for entry in story.box.ledger():
        if entry["desk"]:
            asked[entry["desk"]].append(entry["status"])
    rows = read_rows(
        story.database, "SELECT desk_id, sum(requests) AS requests FROM observations"
        " WHERE counter_key IS NULL GROUP BY desk_id"
    )  # fmt: skip
    robots = sum(entry["path"] == "/robots.txt" for entry in story.box.ledger())
    assert sum(row["requests"] for row in rows) <= sum(map(len, asked.values())) + robots + len(story.events)


def test_each_watch_probe_is_kept_with_its_weight_and_in_no_slot(story: Story) -> None:
    """The short version may have none: the first minute that is planned may begin after its end."""
    probes = read_rows(story.database, "SELECT probe FROM watch_probes")
    seen = read_rows(story.database, "SELECT DISTINCT probe FROM observations WHERE purpose = 'watch'")
    (planned,) = read_rows(story.database, "SELECT sum(planned) AS probes FROM watch_totals")
    print(f"{planned['probes']} watch probes planned, {len(probes)} begun, {len(seen)} observed")
    if FULL_SECONDS:
        assert seen
    assert {row["probe"] for row in seen} <= {row["probe"] for row in probes}
    assert read_rows(story.database, "SELECT FROM baseline_visits JOIN watch_probes USING (probe)") == []


def test_all_spools_are_drained_and_all_hosts_given_back(story: Story) -> None:
    assert [file for node in story.nodes for file in (node.crawler.home / "spool").glob("*.jsonl")] == [], (
        story.events
    )
    held = read_rows(story.database, "SELECT host, lease_owner FROM hosts WHERE lease_expires_at > now()")
    assert held == []


def test_nothing_broke_a_rule_or_ended_in_a_traceback(story: Story) -> None:
    assert story.box.tripwires() == []
    assert story.mistakes() == []


def test_a_wrong_clock_changes_no_instant(story: Story) -> None:
    """Two workers' clocks are five minutes wrong: what they say agrees with the sandbox's ledger."""
    rows = read_rows(
        story.database,
        "SELECT worker, observed_at, begun_at FROM observations JOIN baseline_visits USING (probe)"
        " WHERE counter_key IS NULL",
    )
    if FULL_SECONDS:
        assert {row["worker"].partition("-")[0] for row in rows} & {"node0", "node1"}
    for row in rows:
        assert abs((row["observed_at"] - row["begun_at"]).total_seconds()) < 60

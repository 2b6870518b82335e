"""Turns what the database says into metrics, anew at each scrape; what takes longer is read once a minute.

Totals live in PostgreSQL: they are right whatever started the crawls and however often the exporter restarts.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from prometheus_client import generate_latest
from prometheus_client.core import GaugeHistogramMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from guichets.catalogue.families import FAMILIES
from guichets.database import rollups
from guichets.database.queries import load_queries
from guichets.errors import GuichetsError
from guichets.outcomes import Outcome
from monitoring import metrics
from monitoring.machine import Machine
from monitoring.metrics import BY_NAME, OTHER, Family

QUERIES = load_queries("monitoring", "exporter.sql")
AT_EACH_SCRAPE = (
    *("totals", "delays", "crawls", "running", "desks", "freshness", "leases", "hosts", "refusals"),
    *("nodes", "workers", "versions", "queue", "watch", "planner", "resting"),
)
ONCE_A_MINUTE = ("now", "availability", "changes", "seals", "visits", "learnt")
LIMITS: Mapping[str, int] = {
    "refusals": metrics.MOST_HOSTS,
    "nodes": metrics.MOST_NODES,
    "workers": metrics.MOST_NODES,
    "versions": metrics.MOST_VERSIONS,
    "seals": metrics.MOST_NODES,
}
REFRESH_SECONDS = 15.0
FIGURES_SECONDS = 60.0
SCRAPE_TIMEOUT_MS = 5_000  # of one statement; Prometheus waits 10 s for all of them
REFRESH_AT_MOST_SECONDS = 10.0  # of catching up before the figures are read again

Rows = Sequence[tuple[Any, ...]]
Connect = Callable[[], "psycopg.Connection[Any]"]


class Sheet(Collector):
    """The metrics of one scrape, made as they are filled."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}
        self.is_away = False  # the database did not answer

    def add(self, name: str, value: float, *labels: str) -> None:
        """One sample of a declared counter or gauge."""
        self._family(name).add_metric(labels, float(value))  # type: ignore[call-arg, arg-type]

    def add_histogram(
        self, name: str, bounds: Sequence[str], classes: Sequence[int], total: float, *labels: str
    ) -> None:
        """One histogram from counts of its classes, each in one; what does not fit goes into the last."""
        counted = list(classes[: len(bounds)]) + [0] * (len(bounds) - len(classes))
        counted[-1] += sum(classes[len(bounds) :])
        buckets, running = [], 0
        for bound, count in zip(bounds, counted, strict=True):
            running += count
            buckets.append((bound, float(running)))
        family = self._family(name)
        if isinstance(family, GaugeHistogramMetricFamily):
            family.add_metric(labels, buckets, gsum_value=total)
        else:
            assert isinstance(family, HistogramMetricFamily)  # as declared
            family.add_metric(labels, buckets, sum_value=total)

    def collect(self) -> Iterator[Family]:
        yield from self._families.values()

    def _family(self, name: str) -> Family:
        if name not in self._families:
            self._families[name] = BY_NAME[name].new()
        return self._families[name]


class Figures:
    """Keeps the rollups fresh, and figures that take longer than a scrape may; ``run`` is a thread's work."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._stopped = threading.Event()
        self._read_at: float | None = None
        self.refreshed_at: float | None = None
        self.text = b""  # as Prometheus reads it; empty while the database is away
        self.failed: frozenset[str] = frozenset()

    def run(self) -> None:
        while not self._stopped.wait(REFRESH_SECONDS):
            self.update()

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        close(self._connection)

    def update(self, *, now: float | None = None) -> None:
        """One round: take in what waits, and read the figures if they are a minute old."""
        now = time.monotonic() if now is None else now
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            self._refresh(self._connection)
            if self._read_at is None or now - self._read_at >= FIGURES_SECONDS:
                rows, self.failed = read_all(self._connection, ONCE_A_MINUTE)
                sheet = Sheet()
                fill(sheet, rows)
                self.text = render(sheet)
                self._read_at = now
        except (psycopg.OperationalError, GuichetsError):
            self.text, self.failed, self._read_at = b"", frozenset(), None
            close(self._connection)
            self._connection = None

    def _refresh(self, connection: psycopg.Connection[Any]) -> None:
        try:
            rollups.refresh(connection, seconds=REFRESH_AT_MOST_SECONDS)
        except psycopg.OperationalError:
            raise
        except psycopg.Error:
            return  # told by the age of the last one, and by the queue
        self.refreshed_at = time.time()


class GuichetsCollector:
    """What Prometheus asks for. Scrapes may come at once: one connection serves them in turn."""

    def __init__(
        self, *, connect: Connect | None, figures: Figures | None, machine: Machine | None, node: str
    ):
        self._connect = connect
        self._figures = figures
        self._machine = machine
        self._node = node
        self._connection: psycopg.Connection[Any] | None = None
        self._turn = threading.Lock()

    def page(self) -> bytes:
        """One scrape. Figures were rendered when they were read: their thousands of lines take longest."""
        sheet = self.read()
        text = render(sheet)
        is_there = self._figures is not None and not sheet.is_away
        return text + self._figures.text if is_there and self._figures is not None else text

    def read(self) -> Sheet:
        """What is read anew at each scrape."""
        sheet = Sheet()
        with self._turn:
            if self._connect is not None:
                self._read_database(sheet)
            if self._machine is not None:
                for name, value in self._machine.read():
                    sheet.add(name, value, self._node)
        return sheet

    def close(self) -> None:
        with self._turn:
            close(self._connection)

    def _read_database(self, sheet: Sheet) -> None:
        assert self._connect is not None  # the caller looked
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
                self._connection.execute(f"SET statement_timeout = {SCRAPE_TIMEOUT_MS}")
                self._connection.execute("SET default_transaction_read_only = on")
            asked = time.time()
            clock = self._connection.execute(QUERIES["clock"]).fetchall()
            rows, failed = read_all(self._connection, AT_EACH_SCRAPE)
        except (psycopg.OperationalError, GuichetsError):
            sheet.add("guichets_up", 0)
            sheet.is_away = True
            close(self._connection)
            self._connection = None
            return
        sheet.add("guichets_up", 1)
        sheet.add("guichets_clock_offset_seconds", asked - clock[0][0], self._node)
        if self._figures is not None:
            failed |= self._figures.failed
            if self._figures.refreshed_at is not None:
                sheet.add("guichets_rollups_refreshed_timestamp_seconds", self._figures.refreshed_at)
        for name in sorted(QUERIES):
            sheet.add("guichets_exporter_query_failed", name in failed, name)
        fill(sheet, rows)


def render(sheet: Sheet) -> bytes:
    """As text, version 0.0.4."""
    return generate_latest(sheet)


def close(connection: psycopg.Connection[Any] | None) -> None:
    if connection is not None:
        connection.close()


def read_all(
    connection: psycopg.Connection[Any], names: Iterable[str]
) -> tuple[dict[str, Rows], frozenset[str]]:
    """The rows of these queries, and the names of those that failed.

    Raises OperationalError when the database is away.
    """
    rows: dict[str, Rows] = {}
    failed = set()
    for name in names:
        try:
            parameters = {"most": LIMITS[name]} if name in LIMITS else None
            rows[name] = connection.execute(QUERIES[name], parameters).fetchall()
        except psycopg.errors.QueryCanceled:
            failed.add(name)  # an OperationalError, but the database is there
        except psycopg.OperationalError:
            raise
        except psycopg.Error:
            failed.add(name)
    return rows, frozenset(failed)


def fill(sheet: Sheet, rows: Mapping[str, Rows]) -> None:
    """Put the rows of each query that answered into its metrics."""
    families = sorted({*FAMILIES, *(row[0] for row in rows.get("desks", ()))})
    for name, found in rows.items():
        _FILLERS[name](sheet, found, families)


def _totals(sheet: Sheet, rows: Rows, families: Sequence[str]) -> None:
    """Counters begin at 0 for every family: an increase from nothing would not be seen."""
    probes: dict[tuple[str, str], int] = defaultdict(int)
    rules: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    steps: dict[tuple[str, str], int] = defaultdict(int)
    sums: dict[str, dict[str, float]] = {family: defaultdict(float) for family in families}
    seconds: dict[str, list[int]] = {family: [] for family in families}
    requests: dict[str, list[int]] = {family: [] for family in families}
    for family, outcome, rule, step, count, asked, by_asked, size, timed, took, by_took, absurd in rows:
        sums.setdefault(family, defaultdict(float))
        probes[family, outcome] += count
        rules[family][rule] += count
        steps[family, step] += count
        sums[family]["requests"] += asked
        sums[family]["bytes"] += size
        sums[family]["seconds"] += took
        sums[family]["timed"] += timed
        sums[family]["absurd"] += absurd
        sums[family]["gate"] += count if rule.startswith("gate.") else 0
        sums[family]["robots"] += count if rule == "robots" or rule.startswith("robots.") else 0
        seconds[family] = _added(seconds.get(family, []), by_took)
        requests[family] = _added(requests.get(family, []), by_asked)
    for family, summed in sums.items():
        for outcome in Outcome:
            sheet.add("guichets_probes_total", probes[family, outcome], family, outcome)
        for rule, count in _bounded(rules[family], metrics.MOST_RULES).items():
            sheet.add("guichets_rule_hits_total", count, family, rule)
        sheet.add("guichets_requests_total", summed["requests"], family)
        sheet.add("guichets_response_body_bytes_total", summed["bytes"], family)
        sheet.add("guichets_gate_refusals_total", summed["gate"], family)
        sheet.add("guichets_robots_refusals_total", summed["robots"], family)
        sheet.add("guichets_absurd_observations_total", summed["absurd"], family)
        for name, bounds, classes, total in (
            ("guichets_probe_duration_seconds", metrics.SECONDS_BOUNDS, seconds[family], summed["seconds"]),
            ("guichets_probe_requests", metrics.REQUESTS_BOUNDS, requests[family], summed["requests"]),
        ):
            sheet.add_histogram(name, bounds, classes, total, family)
    by_family: dict[str, dict[str, int]] = defaultdict(dict)
    for (family, step), count in steps.items():
        by_family[family][step] = count
    for family, counted in by_family.items():
        for step, count in _bounded(counted, metrics.MOST_RULES).items():
            sheet.add("guichets_probe_last_step_total", count, family, step)


def _delays(sheet: Sheet, rows: Rows, families: Sequence[str]) -> None:
    known = {row[0]: row for row in rows}
    for family in {*families, *known}:
        _, _, total, classes = known.get(family, (family, 0, 0.0, []))
        sheet.add_histogram("guichets_due_to_done_seconds", metrics.DELAY_BOUNDS, classes, total, family)


def _crawls(sheet: Sheet, rows: Rows, families: Sequence[str]) -> None:
    reasons: dict[str, dict[str, int]] = {family: {"finished": 0} for family in families}
    received: dict[str, int] = dict.fromkeys(families, 0)
    for family, reason, crawls, size in rows:
        reasons.setdefault(family, {})[reason] = crawls
        received[family] = received.get(family, 0) + size
    for family, counted in reasons.items():
        for reason, count in _bounded(counted, metrics.MOST_RULES).items():
            sheet.add("guichets_crawls_total", count, family, reason)
        sheet.add("guichets_network_received_bytes_total", received.get(family, 0), family)


def _running(sheet: Sheet, rows: Rows, families: Sequence[str]) -> None:
    known = {row[0]: row[1] for row in rows}
    for family in {*families, *known}:
        sheet.add("guichets_crawls_running", known.get(family, 0), family)


def _desks(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for family, desks, due, overdue, never in rows:
        sheet.add("guichets_desks", desks, family)
        sheet.add("guichets_desks_due", due, family)
        sheet.add("guichets_desks_overdue", overdue, family)
        sheet.add("guichets_desks_never_probed", never, family)


def _freshness(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for family, departement, last_at, worst, total, classes in rows:
        if family is None:
            sheet.add("guichets_departement_last_conclusive_timestamp_seconds", last_at, departement)
            continue
        sheet.add("guichets_family_last_conclusive_timestamp_seconds", last_at, family)
        sheet.add("guichets_desk_staleness_worst_seconds", worst, family)
        sheet.add_histogram(
            "guichets_desk_staleness_seconds", metrics.STALENESS_BOUNDS, classes, total, family
        )


def _leases(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for node, held, _expired in rows[: metrics.MOST_NODES]:
        sheet.add("guichets_leases_held", held, node)
    sheet.add("guichets_leases_expired", sum(row[2] for row in rows))


def _hosts(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for hosts, paused, forbidden, requests in rows:
        sheet.add("guichets_hosts", hosts)
        sheet.add("guichets_hosts_paused", paused)
        sheet.add("guichets_hosts_forbidden", forbidden)
        sheet.add("guichets_host_requests_today", requests)


def _refusals(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for host, count in rows:
        sheet.add("guichets_host_refusals_recent", count, host)


def _nodes(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for node, observed_at, conclusive_at in rows:
        sheet.add("guichets_node_last_observation_timestamp_seconds", observed_at, node)
        if conclusive_at is not None:
            sheet.add("guichets_node_last_conclusive_timestamp_seconds", conclusive_at, node)


def _workers(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for node, version, count in rows:
        sheet.add("guichets_workers_seen", count, node, version)


def _versions(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for kind, family, version, first_at in rows:
        sheet.add("guichets_version_first_seen_timestamp_seconds", first_at, kind, family, version)


def _queue(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    sheet.add("guichets_rollup_queue_rows", rows[0][0])


def _watch(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for reason, made, dropped in rows:
        sheet.add("guichets_watch_probes_total", made, reason, "made")
        sheet.add("guichets_watch_probes_total", dropped, reason, "dropped")


def _planner(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for until, planners in rows:
        if until is not None:
            sheet.add("guichets_watch_planned_until_timestamp_seconds", until)
        sheet.add("guichets_watch_planners", planners)


def _resting(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    known: dict[str, int] = dict(rows)
    for why in ("forbidden", "paused", "refused", "failing"):
        sheet.add("guichets_watch_hosts_resting", known.get(why, 0), why)


def _visits(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for baseline, baseline_offered, watch, watch_offered in rows:
        for purpose, visits, offered in (
            ("baseline", baseline, baseline_offered),
            ("watch", watch, watch_offered),
        ):
            sheet.add("guichets_visits_recent", visits or 0, purpose)
            sheet.add("guichets_visits_recent_offered", offered or 0, purpose)


def _learnt(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    sheet.add("guichets_watch_desks_learnt", rows[0][0])


def _now(sheet: Sheet, rows: Rows, families: Sequence[str]) -> None:
    watched: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0])
    first: dict[tuple[str, str], float] = {}
    unrecognised = dict.fromkeys(families, 0)
    for departement, procedure, family, desks, offered, unknown, days in rows:
        place = departement, procedure
        watched[place][0] += desks
        watched[place][1] += offered
        unrecognised[family] = unrecognised.get(family, 0) + unknown
        if days is not None:
            first[place] = min(first.get(place, days), days)
    for place, (desks, offered) in watched.items():
        sheet.add("guichets_desks_watched", desks, *place)
        sheet.add("guichets_desks_offering", offered, *place)
        if place in first:
            sheet.add("guichets_first_slot_days", max(0.0, first[place]), *place)
    for family, count in unrecognised.items():
        sheet.add("guichets_desks_unrecognised", count, family)


def _availability(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    """A ratio without a denominator is absent, never zero."""
    for days, departement, procedure, due, observed, offered, rated, barrier, dysfunction, probes in rows:
        window = f"{days}d"
        if due:
            sheet.add("guichets_coverage_ratio", min(1.0, observed / due), departement, procedure, window)
        if rated:
            sheet.add("guichets_availability_ratio", offered / rated, departement, procedure, window)
        if days == 7 and probes:
            sheet.add("guichets_barrier_ratio", barrier / probes, departement, procedure)
            sheet.add("guichets_dysfunction_ratio", dysfunction / probes, departement, procedure)


def _changes(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for family, control, changed, verdict in rows:
        sheet.add("guichets_control_desks", control, family)
        sheet.add("guichets_control_desks_changed", changed, family)
        sheet.add("guichets_change_verdict", 1, family, verdict)


def _seals(sheet: Sheet, rows: Rows, _: Sequence[str]) -> None:
    for archive, since in rows:
        sheet.add("guichets_archive_unsealed_since_timestamp_seconds", since, str(archive))


def _added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    length = max(len(one), len(other))
    return [
        (one[place] if place < len(one) else 0) + (other[place] if place < len(other) else 0)
        for place in range(length)
    ]


def _bounded(counted: Mapping[str, int], most: int) -> dict[str, int]:
    """The most frequent, and the rest as one: a site must not be able to fill Prometheus."""
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    kept = dict(ranked[:most])
    if rest := sum(count for _, count in ranked[most:]):
        kept[OTHER] = kept.get(OTHER, 0) + rest
    return kept


_FILLERS: Mapping[str, Callable[[Sheet, Rows, Sequence[str]], None]] = {
    "totals": _totals,
    "delays": _delays,
    "crawls": _crawls,
    "running": _running,
    "desks": _desks,
    "freshness": _freshness,
    "leases": _leases,
    "hosts": _hosts,
    "refusals": _refusals,
    "nodes": _nodes,
    "workers": _workers,
    "versions": _versions,
    "queue": _queue,
    "watch": _watch,
    "planner": _planner,
    "resting": _resting,
    "visits": _visits,
    "learnt": _learnt,
    "now": _now,
    "availability": _availability,
    "changes": _changes,
    "seals": _seals,
}

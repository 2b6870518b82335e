"""Every metric, declared once: name, kind, help, labels. The collector fills them, the docs page lists them.

Labels are bounded: families, outcomes, rules and steps by the code, départements and procedures by the
catalogue's closed lists, nodes and hosts by the limits below. ``MOST_SERIES`` is tested with 1,500 desks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

Kind = Literal["counter", "gauge", "histogram", "gauge histogram"]
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily | GaugeHistogramMetricFamily

MOST_SERIES = 20_000
MOST_RULES = 60  # of one family; the rest is summed under OTHER
MOST_NODES = 50
MOST_HOSTS = 20  # hosts that refused us lately, the worst first
MOST_VERSIONS = 100
OTHER = "other"

SECONDS_BOUNDS = ("1.0", "2.0", "5.0", "10.0", "30.0", "60.0", "120.0", "300.0", "+Inf")
REQUESTS_BOUNDS = ("0.0", "1.0", "2.0", "3.0", "4.0", "6.0", "10.0", "+Inf")
DELAY_BOUNDS = ("60.0", "300.0", "900.0", "1800.0", "3600.0", "7200.0", "+Inf")
STALENESS_BOUNDS = ("3600.0", "7200.0", "14400.0", "28800.0", "86400.0", "604800.0", "+Inf")

_CLASSES = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
    "gauge histogram": GaugeHistogramMetricFamily,
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One declared metric."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def new(self) -> Family:
        """An empty one, for one scrape."""
        found: Family = _CLASSES[self.kind](self.name, self.help, labels=self.labels)
        return found


METRICS: tuple[Metric, ...] = (
    Metric("guichets_up", "gauge", "1 when PostgreSQL answered this scrape, else 0."),
    Metric(
        "guichets_exporter_query_failed",
        "gauge",
        "1 when a query of this scrape failed: the schema is half migrated, or not the exporter's.",
        ("query",),
    ),
    Metric(
        "guichets_rollups_refreshed_timestamp_seconds",
        "gauge",
        "When the exporter last brought the rollups up to date.",
    ),
    Metric("guichets_rollup_queue_rows", "gauge", "Rows no rollup has taken in yet; at most 100000."),
    # the robot
    Metric(
        "guichets_probes_total",
        "counter",
        "Probes of desks, by what they established.",
        ("family", "outcome"),
    ),
    Metric(
        "guichets_rule_hits_total", "counter", "Probes a rule of the readers decided.", ("family", "rule")
    ),
    Metric(
        "guichets_probe_last_step_total",
        "counter",
        "Probes by the last step of the funnel that was read; none: no page was.",
        ("family", "step"),
    ),
    Metric("guichets_requests_total", "counter", "Requests of probes that left a machine.", ("family",)),
    Metric("guichets_response_body_bytes_total", "counter", "Bodies that probes read, decoded.", ("family",)),
    Metric(
        "guichets_network_received_bytes_total",
        "counter",
        "What crawls received over the network, told when each ends.",
        ("family",),
    ),
    Metric(
        "guichets_gate_refusals_total",
        "counter",
        "Probes that ended because the gate refused a request of ours. Never right: look at once.",
        ("family",),
    ),
    Metric(
        "guichets_robots_refusals_total",
        "counter",
        "Probes that robots.txt forbade; nothing sent.",
        ("family",),
    ),
    Metric(
        "guichets_absurd_observations_total",
        "counter",
        "Observations with a date or count nobody can believe; clamped in the figures.",
        ("family",),
    ),
    Metric(
        "guichets_probe_duration_seconds",
        "histogram",
        "From before the first request to the last page read.",
        ("family",),
    ),
    Metric("guichets_probe_requests", "histogram", "Requests of one probe: its steps.", ("family",)),
    Metric(
        "guichets_due_to_done_seconds",
        "histogram",
        "From a baseline visit's due instant to its end.",
        ("family",),
    ),
    Metric("guichets_crawls_total", "counter", "Crawls that ended, by finish reason.", ("family", "reason")),
    Metric(
        "guichets_crawls_running", "gauge", "Crawls begun in the last two hours and not ended.", ("family",)
    ),
    Metric("guichets_desks", "gauge", "Desks in service.", ("family",)),
    Metric("guichets_desks_due", "gauge", "Desks whose instant has come.", ("family",)),
    Metric(
        "guichets_desks_overdue",
        "gauge",
        "Desks whose instant came over a quarter of an hour ago.",
        ("family",),
    ),
    Metric("guichets_desks_never_probed", "gauge", "Desks that were never visited.", ("family",)),
    Metric(
        "guichets_desks_unrecognised",
        "gauge",
        "Desks whose latest page no rule recognised.",
        ("family",),
    ),
    Metric(
        "guichets_desk_staleness_seconds",
        "gauge histogram",
        "Desks by time since their last conclusive observation.",
        ("family",),
    ),
    Metric(
        "guichets_desk_staleness_worst_seconds",
        "gauge",
        "The longest time since a desk's last conclusive observation.",
        ("family",),
    ),
    Metric(
        "guichets_family_last_conclusive_timestamp_seconds",
        "gauge",
        "Last conclusive observation of any desk of a family; before any, when its first desk came.",
        ("family",),
    ),
    Metric(
        "guichets_departement_last_conclusive_timestamp_seconds",
        "gauge",
        "The same of a département.",
        ("departement",),
    ),
    Metric("guichets_leases_held", "gauge", "Hosts a node holds.", ("node",)),
    Metric("guichets_leases_expired", "gauge", "Leases that ran out and nobody gave back or took over."),
    Metric("guichets_hosts", "gauge", "Hosts of desks in service."),
    Metric("guichets_hosts_paused", "gauge", "Hosts that are in a pause."),
    Metric("guichets_hosts_forbidden", "gauge", "Hosts to which nothing is sent."),
    Metric("guichets_host_requests_today", "gauge", "Requests to all hosts today (UTC)."),
    Metric(
        "guichets_host_refusals_recent",
        "gauge",
        "Refusals (403, 429) of the last three hours; only hosts that refused.",
        ("host",),
    ),
    Metric(
        "guichets_node_last_observation_timestamp_seconds", "gauge", "Last observation by node.", ("node",)
    ),
    Metric(
        "guichets_node_last_conclusive_timestamp_seconds",
        "gauge",
        "Last conclusive observation by node.",
        ("node",),
    ),
    Metric(
        "guichets_workers_seen",
        "gauge",
        "Workers whose crawl began in the last day, by node and version.",
        ("node", "version"),
    ),
    Metric(
        "guichets_version_first_seen_timestamp_seconds",
        "gauge",
        "When a version of readers or program was first at work; of those at work in the last two days.",
        ("kind", "family", "version"),
    ),
    Metric(
        "guichets_archive_unsealed_since_timestamp_seconds",
        "gauge",
        "Beginning of the first day of an archive that no seal covers.",
        ("archive",),
    ),
    # the watch
    Metric(
        "guichets_watch_probes_total",
        "counter",
        "Watch probes whose instant has come, by why they were planned and what became of them.",
        ("reason", "fate"),
    ),
    Metric(
        "guichets_watch_planned_until_timestamp_seconds",
        "gauge",
        "Until when watch probes are planned; absent before the first.",
    ),
    Metric(
        "guichets_watch_planners",
        "gauge",
        "Crawls under way that may plan watch probes: to last (minutes=N), with a budget.",
    ),
    Metric("guichets_watch_desks_learnt", "gauge", "Desks of which a habit of opening is learnt."),
    Metric(
        "guichets_watch_hosts_resting",
        "gauge",
        "Hosts that get no watch probes for now: forbidden, paused, refused, failing.",
        ("why",),
    ),
    Metric("guichets_visits_recent", "gauge", "Visits of the last seven days.", ("purpose",)),
    Metric("guichets_visits_recent_offered", "gauge", "Of these, those that saw a slot.", ("purpose",)),
    # world or robot?
    Metric("guichets_control_desks", "gauge", "Desks whose main outcome was the same all week.", ("family",)),
    Metric("guichets_control_desks_changed", "gauge", "Of these, those it changed for today.", ("family",)),
    Metric(
        "guichets_change_verdict",
        "gauge",
        "1 for today's verdict: steady, world, platform, robot or insufficient.",
        ("family", "verdict"),
    ),
    # the subject
    Metric("guichets_desks_watched", "gauge", "Desks watched.", ("departement", "procedure")),
    Metric(
        "guichets_desks_offering",
        "gauge",
        "Desks that offered a slot when last seen.",
        ("departement", "procedure"),
    ),
    Metric(
        "guichets_availability_ratio",
        "gauge",
        "Baseline probes that saw a slot, of those that were answered (offered, none, closed).",
        ("departement", "procedure", "window"),
    ),
    Metric(
        "guichets_coverage_ratio",
        "gauge",
        "Baseline slots that were observed, of those due.",
        ("departement", "procedure", "window"),
    ),
    Metric(
        "guichets_first_slot_days",
        "gauge",
        "Days to the first date offered now.",
        ("departement", "procedure"),
    ),
    Metric(
        "guichets_barrier_ratio",
        "gauge",
        "Baseline probes of 7 days that met a captcha or a refusal.",
        ("departement", "procedure"),
    ),
    Metric(
        "guichets_dysfunction_ratio",
        "gauge",
        "Baseline probes of 7 days that met a platform that fails or does not answer.",
        ("departement", "procedure"),
    ),
    # this machine
    Metric("guichets_spool_observations", "gauge", "Observations that wait on disk.", ("node",)),
    Metric("guichets_spool_bytes", "gauge", "Size of the spool.", ("node",)),
    Metric(
        "guichets_refused_observations",
        "gauge",
        "Observations PostgreSQL refused for good, kept aside.",
        ("node",),
    ),
    Metric("guichets_archive_bytes", "gauge", "Size of the archive.", ("node",)),
    Metric("guichets_disk_free_bytes", "gauge", "Free space where GUICHETS_HOME lies.", ("node",)),
    Metric("guichets_disk_size_bytes", "gauge", "Size of that disk.", ("node",)),
    Metric("guichets_clock_offset_seconds", "gauge", "This machine's clock less the database's.", ("node",)),
    Metric(
        "guichets_backup_last_success_timestamp_seconds",
        "gauge",
        "When the file GUICHETS_BACKUP_MARK was last touched; absent without that setting.",
        ("node",),
    ),
)

BY_NAME: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in METRICS})

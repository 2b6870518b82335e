"""Names of the crawl's own statistics, as Scrapy prints them and ``crawls.stats`` keeps them."""

from __future__ import annotations

GATE_REFUSED = "guichets/gate_refused"
PROBES = "guichets/probes"
OUTCOME = "guichets/outcome"
RULE = "guichets/rule"
HOSTS_VISITED = "guichets/hosts_visited"
HOSTS_AT_ONCE = "guichets/hosts_at_once"  # most that were held at one time
DESKS_LEFT = "guichets/desks_left"
FAULT = "guichets/fault"
WRITTEN = "guichets/observations_written"
SPOOLED = "guichets/observations_spooled"
NORMALISED = "guichets/normalised"
ARCHIVE_FAILED = "guichets/archive_failed"

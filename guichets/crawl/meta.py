"""The keys of ``Request.meta`` that Guichets' components speak through."""

from __future__ import annotations

from urllib.parse import urlsplit

from scrapy import Request

from guichets.schedule.lease import HostLease

LEASE = "guichets_lease"  # the HostLease a request is sent under
REDIRECTED = "guichets_redirected"  # the request follows the site's own answer
CONTROL = "guichets_control"  # a page known to be up, to tell our fault from theirs
ROBOTS = "guichets_robots"  # robots.txt itself
SENT = "guichets_sent"  # set when the request leaves
STARTED = "guichets_started"  # instant and monotonic seconds at which it left
WIRE = "guichets_wire"  # WireFacts: heads as sent and as received
ELAPSED = "guichets_elapsed"  # seconds from the request to the last byte of its answer
UNTIL = "guichets_until"  # expression of the message that ends a conversation over a WebSocket
SIGNED = "guichets_signed"  # asks for the family's credential
WITHHELD = "guichets_withheld"  # the header that bears it, whose value is kept out of the archive
ARCHIVED = "guichets_archived"  # Evidence of the response, once it is archived
TAB = "guichets_tab"  # the Tab a request of scheme "browser" is to be opened in


def lease_of(request: Request) -> HostLease | None:
    lease = request.meta.get(LEASE)
    return lease if isinstance(lease, HostLease) else None


def host_of(url: str) -> str:
    """``name`` or ``name:port`` of an address, lower case."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()

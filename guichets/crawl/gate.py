"""The downloader middleware nearest the network: what a family's gate does not allow never leaves.

A spider that is not a family's (``scrapy shell`` on an unknown address) may open local files only.
"""

from __future__ import annotations

import logging
from typing import Self

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest

from guichets import configuration
from guichets.crawl import meta
from guichets.crawl.stats import GATE_REFUSED
from guichets.gate import NOTHING, Ask, Gate

logger = logging.getLogger(__name__)

LOCAL_SCHEMES = ("file:", "data:")


class GateRefused(IgnoreRequest):
    """The request may not leave; ``reason`` is a short stable word. The probe ends as observer_fault."""

    def __init__(self, reason: str, request: Request) -> None:
        self.reason = reason
        super().__init__(f"the gate refused {request.method} {request.url}: {reason}")


class GateMiddleware:
    """Judges every request, redirects and robots.txt included, after all other middlewares."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._control_urls = configuration.read_from(crawler.settings, "GUICHETS_CONTROL_URLS")

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def process_request(self, request: Request) -> None:
        if request.url.startswith(LOCAL_SCHEMES) and meta.lease_of(request) is None:
            return  # a file a user asks for; never one that a site's redirect points at
        reason = self._refusal(request)
        if reason is not None:
            if self._crawler.stats is not None:
                self._crawler.stats.inc_value(GATE_REFUSED)
                self._crawler.stats.inc_value(f"{GATE_REFUSED}/{reason}")
            logger.error(
                "the gate refused a request, nothing was sent: %s %s (%s)",
                request.method,
                request.url,
                reason,
                extra={"action": "gate_refused"},
            )
            raise GateRefused(reason, request)

    def _refusal(self, request: Request) -> str | None:
        if request.meta.get(meta.CONTROL):
            plain = request.method == "GET" and not request.body
            return None if plain and request.url in self._control_urls else "control"
        spider = self._crawler.spider
        gate = getattr(spider, "gate", NOTHING)
        if not isinstance(gate, Gate):
            return "no-gate"
        lease = meta.lease_of(request)
        return gate.refusal(
            Ask(
                method=request.method,
                url=request.url,
                body=request.body,
                content_type=(request.headers.get("Content-Type") or b"").decode("latin-1"),
                redirected=bool(request.meta.get(meta.REDIRECTED)),
                host=lease.host if lease is not None else meta.host_of(request.url),
            )
        )

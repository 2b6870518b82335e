"""robots.txt: fetched first, kept for a day, obeyed; its Crawl-delay slows the host's pace."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Self
from urllib.parse import urljoin, urlsplit

from protego import Protego
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response

from guichets.clock import Clock, SystemClock
from guichets.crawl import meta
from guichets.gate import same_host
from guichets.messages import web_address
from guichets.schedule.lease import HostLease, RobotsRecord

logger = logging.getLogger(__name__)

ROBOT_NAME = "Guichets"
FRESH_FOR = timedelta(hours=24)  # RFC 9309 §2.4
LONGEST_CRAWL_DELAY_SECONDS = 600.0  # a visit of five requests then takes most of an hour
MAX_HOPS = 5  # RFC 9309 §2.3.1.2
MAX_BYTES = 512 * 1024  # RFC 9309 §2.5 asks for 500 KiB at least


class RobotsForbidden(IgnoreRequest):
    """robots.txt forbids the address: nothing is sent, the outcome is `blocked`, rule `robots`."""


class RobotsUnavailable(IgnoreRequest):
    """robots.txt answered that the host is failing: RFC 9309 says to stay away."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"robots.txt answered {status}")


class RobotsMiddleware:
    """Judges every request but robots.txt itself and control pages."""

    def __init__(self, crawler: Crawler, clock: Clock) -> None:
        self._crawler = crawler
        self._clock = clock
        self._parsed: dict[str, tuple[RobotsRecord, Protego | None]] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler, getattr(crawler.spider, "clock", None) or SystemClock())

    async def process_request(self, request: Request) -> None:
        if request.meta.get(meta.ROBOTS) or request.meta.get(meta.CONTROL):
            return
        if request.url.startswith(("file:", "data:")):
            return
        rules = await self._rules_for(request)
        if rules is not None and not rules.can_fetch(request.url, ROBOT_NAME):
            raise RobotsForbidden(f"robots.txt forbids {request.url}")

    async def _rules_for(self, request: Request) -> Protego | None:
        host = meta.host_of(request.url)
        lease = meta.lease_of(request)
        known = self._parsed.get(host)
        fetched = False
        record = known[0] if known else lease.robots if lease else None
        if record is None or self._clock.now() - record.fetched_at >= FRESH_FOR:
            record = await self._fetch(request, lease)
            known, fetched = None, True
        if known is None:
            rules = Protego.parse(record.text) if record.text is not None else None
            self._parsed[host] = known = (record, rules)
        rules = known[1]
        if lease is not None:
            lease.robots = record
            delay = rules.crawl_delay(ROBOT_NAME) if rules is not None else None
            if delay is not None and delay > LONGEST_CRAWL_DELAY_SECONDS:
                raise RobotsForbidden(f"robots.txt asks for {delay:g} s between requests: no visit fits")
            if delay is not None:
                lease.crawl_delay_seconds = float(delay)
                lease.pace.slow_down_to(float(delay))
            if fetched and delay is not None:
                await lease.tell()  # should this worker die now, the next one knows the pace
        return rules

    async def _fetch(self, request: Request, lease: HostLease | None) -> RobotsRecord:
        """Fetch robots.txt, at the host's pace and through the gate. Download errors go through."""
        assert self._crawler.engine is not None
        parts = urlsplit(web_address(request.url))  # a site has one robots.txt, for its WebSockets too
        url = f"{parts.scheme}://{parts.netloc}/robots.txt"
        response = None
        for _ in range(MAX_HOPS):
            response = await self._crawler.engine.download_async(_robots_request(url, request))
            location = response.headers.get("Location")
            if not 300 <= response.status <= 399 or location is None:
                break
            target = _same_file(url, location.decode("latin-1"))
            if target is None:
                break  # leads elsewhere: as if there were none
            url = target
        assert response is not None
        return self._record(response)

    def _record(self, response: Response) -> RobotsRecord:
        if response.status == 429 or response.status >= 500:
            raise RobotsUnavailable(response.status)
        text = None
        if 200 <= response.status <= 299:
            text = response.body[:MAX_BYTES].decode("utf-8", "replace").replace("\x00", "")
        return RobotsRecord(text=text, status=response.status, fetched_at=self._clock.now())


def _same_file(url: str, location: str) -> str | None:
    """Where a redirect of robots.txt leads, if it is the robots.txt of the same host."""
    try:
        target = urljoin(url, location)
        aim = urlsplit(target)
        port = aim.port
    except ValueError:
        return None
    if aim.path != "/robots.txt" or not same_host(urlsplit(url).netloc, aim.hostname or "", port):
        return None
    return target


def _robots_request(url: str, cause: Request) -> Request:
    kept = {key: cause.meta[key] for key in (meta.LEASE, "download_slot") if key in cause.meta}
    return Request(url, meta={**kept, meta.ROBOTS: True, "dont_redirect": True})

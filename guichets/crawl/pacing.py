"""Waits for each host's turn before a request leaves, and tells the pace how the host answered."""

from __future__ import annotations

import contextlib
import random
from typing import Self

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response

from guichets import configuration
from guichets.clock import Clock, SystemClock
from guichets.crawl import meta
from guichets.schedule.lease import HostLease
from guichets.schedule.pace import Pace, read_retry_after

REFUSALS = frozenset({403, 429})


class PaceMiddleware:
    """One request at a time per host, never sooner than the host's pace allows.

    Requests without a lease (``scrapy shell``) are paced in this process.
    """

    def __init__(self, *, delay_seconds: float, clock: Clock) -> None:
        self._delay_seconds = delay_seconds
        self._clock = clock
        self._unleased: dict[str, HostLease] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        delay = configuration.read_from(crawler.settings, "GUICHETS_HOST_DELAY")
        return cls(delay_seconds=delay, clock=getattr(crawler.spider, "clock", None) or SystemClock())

    async def process_request(self, request: Request) -> None:
        lease = self._lease_for(request)
        if lease is None:
            return
        while True:
            now = self._clock.monotonic()
            lease.check(now)
            wait = lease.pace.wait_seconds(now)
            if wait <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with lease.cut_short_when_given_back():
                    await self._clock.sleep(wait)
        lease.pace.note_request(now, uniform=random.uniform)
        lease.note_request(now)
        request.meta[meta.SENT] = True

    async def process_response(self, request: Request, response: Response) -> Response:
        lease = self._lease_for(request)
        if lease is None:
            return response
        now = self._clock.monotonic()
        is_plain_robots_answer = request.meta.get(meta.ROBOTS) and response.status != 429
        is_refusal = response.status in REFUSALS and not is_plain_robots_answer
        if not is_refusal and response.status < 500:
            lease.pace.note_answer(now)
            return response
        wall = self._clock.now()
        header = response.headers.get("Retry-After")
        asked = read_retry_after(header.decode("latin-1") if header else None, wall)
        if is_refusal:
            lease.pace.note_refusal(now, wall, retry_after_seconds=asked)
            lease.refusals.append(f"HTTP {response.status}")
        else:
            lease.pace.note_failure(now, retry_after_seconds=asked)
        await lease.tell()
        return response

    async def process_exception(self, request: Request, exception: Exception) -> None:
        lease = self._lease_for(request)
        if lease is not None and request.meta.get(meta.SENT):
            lease.pace.note_failure(self._clock.monotonic())
            await lease.tell()

    def _lease_for(self, request: Request) -> HostLease | None:
        if request.meta.get(meta.CONTROL) or request.url.startswith(("file:", "data:")):
            return None
        lease = meta.lease_of(request)
        if lease is None:
            host = meta.host_of(request.url)
            lease = self._unleased.setdefault(host, HostLease(host=host, pace=Pace(self._delay_seconds)))
        return lease

"""Control pages: tried when a host is unreachable, to tell our own fault from theirs."""

from __future__ import annotations

import asyncio

from scrapy import Request
from scrapy.crawler import Crawler

from guichets import configuration
from guichets.clock import Clock
from guichets.crawl import meta
from guichets.schedule.memory import is_loopback

FRESH_SECONDS = 30.0  # one answer serves all probes that fail meanwhile
TIMEOUT_SECONDS = 10.0


class ControlPages:
    """Whether our own network works, by pages known to be up."""

    def __init__(self, crawler: Crawler, clock: Clock) -> None:
        self._crawler = crawler
        self._clock = clock
        self._urls: tuple[str, ...] = configuration.read_from(crawler.settings, "GUICHETS_CONTROL_URLS")
        self._lock = asyncio.Lock()
        self._answer = True
        self._asked_at = float("-inf")

    async def blames_us(self, host: str) -> bool:
        """True when no control page answers either. False without control pages, or where they tell
        nothing: a page elsewhere says nothing of a server on this machine."""
        urls = self._urls
        if is_loopback(host):
            urls = tuple(url for url in urls if is_loopback(meta.host_of(url)))
        if not urls:
            return False
        async with self._lock:
            if self._clock.monotonic() - self._asked_at > FRESH_SECONDS:
                self._answer = await self._any_answers(urls)
                self._asked_at = self._clock.monotonic()
        return not self._answer

    async def _any_answers(self, urls: tuple[str, ...]) -> bool:
        assert self._crawler.engine is not None
        for url in urls:
            request = Request(
                url,
                meta={meta.CONTROL: True, "dont_redirect": True, "download_timeout": TIMEOUT_SECONDS},
            )
            try:
                await self._crawler.engine.download_async(request)
            except Exception:  # noqa: BLE001 - any failure means the same here: this page did not answer
                continue
            return True
        return False

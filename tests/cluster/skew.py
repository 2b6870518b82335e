"""A Scrapy extension of the tests: this worker's wall clock is wrong by CLOCK_SKEW_SECONDS."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from scrapy.crawler import Crawler

from guichets.clock import SystemClock


class SkewedClock(SystemClock):
    def __init__(self, seconds: float) -> None:
        self._skew = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return super().now() + self._skew


class Skew:
    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Skew:
        seconds = float(os.environ.get("CLOCK_SKEW_SECONDS", "0"))
        crawler.spider.clock.base = SkewedClock(seconds)  # type: ignore[union-attr]
        return cls()

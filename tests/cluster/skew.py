"""Scrapy extensions of the tests: a worker with a wrong wall clock, and a watch for slots of seconds."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Self

from scrapy.crawler import Crawler

from guichets.clock import SystemClock
from guichets.crawl import watching
from guichets.schedule import planner
from guichets.schedule.watch import instants, watch


class SkewedClock(SystemClock):
    def __init__(self, seconds: float) -> None:
        self._skew = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return super().now() + self._skew


class Skew:
    """This worker's wall clock is wrong by CLOCK_SKEW_SECONDS."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Skew:
        seconds = float(os.environ.get("CLOCK_SKEW_SECONDS", "0"))
        crawler.spider.clock.base = SkewedClock(seconds)  # type: ignore[union-attr]
        return cls()


class HastyWatch(watching.WatchPlanning):
    """No probe keeps a minute's distance from a baseline of some seconds, and the planner dies often here."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        watching.PASS_SECONDS = watching.RETRY_SECONDS = instants.CLOSEST_SECONDS = 1.0
        planner.LEAD_SECONDS = 8.0  # most instants of the baseline are known no longer before
        planner.LEASE_SECONDS = 5.0
        watch.EXPLORED_SHARE = 1.0  # nothing is learnt in three minutes
        return super().from_crawler(crawler)

"""A Scrapy extension of the benches: processor time and wall time from the first to the last answer."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from pathlib import Path
from typing import Self

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.statscollectors import StatsCollector

from guichets.crawl import stats

LOOK_SECONDS = 0.02
FIRST_MARK = 100  # answers: what comes before is the warming up


class Meter:
    """Writes what it measured to the file named by BENCH_OUT when the spider closes."""

    def __init__(self, out: Path, stats: StatsCollector) -> None:
        self._out = out
        self._stats = stats
        self._marks: list[tuple[float, float, int]] = []

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        assert crawler.stats is not None
        meter = cls(Path(crawler.settings["BENCH_OUT"]), crawler.stats)
        crawler.signals.connect(meter._opened, signal=signals.spider_opened)
        crawler.signals.connect(meter._closed, signal=signals.spider_closed)
        return meter

    def _opened(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        """Now and then, so that what is measured does not pay for being measured at each answer."""
        while self._answers() < FIRST_MARK:  # noqa: ASYNC110 - statistics have no event
            await asyncio.sleep(LOOK_SECONDS)
        self._mark()

    def _closed(self) -> None:
        self._looking.cancel()
        self._mark()
        found = report(self._marks) | {"hosts_at_once": self._stats.get_value(stats.HOSTS_AT_ONCE, 0)}
        self._out.write_text(json.dumps(found), encoding="utf-8")

    def _answers(self) -> int:
        return int(self._stats.get_value("response_received_count", 0))

    def _mark(self) -> None:
        self._marks.append((time.process_time(), time.monotonic(), self._answers()))


def report(marks: list[tuple[float, float, int]]) -> dict[str, float]:
    """Rates between the first and the last mark; peak memory of this process in MB."""
    (cpu0, wall0, count0), (cpu1, wall1, count1) = marks[0], marks[-1]
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "requests": count1 - count0,
        "per_cpu_second": (count1 - count0) / (cpu1 - cpu0),
        "per_second": (count1 - count0) / (wall1 - wall0),
        "peak_mb": kilobytes / 1024,
    }

"""A Scrapy extension of the benches: processor time and wall time from the first to the last answer."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any, Self

from scrapy import signals
from scrapy.crawler import Crawler


class Meter:
    """Writes what it measured to the file named by BENCH_OUT when the spider closes."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._marks: list[tuple[float, float, int]] = []
        self._count = 0

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        meter = cls(Path(crawler.settings["BENCH_OUT"]))
        crawler.signals.connect(meter._answered, signal=signals.response_received)
        crawler.signals.connect(meter._closed, signal=signals.spider_closed)
        return meter

    def _answered(self, **_: Any) -> None:
        self._count += 1
        if self._count % 100 == 0:
            self._mark()

    def _closed(self, **_: Any) -> None:
        self._mark()
        self._out.write_text(json.dumps(report(self._marks)), encoding="utf-8")

    def _mark(self) -> None:
        self._marks.append((time.process_time(), time.monotonic(), self._count))


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

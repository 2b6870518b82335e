"""What a crawl logs of its items: one line per desk, nothing per page."""

from __future__ import annotations

import logging
from typing import Any, Self

from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.logformatter import LogFormatter, LogFormatterResult
from twisted.python.failure import Failure

from guichets.items import Observation

QUIETED = (
    "guichets",
    "pipelines",
    "scrapy",
    "spiders",
)  # loggers whose records are not built below LOG_LEVEL


class QuietLogFormatter(LogFormatter):
    """A desk's observation at INFO in one line, a counter's at DEBUG.

    Scrapy builds every record and lets its handler drop it; here a line nobody reads is not built. None
    says nothing, as Scrapy documents; its annotation forgets it.
    """

    def __init__(self, level: int) -> None:
        self._level = level

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        level = logging.getLevelName(crawler.settings.get("LOG_LEVEL"))
        level = level if isinstance(level, int) else logging.DEBUG
        for name in QUIETED:
            logging.getLogger(name).setLevel(level)
        return cls(level)

    def scraped(self, item: Any, response: Response | Failure | None, spider: Spider) -> LogFormatterResult:
        if not isinstance(item, Observation):
            return super().scraped(item, response, spider)
        level = logging.INFO if item.counter is None else logging.DEBUG
        if level < self._level:
            return None  # type: ignore[return-value]
        return {
            "level": level,
            "msg": "%(desk)s%(counter)s: %(outcome)s (%(rule)s)",
            "args": {
                "desk": item.desk,
                "counter": f" [{item.counter}]" if item.counter is not None else "",
                "outcome": item.outcome,
                "rule": item.rule,
            },
        }

"""What a crawl logs of its items: one line per desk, nothing per page."""

from __future__ import annotations

import logging
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response
from scrapy.logformatter import LogFormatter, LogFormatterResult
from twisted.python.failure import Failure

from guichets.items import Observation

_scrapy_logger = logging.getLogger("scrapy.core.engine")


class QuietLogFormatter(LogFormatter):
    """Pages at DEBUG, as Scrapy does; a desk's observation at INFO in one line."""

    def scraped(self, item: Any, response: Response | Failure | None, spider: Spider) -> LogFormatterResult:
        if not isinstance(item, Observation):
            return super().scraped(item, response, spider)
        return {
            "level": logging.INFO if item.counter is None else logging.DEBUG,
            "msg": "%(desk)s%(counter)s: %(outcome)s (%(rule)s)",
            "args": {
                "desk": item.desk,
                "counter": f" [{item.counter}]" if item.counter is not None else "",
                "outcome": item.outcome,
                "rule": item.rule,
            },
        }

    def crawled(self, request: Request, response: Response, spider: Spider) -> LogFormatterResult:
        if not _scrapy_logger.isEnabledFor(logging.DEBUG):
            # None says nothing, as Scrapy documents; its annotation forgets it.
            return None  # type: ignore[return-value]
        return {
            "level": logging.DEBUG,
            "msg": "%(status)s %(request)s",
            "args": {"status": response.status, "request": request},
        }

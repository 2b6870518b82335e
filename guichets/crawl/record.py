"""Keeps the crawl's end and its final statistics in ``crawls``."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any, Self

from psycopg.types.json import Jsonb
from scrapy import Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from guichets import database
from guichets.crawl.preparation import keeps_in_postgres
from guichets.database import rollups
from guichets.errors import DatabaseError

logger = logging.getLogger(__name__)

ROLLUP_SECONDS = 20.0  # the most a crawl's end gives to the figures; what is left waits in the queue

FINISH = """
UPDATE crawls SET finished_at = now(), finish_reason = %(reason)s, stats = %(stats)s WHERE id = %(id)s
"""


class CrawlRecord:
    """Writes the end of a crawl when its spider is closed."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not keeps_in_postgres(crawler.settings):
            raise NotConfigured("observations are not kept in PostgreSQL")
        record = cls(crawler)
        crawler.signals.connect(record.spider_closed, signal=signals.spider_closed)
        return record

    async def spider_closed(self, spider: Spider, reason: str) -> None:
        crawl_id = getattr(spider, "crawl_id", None)
        if crawl_id is None or self._crawler.stats is None:
            return
        found = {name: _plain(value) for name, value in self._crawler.stats.get_stats().items()}
        try:
            await asyncio.to_thread(self._write, str(crawl_id), reason, found)
        except DatabaseError as error:
            logger.warning(
                "%s; the end of the crawl is not recorded", error, extra={"action": "crawl_not_recorded"}
            )

    def _write(self, crawl_id: str, reason: str, found: dict[str, Any]) -> None:
        with database.session("writer") as connection:
            connection.execute(FINISH, {"id": crawl_id, "reason": reason, "stats": Jsonb(found)})
            connection.commit()
            rollups.refresh(connection, seconds=ROLLUP_SECONDS)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).isoformat()
    return value if isinstance(value, int | float | str | bool | None) else str(value)

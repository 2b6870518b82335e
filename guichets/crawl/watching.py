"""Plans the cluster's watch probes beside a crawl that lasts, in a thread with a connection of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Self

from scrapy import Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from guichets import configuration, database
from guichets.crawl.preparation import keeps_in_postgres, worker_name
from guichets.errors import DatabaseError
from guichets.schedule.planner import Planner

logger = logging.getLogger(__name__)

SCHEDULE_OPENED = object()
"""Signal: the database is ready, and the crawl claims its first host."""

PASS_SECONDS = 5.0  # between two looks: does anybody plan, and is it time for the next minute?
RETRY_SECONDS = 15.0  # while the database is away
FAILURE_SECONDS = 600.0  # after a bug of ours: another crawl may have an older, better program
STOP_SECONDS = 5.0  # the most a crawl's end waits for a pass under way


class WatchPlanning:
    """Has a planner work while the crawl lasts. The crawl itself waits for nothing that happens in here."""

    def __init__(self, crawler: Crawler) -> None:
        self._settings = crawler.settings
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not keeps_in_postgres(crawler.settings):
            raise NotConfigured("observations are not kept in PostgreSQL")
        if configuration.read_from(crawler.settings, "GUICHETS_WATCH_EVERY") == 0:
            raise NotConfigured("GUICHETS_WATCH_EVERY=0: no watch")
        planning = cls(crawler)
        crawler.signals.connect(planning.schedule_opened, signal=SCHEDULE_OPENED)
        crawler.signals.connect(planning.spider_closed, signal=signals.spider_closed)
        return planning

    def schedule_opened(self, spider: Spider) -> None:
        arguments = getattr(spider, "arguments", None)
        if arguments is None or arguments.minutes is None:  # it ends before there is anything to plan
            return
        self._thread = threading.Thread(target=self._plan, name="watch", daemon=True)
        self._thread.start()

    async def spider_closed(self, spider: Spider) -> None:
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    def _plan(self) -> None:
        planner = Planner(
            database.dsn(),
            owner=worker_name(self._settings),
            every_minutes=configuration.read_from(self._settings, "GUICHETS_WATCH_EVERY"),
            delay_seconds=configuration.read_from(self._settings, "GUICHETS_HOST_DELAY"),
            form_interval_seconds=configuration.read_from(self._settings, "GUICHETS_FORM_INTERVAL"),
        )
        pause, is_away = PASS_SECONDS, False
        while not self._stop.wait(pause):
            pause = PASS_SECONDS
            try:
                planner.work()
                is_away = False
            except DatabaseError as error:
                if not is_away:
                    logger.warning(
                        "%s; no watch probes are planned meanwhile", error, extra={"action": "watch_away"}
                    )
                pause, is_away = RETRY_SECONDS, True
            except Exception as error:
                logger.error(
                    "watch probes could not be planned; baseline probes go on",
                    exc_info=error,
                    extra={"action": "watch_failed"},
                )
                planner.forget()
                pause = FAILURE_SECONDS
        planner.close()
